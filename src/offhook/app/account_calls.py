"""The live calls of each account, and what they take of its limits (kazoo-behaviour 7.7)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from offhook.calls.model import CallPlan, EndpointKind, PartyPlan
from offhook.directory.model import Json

from .errors import CallLimitReached, NoCredit

TRUNKS: Final = ("outbound_trunks", "twoway_trunks", "burst_trunks")
"""What a call that goes out may take."""


class AccountUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What an account's live calls take."""

    calls: int = 0
    resource_calls: int = 0
    """Calls with at least one party outside the account."""
    trunks: int = 0
    """Parties outside the account."""


NOTHING: Final = AccountUsage()


class AccountCalls:
    """Call ids by account, oldest first. Adding, removing and counting cost the same at any number."""

    def __init__(self) -> None:
        self._trunks: dict[str, dict[str, int]] = {}
        """Account id → call id → parties outside."""
        self._usage: dict[str, AccountUsage] = {}

    def add(self, plan: CallPlan) -> None:
        """Count a call from now on. Repeating it does nothing."""
        calls = self._trunks.setdefault(plan.account_id, {})
        if plan.call_id not in calls:
            calls[plan.call_id] = trunks_of(plan)
            self._count(plan.account_id, 1, calls[plan.call_id])

    def remove(self, plan: CallPlan) -> None:
        """Count it no longer. Repeating it does nothing."""
        calls = self._trunks.get(plan.account_id, {})
        trunks = calls.pop(plan.call_id, None)
        if trunks is None:
            return
        self._count(plan.account_id, -1, trunks)
        if not calls:
            del self._trunks[plan.account_id]
            del self._usage[plan.account_id]

    def of(self, account_id: str) -> Sequence[str]:
        """Return the ids of an account's calls."""
        return tuple(self._trunks.get(account_id, ()))

    def usage(self, account_id: str) -> AccountUsage:
        """Return what they take."""
        return self._usage.get(account_id, NOTHING)

    def _count(self, account_id: str, sign: int, trunks: int) -> None:
        before = self.usage(account_id)
        self._usage[account_id] = AccountUsage(
            calls=before.calls + sign,
            resource_calls=before.resource_calls + (sign if trunks else 0),
            trunks=before.trunks + sign * trunks,
        )


def trunks_of(plan: CallPlan) -> int:
    """Return how many of the parties are reached through a carrier."""
    return _goes_out(plan.first) + _goes_out(plan.second)


def _goes_out(party: PartyPlan) -> bool:
    return any(endpoint.kind is EndpointKind.GATEWAY for step in party.steps for endpoint in step.endpoints)


def refuse_beyond(limits: Json, usage: AccountUsage, plan: CallPlan) -> None:
    """Raise CallLimitReached or NoCredit if the account may not have this call too."""
    if 0 <= _limit(limits, "calls") <= usage.calls:
        raise CallLimitReached("calls", limits["calls"])
    trunks = trunks_of(plan)
    if not trunks:
        return
    if 0 <= _limit(limits, "resource_consuming_calls") <= usage.resource_calls:
        raise CallLimitReached("resource_consuming_calls", limits["resource_consuming_calls"])
    available = trunk_limit(limits)
    if available is not None and usage.trunks + trunks > available:
        raise NoCredit(available)


def trunk_limit(limits: Json) -> int | None:
    """Return how many parties outside an account may reach at once; None: no limit."""
    set_ones = [limits[name] for name in TRUNKS if isinstance(limits.get(name), int)]
    return sum(set_ones) if set_ones else None


def _limit(limits: Json, name: str) -> int:
    value = limits.get(name)
    return value if isinstance(value, int) else -1
