"""Documents and the keys by which they are found."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import apsw
import msgspec

from offhook.app.errors import KeyTaken, RevisionConflict
from offhook.app.ports import (
    Document,
    DocumentKey,
    DocumentRange,
    DocumentSlice,
    DocumentWrite,
    Json,
    Mark,
)
from offhook.delivery.model import OutboxRow

from .outbox_rows import write_rows
from .writer import Writer

Result = TypeVar("Result")
Listings = Callable[[Callable[[apsw.Connection], Result]], Any]

COLUMNS: Final = "d.id, d.account_id, d.type, d.data, d.private, d.revision, d.created_at, d.modified_at"

GET: Final = f"SELECT {COLUMNS} FROM documents d WHERE account_id = ? AND id = ? AND type = ? AND deleted = 0"  # noqa: S608

FIND: Final = f"""
SELECT {COLUMNS} FROM document_keys k
JOIN documents d ON d.account_id = k.account_id AND d.id = k.document_id
WHERE k.kind = ? AND k.scope = ? AND k.value = ? AND d.deleted = 0
ORDER BY d.created_at, d.id
"""  # noqa: S608

COUNT: Final = "SELECT COUNT(*) FROM document_keys WHERE kind = ? AND scope = ? AND value = ?"

LIST: Final = f"""
SELECT {COLUMNS} FROM documents d
WHERE account_id = ? AND type = ? AND id > ? AND deleted = 0 ORDER BY id LIMIT ?
"""  # noqa: S608

SLICE: Final = f"""
SELECT {COLUMNS}, k.value, k.account_id, k.document_id FROM document_keys k
JOIN documents d ON d.account_id = k.account_id AND d.id = k.document_id
WHERE k.kind = ? AND k.scope = ? AND d.deleted = 0
    AND (k.value, k.account_id, k.document_id) >= (?, ?, ?)
    AND (k.value, k.account_id, k.document_id) <= (?, ?, ?)
ORDER BY k.value, k.account_id, k.document_id LIMIT ?
"""  # noqa: S608
SLICE_BACKWARDS: Final = SLICE.replace(
    "ORDER BY k.value, k.account_id, k.document_id",
    "ORDER BY k.value DESC, k.account_id DESC, k.document_id DESC",
)

LOWEST: Final[Mark] = ("", "", "")
HIGHEST: Final[Mark] = ("\U0010ffff", "", "")

SCANNED_MAX: Final = 1_000
"""Rows that one filtered slice looks at: some 10 ms in a thread."""

ON_LOOP_MAX: Final = 60
"""Rows read on the event loop, a few microseconds each; longer slices go to a thread."""

REVISION: Final = "SELECT revision FROM documents WHERE account_id = ? AND id = ?"

HOLDER: Final = """
SELECT document_id FROM document_keys
WHERE kind = ? AND scope = ? AND value = ? AND is_unique = 1 AND (account_id, document_id) <> (?, ?)
"""

UPSERT: Final = """
INSERT INTO documents (account_id, id, type, data, private, revision, created_at, modified_at, deleted)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (account_id, id) DO UPDATE SET type = excluded.type, data = excluded.data,
    private = excluded.private, revision = excluded.revision, created_at = excluded.created_at,
    modified_at = excluded.modified_at, deleted = excluded.deleted
