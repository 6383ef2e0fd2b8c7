"""Calls that come in: whose they are, whether they may be made, and how many (decision 0014)."""

from collections.abc import Sequence

import structlog

from offhook.calls.model import CallPlan
from offhook.directory.keys import ACCOUNT_NUMBER
from offhook.directory.model import GLOBAL_ACCOUNT, Document
from offhook.directory.numbers import normalise
from offhook.kernel import Clock

from .account_calls import is_dialled_out, limits_of, refuse_beyond
from .accounts import refuse_closed
from .dial_out import Dialler, DialOut
from .errors import NotAllowed
from .own_media import with_own_media
from .planning import InboundRequest, NumberUnknown, Planning, plan_phone_call, plan_trunk_call
from .planning.account_directory import AccountDirectory
from .planning.classifiers import EMERGENCY, classify
from .ports import Calls, LiveCall

_log = structlog.get_logger("offhook.inbound")


class InboundCalls:
    """Places the calls of callers of whom an engine knows who they are."""

    def __init__(self, calls: Calls, planning: Planning, dial_out: DialOut, *, clock: Clock) -> None:
        self._calls = calls
        self._planning = planning
        self._dial_out = dial_out
        self._clock = clock

    async def by_phone(self, device: Document, request: InboundRequest) -> LiveCall:
        """Place the call of a device that has proved who it is.

        Raises PlanRefused, InvalidDocument (the account is disabled or its time is over), NotAllowed (owner
        or device is off), TooManyRequests (too many calls outside), CallLimitReached, NoCredit, CallRefused,
        StorageLost.
        """
        account = await self._account(device.account_id)
        refuse_closed(account, self._clock.epoch())
        owner = await AccountDirectory(self._planning.documents, account).owner_of(device)
        for document in (owner, device):
            if document is not None and document.data.get("enabled", True) is False:
                raise NotAllowed
        plan = await plan_phone_call(
            request, device=device, account=account, world=self._planning, now=self._clock.epoch()
        )
        if not is_dialled_out(plan) or classify(plan.second.number) == EMERGENCY:
            return await self._place(plan)
        with self._dial_out.within(Dialler(account, owner, device), plan.second.number):
            return await self._place(plan)

    async def by_trunk(self, resources: Sequence[Document], request: InboundRequest) -> LiveCall:
        """Place the call that a carrier brings; of several that it may be, the first that owns the number.

        Raises PlanRefused (NumberUnknown: none of them brings calls for this number), InvalidDocument (the
        account is disabled or its time is over), CallLimitReached, NoCredit, CallRefused, StorageLost.
        """
        for resource in resources:
            account = await self._account_of(resource, request.number)
            if account is not None:
                refuse_closed(account, self._clock.epoch())
                plan = await plan_trunk_call(
                    request, resource=resource, account=account, world=self._planning, now=self._clock.epoch()
                )
                return await self._place(plan)
        raise NumberUnknown(request.number)

    # --- whose number -------------------------------------------------------------------------------

    async def _account_of(self, resource: Document, number: str) -> Document | None:
        """Return the account to which a carrier may bring a call for a number: its own, or one below."""
        documents = self._planning.documents
        holders = await documents.find(ACCOUNT_NUMBER, normalise(number))
        assigned = [holder for holder in holders if holder.type == "phone_number"]
        if not assigned and resource.account_id != GLOBAL_ACCOUNT:
            own = await self._account(resource.account_id)
            if await AccountDirectory(documents, own).callflow_of_number(number) is not None:
                return own
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

    async def _place(self, plan: CallPlan) -> LiveCall:
        plan = await with_own_media(self._planning.documents, plan)
        limits = await limits_of(self._planning.documents, plan.account_id)
        refuse_beyond(limits, self._calls.usage(plan.account_id), plan)  # place() counts it at once
        return await self._calls.place(plan)
