"""How passwords are kept, although KAZOO's clients send a digest and no username (kazoo-behaviour 3.1).

A login carries md5 or sha1 of `username:password`, and the account. What is stored for each of the two
digests is argon2id of it, with a salt of the account: the same digest always gives the same text, so the
user is found by key with one computation, while a thief of the database pays argon2's price per guess.
The username inside the digest does what a salt per user would do.
"""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Final

from argon2.low_level import Type, hash_secret

MEMORY_KIB: Final = 19_456
PASSES: Final = 2
"""OWASP's first choice for argon2id: 19 MiB, two passes, one lane. About 20 ms."""

PARALLEL_MAX: Final = 1
"""Computations at once: each needs 19 MiB and a whole core, and calls need the others."""

DIGESTS: Final[dict[str, Callable[[bytes], str]]] = {
    "md5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    "sha": lambda data: hashlib.sha1(data, usedforsecurity=False).hexdigest(),
}
"""What KAZOO's `method` names."""


class Passwords:
    """Computes stored credentials, in a thread, one at a time."""

    def __init__(self, pepper: str) -> None:
        self._pepper = pepper
        self._places = asyncio.Semaphore(PARALLEL_MAX)

    async def stored_form(self, account_id: str, method: str, digest: str) -> str:
        """Return the text under which a digest is stored and found."""
        salt = hashlib.sha256(f"{self._pepper}/{account_id}/{method}".encode()).digest()[:16]
        async with self._places:
            hashed = await asyncio.to_thread(_argon2id, digest.lower().encode("utf-8", "replace"), salt)
        return f"{method}:{hashed}"

    async def credentials(self, account_id: str, username: str, password: str) -> dict[str, str]:
        """Return what to store for a username and password: digest method → stored form."""
        clear = f"{username}:{password}".encode("utf-8", "surrogatepass")
        return {
            method: await self.stored_form(account_id, method, digest(clear))
            for method, digest in DIGESTS.items()
        }


def _argon2id(secret: bytes, salt: bytes) -> str:
    return hash_secret(
        secret, salt, time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1, hash_len=32, type=Type.ID
    ).decode("ascii")
