"""What is carried in and out: records of four kinds, and the store's side of it."""

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import msgspec

from offhook.directory.model import Document, DocumentKey, Json


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A history item of a button."""

    account_id: str
    button_id: str
    timestamp: int
    """Gregorian seconds."""
    data: Json
    """As lists show it, with its `id`."""


class Cdr(msgspec.Struct, frozen=True, kw_only=True):
    """A leg's record in KAZOO's full form, with its `id`."""

    account_id: str
    data: Json


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy of an installation needs for its passwords and API keys to go on working."""

    secret: str
    """Salt of stored passwords, key of tokens."""
    master_account_id: str


Record = Document | Attempt | Cdr | Installation


class TakenDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document to be stored as it is: id, revision and times are kept."""

    document: Document
    keys: Sequence[DocumentKey]


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the store has under an id."""

    revision: str
    modified_at: float
    deleted: bool


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A unique key of a document belongs to another one."""

    kind: str
    value: str
    document_id: str


class SourceStore(Protocol):
    """Reads everything, as it was at one moment."""

    def installation(self) -> Installation | None:
        """Return it; None in a database that no server has used."""
        ...

    def accounts(self) -> Iterator[Document]:
        """Yield all live accounts by id."""
        ...

    def documents(self) -> Iterator[Document]:
        """Yield all other live documents by account and id."""
        ...

    def attempts(self) -> Iterator[Attempt]:
        """Yield the history of all buttons, in the order it was written."""
        ...

    def cdrs(self) -> Iterator[Cdr]:
        """Yield all CDRs, in the order they were written."""
        ...


Verdict = Literal["taken", "there already"]


class TargetStore(Protocol):
    """Takes records over. Nobody else uses the database meanwhile."""

    def installation(self) -> Installation | None:
        """Return what the database has; parts that are missing are empty. None: nothing of it."""
        ...

    def set_installation(self, *, secret: str = "", master_account_id: str = "") -> None:
        """Store what is not empty and not there yet."""
        ...

    def account(self, account_id: str) -> Document | None:
        """Return a live account."""
        ...

    def known(self, account_id: str, document_id: str) -> Known | None:
        """Return what is stored under an id, deleted or not."""
        ...

    def take_documents(self, taken: Sequence[TakenDocument]) -> Sequence[Refusal | None]:
        """Store documents in one durable step; return what hindered each, None: nothing."""
        ...

    def take_attempts(self, attempts: Sequence[Attempt]) -> Sequence[Verdict]:
        """Add history items in one durable step, those that are not there."""
        ...

    def take_cdrs(self, cdrs: Sequence[Cdr]) -> Sequence[Verdict]:
        """Add CDRs in one durable step, those that are not there."""
        ...
