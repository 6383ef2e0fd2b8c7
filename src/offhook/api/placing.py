"""From a request for a call to its answer, once per Idempotency-Key (design 2.2)."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from offhook.app.call_requests import Asked, PlacedCall
from offhook.app.errors import KeyClaimed, StillRunning, StorageLost
from offhook.app.idempotency import Earlier, IdempotencyKeys, KeyedRequest, keyed_request
from offhook.app.planning import Planned
from offhook.app.ports import CallView, IdempotencyClaim
from offhook.calls.model import RequestOrigin
from offhook.directory.model import Document, Json

from . import audit
from .envelope import Reply
from .errors import ApiError, field_fault
from .request import Request
from .services import ApiServices
from .waiting import first_party

_log = structlog.get_logger("offhook.api")

KEY: Final = re.compile(r"[\x20-\x7e]{1,255}\Z")
REPLAYED: Final = (b"idempotent-replayed", b"true")

_SECRETS: Final = ("auth_token", "authorization")
"""Parameters that say who asks, not what for: a renewed token makes no other request."""


class StoredAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a key's request was told, as it is kept."""

    status: int
    data: msgspec.Raw
    message: str = ""
    """Of an error."""
    revision: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnswers:
    """What an endpoint answers."""

    accepted: Callable[[Planned], Reply]
    """At once, from the plan."""
    reached: Callable[[CallView, Reply], Reply | ApiError] | None = None
    """Once the first party was reached or failed; takes the call and what would have been said at once.
    None: the request does not wait."""


Place = Callable[[Asked], Awaitable[PlacedCall]]


class CallPlacing:
    """Places the calls of one endpoint."""

    def __init__(self, services: ApiServices) -> None:
        self._calls = services.calls
        self._keys = IdempotencyKeys(services.store.idempotency, services.calls, clock=services.clock)

    async def answer(self, request: Request, target: Document, place: Place, answers: CallAnswers) -> Reply:
        """Return the answer to a request: its first one, if it came with a key before.

        Raises ApiError for a party that was not reached, KeyReused, StillRunning, and what `place` raises.
        """
        keyed = _keyed(request, target)
        if keyed is None:
            placed = await place(Asked(_origin(request)))
            accepted = answers.accepted(Planned(plan=placed.plan, answer=placed.answer))
            return _told(await self._wait(request, placed, answers, accepted))
        earlier = await self._keys.earlier(keyed)
        if earlier is not None:
            return _replayed(earlier, answers)
        return await self._answer_once(request, keyed, place, answers)

    async def _answer_once(
        self, request: Request, keyed: KeyedRequest, place: Place, answers: CallAnswers
    ) -> Reply:
        accepted = Reply()

        def claim_of(planned: Planned) -> IdempotencyClaim:
            nonlocal accepted
            accepted = answers.accepted(planned)
            answer = _stored(accepted)
            return self._keys.claim(keyed, planned.plan.call_id, answer, is_answered=answers.reached is None)

        try:
            placed = await place(Asked(_origin(request), claim_of))
        except KeyClaimed:  # by the same request a moment ago
            earlier = await self._keys.earlier(keyed)
            if earlier is None:
                raise StillRunning from None
            return _replayed(earlier, answers)
        with self._keys.running(keyed):
            answer = await self._wait(request, placed, answers, accepted)
            if answers.reached is not None:
                await self._keep(keyed, answer)
        return _told(answer)

    async def _wait(
        self, request: Request, placed: PlacedCall, answers: CallAnswers, accepted: Reply
    ) -> Reply | ApiError:
        audit.call_requested(request, placed.plan)
        if answers.reached is None:
            return accepted
        return answers.reached(await first_party(self._calls, request, placed.plan, placed.live), accepted)

    async def _keep(self, keyed: KeyedRequest, answer: Reply | ApiError) -> None:
        """Store what the client is told; without a disk, the call itself says it later."""
        try:
            await self._keys.answered(keyed, _stored(answer))
        except StorageLost as error:
            _log.error("the answer of a key cannot be stored", reason=str(error))


def _keyed(request: Request, target: Document) -> KeyedRequest | None:
    """Return the request's key, whose it is, and what it asks. Raises ApiError 400."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not KEY.match(key):
        raise field_fault(
            "idempotency-key", "length", "Idempotency-Key must be 1 to 255 printable ASCII characters"
        )
    content = (
        request.method,
        request.segments[1:],
        {name: value for name, value in request.query.items() if name not in _SECRETS},
        request.data,
        {name: value for name, value in request.envelope.items() if name not in _SECRETS},
    )
    return keyed_request(
        key, request.account_id, scope=(target.type, target.id, _caller(request)), content=content
    )


def _caller(request: Request) -> str:
    """Return whose key it is: an anonymous visitor's belongs to the address it comes from."""
    principal = request.principal
    if principal is None or request.is_foreign:
        return f"visitor/{request.address}"
    return f"{principal.account_id}/{principal.owner_id}"


def _origin(request: Request) -> RequestOrigin:
    return RequestOrigin(
        method=request.method,
        path=request.path[:500],
        request_id=request.request_id,
        address=request.address,
    )


# --- answers that are kept --------------------------------------------------------------------------


def _told(answer: Reply | ApiError) -> Reply:
    if isinstance(answer, ApiError):
        raise answer
    return answer


def _stored(answer: Reply | ApiError) -> bytes:
    data = msgspec.Raw(msgspec.json.encode(answer.data))
    if isinstance(answer, ApiError):
        return msgspec.json.encode(StoredAnswer(answer.status, data, message=answer.message))
    return msgspec.json.encode(
        StoredAnswer(answer.status, data, revision=answer.revision, location=answer.location)
    )


def _replayed(earlier: Earlier, answers: CallAnswers) -> Reply:
    """Return the first answer again. Raises it, if it was an error."""
    answer = _read(earlier.answer)
    if earlier.view is not None and answers.reached is not None:
        assert isinstance(answer, Reply)
        answer = answers.reached(earlier.view, answer)
    answer.headers = (*answer.headers, REPLAYED)
    return _told(answer)


def _read(stored: bytes) -> Reply | ApiError:
    kept = msgspec.json.decode(stored, type=StoredAnswer)
    data: Json = msgspec.json.decode(kept.data)
    if kept.message:
        return ApiError(kept.status, kept.message, data)
    return Reply(data=data, status=kept.status, revision=kept.revision, location=kept.location)
