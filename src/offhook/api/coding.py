"""Bodies of answers, compressed.

Compression beside a secret is safe here (BREACH): a browser never sends a token by itself, as it would a
cookie, so that nobody can make it ask again and again.
"""

import asyncio
import gzip
import re
from typing import Final

from .envelope import Answer
from .request import Request

GZIP_LEAST_BYTES: Final = 1_400
"""What fits into one packet gains nothing."""

GZIP_ON_LOOP_BYTES: Final = 32_768
"""Compressed within a millisecond; more goes to a thread."""

GZIP_LEVEL: Final = 1
"""JSON shrinks to a fifth; higher levels cost three times as much for a tenth more."""

REFUSED: Final = re.compile(r"q=0(\.0*)?")

_VARY: Final = (b"vary", b"accept-encoding")
_GZIP: Final = (b"content-encoding", b"gzip")


async def compressed(request: Request, answer: Answer) -> Answer:
    """Return the answer with its body compressed, if the client takes that and it is worth it."""
    if len(answer.body) < GZIP_LEAST_BYTES or answer.stream is not None:
        return answer
    answer.headers.append(_VARY)
    if not takes_gzip(request.headers.get("accept-encoding", "")):
        return answer
    if len(answer.body) <= GZIP_ON_LOOP_BYTES:
        body = gzip.compress(answer.body, GZIP_LEVEL, mtime=0)
    else:
        body = await asyncio.to_thread(gzip.compress, answer.body, GZIP_LEVEL, mtime=0)
    return Answer(answer.status, [*answer.headers, _GZIP], body)


def takes_gzip(field: str) -> bool:
    """Tell whether Accept-Encoding allows gzip (RFC 9110 12.5.3)."""
    for choice in field.lower().split(","):
        name, _, weight = choice.partition(";")
        if name.strip() in ("gzip", "x-gzip", "*"):
            return not REFUSED.fullmatch(weight.replace(" ", ""))
    return False
