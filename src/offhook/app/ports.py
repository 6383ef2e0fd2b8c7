"""What the use cases need from the outside. Adapters are chosen in bootstrap.py."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from offhook.calls.commands import EngineCommand
from offhook.calls.events import CallInput
from offhook.calls.model import CallPlan

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
