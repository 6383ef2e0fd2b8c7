"""Ports of the store. One suite (tests/contract/stores) holds every adapter to the same words."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from offhook.calls.model import CallPlan
from offhook.delivery.model import OutboxRow
from offhook.directory.model import Document, DocumentKey, Json


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list by time is wanted."""

    size: int
    """At most this many items, at least 1."""
    start_key: str = ""
    """`next_key` of the page before; empty for the first. A time in Gregorian seconds begins there."""
    end_key: str = ""
    """The last row wanted, as a key or a time like those."""
    ascending: bool = False
    """Oldest first; default is newest first."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list by time."""

    items: list[Json]
    next_key: str = ""
    """Opaque; empty when nothing follows."""


class RowFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows of a list by time are wanted."""

    keep: Callable[[Json], bool]
    """Looks at the whole document; runs in a thread."""
    needles: tuple[tuple[bytes, ...], ...] = ()
    """Pieces of JSON: a document that lacks all pieces of one of the tuples cannot be wanted. A store that
    looks for them first need not decode a million documents to find one."""


class CdrTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the legs that have the first five words in common."""

    direction: str
    realm: str
    """Host part of `to`."""
    classifier: str
    """Class of the number that was dialled."""
    by_carrier: bool
    """The leg went through a carrier, not to a phone of the account."""
    outcome: str
    legs: int
    duration_s: int
    billing_s: int


class TimeRange(msgspec.Struct, frozen=True, kw_only=True):
    """Both ends included, in KAZOO's seconds since year 0."""

    from_gregorian_s: int
    to_gregorian_s: int


class StoredCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call as accepted."""

    plan: CallPlan
    accepted_at: float
    """Unix seconds."""
    is_final: bool
    """It has its final entry."""


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One fact of a call."""

    sequence: int
    at: float
    """Unix seconds."""
    fact: bytes
    """JSON of a calls.events.Fact."""


class IdempotencyClaim(msgspec.Struct, frozen=True, kw_only=True):
    """An Idempotency-Key and the one call that it placed."""

    id: str
    """Digest of account, endpoint, caller and key."""
    fingerprint: str
    """Digest of the request: the same key with another request is a mistake of the client."""
    call_id: str
    is_answered: bool
    """`answer` is what the client was told; False: a blocking request that may still run."""
    answer: bytes
    """JSON. Of a request that is not answered: what it would have been told at once."""
    expires_at: float
    """Unix seconds."""


class StoredBinding(msgspec.Struct, frozen=True, kw_only=True):
    """A registration that survives a restart. The store does not look into `data`."""

    aor: str
    """`sip:dev1@acme.example.com`"""
    contact: str
    """What tells the bindings of one address of record apart."""
    expires_at: float
    """Unix seconds."""
    data: bytes


Mark = tuple[str, str, str]
"""A place in an ordered list of documents: label, account id, document id."""


