"""The live calls of each account, and what they take of its limits (kazoo-behaviour 7.7)."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from offhook.calls.model import CallPlan, EndpointKind, PartyPlan
from offhook.directory.model import Json

from .errors import CallLimitReached, NoCredit
from .storage import Documents

LIMITS_ID: Final = "limits"
"""KAZOO's id of the one document of its type in an account."""

TRUNKS: Final = ("outbound_trunks", "twoway_trunks", "burst_trunks")
"""What a call that goes out may take."""

INBOUND_TRUNKS: Final = ("inbound_trunks", "twoway_trunks", "burst_trunks")
"""What a call that a carrier brings may take."""


class AccountUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What an account's live calls take."""

    calls: int = 0
    resource_calls: int = 0
    """Calls with at least one party outside the account."""
    trunks: int = 0
    """Parties outside the account that were called."""
    inbound: int = 0
    """Calls that a carrier has brought."""


NOTHING: Final = AccountUsage()


class AccountCalls:
    """Call ids by account, oldest first. Adding, removing and counting cost the same at any number."""

    def __init__(self) -> None:
        self._trunks: dict[str, dict[str, int]] = {}
        """Account id → call id → parties outside."""
        self._usage: dict[str, AccountUsage] = {}
        self._dialled_out: Counter[tuple[str, str]] = Counter()
        """(Account, device) and (account, "") → calls that phones have dialled to outside."""

        self._referred: dict[str, list[str]] = {}
        """Call id → devices that have referred it to outside."""

    def add(self, plan: CallPlan) -> None:
        """Count a call from now on. Repeating it does nothing."""
        calls = self._trunks.setdefault(plan.account_id, {})
        if plan.call_id not in calls:
            calls[plan.call_id] = trunks_of(plan)
            self._count(plan, 1, calls[plan.call_id])

    def remove(self, plan: CallPlan) -> None:
        """Count it no longer. Repeating it does nothing."""
        calls = self._trunks.get(plan.account_id, {})
        trunks = calls.pop(plan.call_id, None)
        if trunks is None:
            return
        self._count(plan, -1, trunks)
        for device_id in self._referred.pop(plan.call_id, ()):
            self._count_dialled(plan.account_id, device_id, -1)
        if not calls:
            del self._trunks[plan.account_id]
            del self._usage[plan.account_id]

    def add_party(self, plan: CallPlan, party: PartyPlan, device_id: str = "") -> None:
        """Count a party that a transfer brings into a call, until the call is over.

        device_id is the phone that has asked for it: it has dialled to outside then.
        """
        calls = self._trunks.get(plan.account_id, {})
        if plan.call_id not in calls:
            return
        if device_id and leaves_account(party):
            self._referred.setdefault(plan.call_id, []).append(device_id)
            self._count_dialled(plan.account_id, device_id, 1)
        if not goes_out(party):
            return
        before = self.usage(plan.account_id)
        is_first = not calls[plan.call_id]
        calls[plan.call_id] += 1
        self._usage[plan.account_id] = msgspec.structs.replace(
            before, resource_calls=before.resource_calls + is_first, trunks=before.trunks + 1
        )

    def of(self, account_id: str) -> Sequence[str]:
        """Return the ids of an account's calls."""
        return tuple(self._trunks.get(account_id, ()))

    def usage(self, account_id: str) -> AccountUsage:
        """Return what they take."""
        return self._usage.get(account_id, NOTHING)

    def dialled_out(self, account_id: str, device_id: str = "") -> int:
        """Return how many calls the account's phones have dialled to outside; one phone's, if named."""
        return self._dialled_out[account_id, device_id]

    def _count(self, plan: CallPlan, sign: int, trunks: int) -> None:
        account_id = plan.account_id
        before = self.usage(account_id)
        self._usage[account_id] = AccountUsage(
            calls=before.calls + sign,
            resource_calls=before.resource_calls + (sign if trunks else 0),
            trunks=before.trunks + sign * trunks,
            inbound=before.inbound + (sign if _is_brought(plan) else 0),
        )
        if is_dialled_out(plan):
            self._count_dialled(account_id, plan.authorizing_id, sign)

    def _count_dialled(self, account_id: str, device_id: str, sign: int) -> None:
        for key in ((account_id, device_id), (account_id, "")):
            self._dialled_out[key] += sign
            if not self._dialled_out[key]:
                del self._dialled_out[key]


def trunks_of(plan: CallPlan) -> int:
    """Return how many of the parties are reached through a carrier."""
    return goes_out(plan.first) + goes_out(plan.second)


def goes_out(party: PartyPlan) -> bool:
    """Tell whether a party may be reached through a carrier."""
    return _reaches(party, EndpointKind.GATEWAY)


def leaves_account(party: PartyPlan) -> bool:
    """Tell whether a party may be outside the account: behind a carrier, or at a SIP URI."""
    return _reaches(party, EndpointKind.GATEWAY, EndpointKind.URI)


def _reaches(party: PartyPlan, *kinds: EndpointKind) -> bool:
    return any(
        endpoint.kind in kinds and not endpoint.is_caller
        for step in party.steps
        for endpoint in step.endpoints
    )


def _is_brought(plan: CallPlan) -> bool:
    return plan.caller is not None and plan.caller.kind is EndpointKind.GATEWAY


def is_dialled_out(plan: CallPlan) -> bool:
    """Tell whether a phone has dialled this call, and it may leave the account (decision 0014)."""
    caller = plan.caller
    return caller is not None and caller.kind is EndpointKind.DEVICE and goes_out(plan.second)


async def limits_of(documents: Documents, account_id: str) -> Json:
    """Return what an account's calls are bounded by; empty if nothing is set."""
    document = await documents.get(account_id, LIMITS_ID, type="limits")
    return document.data if document is not None else {}


def refuse_beyond(limits: Json, usage: AccountUsage, plan: CallPlan) -> None:
    """Raise CallLimitReached or NoCredit if the account may not have this call too."""
    if 0 <= _limit(limits, "calls") <= usage.calls:
        raise CallLimitReached("calls", limits["calls"])
    brought = _sum_of(limits, INBOUND_TRUNKS)
    if _is_brought(plan) and brought is not None and usage.inbound >= brought:
        raise NoCredit(brought)
    _refuse_trunks(limits, usage, trunks_of(plan))


def refuse_party(limits: Json, usage: AccountUsage, party: PartyPlan) -> None:
    """Raise CallLimitReached or NoCredit if the account may not bring this party into a call."""
    _refuse_trunks(limits, usage, int(goes_out(party)))


def _refuse_trunks(limits: Json, usage: AccountUsage, trunks: int) -> None:
    if not trunks:
        return
    if 0 <= _limit(limits, "resource_consuming_calls") <= usage.resource_calls:
        raise CallLimitReached("resource_consuming_calls", limits["resource_consuming_calls"])
    available = trunk_limit(limits)
    if available is not None and usage.trunks + trunks > available:
        raise NoCredit(available)


def trunk_limit(limits: Json) -> int | None:
    """Return how many parties outside an account may reach at once; None: no limit."""
    return _sum_of(limits, TRUNKS)


def _sum_of(limits: Json, names: Sequence[str]) -> int | None:
    set_ones = [limits[name] for name in names if isinstance(limits.get(name), int)]
    return sum(set_ones) if set_ones else None


def _limit(limits: Json, name: str) -> int:
    value = limits.get(name)
    return value if isinstance(value, int) else -1
