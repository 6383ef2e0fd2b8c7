"""What the use cases need from the outside. Adapters are chosen in bootstrap.py."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from offhook.calls.commands import EngineCommand
from offhook.calls.events import CallInput
from offhook.calls.model import By, CallPlan, Ending, Leg, Times

Json = dict[str, Any]


class Engine(Protocol):
    """Rings, joins and ends legs. One suite (tests/contract/engines) holds every adapter to the same words."""

    async def start(self, report: Callable[[CallInput, str], None]) -> None:
        """Open sockets; call `report(event, leg_id)` from the event loop for everything that happens."""
        ...

    def perform(self, command: EngineCommand) -> None:
        """Begin to do it and return at once; what comes of it is reported. Never raises."""
        ...

    async def stop(self) -> None:
        """End what is left within a few seconds and close."""
        ...


class Document(msgspec.Struct, kw_only=True):
    """A stored document: the public JSON and what the store knows beside it."""

    id: str
    account_id: str
    type: str
    """`account`, `user`, `device`, `callflow`, `resource`, `clicktocall`, …"""
    data: Json
    """Public keys as clients see them, unknown ones too; without `id`."""
    private: Json = {}
    """What clients never see: password hashes, account tree, api key."""
    revision: str
    created_at: float
    """Unix seconds."""
    modified_at: float
    deleted: bool = False


class DocumentKey(msgspec.Struct, frozen=True):
    """A way to find a document other than its id. Two live documents never share a unique key."""

    kind: str
    """`realm`, `sip_username`, `callflow_number`, `owner_id`, `api_key`, …"""
    value: str
    scope: str = ""
    """Account id, or empty for keys that are unique in the whole installation."""
    unique: bool = True


class Documents(Protocol):
    """The document store. Reads see every write that was awaited before."""

    async def get(self, account_id: str, document_id: str, *, type: str) -> Document | None:
        """Return the live document, or None if unknown, deleted, of another type or account."""
        ...

    async def find(self, kind: str, value: str, *, scope: str = "") -> list[Document]:
        """Return live documents by key, oldest first."""
        ...

    async def list(self, account_id: str, *, type: str) -> Sequence[Document]:
        """Return all live documents of a type, by id. Bounded by the caller's paging (issue: lists)."""
        ...

    async def put(self, document: Document, keys: Sequence[DocumentKey], *, expected_revision: str | None) -> Document:
        """Store it durably, bump its revision, replace its keys.

        expected_revision None creates. Raises RevisionConflict, KeyTaken(kind, value, document_id).
        """
        ...


class Journal(Protocol):
    """The truth about calls. Appends are ordered per call; group commit makes them cheap."""

    async def accept(self, plan: CallPlan, accepted_at: float) -> None:
        """Store the call as open; return when it is durable. Raises StorageLost."""
        ...

    def append(self, call_id: str, sequence: int, at: float, fact: bytes) -> None:
        """Queue an entry (JSON of a Fact) for the next group commit; returns at once."""
        ...

    async def finish(self, call_id: str, sequence: int, at: float, fact: bytes, history: Json | None,
                     cdrs: Sequence[Json]) -> None:
        """Store the final entry, its history item and its CDRs in one transaction.

        Unique by constraint: a second final entry for a call raises AlreadyFinal.
        """
        ...

    async def open_calls(self) -> Sequence[CallPlan]:
        """Return calls without a final entry (after a crash)."""
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


class Calls(Protocol):
    """Executes plans (app/call_service.py)."""

    async def place(self, plan: CallPlan) -> LiveCall:
        """Store the call as accepted and begin to dial. Raises Overloaded, Draining, StorageLost."""
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

    async def timeline(self, account_id: str, call_id: str) -> Sequence[Json] | None:
        """Return what happened, in order: `{"at": ISO 8601, "what": …, …}`, or None if unknown."""
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

    def remove(self, realm: str, username: str | None = None) -> int:
        """Forget the contacts of one username, or of all; return how many."""
        ...


class RevokedTokens(Protocol):
    """Tokens that are dead before their time."""

    async def revoke(self, token_id: str, expires_at: float) -> None:
        """Remember it durably until it would have expired by itself."""
        ...

    async def is_revoked(self, token_id: str) -> bool:
        """Tell whether it was revoked."""
        ...
