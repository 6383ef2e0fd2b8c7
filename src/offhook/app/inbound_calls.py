"""Calls that come in: whose they are, whether they may be made, and how many (decision 0014)."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final, NamedTuple

import structlog

from offhook.calls.model import CallPlan
from offhook.directory.keys import ACCOUNT_NUMBER
from offhook.directory.model import GLOBAL_ACCOUNT, Document, Json
from offhook.directory.numbers import normalise
from offhook.kernel import Clock

from .account_calls import is_dialled_out, refuse_beyond
from .call_requests import LIMITS_ID
from .errors import NotAllowed, TooManyRequests
from .limits import Throttles
from .planning import InboundRequest, NumberUnknown, Planning, plan_phone_call, plan_trunk_call
from .planning.account_directory import AccountDirectory
from .planning.classifiers import EMERGENCY, classify
from .ports import Calls, LiveCall

_log = structlog.get_logger("offhook.inbound")

ACCOUNT_CALLS: Final = 10
ACCOUNT_CALLS_PER_MINUTE: Final = 30
"""Calls outside of all phones of an account, at once and begun in a minute, unless its `dial_out` says
otherwise: a small office; a thief finds the door shut after minutes, not after a weekend."""

DEVICE_CALLS: Final = 2
DEVICE_CALLS_PER_MINUTE: Final = 6
"""The same of one phone: a call and a second one beside it; a person who redials."""

RETRY_S: Final = 30.0
"""When to try again if there are too many calls at once: calls last minutes."""


class _Bound(NamedTuple):
    """How many calls outside somebody may have."""

    key: str
    device_id: str
    """Empty: the account's phones together."""
    calls: int
    per_minute: int


class InboundCalls:
    """Places the calls of callers of whom an engine knows who they are."""

    def __init__(self, calls: Calls, planning: Planning, *, clock: Clock) -> None:
        self._calls = calls
        self._planning = planning
        self._clock = clock
        self._throttles = Throttles()

    async def by_phone(self, device: Document, request: InboundRequest) -> LiveCall:
        """Place the call of a device that has proved who it is.

        Raises PlanRefused, NotAllowed (account, owner or device is off), TooManyRequests (too many calls
        outside), CallLimitReached, NoCredit, CallRefused, StorageLost.
        """
        account = await self._account(device.account_id)
        owner = await AccountDirectory(self._planning.documents, account).owner_of(device)
        for document in (account, owner, device):
            if document is not None and document.data.get("enabled", True) is False:
                raise NotAllowed
        plan = await plan_phone_call(
            request, device=device, account=account, world=self._planning, now=self._clock.epoch()
        )
        if not is_dialled_out(plan) or classify(plan.second.number) == EMERGENCY:
            return await self._place(plan)
        with self._within(_bounds(account, owner, device), plan):
            return await self._place(plan)

    async def by_trunk(self, resources: Sequence[Document], request: InboundRequest) -> LiveCall:
        """Place the call that a carrier brings; of several that it may be, the first that owns the number.

        Raises PlanRefused (NumberUnknown: none of them brings calls for this number), NotAllowed,
        CallLimitReached, NoCredit, CallRefused, StorageLost.
        """
        for resource in resources:
            account = await self._account_of(resource, request.number)
            if account is not None:
                if account.data.get("enabled", True) is False:
                    raise NotAllowed
                plan = await plan_trunk_call(
                    request, resource=resource, account=account, world=self._planning, now=self._clock.epoch()
                )
                return await self._place(plan)
        raise NumberUnknown(request.number)

    # --- whose number -------------------------------------------------------------------------------

    async def _account_of(self, resource: Document, number: str) -> Document | None:
        """Return the account to which a carrier may bring a call for a number: its own, or one below."""
        documents = self._planning.documents
        if resource.account_id != GLOBAL_ACCOUNT:
            own = await self._account(resource.account_id)
            if await AccountDirectory(documents, own).callflow_of_number(number) is not None:
                return own
        holders = await documents.find(ACCOUNT_NUMBER, normalise(number))
        assigned = [holder for holder in holders if holder.type == "phone_number"]
        owners = {holder.account_id for holder in assigned or holders}
        if len(owners) > 1:
            _log.warning("a number of several accounts", number=number[:64], accounts=sorted(owners)[:10])
            return None
        for account_id in owners:
            account = await self._account(account_id)
            if resource.account_id in (GLOBAL_ACCOUNT, *account.private.get("tree", ())):
                return account
        return None

    async def _account(self, account_id: str) -> Document:
        account = await self._planning.documents.get(account_id, account_id, type="account")
        if account is None:
            raise NotAllowed
        return account

    # --- how many -----------------------------------------------------------------------------------

    def _within(self, bounds: Sequence[_Bound], plan: CallPlan) -> ExitStack:
        """Count a call outside against its bounds; they are given back if it is not placed.

        Raises TooManyRequests.
        """
        with ExitStack() as counted:
            for bound in bounds:
                if self._calls.dialled_out(plan.account_id, bound.device_id) >= bound.calls:
                    _log.warning(
                        "too many calls outside at once",
                        account_id=plan.account_id,
                        device_id=plan.authorizing_id,
                        number=plan.second.number,
                        most=bound.calls,
                    )
                    raise TooManyRequests(RETRY_S)
                now = self._clock.monotonic()
                counted.enter_context(self._throttles.invocation(bound.key, bound.per_minute, now=now))
            return counted.pop_all()

    async def _place(self, plan: CallPlan) -> LiveCall:
        document = await self._planning.documents.get(plan.account_id, LIMITS_ID, type="limits")
        limits: Json = document.data if document is not None else {}
        refuse_beyond(limits, self._calls.usage(plan.account_id), plan)  # place() counts it at once
        return await self._calls.place(plan)


def _bounds(account: Document, owner: Document | None, device: Document) -> tuple[_Bound, _Bound]:
    of_account = account.data.get("dial_out") or {}
    of_device = {
        **((owner.data.get("dial_out") or {}) if owner else {}),
        **(device.data.get("dial_out") or {}),
    }
    return (
        _Bound(
            f"account/{account.id}",
            "",
            of_account.get("calls", ACCOUNT_CALLS),
            of_account.get("calls_per_minute", ACCOUNT_CALLS_PER_MINUTE),
        ),
        _Bound(
            f"device/{device.id}",
            device.id,
            of_device.get("calls", DEVICE_CALLS),
            of_device.get("calls_per_minute", DEVICE_CALLS_PER_MINUTE),
        ),
    )
