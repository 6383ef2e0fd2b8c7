"""Who we are to servers that ask, and the answer to their challenge (RFC 3261 22.2, 22.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from offhook.kernel import Random

from .config import MAX_AUTH_ROUNDS
from .digest import answer_challenge, choose_challenge
from .message import Request, Response

if TYPE_CHECKING:
    from .commands import OutgoingRequest

CNONCE_HEX: Final = 16
_HEADERS: Final = {
    401: ("WWW-Authenticate", "Authorization"),
    407: ("Proxy-Authenticate", "Proxy-Authorization"),
}


class Login(msgspec.Struct, frozen=True):
    """Digest credentials."""

    username: str
    password: str
    realm: str = ""
    """Empty: good for any realm."""

    @classmethod
    def of(cls, wanted: OutgoingRequest) -> Login | None:
        """Return the credentials given with a request, or None."""
        return cls(wanted.username, wanted.password, wanted.realm) if wanted.username else None


def answer_to_challenge(
    response: Response, request: Request, login: Login | None, random: Random, *, rounds: int
) -> tuple[str, str] | None:
    """Return the header line that answers a 401 or 407, or None if that is pointless.

    rounds is how often the request was answered before: a second time only helps a stale nonce.
    """
    if login is None or rounds >= MAX_AUTH_ROUNDS:
        return None
    asked, answered = _HEADERS[response.status]
    challenge = choose_challenge(response.headers.get_all(asked), realm=login.realm)
    if challenge is None or (rounds > 0 and not challenge.is_stale):
        return None
    value = answer_challenge(
        challenge,
        login.username,
        login.password,
        method=request.method,
        uri=request.uri,
        body=request.body,
        cnonce=random.hex(CNONCE_HEX),
    )
    return None if value is None else (answered, value)
