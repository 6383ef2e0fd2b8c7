"""Who we are to servers that ask, and the answers to their challenges (RFC 3261 22.2, 22.3, RFC 7616 3.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import msgspec

from offhook.kernel import Random

from .config import MAX_AUTH_ROUNDS
from .digest import Challenge, Credentials, answer_challenge, strongest_by_realm
from .errors import RemoteMalformed
from .message import Request, Response

if TYPE_CHECKING:
    from .commands import HeaderLines, OutgoingRequest

CNONCE_HEX: Final = 16
_ANSWERED_BY: Final = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": "Proxy-Authorization"}
_NEXT_NONCE: Final = {
    "Authentication-Info": "Authorization",
    "Proxy-Authentication-Info": "Proxy-Authorization",
}

Asker = tuple[str, str]
"""Who asks: the header that answers, and the realm."""
Answered = tuple[Asker, ...]
"""Whom one request has answered so far; twice if the nonce was stale."""


class Login(msgspec.Struct, frozen=True):
    """Digest credentials."""

    username: str
    password: str
    realm: str = ""
    """Empty: good for any realm."""


class DigestClient:
    """Answers the challenges that the requests of one dialog meet, and spares the next ones theirs.

    A request that is challenged is sent again if `learn` says so; every request is signed by `sign`.
    """

    __slots__ = ("_known", "_login", "_random")

    def __init__(self, login: Login, random: Random) -> None:
        self._login = login
        self._random = random
        self._known: dict[Asker, tuple[Challenge, int]] = {}
        """The last challenge of each asker, and how many requests bore its nonce."""

    @classmethod
    def of(cls, wanted: OutgoingRequest, random: Random) -> Self | None:
        """Return one for the credentials given with a request, or None without."""
        if not wanted.username:
            return None
        return cls(Login(wanted.username, wanted.password, wanted.realm), random)

    def learn(self, response: Response, answered: Answered) -> Answered | None:
        """Take the challenges of a 401 or 407; None if they cannot be answered, or were in vain.

        answered is what this request answered before. Several servers on the way may ask (22.3), each in
        its own realm; one that asks again is answered only if it says that the nonce was stale.
        """
        learned: list[Asker] = []
        for asked, header in _ANSWERED_BY.items():
            for challenge in strongest_by_realm(response.headers.get_all(asked), realm=self._login.realm):
                asker = (header, challenge.realm)
                times = answered.count(asker) + learned.count(asker)
                if times == 0 or (times == 1 and challenge.is_stale):
                    learned.append(asker)
                    self._known[asker] = (challenge, 0)
        if not learned or len(answered) + len(learned) > MAX_AUTH_ROUNDS:
            return None
        return (*answered, *learned)

    def sign(self, request: Request) -> None:
        """Add the credentials that were asked for before in this dialog."""
        for asker, (challenge, count) in self._known.items():
            value = answer_challenge(
                challenge,
                self._login.username,
                self._login.password,
                method=request.method,
                uri=request.uri,
                body=request.body,
                cnonce=self._random.hex(CNONCE_HEX),
                nc=count + 1,
            )
            if value is not None:
                self._known[asker] = (challenge, count + 1)
                request.headers.add(asker[0], value)

    def note_next(self, response: Response) -> None:
        """Take the nonce that a server wants in our next request (RFC 7615)."""
        for told, header in _NEXT_NONCE.items():
            value = response.headers.get(told)
            askers = [asker for asker in self._known if asker[0] == header]
            if value is None or len(askers) != 1:
                continue  # it bears no realm: of two askers we cannot tell which
            try:
                nonce = Credentials.parse(f"Digest {value}", told).params.get("nextnonce")
            except RemoteMalformed:
                continue
            if nonce:
                challenge, _ = self._known[askers[0]]
                self._known[askers[0]] = (msgspec.structs.replace(challenge, nonce=nonce), 0)


def credentials_in(request: Request) -> HeaderLines:
    """Return the lines of a request that say who we are."""
    return tuple(
        [
            (name, value)
            for key, name, value in request.headers.fields()
            if key in ("authorization", "proxy-authorization")
        ]
    )
