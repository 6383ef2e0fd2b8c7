"""What the folders of files have in common: work in threads, and files that are there as a whole or not."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from offhook.app.errors import StorageLost

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result]) -> Result:
    """Return what disk work gives. Raises StorageLost."""
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise StorageLost(str(error)) from error


def read_if_there(path: Path) -> bytes | None:
    """Return what a file holds, or None. Raises OSError if it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that nobody sees before it is complete, replacing what was there. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}-{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)
