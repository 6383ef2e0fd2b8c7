"""Lists sent in chunks (kazoo-behaviour 1.10): `data` first, then the envelope's other keys."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from offhook.directory.model import Json

CHUNK_SIZE_MAX: Final = 50
"""KAZOO's most, and its default: rows that are written at once."""


def chunk_size(text: str) -> int:
    """Return `chunk_size` as it is to be used; nonsense is the default."""
    if text.isascii() and text.isdecimal() and 0 < int(text[:9]) <= CHUNK_SIZE_MAX:
        return int(text)
    return CHUNK_SIZE_MAX


class ChunkedList:
    """Sends `{"data":[…],…}` some rows at a time: `data` first, then the envelope's other keys."""

    def __init__(self, rows: Sequence[Any], envelope: Json, *, size: int) -> None:
        self._rows = rows
        self._envelope = envelope
        self._size = size

    async def send(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the body."""
        await _send(send, b'{"data":[')
        for first in range(0, len(self._rows), self._size):
            rows = msgspec.json.encode(self._rows[first : first + self._size])[1:-1]
            await _send(send, rows if not first else b"," + rows)
        await send({"type": "http.response.body", "body": b"]," + msgspec.json.encode(self._envelope)[1:]})


async def _send(send: Any, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