class DocumentRange(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of an ordered list of documents is wanted."""

    kind: str
    """Of a key: `directory.ordering` says which lists there are."""
    scope: str
    start: Mark | None = None
    """The first row, or where it would stand; None: the end of the list."""
    end: Mark | None = None
    """The last row."""
    backwards: bool = False
    limit: int
    """At most this many rows."""


class DocumentSlice(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of an ordered list."""

    rows: list[tuple[Mark, Document]]
    next: Mark | None = None
    """Where to go on; None: the list is at its end."""


class DocumentWrite(msgspec.Struct, frozen=True, kw_only=True):
    """One document to be stored."""

    document: Document
    keys: Sequence[DocumentKey]
    expected_revision: str | None
    """None creates."""
    outbox: Sequence[OutboxRow] = ()
    """What webhooks are to be told of it, stored in the same step."""


class Documents(Protocol):
    """The document store. Reads see every write that was awaited before."""

    async def get(self, account_id: str, document_id: str, *, type: str) -> Document | None:
        """Return the live document, or None if unknown, deleted, of another type or account."""
        ...

    async def find(self, kind: str, value: str, *, scope: str = "") -> list[Document]:
        """Return live documents by key, oldest first."""
        ...

    async def count(self, kind: str, value: str, *, scope: str = "") -> int:
        """Return how many live documents have the key. Costs microseconds per hundred of them."""
        ...

    async def list(
        self, account_id: str, *, type: str, after: str = "", limit: int | None = None
    ) -> Sequence[Document]:
        """Return live documents of a type by id, those above `after`, at most `limit`. Runs in a thread."""
        ...

    async def slice(
        self, wanted: DocumentRange, *, keep: Callable[[Document], bool] | None = None
    ) -> DocumentSlice:
        """Return live documents in the order of their key's value, those that `keep` accepts.

        Costs the same wherever the slice begins and however many documents there are. keep runs in a
        thread; with it a slice may have fewer rows although more follow: go on while next is set.
        """
        ...

    async def put_all(self, writes: Sequence[DocumentWrite]) -> Sequence[Document]:
        """Store several documents in one durable step, as `put` does; all or none."""
        ...

    async def put(
        self, document: Document, keys: Sequence[DocumentKey], *, expected_revision: str | None
    ) -> Document:
        """Store it durably and replace its keys; return it with its new revision.

        expected_revision None creates. A deleted document (soft delete) keeps its body and loses its keys.
        Raises RevisionConflict, KeyTaken, StorageLost; then nothing has changed.
        """
        ...

    async def remove(
        self,
        account_id: str,
        document_id: str,
        *,
        expected_revision: str,
        outbox: Sequence[OutboxRow] = (),
    ) -> None:
        """Delete it for good. Raises RevisionConflict if it is gone or has changed, StorageLost."""
        ...

    async def delete_account(self, account_id: str, *, deleted_at: float) -> int:
        """Soft-delete the account and all its documents in one step; return how many there were."""
        ...


class Journal(Protocol):
    """The truth about calls. Appends are ordered per call; group commit makes them cheap."""

    async def accept(
        self, plan: CallPlan, accepted_at: float, *, claim: IdempotencyClaim | None = None
    ) -> None:
        """Store the call as open, and its claim in the same transaction; return when both are durable.

        Raises CallIdTaken, StorageLost, and KeyClaimed if another call has the claim: then nothing is stored.
        """
        ...

    def append(
        self, call_id: str, sequence: int, at: float, fact: bytes, *, outbox: Sequence[OutboxRow] = ()
    ) -> None:
        """Queue an entry (JSON of a Fact) for the next group commit; returns at once, never raises.

        outbox is stored in the same transaction: what webhooks are to be told is never more or less than
        what the journal holds.
        Survives a failing disk in a bounded memory; durable no later than the next awaited write.
        """
        ...

    async def durable(self) -> None:
        """Return once every append before it is on the disk, in a few milliseconds. Raises StorageLost."""
        ...

    async def finish(
        self,
        call_id: str,
        sequence: int,
        at: float,
        fact: bytes,
        history: Json | None,
        cdrs: Sequence[Json],
        *,
        outbox: Sequence[OutboxRow] = (),
    ) -> None:
        """Store the final entry, its history item, its CDRs and its outbox in one durable transaction.

        history has KAZOO's `id` and `timestamp`; it is listed under the plan's authorizing_id. cdrs are full
        leg documents with `id`, `timestamp`, `interaction_id` and `custom_channel_vars.owner_id`.
        Unique by constraint: a second final entry raises AlreadyFinal. Raises StorageLost: try again later.
        """
        ...

    async def open_calls(self) -> Sequence[StoredCall]:
        """Return calls without a final entry, oldest first (after a crash)."""
        ...

    async def call(self, account_id: str, call_id: str) -> StoredCall | None:
        """Return a call of the account, open or final."""
        ...

    async def entries(self, call_id: str) -> Sequence[JournalEntry]:
        """Return what is known of a call, in order. Includes every append before the last awaited write."""
        ...


class Idempotency(Protocol):
    """Which call an Idempotency-Key placed. Claims are made by Journal.accept."""

    async def find(self, claim_id: str, now: float) -> IdempotencyClaim | None:
        """Return the claim unless it has expired (Unix seconds)."""
        ...

    async def answer(self, claim_id: str, answer: bytes) -> None:
        """Store durably what the client is about to be told. Raises StorageLost."""
        ...


class History(Protocol):
    """Attempts per button."""

    async def list(
        self,
        account_id: str,
        button_id: str,
        between: TimeRange,
        page: Page,
        *,
        only: RowFilter | None = None,
    ) -> Listing:
        """Return history items by their timestamp. Short pages and errors are those of Cdrs.list."""
        ...


class Cdrs(Protocol):
    """Leg documents in KAZOO's full form."""

    async def list(
        self,
        account_id: str,
        between: TimeRange,
        page: Page,
        *,
        owner_id: str = "",
        one_per_interaction: bool = False,
        only: RowFilter | None = None,
    ) -> Listing:
        """Return legs by timestamp; of a user; the first of each interaction; those that `only` wants.

        A filtered page may be short although more follow: go on while next_key is set. Raises BadPageKey.
        """
        ...

    async def summary(
        self, account_id: str, between: TimeRange, *, owner_id: str = ""
    ) -> Sequence[CdrTotals]:
        """Return sums over the legs of a range, of a user or of all."""
        ...

    async def get(self, account_id: str, cdr_id: str) -> Json | None:
        """Return one leg document by its `YYYYMM-…` id."""
        ...

    async def legs(self, account_id: str, interaction_id: str) -> Sequence[Json]:
        """Return all legs of an interaction, in the order they ended."""
        ...


class Bindings(Protocol):
    """Registrations, kept so that a restart does not lose the phones."""

    def save(self, bindings: Sequence[StoredBinding]) -> None:
        """Queue them, each replacing the one with its aor and contact; returns at once, never raises."""
        ...

    def remove(self, aor: str, contact: str) -> None:
        """Queue its removal; returns at once, never raises."""
        ...

    async def load(self, now: float) -> Sequence[StoredBinding]:
        """Return those that have not expired, and forget the others."""
        ...


class Settings(Protocol):
    """Secrets and facts of the installation: token signing key, master account id."""

    async def get(self, name: str) -> str | None:
        """Return the stored value."""
        ...

    async def set_once(self, name: str, value: str) -> str:
        """Store durably unless there is one; return what is stored. Safe with several nodes."""
        ...

    async def set(self, name: str, value: str) -> None:
        """Store durably, replacing what was there."""
        ...


class RevokedTokens(Protocol):
    """Tokens that were deleted before they expired."""

    async def revoke(self, token_id: str, *, expires_at: float, now: float) -> None:
        """Remember durably until it expires; forget those that have (Unix seconds)."""
        ...

    async def is_revoked(self, token_id: str) -> bool:
        """Tell, in microseconds, whether the token was revoked."""
        ...


class Store(Protocol):
    """Everything one database holds."""

    @property
    def documents(self) -> Documents:
        """The port of that name."""
        ...

    @property
    def journal(self) -> Journal:
        """The port of that name."""
        ...

    @property
    def history(self) -> History:
        """The port of that name."""
        ...

    @property
    def cdrs(self) -> Cdrs:
        """The port of that name."""
        ...

    @property
    def bindings(self) -> Bindings:
        """The port of that name."""
        ...

    @property
    def idempotency(self) -> Idempotency:
        """The port of that name."""
        ...

    @property
    def settings(self) -> Settings:
        """The port of that name."""
        ...

    @property
    def revoked_tokens(self) -> RevokedTokens:
        """The port of that name."""
        ...

    async def close(self) -> None:
        """Write what is queued and close. Repeating it does nothing."""
        ...
