"""Opening the database: pragmas, and schema migrations numbered from 1."""

import time
from importlib import resources
from pathlib import Path
from typing import Final

import apsw

from offhook.app.errors import StoreError

SCHEMA_VERSION: Final = 5
"""The newest `NNNN_name.sql` beside this module."""

BUSY_TIMEOUT_MS: Final = 5_000
"""Another process may migrate, or recover the log after a crash, this long."""

CACHE_KIB: Final = 16_384
"""Page cache of the writer: the hot pages of indexes on a few million calls."""


class SchemaTooNew(StoreError):
    """A later version of offhook wrote this database; it will not be touched."""

    code = "schema-too-new"

    def __init__(self, path: str, *, found: int) -> None:
        super().__init__(path, found)
        self.path = path
        self.found = found

    def __str__(self) -> str:
        return (
            f"{self.path} has schema version {self.found}, this version of offhook knows {SCHEMA_VERSION}: "
            "use the version of offhook that wrote it, or restore a backup"
        )


def open_writer(path: Path) -> apsw.Connection:
    """Return the one connection that writes, with the schema brought up to date.

    Raises SchemaTooNew.
    """
    path.touch(mode=0o600)  # it holds passwords of phones; the log files beside it inherit the mode
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("cache_size", -CACHE_KIB)
    connection.pragma("foreign_keys", False)  # the journal's reference documents; call numbers are ours alone
    connection.pragma("cache_spill", False)  # nothing but a commit writes to the disk
    _migrate(connection, str(path))
    connection.set_busy_timeout(0)  # the writer waits for locks by itself, without blocking
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """Return a connection that cannot write."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.pragma("query_only", True)
    return connection


def _migrate(connection: apsw.Connection, path: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_versions (version INTEGER PRIMARY KEY, applied_at REAL)"
        )
        found = connection.execute("SELECT coalesce(max(version), 0) FROM schema_versions").get
        if found > SCHEMA_VERSION:
            raise SchemaTooNew(path, found=found)
        for version in range(found + 1, SCHEMA_VERSION + 1):
            connection.execute(_migration(version))
            connection.execute("INSERT INTO schema_versions VALUES (?, ?)", (version, time.time()))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _migration(version: int) -> str:
    folder = resources.files(__package__)
    [script] = [entry for entry in folder.iterdir() if entry.name.startswith(f"{version:04}_")]
    return script.read_text(encoding="utf-8")
