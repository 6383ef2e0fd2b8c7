"""The database as source and target of `offhook export` and `offhook import`; both work without a node."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import apsw
import msgspec

from offhook.app.accounts import MASTER_SETTING, SECRET_SETTING
from offhook.app.errors import KeyTaken
from offhook.app.ports import Document, Json
from offhook.app.transfer import Attempt, Cdr, Installation, Known, Refusal, TakenDocument, Verdict

from .connections import SCHEMA_VERSION, SchemaTooNew, open_reader, open_writer
from .documents import (
    ADD_KEY,
    COLUMNS,
    DROP_KEYS,
    GET,
    UPSERT,
    check_key,
    document_of,
    next_revision,
)
from .small_tables import SET_ONCE, SETTING

ACCOUNTS: Final = f"SELECT {COLUMNS} FROM documents d WHERE type = 'account' AND deleted = 0 ORDER BY id"  # noqa: S608
OTHERS: Final = (
    f"SELECT {COLUMNS} FROM documents d WHERE type <> 'account' AND deleted = 0 ORDER BY account_id, id"  # noqa: S608
)
HISTORY: Final = "SELECT account_id, button_id, timestamp, data FROM history ORDER BY number"
CDRS: Final = "SELECT account_id, data FROM cdrs ORDER BY number"

KNOWN: Final = "SELECT revision, modified_at, deleted FROM documents WHERE account_id = ? AND id = ?"
HAS_ATTEMPT: Final = """
SELECT 1 FROM history WHERE account_id = ? AND button_id = ? AND timestamp = ?
    AND CAST(data AS TEXT) ->> '$.id' = ?
"""
ADD_ATTEMPT: Final = "INSERT INTO history (account_id, button_id, timestamp, data) VALUES (?, ?, ?, ?)"
HAS_CDR: Final = "SELECT 1 FROM cdrs WHERE account_id = ? AND id = ?"
ADD_CDR: Final = """
INSERT INTO cdrs (account_id, id, timestamp, interaction_id, owner_id, data) VALUES (?, ?, ?, ?, ?, ?)
"""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Json).decode


class SchemaTooOld(SchemaTooNew):
    """An earlier version of offhook wrote this database, and no server of this version has opened it."""

    code = "schema-too-old"

    def __str__(self) -> str:
        return f"{self.path} has schema version {self.found}, not {SCHEMA_VERSION}: start the server once"


class _Database:
    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def installation(self) -> Installation | None:
        """Return what the database has of it."""
        secret, master = self._setting(SECRET_SETTING), self._setting(MASTER_SETTING)
        if not secret and not master:
            return None
        return Installation(secret=secret, master_account_id=master)

    def _setting(self, name: str) -> str:
        return str(self._connection.execute(SETTING, (name,)).get or "")


class SqliteSource(_Database):
    """The SourceStore port: one read transaction, so that a running server changes nothing in it."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises OSError, SchemaTooNew, SchemaTooOld, apsw.Error."""
        if not path.exists():
            raise FileNotFoundError(f"there is no database at {path}")
        super().__init__(open_reader(path))
        found = self._connection.execute("SELECT coalesce(max(version), 0) FROM schema_versions").get
        if found > SCHEMA_VERSION:
            raise SchemaTooNew(str(path), found=found)
        if found < SCHEMA_VERSION:
            raise SchemaTooOld(str(path), found=found)
        self._connection.execute("BEGIN")

    def accounts(self) -> Iterator[Document]:
        """Yield all live accounts by id."""
        return map(document_of, self._connection.execute(ACCOUNTS))

    def documents(self) -> Iterator[Document]:
        """Yield all other live documents by account and id."""
        return map(document_of, self._connection.execute(OTHERS))

    def attempts(self) -> Iterator[Attempt]:
        """Yield the history of all buttons, in the order it was written."""
        for account_id, button_id, timestamp, data in self._connection.execute(HISTORY):
            yield Attempt(account_id=account_id, button_id=button_id, timestamp=timestamp, data=_decode(data))

    def cdrs(self) -> Iterator[Cdr]:
        """Yield all CDRs, in the order they were written."""
        for account_id, data in self._connection.execute(CDRS):
            yield Cdr(account_id=account_id, data=_decode(data))


