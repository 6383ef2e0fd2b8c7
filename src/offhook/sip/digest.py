"""Digest authentication, both ends (RFC 7616, RFC 8760, RFC 3261 section 22).

The server keeps no list of nonces: a nonce proves itself by an HMAC. What it keeps is a bounded
record of which nonce counts were used, so that a captured request cannot be sent again.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final, Self

import msgspec

from .errors import RemoteMalformed
from .grammar import is_token, quote, split_outside, unquote

NONCE_LIFETIME_S: Final = 300.0
"""After this a client is asked again, without bothering a person (stale=true)."""
MAX_NONCES: Final = 20_000
"""Nonces whose counts are remembered: 20,000 devices that refresh within the lifetime, about 4 MB."""
REPLAY_WINDOW: Final = 64
"""Requests of one nonce may arrive in another order by so many (UDP)."""
SERVER_ALGORITHMS: Final = ("SHA-256", "MD5")
"""As offered, strongest first (RFC 8760 2.3)."""

_HASHES: Final[dict[str, Callable[[bytes], "hashlib._Hash"]]] = {
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False),
    "SHA-256": hashlib.sha256,
} | (
    {"SHA-512-256": lambda data: hashlib.new("sha512_256", data)}
    if "sha512_256" in hashlib.algorithms_available
    else {}
)
"""From weak to strong."""
_STRENGTH: Final = {name: rank for rank, name in enumerate(_HASHES)}
_is_nonce_count = re.compile(r"[0-9a-fA-F]{8}").fullmatch

Lookup = Callable[[str, str], str | None]
"""(username, algorithm) → HA1 as `hash_credentials` makes it, or None if there is no such user."""


class Verdict(Enum):
    """What became of a request's credentials."""

    OK = "ok"
    STALE = "stale"
    """A nonce that is old, foreign or used: challenge with stale=true."""
    WRONG = "wrong"
    """Wrong password, unknown user or broken header."""
    MISSING = "missing"
    """No Digest credentials for this realm: challenge."""


class Credentials(msgspec.Struct, frozen=True):
    """An Authorization or challenge value: scheme and parameters (names in lower case, unquoted)."""

    scheme: str
    """Lower case."""
    params: dict[str, str]

    @classmethod
    def parse(cls, value: str, header: str = "Authorization") -> Self:
        """Parse `Digest name="value", name=value`."""
        scheme, _, rest = value.strip().partition(" ")
        params: dict[str, str] = {}
        for item in split_outside(rest, ","):
            name, equals, text = item.partition("=")
            key = name.strip().lower()
            if not item.strip():
                continue
            if not equals or not is_token(key) or key in params:
                raise RemoteMalformed(header, "a bad or repeated parameter")
            params[key] = unquote(text.strip())
        return cls(scheme.lower(), params)


def hash_credentials(algorithm: str, username: str, realm: str, password: str) -> str:
    """Return HA1: the hash of username, realm and password."""
    return _hash(algorithm, f"{username}:{realm}:{password}")


def _hash(algorithm: str, text: str) -> str:
    return _HASHES[algorithm](text.encode("utf-8", "surrogateescape")).hexdigest()


def _response(
    algorithm: str, ha1: str, params: dict[str, str], *, method: str, body: bytes, is_session: bool = False
) -> str:
    """Return the request-digest of RFC 7616 3.4.1 for the parameters that an Authorization carries."""
    nonce, qop, cnonce = params["nonce"], params.get("qop", ""), params.get("cnonce", "")
    if is_session:
        ha1 = _hash(algorithm, f"{ha1}:{nonce}:{cnonce}")
    a2 = f"{method}:{params['uri']}"
    if qop == "auth-int":
        a2 = f"{a2}:{_HASHES[algorithm](body).hexdigest()}"
    middle = f"{nonce}:{params.get('nc', '')}:{cnonce}:{qop}" if qop else nonce
    return _hash(algorithm, f"{ha1}:{middle}:{_hash(algorithm, a2)}")


# --- server -----------------------------------------------------------------------------------------


def make_nonce(secret: bytes, now_s: float, salt: str, owner: str = "") -> str:
    """Return a nonce that says when it was made; salt (hex, from the Random port) makes it unique.

    owner is whom it is for, an address for example: nobody else can use it.
    """
    stamp = f"{int(now_s):x}-{salt}"
    return f"{stamp}-{_sign(secret, stamp, owner)}"


def nonce_time(secret: bytes, nonce: str, owner: str = "") -> int | None:
    """Return when we made a nonce for this owner, in seconds, or None if we did not."""
    stamp, _, signature = nonce.rpartition("-")
    if not nonce.isascii() or not hmac.compare_digest(signature, _sign(secret, stamp, owner)):
        return None
    return _stamped(nonce)


