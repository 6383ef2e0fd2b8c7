"""A stream of messages between two processes of one installation: four bytes of length, then msgpack."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast

from .messages import encode

Message = TypeVar("Message")

LENGTH_BYTES: Final = 4

MESSAGE_MAX: Final = 16 * 1024 * 1024
"""The longest message is the trace of one leg: some 150 SIP messages of up to 64 KiB."""

UNSENT_MAX: Final = 64 * 1024 * 1024
"""What may wait for a process that does not read: seconds of a busy node. Beyond, it is taken for dead."""


class Channel(asyncio.Protocol, Generic[Message]):
    """One end. What is sent in one turn of the loop leaves in one write."""

    def __init__(
        self,
        decode: Callable[[bytes], Message],
        on_message: Callable[[Message], None],
        on_lost: Callable[[str], None],
    ) -> None:
        """on_lost is told once why the other side is gone; nothing comes after it."""
        self._decode = decode
        self._on_message = on_message
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self._unsent: list[bytes] = []
        self._is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport (asyncio calls this)."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        self._transport.set_write_buffer_limits(high=UNSENT_MAX)

    def data_received(self, data: bytes) -> None:
        """Hand over each message that is whole (asyncio calls this)."""
        unread = self._unread
        unread += data
        begin = 0
        while len(unread) - begin >= LENGTH_BYTES:
            length = int.from_bytes(unread[begin : begin + LENGTH_BYTES])
            if length > MESSAGE_MAX:
                return self._lose(f"a message of {length} bytes")
            end = begin + LENGTH_BYTES + length
            if end > len(unread):
                break
            self._on_message(self._decode(bytes(unread[begin + LENGTH_BYTES : end])))
            begin = end
        del unread[:begin]

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the end (asyncio calls this)."""
        self._lose(str(error) if error else "it closed its connection")

    def pause_writing(self) -> None:
        """The other side does not read (asyncio calls this at UNSENT_MAX)."""
        self._lose("it does not read")

    def send(self, message: Any) -> None:
        """Send a message, at the end of this turn of the loop. After the end nothing happens."""
        if self._is_over:
            return
        data = encode(message)
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent += (len(data).to_bytes(LENGTH_BYTES), data)

    def close(self) -> None:
        """Send what waits, then close; on_lost is not called. Idempotent."""
        self._flush()
        self._is_over = True
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if unsent and self._transport is not None and not self._is_over:
            self._transport.write(b"".join(unsent))

    def _lose(self, why: str) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._transport is not None:
            self._transport.abort()
        self._on_lost(why)