"""

DROP_KEYS: Final = "DELETE FROM document_keys WHERE account_id = ? AND document_id = ?"
ADD_KEY: Final = "INSERT OR IGNORE INTO document_keys VALUES (?, ?, ?, ?, ?, ?)"
REMOVE: Final = "DELETE FROM documents WHERE account_id = ? AND id = ?"
DROP_ACCOUNT_KEYS: Final = "DELETE FROM document_keys WHERE account_id = ?"
DELETE_ACCOUNT: Final = (
    "UPDATE documents SET deleted = 1, modified_at = ? WHERE account_id = ? AND deleted = 0"
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Json).decode


WRITES_ON_LOOP_MAX: Final = 20
"""Documents of one step that are written on the event loop; more go to a thread."""

CACHED_MAX: Final = 10_000
"""Answers kept (about 2 KB each) until a document changes, or until there are so many: then all are dropped.
A call asks seven times, an account changes a few times a day."""


class SqliteDocuments:
    """The Documents port. Point reads take microseconds and run on the event loop; lists run in a thread.

    Answers are kept until the next commit that changes the document; those by key until any changes. One
    process owns the file, so nobody else changes any. Documents that were read are shared: they must not be
    changed.
    """

    def __init__(self, writer: Writer, reader: apsw.Connection, listings: Listings[Any]) -> None:
        self._writer = writer
        self._reader = reader
        self._listings = listings
        self._read: dict[tuple[str, str, str], Document | None] = {}
        self._found: dict[tuple[str, str, str], list[Document]] = {}
        self._changed: list[tuple[str, str, str]] = []
        """Account, id and type of what the transaction under way writes."""
        self._is_all_changed = False
        writer.on_commit = self._forget_changed

    async def get(self, account_id: str, document_id: str, *, type: str) -> Document | None:
        """Return the live document, or None."""
        asked = (account_id, document_id, type)
        if asked in self._read:
            return self._read[asked]
        row = self._reader.execute(GET, asked).fetchone()
        document = None if row is None else document_of(row)
        self._make_room(self._read)
        self._read[asked] = document
        return document

    async def find(self, kind: str, value: str, *, scope: str = "") -> list[Document]:
        """Return live documents by key, oldest first."""
        asked = (kind, scope, value)
        found = self._found.get(asked)
        if found is None:
            found = [document_of(row) for row in self._reader.execute(FIND, asked)]
            self._make_room(self._found)
            self._found[asked] = found
        return list(found)

    async def count(self, kind: str, value: str, *, scope: str = "") -> int:
        """Return how many live documents have the key: deleted ones lose theirs."""
        count: int = self._reader.execute(COUNT, (kind, scope, value)).get
        return count

    def _make_room(self, kept: dict[Any, Any]) -> None:
        if len(kept) >= CACHED_MAX:
            kept.clear()

    def _note_changed(self, places: Iterable[tuple[str, str, str]]) -> None:
        if len(self._changed) < CACHED_MAX:
            self._changed += places
        else:  # the disk takes nothing
            self._is_all_changed = True

    def _forget_changed(self) -> None:
        """Forget what a commit changed. Which answers by key it changed is not known: they all go."""
        if not (self._changed or self._is_all_changed):
            return
        self._found.clear()
        if self._is_all_changed:
            self._read.clear()
        for place in self._changed:
            self._read.pop(place, None)
        self._changed.clear()
        self._is_all_changed = False

    async def list(
        self, account_id: str, *, type: str, after: str = "", limit: int | None = None
    ) -> Sequence[Document]:
        """Return live documents of a type by id."""
        bindings = (account_id, type, after, -1 if limit is None else limit)
        found: Sequence[Document] = await self._listings(
            lambda connection: [document_of(row) for row in connection.execute(LIST, bindings)]
        )
        return found

    async def slice(
        self, wanted: DocumentRange, *, keep: Callable[[Document], bool] | None = None
    ) -> DocumentSlice:
        """Return live documents in the order of their key's value."""
        if keep is None and wanted.limit <= ON_LOOP_MAX:
            return _slice(self._reader, wanted, None)
        found: DocumentSlice = await self._listings(lambda connection: _slice(connection, wanted, keep))
        return found

    async def put(
        self, document: Document, keys: Sequence[DocumentKey], *, expected_revision: str | None
    ) -> Document:
        """Store it durably and replace its keys; return it with its new revision."""
        write = DocumentWrite(document=document, keys=keys, expected_revision=expected_revision)
        [stored] = await self.put_all([write])
        return stored

    async def put_all(self, writes: Sequence[DocumentWrite]) -> Sequence[Document]:
        """Store several documents in one durable step."""
        prepared = [_Prepared(write) for write in writes]

        def write_all(connection: apsw.Connection) -> None:
            self._note_changed((*one.place, one.document.type) for one in prepared)
            for one in prepared:
                _check_revision(connection, one.document, one.expected_revision)
                if one.expected_revision is not None:
                    connection.execute(DROP_KEYS, one.place)
            for one in prepared:
                one.write(connection)

        await self._writer.run(write_all, in_thread=len(prepared) > WRITES_ON_LOOP_MAX)
        return [msgspec.structs.replace(one.document, revision=one.revision) for one in prepared]

    async def remove(
        self,
        account_id: str,
        document_id: str,
        *,
        expected_revision: str,
        outbox: Sequence[OutboxRow] = (),
    ) -> None:
        """Delete it for good."""

        def write(connection: apsw.Connection) -> None:
            self._is_all_changed = True
            place = (account_id, document_id)
            found = connection.execute(REVISION, place).get
            if found != expected_revision:
                raise RevisionConflict(document_id)
            connection.execute(REMOVE, place)
            write_rows(connection, outbox)
            connection.execute(DROP_KEYS, place)

        await self._writer.run(write)

    async def delete_account(self, account_id: str, *, deleted_at: float) -> int:
        """Soft-delete the account and all its documents in one step; return how many there were."""

        def write(connection: apsw.Connection) -> int:
            self._is_all_changed = True
            connection.execute(DROP_ACCOUNT_KEYS, (account_id,))
            connection.execute(DELETE_ACCOUNT, (deleted_at, account_id))
            return connection.changes()

        return await self._writer.run(write, in_thread=True)


