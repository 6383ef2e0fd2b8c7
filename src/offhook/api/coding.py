"""Bodies of answers, compressed.

Compression beside a secret is safe here (BREACH): a browser never sends a token by itself, as it would a
cookie, so that nobody can make it ask again and again.
"""

import asyncio
import gzip
import re
import zlib
from typing import Any, Final

from .envelope import Answer, Stream
from .request import Request

GZIP_LEAST_BYTES: Final = 4_096
"""What fits into three packets arrives no sooner, and a compressor costs 50 µs to set up: connect's answer
is 1.5 KB."""

GZIP_ON_LOOP_BYTES: Final = 32_768
"""Compressed within a millisecond; more goes to a thread."""

GZIP_LEVEL: Final = 1
"""JSON shrinks to a fifth; higher levels cost three times as much for a tenth more."""

REFUSED: Final = re.compile(r"q=0(\.0*)?")

_GZIP_WINDOW: Final = 31
"""zlib's word for gzip's form with the largest window."""

_EVENTS: Final = (b"content-type", b"text/event-stream")
"""Events must leave at once; compression would keep them back."""

_VARY: Final = (b"vary", b"accept-encoding")
_GZIP: Final = (b"content-encoding", b"gzip")


async def compressed(request: Request, answer: Answer) -> Answer:
    """Return the answer with its body compressed, if the client takes that and it is worth it."""
    if (answer.stream is None and len(answer.body) < GZIP_LEAST_BYTES) or _EVENTS in answer.headers:
        return answer
    answer.headers.append(_VARY)
    if not takes_gzip(request.headers.get("accept-encoding", "")):
        return answer
    if answer.stream is not None:
        return Answer(answer.status, [*answer.headers, _GZIP], b"", _packed(answer.stream))
    if len(answer.body) <= GZIP_ON_LOOP_BYTES:
        body = gzip.compress(answer.body, GZIP_LEVEL, mtime=0)
    else:
        body = await asyncio.to_thread(gzip.compress, answer.body, GZIP_LEVEL, mtime=0)
    return Answer(answer.status, [*answer.headers, _GZIP], body)


def _packed(stream: Stream) -> Stream:
    """Return a stream that sends the same, compressed piece by piece."""

    async def send_packed(scope: Any, receive: Any, send: Any) -> None:
        packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)

        async def pack(message: dict[str, Any]) -> None:
            body, is_last = message.get("body", b""), not message.get("more_body", False)
            if len(body) <= GZIP_ON_LOOP_BYTES:
                packed = packer.compress(body)
            else:
                packed = await asyncio.to_thread(packer.compress, body)
            await send({**message, "body": packed + packer.flush() if is_last else packed})

        await stream(scope, receive, pack)

    return send_packed


def takes_gzip(field: str) -> bool:
    """Tell whether Accept-Encoding allows gzip (RFC 9110 12.5.3)."""
    for choice in field.lower().split(","):
        name, _, weight = choice.partition(";")
        if name.strip() in ("gzip", "x-gzip", "*"):
            return not REFUSED.fullmatch(weight.replace(" ", ""))
    return False
