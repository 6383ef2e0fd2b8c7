"""Photos of users in a folder, one file each."""

import asyncio
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from offhook.app.errors import StorageLost

Result = TypeVar("Result")


class PhotoFolder:
    """The UserPhotos port. Disk work is done in threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def save(self, user_id: str, content: bytes) -> None:
        """Keep the picture, replacing what was there."""
        await _in_thread(lambda: self._write(self._path(user_id), content))

    async def read(self, user_id: str) -> bytes | None:
        """Return the picture as it came, or None."""
        try:
            return await _in_thread(self._path(user_id).read_bytes)
        except FileNotFoundError:
            return None

    async def remove(self, user_id: str) -> bool:
        """Forget it."""
        try:
            await _in_thread(self._path(user_id).unlink)
        except FileNotFoundError:
            return False
        return True

    def _path(self, user_id: str) -> Path:
        """Return where a user's picture is. Imported ids may be any text, hence no part of a path."""
        return self._folder / sha256(user_id.encode()).hexdigest()

    def _write(self, path: Path, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(content)
        unfinished.replace(path)


async def _in_thread(work: Callable[[], Result]) -> Result:
    try:
        return await asyncio.to_thread(work)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageLost(str(error)) from error
