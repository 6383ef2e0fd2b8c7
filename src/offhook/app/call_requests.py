"""From an understood request to a call in execution: plan, throttle, place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from offhook.calls.model import CallPlan, RequestOrigin
from offhook.directory.model import Document, Json
from offhook.kernel import Clock

from .account_calls import limits_of, refuse_beyond, trunk_limit
from .accounts import refuse_closed
from .errors import CallLimitReached, NoCredit
from .limits import Throttles
from .own_media import with_own_media
from .planning import (
    ConnectRequest,
    Planned,
    Planning,
    QuickcallRequest,
    plan_connect,
    plan_quickcall,
)
from .ports import Calls, IdempotencyClaim, LiveCall
from .quirks import THROTTLE_IS_IGNORED

VISITOR_QUICKCALLS: Final = 10
"""Per minute and device or user: anybody may call those with `allow_anonymous_quickcalls`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What beside its content a request brings: where it came from, and the claim of its key."""

    origin: RequestOrigin | None = None
    claim_of: Callable[[Planned], IdempotencyClaim] | None = None
    """Makes the claim to be stored with the call; None without a key."""


@dataclass(frozen=True, slots=True)
class PlacedCall:
    """A call that was accepted."""

    plan: CallPlan
    live: LiveCall
    answer: Json
    """`data` of the 202."""


class CallRequests:
    """Connects buttons and dials for devices and users."""

    def __init__(self, calls: Calls, planning: Planning, *, clock: Clock) -> None:
        self._calls = calls
        self._planning = planning
        self._clock = clock
        self._throttles = Throttles()

    async def connect(
        self, account: Document, button: Document, request: ConnectRequest, asked: Asked = Asked()
    ) -> PlacedCall:
        """Place the call of a button.

        Only an accepted call uses up the button's throttle. Raises PlanRefused, TooManyRequests, CallRefused,
        CallLimitReached, NoCredit, StorageLost, KeyClaimed, InvalidDocument if the account is disabled
        or its time is over.
        """
        refuse_closed(account, self._clock.epoch())
        planned = await self.plan_connect(account, button, request)
        now = self._clock.monotonic()
        with self._throttles.invocation(button.id, self._throttle(button), now=now):
            return await self._place(planned, asked)

    async def quickcall(
        self, account: Document, endpoint: Document, request: QuickcallRequest, asked: Asked = Asked()
    ) -> PlacedCall:
        """Place the call of a device or user. Raises as connect does; visitors are throttled."""
        refuse_closed(account, self._clock.epoch())
        planned = await self.plan_quickcall(account, endpoint, request)
        limit = VISITOR_QUICKCALLS if request.visitor else None
        with self._throttles.invocation(endpoint.id, limit, now=self._clock.monotonic()):
            return await self._place(planned, asked)

    async def plan_connect(self, account: Document, button: Document, request: ConnectRequest) -> Planned:
        """Return what would be done. Raises PlanRefused."""
        return await self._with_own_media(
            await plan_connect(
                request, button=button, account=account, world=self._planning, now=self._clock.epoch()
            )
        )

    async def plan_quickcall(
        self, account: Document, endpoint: Document, request: QuickcallRequest
    ) -> Planned:
        """Return what would be done. Raises PlanRefused."""
        return await self._with_own_media(
            await plan_quickcall(
                request, endpoint=endpoint, account=account, world=self._planning, now=self._clock.epoch()
            )
        )

    async def _with_own_media(self, planned: Planned) -> Planned:
        plan = await with_own_media(self._planning.documents, planned.plan)
        return planned if plan is planned.plan else msgspec.structs.replace(planned, plan=plan)

    def invocations_left(self, button: Document) -> int | None:
        """Return how many more calls of a button this minute allows; None if it has no throttle."""
        throttle = self._throttle(button)
        if throttle is None:
            return None
        return self._throttles.left(button.id, throttle, now=self._clock.monotonic())

    def _throttle(self, button: Document) -> int | None:
        return None if THROTTLE_IS_IGNORED in self._planning.quirks else throttle_of(button)

    async def limits_left(self, planned: Planned) -> Json:
        """Return what the account's limits leave for a plan, and what would refuse it now."""
        plan = planned.plan
        limits = await limits_of(self._planning.documents, plan.account_id)
        usage = self._calls.usage(plan.account_id)
        refusal = ""
        try:
            refuse_beyond(limits, usage, plan)
        except (CallLimitReached, NoCredit) as error:
            refusal = str(error)
        left: Json = {"calls": limits.get("calls"), "calls_in_use": usage.calls,
                      "trunks": trunk_limit(limits), "trunks_in_use": usage.trunks}  # fmt: skip
        shown: Json = {"limits": {name: value for name, value in left.items() if value is not None}}
        return shown | ({"would_be_refused": refusal} if refusal else {})

    async def _place(self, planned: Planned, asked: Asked) -> PlacedCall:
        plan = planned.plan
        if asked.origin is not None:
            plan = msgspec.structs.replace(plan, origin=asked.origin)
        claim = asked.claim_of(planned) if asked.claim_of is not None else None
        limits = await limits_of(self._planning.documents, plan.account_id)
        refuse_beyond(limits, self._calls.usage(plan.account_id), plan)  # place() counts it at once
        live = await self._calls.place(plan, claim=claim)
        return PlacedCall(plan, live, planned.answer)


def throttle_of(button: Document) -> int | None:
    """Return how many invocations a minute a button allows."""
    throttle = button.data.get("throttle")
    return throttle if isinstance(throttle, int) and throttle > 0 else None
