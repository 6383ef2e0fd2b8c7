"""A call that a crash left open: what became of it, and how its legs are ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import ending, policy
from .commands import EndLostLeg, StartTimer
from .model import By, Ending, Leg, LegState, Outcome, Party
from .states import ENDING_BOUND, ENDING_BOUND_S, CallState

if TYPE_CHECKING:
    from .call import Call


def recover(call: Call, dialogs: Mapping[str, str], at: float) -> CallState:
    """Settle a replayed call of a process that died, and end what that may have left at the far ends.

    dialogs are those of the answers in the journal, by leg id. A leg of the plan that the journal does
    not know may ring all the same: what was not yet durable is lost.
    """
    call.ending = call.ending or _ending_after_crash(call)
    replaced = [(call.legs[transfer.leaving_leg_id].party, transfer.target) for transfer in call.transfers]
    for party, plan in ((Party.FIRST, call.plan.first), (Party.SECOND, call.plan.second), *replaced):
        for endpoint in plan.endpoints:
            unknown = Leg(endpoint=endpoint, party=party, side=plan.side)
            unknown.number = "" if plan in (call.plan.first, call.plan.second) else plan.number
            leg = call.legs.setdefault(endpoint.leg_id, unknown)
            _end_lost(call, leg, dialogs.get(leg.leg_id, ""))
    for leg in call.legs.values():  # where a leg was redirected to
        _end_lost(call, leg, dialogs.get(leg.leg_id, ""))
    call.out.append(StartTimer(ENDING_BOUND, ENDING_BOUND_S))
    return ending.end_if_clean(call, at)


def _end_lost(call: Call, leg: Leg, dialog: str) -> None:
    if leg.state in (LegState.ENDING, LegState.ENDED):
        return
    leg.state, leg.hangup_cause = LegState.ENDING, policy.CRASH
    may_be_answered = leg.endpoint.is_caller and call.second is not None
    call.out.append(EndLostLeg(call.plan.call_id, leg.endpoint, policy.CRASH, dialog, may_be_answered))


def _ending_after_crash(call: Call) -> Ending:
    """A joined call that a party has hung up was over before the crash; any other was ended by it."""
    parties = [leg for leg in (call.first, call.second) if leg and not call.is_leaving(leg)]
    for leg in parties:
        if call.times.bridged and leg.state is LegState.ENDED and leg.ended_by_peer:
            return ending.hung_up(leg, joined=True)
    return Ending(outcome=Outcome.PLATFORM_ERROR, by=By.PLATFORM, hangup_cause=policy.CRASH)
