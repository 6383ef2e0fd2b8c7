"""Messages out of a byte stream: TCP and TLS (RFC 3261 18.3, RFC 5626 4.4.1)."""

import re
from enum import Enum
from typing import Final

from .errors import RemoteMalformed
from .grammar import parse_digits
from .message import MAX_HEAD_BYTES, MAX_MESSAGE_BYTES, parse_message

PING: Final = b"\r\n\r\n"
PONG: Final = b"\r\n"

_length_headers = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*:([^\r]*(?:\r\n[ \t][^\r]*)*)", re.IGNORECASE
).findall


class KeepAlive(Enum):
    """What a peer sends between messages."""

    PING = "ping"
    """CRLF CRLF: answer with PONG."""
    PONG = "pong"
    """CRLF: the peer lives."""


class StreamFramer:
    """Cuts a stream into messages. One for each connection."""

    __slots__ = ("_buffer", "_needed", "_scanned", "_waits_for_ping", "fault")

    fault: RemoteMalformed | None
    """Why the stream is lost, if it is: close the connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._needed = 0  # bytes of the message whose head is complete
        self._scanned = 0  # where the search for the end of the head goes on
        self._waits_for_ping = False  # a lone CRLF came: another one makes a ping
        self.fault = None

    @property
    def has_part(self) -> bool:
        """Tell whether a message has begun that is not whole yet."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes | KeepAlive]:
        """Take bytes; return the messages and keep-alives they complete, in order.

        Raises RemoteMalformed when nobody can tell where the next message starts; if messages came
        before that point, returns them, sets `fault` and raises at the next call.
        """
        if self.fault is not None:
            raise self.fault
        self._buffer += data
        found: list[bytes | KeepAlive] = []
        try:
            while (item := self._next()) is not None:
                found.append(item)
        except RemoteMalformed as fault:
            self.fault = fault
            self._buffer.clear()
            if not found:
                raise
        return found

    def _next(self) -> bytes | KeepAlive | None:
        buffer = self._buffer
        if not self._needed:
            if buffer.startswith(b"\r\n"):
                return self._next_keep_alive()
            if not self._find_head() or not buffer:
                return None
        if len(buffer) < self._needed:
            return None
        message = bytes(buffer[: self._needed])
        del buffer[: self._needed]
        self._needed = self._scanned = 0
        return message

    def _next_keep_alive(self) -> KeepAlive | None:
        is_ping = self._buffer.startswith(PING)
        if not is_ping and len(self._buffer) == 3:
            return None  # half of the second CRLF
        is_second_half = self._waits_for_ping and not is_ping
        del self._buffer[: len(PING if is_ping else PONG)]
        self._waits_for_ping = not (is_ping or is_second_half) and not self._buffer
        return KeepAlive.PING if is_ping or is_second_half else KeepAlive.PONG

    def _find_head(self) -> bool:
        """Look for the empty line; once it is there, know how long the message is."""
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n", self._scanned)
        if (end if end >= 0 else len(buffer)) > MAX_HEAD_BYTES:
            raise RemoteMalformed("message", f"headers longer than {MAX_HEAD_BYTES} bytes", status=513)
        if end < 0:
            self._scanned = max(0, len(buffer) - 3)
            return False
        self._waits_for_ping = False
        head = bytes(buffer[: end + 4])
        if b"SIP/" not in head[: head.index(b"\r\n")]:
            raise RemoteMalformed("start-line", "this is no SIP")
        self._needed = len(head) + _body_length(head)
        return True


def _body_length(head: bytes) -> int:
    """Return Content-Length, 0 if absent. Raises RemoteMalformed, with the request if there is one."""
    values = _length_headers(head)
    if not values:
        return 0
    length = parse_digits(values[0].strip().decode("latin-1"), MAX_MESSAGE_BYTES - len(head))
    if length is None or len(values) > 1:
        parse_message(head)  # raises: it sees the same header, and the request that can be answered
        raise RemoteMalformed("content-length", "bad, repeated or too large", status=513)
    return length
