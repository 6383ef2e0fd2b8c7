"""Uploaded media in a folder: `{id}.upload` as it came, `{id}.wav` as the media library plays it."""

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from offhook.app.errors import StorageLost
from offhook.app.media import MEDIA_ID, MediaUnreadable

from .files import in_thread, read_if_there, write_whole

DECODER: Final = "offhook.audio.decoder"
DECODERS_MAX: Final = 1
"""At once: each takes a core, and calls need the others."""

DECODE_BOUND_S: Final = 60.0
"""The decoder ends itself after 20 s of CPU time; a busy machine gives it less than that."""

_log = structlog.get_logger(__name__)


class MediaFolder:
    """The MediaFiles port. Disk work is done in threads, decoding in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places = asyncio.Semaphore(DECODERS_MAX)

    async def save(self, media_id: str, content: bytes) -> None:
        """Keep the file and make it ready to play."""
        async with self._places:
            playable = await _decoded(content)
        await in_thread(partial(self._write, media_id, content, playable))

    async def adopt(self, media_id: str, wav: Path) -> int:
        """Take a WAV file of our own making away to its place; it is what is played and what is fetched."""
        return await in_thread(partial(self._adopt, media_id, wav))

    def _adopt(self, media_id: str, wav: Path) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        wav.replace(self._path(media_id, "wav"))
        self._path(media_id, "upload").unlink(missing_ok=True)
        self._path(media_id, "upload").hardlink_to(self._path(media_id, "wav"))
        return self._path(media_id, "wav").stat().st_size

    async def read(self, media_id: str) -> bytes | None:
        """Return the file as it was uploaded, or None."""
        return await in_thread(partial(read_if_there, self._path(media_id, "upload")))

    async def remove(self, media_id: str) -> None:
        """Forget it."""
        try:
            await in_thread(partial(self._unlink, media_id))
        except StorageLost as error:
            _log.error("media_not_removed", media_id=media_id, error=str(error))

    def _path(self, media_id: str, end: str) -> Path:
        assert MEDIA_ID.match(media_id), media_id
        return self._folder / f"{media_id}.{end}"

    def _write(self, media_id: str, content: bytes, playable: bytes) -> None:
        for end, data in (("upload", content), ("wav", playable)):
            write_whole(self._path(media_id, end), data)

    def _unlink(self, media_id: str) -> None:
        for end in ("upload", "wav"):
            self._path(media_id, end).unlink(missing_ok=True)


async def _decoded(content: bytes) -> bytes:
    """Return a file as WAV. Raises MediaUnreadable."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", DECODER,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(DECODE_BOUND_S):
            playable, words = await child.communicate(content)
    except TimeoutError:
        raise MediaUnreadable("it takes too long to decode") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0 or not playable:
        reason = words.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise MediaUnreadable(f"no audio file that can be read ({reason[:200]})")
    return playable
