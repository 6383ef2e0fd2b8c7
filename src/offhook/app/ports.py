"""What the use cases need from the outside. Adapters are chosen in bootstrap."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from offhook.calls.commands import EngineCommand
from offhook.calls.events import LegEvent
from offhook.calls.model import By, CallPlan, Ending, Leg, Times
from offhook.directory.model import Document, DocumentKey, Json
from offhook.kernel import Timer

from .account_calls import AccountUsage
from .storage import (
    Bindings,
    Cdrs,
    CdrTotals,
    DocumentRange,
    Documents,
    DocumentSlice,
    DocumentWrite,
    History,
    Idempotency,
    IdempotencyClaim,
    Journal,
    JournalEntry,
    Listing,
    Mark,
    Page,
    RevokedTokens,
    RowFilter,
    Settings,
    Store,
    StoredBinding,
    StoredCall,
    TimeRange,
)

__all__ = [
    "Bindings",
    "CallSoFar",
    "CallView",
    "Calls",
    "CdrTotals",
    "Cdrs",
    "Document",
    "DocumentKey",
    "DocumentRange",
    "DocumentSlice",
    "DocumentWrite",
    "Documents",
    "Engine",
    "History",
    "Idempotency",
    "IdempotencyClaim",
    "JoinedParties",
    "Journal",
    "JournalEntry",
    "Json",
    "Listing",
    "LiveCall",
    "Mark",
    "Page",
    "PhoneNotice",
    "PhoneNotices",
    "Registration",
    "Registrations",
    "RevokedTokens",
    "RowFilter",
    "Settings",
    "Store",
    "StoredBinding",
    "StoredCall",
    "TimeRange",
    "Timers",
    "TraceLine",
    "WorkerLoad",
]


class TraceLine(msgspec.Struct, frozen=True):
    """One signalling message of a leg, or one thing its media did."""

    at: float
    """Unix seconds."""
    outgoing: bool
    summary: str
    """`INVITE`, `180 Ringing (INVITE)`."""
    peer: str
    """`udp:192.0.2.7:5060`"""
    kind: str = "sip"
    """`sip`, or `media`: then `summary` says what happened."""
    data: bytes = b""
    """The message as it was on the wire, if this engine sees it."""
    local: tuple[str, int] = ("", 0)
    remote: tuple[str, int] = ("", 0)
    """Addresses of the two ends, if `data` is there."""


class Engine(Protocol):
    """Rings, joins and ends legs. tests/contract/engines holds every adapter to the same words."""

    async def start(self, report: Callable[[LegEvent], None]) -> None:
        """Open sockets; call `report` from the event loop, in order, for everything that happens to a leg."""
        ...

    def open_call(self, plan: CallPlan) -> None:
        """Make room for a call; comes before its first command, after a crash too. `close_call` follows."""
        ...

    def close_call(self, call_id: str) -> None:
        """Forget a call all of whose legs are over. Harmless if it is unknown."""
        ...

    def perform(self, command: EngineCommand) -> None:
        """Begin to do it and return at once; what comes of it is reported. Never raises."""
        ...

    def can_hold(self, leg_id: str) -> bool:
        """Tell whether a joined leg's media can be cut and played to: it passes through a relay of ours."""
        ...

    def can_link(self, leg_id: str, other_leg_id: str) -> bool:
        """Tell whether joined legs of two calls can be let hear each other (LinkLegs)."""
        ...

    async def trace(self, leg_id: str) -> Sequence[TraceLine]:
        """Return the signalling of a recent leg, oldest first; empty if it is forgotten."""
        ...

    async def stop(self) -> None:
        """End what is left within a few seconds and close."""
        ...


class WorkerLoad(msgspec.Struct, frozen=True):
    """What one engine process has to do."""

    number: int
    """From 1."""
    is_up: bool
    calls: int
    """That it holds now."""
    cpu_s: float
    """Of its process until now."""


class Timers(Protocol):
    """Starts timers on the loop's clock, or on a virtual one."""

    def start(self, delay_s: float, action: Callable[[], None]) -> Timer:
        """Call `action` once after `delay_s`, unless the returned timer is cancelled before."""
        ...


# --- what the HTTP edge needs (api) -----------------------------------------------------------------


class CallView(msgspec.Struct, kw_only=True):
    """A call as it stands now, live or over."""

    plan: CallPlan
    state: str
    """Word for people: `dialing`, `ringing`, `answered`, `bridged`, `ended`, …"""
    legs: Sequence[Leg] = ()
    times: Times
    ending: Ending | None = None
    """None while the call is live."""
    first_hangup_cause: str = ""
    """KAZOO's cause of the first party's failure, once it has failed."""