class SqliteTarget(_Database):
    """The TargetStore port. Whoever makes it owns the database (`exclusive.own_database`)."""

    def __init__(self, path: Path) -> None:
        """Open or create it. Raises OSError, SchemaTooNew, apsw.Error."""
        super().__init__(open_writer(path))

    @contextmanager
    def _step(self) -> Iterator[None]:
        """Make one durable step of the block, or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def set_installation(self, *, secret: str = "", master_account_id: str = "") -> None:
        """Store what is not empty and not there yet."""
        with self._step():
            for name, value in ((SECRET_SETTING, secret), (MASTER_SETTING, master_account_id)):
                if value:
                    self._connection.execute(SET_ONCE, (name, value))

    def account(self, account_id: str) -> Document | None:
        """Return a live account."""
        row = self._connection.execute(GET, (account_id, account_id, "account")).fetchone()
        return None if row is None else document_of(row)

    def known(self, account_id: str, document_id: str) -> Known | None:
        """Return what is stored under an id, deleted or not."""
        row = self._connection.execute(KNOWN, (account_id, document_id)).fetchone()
        if row is None:
            return None
        return Known(revision=row[0], modified_at=row[1], deleted=bool(row[2]))

    def take_documents(self, taken: Sequence[TakenDocument]) -> Sequence[Refusal | None]:
        """Store documents in one durable step; return what hindered each."""
        with self._step():
            return [self._take_document(one) for one in taken]

    def _take_document(self, taken: TakenDocument) -> Refusal | None:
        document, connection = taken.document, self._connection
        try:
            for key in taken.keys:
                check_key(connection, document, key)
        except KeyTaken as error:
            return Refusal(kind=error.kind, value=error.value, document_id=error.document_id)
        data, private = _encode(document.data), _encode(document.private)
        place = (document.account_id, document.id)
        revision = document.revision or next_revision(None, data + private)
        times = (document.created_at, document.modified_at)
        connection.execute(DROP_KEYS, place)
        connection.execute(UPSERT, (*place, document.type, data, private, revision, *times, False))
        rows = [(key.kind, key.scope, key.value, *place, key.unique) for key in taken.keys]
        connection.executemany(ADD_KEY, rows)
        return None

    def take_attempts(self, attempts: Sequence[Attempt]) -> Sequence[Verdict]:
        """Add history items in one durable step, those that are not there."""
        with self._step():
            return [self._take_attempt(attempt) for attempt in attempts]

    def _take_attempt(self, attempt: Attempt) -> Verdict:
        place = (attempt.account_id, attempt.button_id, attempt.timestamp)
        if self._has(HAS_ATTEMPT, (*place, attempt.data["id"])):
            return "there already"
        self._connection.execute(ADD_ATTEMPT, (*place, _encode(attempt.data)))
        return "taken"

    def take_cdrs(self, cdrs: Sequence[Cdr]) -> Sequence[Verdict]:
        """Add CDRs in one durable step, those that are not there."""
        with self._step():
            return [self._take_cdr(cdr) for cdr in cdrs]

    def _take_cdr(self, cdr: Cdr) -> Verdict:
        data = cdr.data
        place = (cdr.account_id, data["id"])
        if self._has(HAS_CDR, place):
            return "there already"
        owner_id = data.get("custom_channel_vars", {}).get("owner_id", "")
        row = (*place, data["timestamp"], data.get("interaction_id", ""), str(owner_id or ""), _encode(data))
        self._connection.execute(ADD_CDR, row)
        return "taken"

    def _has(self, statement: str, bindings: tuple[Any, ...]) -> bool:
        return self._connection.execute(statement, bindings).fetchone() is not None
