"""What the HTTP edge is made of; bootstrap builds it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from offhook.app.accounts import Accounts
from offhook.app.auth import Auth
from offhook.app.call_recordings import CallRecordings
from offhook.app.call_requests import CallRequests
from offhook.app.call_stream import CallStreams
from offhook.app.call_tokens import CallTokens
from offhook.app.call_transfers import CallTransfers
from offhook.app.documents import DocumentService
from offhook.app.live_events import LiveEvents
from offhook.app.media import MediaService
from offhook.app.photos import UserPhotos
from offhook.app.ports import Calls, PhoneNotices, Registrations, Store
from offhook.app.recovery import PasswordRecovery
from offhook.app.token_costs import TokenCosts
from offhook.app.webhook_service import WebhookService
from offhook.kernel import Clock, Random

from .websocket_session import OpenSockets


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """How the edge behaves, most of it as an operator has set."""

    rate_bucket: int = 100
    """OFFHOOK_RATE_BUCKET: tokens per address and account; 0 = no limit."""
    rate_refill_per_s: float = 10.0
    """OFFHOOK_RATE_REFILL."""
    token_costs: TokenCosts = field(default_factory=lambda: TokenCosts({}))
    """OFFHOOK_KAZOO_TOKEN_COSTS."""
    websockets_per_address: int = 0
    """OFFHOOK_WEBSOCKETS_PER_ADDRESS; 0 = no limit."""
    system_wide_channels: bool = False
    """OFFHOOK_SYSTEM_WIDE_CHANNELS: the master account may list the live legs of all accounts."""
    quirks: frozenset[str] = frozenset()
    """OFFHOOK_KAZOO_QUIRKS: what is answered as KAZOO does although something else is better."""
    trusted_proxies: frozenset[str] = frozenset({"127.0.0.1", "::1"})
    """Peers whose X-Forwarded-For counts (KAZOO's `reverse_proxies`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServices:
    """Everything the endpoints use."""

    store: Store
    auth: Auth
    documents: DocumentService
    accounts: Accounts
    calls: Calls
    call_requests: CallRequests
    """Plans and places connects and quickcalls."""
    transfers: CallTransfers
    """Replaces parties of joined calls."""
    recordings: CallRecordings
    """Records joined calls."""
    call_streams: CallStreams
    call_tokens: CallTokens
    live_events: LiveEvents
    """What websockets listen to."""
    open_sockets: OpenSockets = field(default_factory=OpenSockets)
    registrations: Registrations
    notices: PhoneNotices
    media: MediaService
    photos: UserPhotos
    recovery: PasswordRecovery
    webhooks: WebhookService
    clock: Clock
    random: Random
    settings: ApiSettings = field(default_factory=ApiSettings)
    node: str = "offhook"
    """Short name of this node; `node` in every envelope."""
    unready: Callable[[], str] = lambda: ""
    """Why the node takes no calls now (`draining`, `storage lost`), or an empty string."""
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)
    """What `/metrics` shows; the edge adds its own counters."""