@dataclass(frozen=True, slots=True)
class CallSoFar:
    """A live call's journal until now."""

    plan: CallPlan
    accepted_at: float
    """Unix seconds."""
    entries: Sequence[JournalEntry]
    """Those above `stored`."""
    stored: int = 0
    """Sequence of the last entry that is to be read from the journal."""


class LiveCall(Protocol):
    """A call that was durably accepted and is being dialled."""

    @property
    def call_id(self) -> str:
        """The plan's call id."""
        ...

    async def first_answered_or_ended(self) -> CallView:
        """Return once the first party answered, or the call is over. Cancelling it leaves the call alone."""
        ...

    async def ended(self) -> CallView:
        """Return once the final entry is stored."""
        ...


class JoinedParties(Protocol):
    """What may be done to the parties of joined calls (app/joined_calls.py)."""

    def hold(self, account_id: str, leg_id: str, media: str = "") -> bool:
        """Put a party on hold; return False if it is not joined, or its media cannot be cut."""
        ...

    def unhold(self, account_id: str, leg_id: str) -> bool:
        """Take a party back; return False if it is not on hold."""
        ...

    def play(self, account_id: str, leg_ids: Sequence[str], media: str) -> bool:
        """Play something, once, to parties of a joined call; False if one does not talk, or it cannot be."""
        ...

    def stop_playing(self, account_id: str, leg_id: str) -> bool:
        """Stop what is played to the parties of a call; False if nothing is."""
        ...


class Calls(Protocol):
    """Executes plans (app/call_service.py)."""

    @property
    def joined(self) -> JoinedParties:
        """What may be done to those that are joined."""
        ...

    async def place(self, plan: CallPlan, *, claim: IdempotencyClaim | None = None) -> LiveCall:
        """Store the call as accepted and begin to dial.

        Raises Overloaded, Draining, StorageLost, KeyClaimed: then no phone rings and nothing is stored.
        """
        ...

    async def get(self, account_id: str, call_id: str) -> CallView | None:
        """Return a live or finished call of the account, or None."""
        ...

    async def hang_up(self, account_id: str, call_id: str, by: By) -> bool:
        """Begin to end a live call; return False if there is none of that id."""
        ...

    def live(self, account_id: str) -> Sequence[CallView]:
        """Return the live calls of an account, oldest first."""
        ...

    def live_anywhere(self, limit: int) -> Sequence[CallView]:
        """Return live calls of all accounts, oldest first, at most `limit`."""
        ...

    def usage(self, account_id: str) -> AccountUsage:
        """Return what an account's calls take of its limits."""
        ...

    def dialled_out(self, account_id: str, device_id: str = "") -> int:
        """Return how many live calls phones of the account have dialled to outside; one phone's, if named."""
        ...

    def so_far(self, account_id: str, call_id: str) -> CallSoFar | None:
        """Return a live call with every entry until this instant, or None if it is not live here."""
        ...

    async def timeline(self, account_id: str, call_id: str) -> Sequence[Json] | None:
        """Return what happened, in order: `{"at": ISO 8601, "what": …, …}`, or None if unknown."""
        ...

    async def signalling(self, account_id: str, call_id: str) -> Sequence[TraceLine] | None:
        """Return the messages of all legs that are still remembered, in order, or None if unknown."""
        ...


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """One contact a phone registered."""

    username: str
    realm: str
    contact: str
    """Contact URI as the phone wrote it."""
    received_host: str
    received_port: int
    transport: str = "udp"
    call_id: str = ""
    """Call-ID of the REGISTER."""
    user_agent: str = ""
    expires_at: float
    """Unix seconds."""
    registered_at: float


class Registrations(Protocol):
    """Who is registered. In memory, hence not async."""

    def of_realm(self, realm: str) -> Sequence[Registration]:
        """Return the live registrations of an account's realm."""
        ...

    def count(self) -> int:
        """Return how many contacts are registered, in all realms."""
        ...

    def remove(self, realm: str, username: str | None = None) -> int:
        """Forget the contacts of one username, or of all; return how many."""
        ...


class PhoneNotice(msgspec.Struct, frozen=True, kw_only=True):
    """Something a phone is told outside calls."""

    event: str
    """SIP event package with its parameters: `check-sync;reboot=true`. No line breaks."""
    content_type: str = ""
    body: bytes = b""


class PhoneNotices(Protocol):
    """Tells registered phones something."""

    def notify(self, aor: str, notice: PhoneNotice) -> int:
        """Begin to send it to each contact of `sip:user@realm`; return how many there are. Never raises."""
        ...