class _Prepared:
    """A write with everything computed that needs no database."""

    __slots__ = ("document", "expected_revision", "keys", "outbox", "place", "revision", "row")

    def __init__(self, write: DocumentWrite) -> None:
        document = self.document = write.document
        self.expected_revision = write.expected_revision
        self.outbox = write.outbox
        data, private = _encode(document.data), _encode(document.private)
        self.revision = next_revision(write.expected_revision, data + private)
        self.place = (document.account_id, document.id)
        times = (document.created_at, document.modified_at)
        self.row = (*self.place, document.type, data, private, self.revision, *times, document.deleted)
        self.keys = [] if document.deleted else write.keys

    def write(self, connection: apsw.Connection) -> None:
        for key in self.keys:
            check_key(connection, self.document, key)
        connection.execute(UPSERT, self.row)
        rows = [(key.kind, key.scope, key.value, *self.place, key.unique) for key in self.keys]
        connection.executemany(ADD_KEY, rows)
        write_rows(connection, self.outbox)


def _slice(
    connection: apsw.Connection, wanted: DocumentRange, keep: Callable[[Document], bool] | None
) -> DocumentSlice:
    """Read one row more than wanted: it tells where the next slice begins."""
    first, last = wanted.start or LOWEST, wanted.end or HIGHEST
    if wanted.backwards:
        first, last = wanted.end or LOWEST, wanted.start or HIGHEST
    most = wanted.limit if keep is None else SCANNED_MAX
    statement = SLICE_BACKWARDS if wanted.backwards else SLICE
    bindings = (wanted.kind, wanted.scope, *first, *last, most + 1)
    rows: list[tuple[Mark, Document]] = []
    for number, row in enumerate(connection.execute(statement, bindings)):
        mark: Mark = row[8:11]
        if number >= most or len(rows) >= wanted.limit:
            return DocumentSlice(rows=rows, next=mark)
        document = document_of(row)
        if keep is None or keep(document):
            rows.append((mark, document))
    return DocumentSlice(rows=rows)


def _check_revision(connection: apsw.Connection, document: Document, expected: str | None) -> None:
    if connection.execute(REVISION, (document.account_id, document.id)).get != expected:
        raise RevisionConflict(document.id)


def check_key(connection: apsw.Connection, document: Document, key: DocumentKey) -> None:
    """Raise KeyTaken if another document holds a unique key."""
    if not key.unique:
        return
    place = (document.account_id, document.id)
    holder = connection.execute(HOLDER, (key.kind, key.scope, key.value, *place)).get
    if holder is not None:
        raise KeyTaken(key.kind, key.value, holder)


def next_revision(before: str | None, content: bytes) -> str:
    """Return KAZOO's form, `N-` and 32 hex digits: N counts, the digits depend on the content."""
    number = 1 if before is None else int(before.partition("-")[0]) + 1
    return f"{number}-{hashlib.blake2b(content, digest_size=16).hexdigest()}"


def document_of(row: tuple[Any, ...]) -> Document:
    """Return the document of a row of COLUMNS."""
    return Document(
        id=row[0],
        account_id=row[1],
        type=row[2],
        data=_decode(row[3]),
        private=_decode(row[4]),
        revision=row[5],
        created_at=row[6],
        modified_at=row[7],
    )
