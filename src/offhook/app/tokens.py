"""Signed tokens (JWT, HS256), and a memory of those that were found good a moment ago."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

TOKEN_MAX_CHARACTERS: Final = 2_048
"""Ours have about 450."""

REMEMBERED_MAX: Final = 10_000
"""Tokens whose check is remembered (about 1 KB each)."""

REMEMBERED_S: Final = 5.0
"""How long a check is remembered; another node's revocation takes effect within this time."""

HEADER: Final = {"alg": "HS256", "typ": "JWT"}

Claims = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A caller whose token or credentials were found good."""

    account_id: str
    owner_id: str = ""
    """The user, if one logged in."""
    method: str
    """`cb_user_auth`, `cb_api_auth` or `cb_basic_auth`."""
    is_admin: bool = True
    """False for a user with priv_level `user`."""
    is_master: bool = False
    """Of the master account: reaches everything."""
    token: str = ""
    token_id: str = ""
    expires_at: float = 0.0
    """Unix seconds."""


class TokenSigner:
    """Writes and reads tokens with the installation's key."""

    def __init__(self, secret: bytes) -> None:
        self._key = OctKey.import_key(hashlib.sha256(b"tokens/" + secret).digest())

    def sign(self, claims: Claims) -> str:
        """Return the token that carries these claims."""
        return jwt.encode(HEADER, claims, self._key)

    def claims(self, token: str) -> Claims | None:
        """Return what a token carries, expired or not; None if it is none of ours."""
        if token.count(".") != 2 or len(token) > TOKEN_MAX_CHARACTERS or not token.isascii():
            return None
        try:
            return dict(jwt.decode(token, self._key, algorithms=[HEADER["alg"]]).claims)
        except (JoseError, ValueError, TypeError, RecursionError):
            return None


class Remembered:
    """Credentials found good a moment ago, and whose they are. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, tuple[Principal, float]] = OrderedDict()
        self.generation = 0
        """Grows whenever something is forgotten: a check that began before must not be kept."""

    def recall(self, credentials: str, now: float) -> Principal | None:
        """Return whose they are, if that is still fresh."""
        found = self._found.get(credentials)
        return found[0] if found is not None and now < found[1] else None

    def keep(self, credentials: str, principal: Principal, now: float, *, generation: int) -> None:
        """Remember them for a while, unless something was forgotten since their check began."""
        if generation != self.generation:
            return
        self._found[credentials] = (principal, now + REMEMBERED_S)
        self._found.move_to_end(credentials)
        if len(self._found) > REMEMBERED_MAX:
            self._found.popitem(last=False)

    def drop(self, credentials: str) -> None:
        """Forget one."""
        self.generation += 1
        self._found.pop(credentials, None)

    def clear(self) -> None:
        """Forget all."""
        self.generation += 1
        self._found.clear()
