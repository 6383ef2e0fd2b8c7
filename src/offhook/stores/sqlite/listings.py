"""Reads that may take longer than the event loop can wait."""

import asyncio
import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import apsw

from .connections import open_reader

Result = TypeVar("Result")

THREADS: Final = 2
"""Long lists beside each other; more would only take the interpreter from the event loop."""


class ListingThreads:
    """A few threads, each at work with a read-only connection of its own."""

    def __init__(self, path: Path) -> None:
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="offhook-sqlite-list")
        self._connections: queue.SimpleQueue[apsw.Connection] = queue.SimpleQueue()
        for _ in range(THREADS):
            self._connections.put(open_reader(path))

    async def __call__(self, read: Callable[[apsw.Connection], Result]) -> Result:
        """Run `read` in a thread and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._read, read)

    def _read(self, read: Callable[[apsw.Connection], Result]) -> Result:
        connection = self._connections.get()
        try:
            return read(connection)
        finally:
            self._connections.put(connection)

    async def close(self) -> None:
        """Wait for the lists under way and close the connections."""
        await asyncio.get_running_loop().run_in_executor(None, self._executor.shutdown)
        for _ in range(THREADS):
            self._connections.get_nowait().close()
