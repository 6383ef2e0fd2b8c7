"""Ports of delivery: what webhooks have yet to be told, how it gets there, and what became of it."""

from collections.abc import Collection, Sequence
from typing import Final, Protocol

import msgspec

from offhook.delivery import OutboxRow, PreparedRequest, Reception
from offhook.directory.model import Document, Json

from .channel_events import ChannelEvent
from .storage import Listing, Page, TimeRange


class CallOutbox(Protocol):
    """Makes the outbox rows of channel events. Called for every fact of every call: no events, no work."""

    def rows(self, events: Sequence[ChannelEvent]) -> Sequence[OutboxRow]:
        """Return what to store with the fact; must not block or raise."""
        ...

    def stored(self, rows: Sequence[OutboxRow]) -> None:
        """Take note that rows are in the journal's queue, and final ones on the disk: they can be sent."""
        ...


class _NoOutbox:
    def rows(self, events: Sequence[ChannelEvent]) -> Sequence[OutboxRow]:
        return ()

    def rows_of_document(self, document: Document, before: Document | None) -> Sequence[OutboxRow]:
        return ()

    def stored(self, rows: Sequence[OutboxRow]) -> None:
        pass


NO_OUTBOX: Final[CallOutbox] = _NoOutbox()
"""Of a node without webhooks."""


class DocumentOutbox(Protocol):
    """Makes the outbox rows of written documents."""

    def rows_of_document(self, document: Document, before: Document | None) -> Sequence[OutboxRow]:
        """Return what to store with a document; must not block or raise."""
        ...

    def stored(self, rows: Sequence[OutboxRow]) -> None:
        """Take note that rows are on the disk: they can be sent."""
        ...


NO_DOCUMENT_OUTBOX: Final[DocumentOutbox] = _NoOutbox()
"""Of a node without webhooks."""


class WebhookSender(Protocol):
    """Sends requests to receivers."""

    async def send(self, request: PreparedRequest) -> Reception:
        """Send it and return the answer, within seconds. Raises Undeliverable."""
        ...

    async def close(self) -> None:
        """Close what is open. Repeating it does nothing."""
        ...


class NumberedRow(msgspec.Struct, frozen=True):
    """A row in the store."""

    number: int
    """Grows with time."""
    row: OutboxRow


class DueLane(msgspec.Struct, frozen=True, kw_only=True):
    """A lane whose first row is to be tried now."""

    lane: str
    attempts: int
    """How often the first row was tried."""
    rows: Sequence[NumberedRow]


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """What a hook has to do."""

    lanes: Sequence[DueLane]
    next_at: float | None
    """When the next of its other lanes is due; None if there is no other."""


class StoredAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try to deliver a row."""

    data: Json
    """As the API shows it, with `id` and `timestamp` (KAZOO's)."""
    row: OutboxRow


class Outbox(Protocol):
    """Rows are added with the entry or document they tell of: Journal.append, Documents.put."""

    def add(self, rows: Sequence[OutboxRow], *, at: float) -> None:
        """Queue rows that tell of something stored before, and try their lanes at once; never raises."""
        ...

    async def waiting(self) -> dict[str, int]:
        """Return how many rows wait, by hook."""
        ...

    async def due(self, hook_id: str, now: float, *, busy: frozenset[str], lanes: int, rows: int) -> Due:
        """Return up to `lanes` lanes that are due and not busy, with up to `rows` rows each.

        Sees every row and settlement that was queued before; what it returns is durable. Raises StorageLost.
        """
        ...

    def advance(self, hook_id: str, lane: str, through: int, now: float) -> None:
        """Queue the end of the lane's rows up to a number; the next one is due at once."""
        ...

    def postpone(self, hook_id: str, lane: str, attempts: int, next_at: float) -> None:
        """Queue when the lane's first row is to be tried again."""
        ...

    def wake(self, hook_ids: Collection[str], now: float) -> None:
        """Queue that everything of these hooks is due now."""
        ...

    def forget(self, hook_id: str) -> None:
        """Queue the end of everything that waits for a hook."""
        ...

    async def drop_older(self, before: float) -> int:
        """Give up rows created before then, some hundred at a time; return how many. Raises StorageLost."""
        ...

    def note_attempt(self, attempt: StoredAttempt, *, kept: int) -> None:
        """Queue an attempt; of its hook's earlier ones only the latest are kept."""
        ...

    async def attempts(self, account_id: str, hook_id: str, between: TimeRange, page: Page) -> Listing:
        """Return the attempts of a hook, or of the account if hook_id is empty. Raises BadPageKey."""
        ...

    async def attempt(self, account_id: str, hook_id: str, attempt_id: str) -> StoredAttempt | None:
        """Return one attempt of a hook."""
        ...
