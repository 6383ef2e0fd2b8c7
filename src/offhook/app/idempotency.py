"""Idempotency keys: a request that is sent again gets its first answer, and no phone rings twice.

The claim of a key is stored in the transaction that accepts its call (decision 0008). So a key is taken
exactly if its call was accepted: there is no reservation that a crash could leave behind.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import msgspec

from offhook.kernel import Clock

from .errors import KeyReused, StillRunning
from .ports import Calls, CallView, Idempotency, IdempotencyClaim

KEPT_S: Final = 86_400.0
"""How long a key is remembered. There is one row per accepted call with a key: the table grows slower than
the journal, and each new claim removes more expired ones than it adds."""


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request that came with a key."""

    account_id: str
    claim_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """What became of the same request before."""

    answer: bytes
    view: CallView | None
    """Set if the client was never told the outcome: the call is over, `answer` is what it got at once."""


class IdempotencyKeys:
    """Finds and makes the claims of keys."""

    def __init__(self, claims: Idempotency, calls: Calls, *, clock: Clock) -> None:
        self._claims = claims
        self._calls = calls
        self._clock = clock
        self._running: set[str] = set()

    async def earlier(self, keyed: KeyedRequest) -> Earlier | None:
        """Return what became of the same request before, or None if its key is new.

        Raises KeyReused if another request came with the key, StillRunning if its answer is not known yet.
        """
        claim = await self._claims.find(keyed.claim_id, self._clock.epoch())
        if claim is None:
            return None
        if claim.fingerprint != keyed.fingerprint:
            raise KeyReused
        if claim.is_answered:
            return Earlier(claim.answer, None)
        return Earlier(claim.answer, await self._ended_call(keyed.account_id, claim))

    def claim(
        self, keyed: KeyedRequest, call_id: str, answer: bytes, *, is_answered: bool
    ) -> IdempotencyClaim:
        """Return the claim to store with the call."""
        return IdempotencyClaim(
            id=keyed.claim_id,
            fingerprint=keyed.fingerprint,
            call_id=call_id,
            is_answered=is_answered,
            answer=answer,
            expires_at=self._clock.epoch() + KEPT_S,
        )

    async def answered(self, keyed: KeyedRequest, answer: bytes) -> None:
        """Store what the client of a blocking request is about to be told. Raises StorageLost."""
        await self._claims.answer(keyed.claim_id, answer)

    @contextmanager
    def running(self, keyed: KeyedRequest) -> Iterator[None]:
        """Hold back others with this key until the body is done: its answer is about to be known."""
        self._running.add(keyed.claim_id)
        try:
            yield
        finally:
            self._running.discard(keyed.claim_id)

    async def _ended_call(self, account_id: str, claim: IdempotencyClaim) -> CallView:
        """Return the call of a request whose client went away, or whose process died, before the answer."""
        if claim.id in self._running:
            raise StillRunning
        view = await self._calls.get(account_id, claim.call_id)
        if view is None or view.ending is None or not view.times.ended:
            raise StillRunning
        return view


def keyed_request(key: str, account_id: str, *, scope: tuple[str, ...], content: object) -> KeyedRequest:
    """Return the digests of a request. scope says whose key it is in the account: endpoint and caller.

    content is what makes two requests the same: method, path, parameters, body (JSON values).
    """
    return KeyedRequest(account_id, _digest((account_id, *scope, key)), _digest(content))


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