def _stamped(nonce: str) -> int:
    return int(nonce.partition("-")[0], 16)


def _sign(secret: bytes, stamp: str, owner: str) -> str:
    return hmac.digest(secret, f"{owner} {stamp}".encode(), "sha256").hex()[:32]


class DigestServer:
    """Challenges and verifies. Times are seconds of any clock that does not jump."""

    __slots__ = ("_forgotten_until", "_secret", "_used")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._used: dict[str, tuple[int, int]] = {}  # nonce → highest count, bits of those below
        self._forgotten_until = -1  # nonces made up to then may have been used and dropped

    def challenges(
        self,
        realm: str,
        *,
        now_s: float,
        salt: str,
        owner: str = "",
        stale: bool = False,
        algorithms: Sequence[str] = SERVER_ALGORITHMS,
    ) -> list[str]:
        """Return the values of WWW-Authenticate or Proxy-Authenticate, one header line each.

        owner is who may use the nonce; verify() must be told the same.
        """
        nonce = make_nonce(self._secret, now_s, salt, owner)
        tail = ", stale=true" if stale else ""
        return [
            f'Digest realm={quote(realm)}, nonce="{nonce}", algorithm={name}, qop="auth"{tail}'
            for name in algorithms
        ]

    def is_answer(self, authorization: Iterable[str], *, realm: str, owner: str, now_s: float) -> bool:
        """Tell whether credentials for a realm use a nonce that this owner got lately; nothing is kept."""
        params = _find_credentials(authorization, realm)
        return params is not None and self._is_fresh(params.get("nonce", ""), owner, now_s)

    def verify(
        self,
        method: str,
        authorization: Iterable[str],
        lookup: Lookup,
        *,
        realm: str,
        now_s: float,
        owner: str = "",
    ) -> tuple[Verdict, str]:
        """Judge the lines of Authorization; return the verdict and the username as the client wrote it.

        The nonce comes first: with another's or an old one nobody learns whether a password is right.
        The digest's uri is not compared with the Request-URI: proxies rewrite that (RFC 3261 22.4).
        """
        params = _find_credentials(authorization, realm)
        if params is None:
            return Verdict.MISSING, ""
        if not self._is_fresh(params.get("nonce", ""), owner, now_s):
            return Verdict.STALE, params.get("username", "")
        username = params.get("username", "")
        algorithm = params.get("algorithm", "MD5").upper()
        if not _is_complete(params) or algorithm not in SERVER_ALGORITHMS:
            return Verdict.WRONG, username
        ha1 = lookup(username, algorithm)
        expected = _response(algorithm, ha1 or "", params, method=method, body=b"")
        if not _is_same(expected, params["response"]) or ha1 is None:
            return Verdict.WRONG, username
        count = int(params["nc"], 16) if "qop" in params else 1
        return (Verdict.OK if self._use(params["nonce"], count) else Verdict.STALE), username

    def _is_fresh(self, nonce: str, owner: str, now_s: float) -> bool:
        made_at = nonce_time(self._secret, nonce, owner)
        return made_at is not None and -1.0 <= now_s - made_at <= NONCE_LIFETIME_S

    def _use(self, nonce: str, count: int) -> bool:
        """Mark the count of a nonce of ours as used; return False if it was."""
        if nonce not in self._used:
            if _stamped(nonce) <= self._forgotten_until:
                return False
            self._make_room()
        highest, bits = self._used.get(nonce, (0, 0))
        if count > highest:
            bits = ((bits << min(count - highest, REPLAY_WINDOW)) | 1) & (2**REPLAY_WINDOW - 1)
            self._used[nonce] = (count, bits)
            return True
        bit = 1 << (highest - count)
        if count == 0 or highest - count >= REPLAY_WINDOW or bits & bit:
            return False
        self._used[nonce] = (highest, bits | bit)
        return True

    def _make_room(self) -> None:
        """Drop the nonce that was first used longest ago; no nonce as old can be used anew."""
        while len(self._used) >= MAX_NONCES:
            oldest = next(iter(self._used))
            del self._used[oldest]
            self._forgotten_until = max(self._forgotten_until, _stamped(oldest))


@lru_cache(maxsize=16)
def _parsed(value: str) -> Credentials:
    """Return the credentials of a line; a request is asked for them two or three times."""
    return Credentials.parse(value)


def _find_credentials(authorization: Iterable[str], realm: str) -> dict[str, str] | None:
    for value in authorization:
        try:
            credentials = _parsed(value)
        except RemoteMalformed:
            continue
        if credentials.scheme == "digest" and credentials.params.get("realm") == realm:
            return credentials.params
    return None


