"""The SQLite store: one file, one writer thread, readers that cannot write."""

import asyncio
from pathlib import Path

from .connections import open_reader, open_writer
from .documents import SqliteDocuments
from .journal import SqliteJournal
from .listings import ListingThreads
from .lists_by_time import SqliteCdrs, SqliteHistory
from .small_tables import SqliteBindings, SqliteRevokedTokens, SqliteSettings
from .writer import Writer


class SqliteStore:
    """All storage ports over one database file. Make it with `open`, end it with `close`.

    Use from the one event loop that opened it.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file and bring its schema up to date. Raises SchemaTooNew, apsw.Error."""
        self._writer = Writer(open_writer(path))
        self._reader = open_reader(path)
        self._listings = ListingThreads(path)
        self.documents = SqliteDocuments(self._writer, self._reader, self._listings)
        self.journal = SqliteJournal(self._writer, self._reader, self._listings)
        self.history = SqliteHistory(self._listings)
        self.cdrs = SqliteCdrs(self._reader, self._listings)
        self.bindings = SqliteBindings(self._writer)
        self.settings = SqliteSettings(self._writer, self._reader)
        self.revoked_tokens = SqliteRevokedTokens(self._writer, self._reader)
        self._closed = False

    @classmethod
    async def open(cls, path: Path) -> "SqliteStore":
        """Open the file in a thread (a migration may take long)."""
        return await asyncio.get_running_loop().run_in_executor(None, cls, path)

    async def close(self) -> None:
        """Write what is queued and close. Repeating it does nothing."""
        if self._closed:
            return
        self._closed = True
        await self._listings.close()
        self._reader.close()
        await self._writer.close()
