"""One process owns a database file: caches of documents and the writer count on it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from offhook.app.errors import StoreError


class StoreInUse(StoreError):
    """Another process has the database open."""

    code = "store-in-use"

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} is used by a running server, or by another import: stop it first"


@contextlib.contextmanager
def own_database(path: Path) -> Iterator[None]:
    """Own the database until the end of the block. Raises StoreInUse, OSError.

    The lock is on a file beside it (SQLite's own locks last no longer than a transaction), and ends with
    the process, however that ends.
    """
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreInUse(path) from None
        yield
    finally:
        os.close(lock)
