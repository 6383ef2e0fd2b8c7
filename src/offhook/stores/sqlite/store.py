"""The SQLite store: one file, one writer thread, readers that cannot write."""

import asyncio
from pathlib import Path

import apsw

from .connections import open_reader, open_writer
from .documents import SqliteDocuments
from .idempotency import SqliteIdempotency
from .journal import SqliteJournal
from .listings import ListingThreads
from .lists_by_time import SqliteCdrs, SqliteHistory
from .outbox import SqliteOutbox
from .small_tables import SqliteBindings, SqliteRevokedTokens, SqliteSettings
from .writer import Writer


class SqliteStore:
    """All storage ports over one database file. Make it with `open`, end it with `close`.

    Use from the one event loop that opened it.
    """

    def __init__(self, writer: Writer, reader: apsw.Connection, listings: ListingThreads) -> None:
        self._writer = writer
        self._reader = reader
        self._listings = listings
        self.documents = SqliteDocuments(writer, reader, listings)
        self.journal = SqliteJournal(writer, reader, listings)
        self.history = SqliteHistory(listings)
        self.cdrs = SqliteCdrs(reader, listings)
        self.idempotency = SqliteIdempotency(writer, reader)
        self.outbox = SqliteOutbox(writer, reader, listings)
        self.bindings = SqliteBindings(writer)
        self.settings = SqliteSettings(writer, reader)
        self.revoked_tokens = SqliteRevokedTokens(writer, reader)
        self._closed = False

    @classmethod
    async def open(cls, path: Path) -> "SqliteStore":
        """Open or create the file and bring its schema up to date, in a thread: that may take long.

        Raises SchemaTooNew, apsw.Error.
        """
        connection = await asyncio.get_running_loop().run_in_executor(None, open_writer, path)
        writer = Writer(connection)
        writer.start()
        return cls(writer, open_reader(path), ListingThreads(path))

    @property
    def failure(self) -> str:
        """Why nothing can be written now, or an empty string."""
        return self._writer.failure

    async def close(self) -> None:
        """Write what is queued and close. Repeating it does nothing."""
        if self._closed:
            return
        self._closed = True
        await self._listings.close()
        self._reader.close()
        await self._writer.close()
