"""Photos of users in a folder, one file each."""

from functools import partial
from hashlib import sha256
from pathlib import Path

from .files import in_thread, read_if_there, write_whole


class PhotoFolder:
    """The UserPhotos port. Disk work is done in threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def save(self, user_id: str, content: bytes) -> None:
        """Keep the picture, replacing what was there."""
        await in_thread(partial(write_whole, self._path(user_id), content))

    async def read(self, user_id: str) -> bytes | None:
        """Return the picture as it came, or None."""
        return await in_thread(partial(read_if_there, self._path(user_id)))

    async def remove(self, user_id: str) -> bool:
        """Forget it."""
        return await in_thread(partial(_unlink, self._path(user_id)))

    def _path(self, user_id: str) -> Path:
        """Return where a user's picture is. Imported ids may be any text, hence no part of a path."""
        return self._folder / sha256(user_id.encode()).hexdigest()


def _unlink(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