def _is_complete(params: dict[str, str]) -> bool:
    """Tell whether every field is there that the digest is made of."""
    if not all(params.get(name) for name in ("username", "nonce", "uri", "response")):
        return False
    if "qop" not in params:
        return True
    has_count = _is_nonce_count(params.get("nc", "")) is not None
    return params["qop"].lower() == "auth" and has_count and bool(params.get("cnonce"))


def _is_same(expected: str, response: str) -> bool:
    return response.isascii() and hmac.compare_digest(expected, response.lower())


# --- client -----------------------------------------------------------------------------------------


class Challenge(msgspec.Struct, frozen=True):
    """A challenge we can answer."""

    realm: str
    nonce: str
    algorithm: str
    """`MD5`, `SHA-256` or `SHA-512-256`."""
    is_session: bool
    """The `-sess` form of the algorithm."""
    qop: str
    """`auth`, `auth-int`, or "" for RFC 2069."""
    opaque: str | None
    is_stale: bool
    """The password was right; only the nonce was old."""
    algorithm_name: str
    """As the server wrote it; "" if it did not."""


def choose_challenge(values: Iterable[str], *, realm: str = "") -> Challenge | None:
    """Return the strongest challenge that we know how to answer, or None; realm "" takes any."""
    known = [challenge for value in values if (challenge := _parse_challenge(value)) is not None]
    fitting = [challenge for challenge in known if realm in ("", challenge.realm)]
    return max(fitting, key=lambda challenge: _STRENGTH[challenge.algorithm], default=None)


def strongest_by_realm(values: Iterable[str], *, realm: str = "") -> list[Challenge]:
    """Return the strongest challenge of each realm, in the order they were named; realm "" takes any."""
    best: dict[str, Challenge] = {}
    for value in values:
        challenge = _parse_challenge(value)
        if challenge is None or realm not in ("", challenge.realm):
            continue
        known = best.get(challenge.realm)
        if known is None or _STRENGTH[challenge.algorithm] > _STRENGTH[known.algorithm]:
            best[challenge.realm] = challenge
    return list(best.values())


def _parse_challenge(value: str) -> Challenge | None:
    try:
        credentials = Credentials.parse(value, "WWW-Authenticate")
    except RemoteMalformed:
        return None
    params = credentials.params
    name = params.get("algorithm", "")
    algorithm = (name or "MD5").upper()
    offered = [item.strip().lower() for item in params.get("qop", "").split(",") if item.strip()]
    qop = next((known for known in ("auth", "auth-int") if known in offered), "")
    unknown = algorithm.removesuffix("-SESS") not in _HASHES or (offered and not qop)
    if credentials.scheme != "digest" or "nonce" not in params or unknown:
        return None
    return Challenge(
        realm=params.get("realm", ""),
        nonce=params["nonce"],
        algorithm=algorithm.removesuffix("-SESS"),
        is_session=algorithm.endswith("-SESS"),
        qop=qop,
        opaque=params.get("opaque"),
        is_stale=params.get("stale", "").lower() == "true",
        algorithm_name=name,
    )


def answer_challenge(
    challenge: Challenge | Iterable[str],
    username: str,
    password: str,
    *,
    method: str,
    uri: str,
    cnonce: str,
    body: bytes = b"",
    nc: int = 1,
) -> str | None:
    """Return the Authorization value, or None if no challenge is one we know.

    cnonce comes from the Random port; nc counts the requests sent with this nonce, from 1.
    """
    chosen = challenge if isinstance(challenge, Challenge) else choose_challenge(challenge)
    if chosen is None:
        return None
    params = {"username": username, "realm": chosen.realm, "nonce": chosen.nonce, "uri": uri}
    if chosen.qop or chosen.is_session:
        params["cnonce"] = cnonce
    if chosen.qop:
        params |= {"qop": chosen.qop, "nc": f"{nc:08x}"}
    ha1 = hash_credentials(chosen.algorithm, username, chosen.realm, password)
    params["response"] = _response(
        chosen.algorithm, ha1, params, method=method, body=body, is_session=chosen.is_session
    )
    if chosen.opaque is not None:
        params["opaque"] = chosen.opaque
    if chosen.algorithm_name:
        params["algorithm"] = chosen.algorithm_name
    return "Digest " + ", ".join(
        f"{name}={value}" if name in _UNQUOTED else f"{name}={quote(value)}" for name, value in params.items()
    )


_UNQUOTED: Final = frozenset(("qop", "nc", "algorithm"))
