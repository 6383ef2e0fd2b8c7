"""The steps of a call as server-sent events (WHATWG HTML, 9.2), from any step to the last.

`id:` is the journal's sequence: a client that comes back with Last-Event-ID goes on where it was.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from offhook.app.call_stream import CallStep, CallStream
from offhook.directory.model import Json

from .envelope import Reply
from .errors import field_fault
from .request import Request
from .waiting import until_gone

_log = structlog.get_logger("offhook.api")

KEEP_ALIVE_S: Final = 15.0
"""Proxies give up on a silent connection after 30 to 60 s."""

RETRY_MS: Final = 1_000
"""How soon a browser comes back after it lost the connection: a ring lasts some 20 s."""

SEND_BOUND_S: Final = 30.0
"""A client that takes nothing for this long is cut; what it had not taken is repeated when it comes back."""

SEQUENCE_DIGITS_MAX: Final = 9
"""Of a Last-Event-ID: no call has a billion steps."""

HEADERS: Final = ((b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))
"""The second tells nginx to pass events on at once."""

_encode: Final = msgspec.json.Encoder().encode


def last_event_id(request: Request) -> int:
    """Return the sequence a client has seen, -1 if none: from the header, or the query on first connect.

    Raises ApiError 400.
    """
    text = request.headers.get("last-event-id") or request.query.get("last_event_id", "")
    if not text:
        return -1
    if not (text.isascii() and text.isdigit() and len(text) <= SEQUENCE_DIGITS_MAX):
        raise field_fault(
            "last_event_id", "invalid", "must be the id of an event of this call", value=text[:50]
        )
    return int(text)


def event_reply(stream: CallStream, item_of: Callable[[CallStep], Json]) -> Reply:
    """Return the reply that sends a stream; 204 tells a browser that knows the end not to come back."""
    if stream.is_told:
        stream.close()
        return Reply(status=204, body=b"", content_type="text/event-stream", headers=HEADERS)
    source = EventSource(stream, item_of)
    return Reply(body=b"", stream=source.send, content_type="text/event-stream", headers=HEADERS)


class EventSource:
    """Sends one stream to one client."""

    def __init__(self, stream: CallStream, item_of: Callable[[CallStep], Json]) -> None:
        self._stream = stream
        self._item_of = item_of

    async def send(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the steps until the last, or until the client is gone or takes too long."""
        work = asyncio.ensure_future(self._send_steps(send))
        gone = asyncio.ensure_future(until_gone(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done() and work.exception() is not None:
                await self._cut(scope, gone, work.exception())
        finally:
            work.cancel()
            gone.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
            self._stream.close()

    async def _send_steps(self, send: Any) -> None:
        await _send_part(send, b"retry: %d\n\n" % RETRY_MS)
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    step = await self._stream.next()
            except TimeoutError:
                await _send_part(send, b": still here\n\n")
                continue
            if step is None:
                break
            await _send_part(send, event_of(step, self._item_of(step)))
        await _send_part(send, b"", more=False)

    async def _cut(self, scope: Any, gone: asyncio.Future[None], error: BaseException | None) -> None:
        """Close the connection without waiting for the client to take what was sent."""
        if isinstance(error, TimeoutError):
            _log.info("slow reader of a call is cut", path=scope.get("path"))
        else:
            _log.error("event stream failed", path=scope.get("path"), exc_info=error)
        abort = scope.get("extensions", {}).get("offhook.abort")
        if abort is not None:
            abort()
            await gone


def event_of(step: CallStep, item: Json) -> bytes:
    """Return one event in wire form."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (step.sequence, step.tag.encode(), _encode(item))


async def _send_part(send: Any, body: bytes, *, more: bool = True) -> None:
    async with asyncio.timeout(SEND_BOUND_S):
        await send({"type": "http.response.body", "body": body, "more_body": more})
