"""Settling the outcome, and ending what is left before it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import legs, policy
from .commands import EndLinkedCall, StartTimer, StopTimer
from .events import CallEnded, EndRequested, LegEnded, TimerFired
from .model import By, Ending, Leg, LegState, Outcome
from .states import ENDING_BOUND, ENDING_BOUND_S, JOIN, MAX_DURATION, CallState

if TYPE_CHECKING:
    from .call import Call


def end_on_request(call: Call, event: EndRequested, at: float) -> CallState:
    """Somebody wants the call to end: a joined one was connected all the same."""
    if call.times.bridged:
        return settle(call, connected(event.by, event.hangup_cause), at)
    outcome = Outcome.PLATFORM_ERROR if event.by is By.PLATFORM else Outcome.CANCELED
    return settle(call, Ending(outcome=outcome, by=event.by, hangup_cause=event.hangup_cause), at)


def settle_hung_up(call: Call, leg: Leg, at: float) -> CallState:
    """An answered leg is over: the end of a joined call, or a party that did not wait."""
    return settle(call, hung_up(leg, joined=call.times.bridged > 0), at)


def settle_unreached(call: Call, at: float) -> CallState:
    """Nothing is left to ring: say why, by the most telling of the failed legs."""
    party, plan = call.party, call.party_plan
    leg = policy.most_telling(leg for leg in call.legs.values() if leg.party is party)
    if leg is None:
        ending = Ending(
            outcome=policy.outcome_of(plan.unreachable_cause, 0),
            party=party,
            side=plan.side,
            by=By.PLATFORM,
            hangup_cause=plan.unreachable_cause,
        )
    else:
        ending = Ending(
            outcome=policy.outcome_of(leg.hangup_cause, leg.sip_code),
            party=party,
            side=plan.side,
            by=policy.blame_for_failure(leg),
            hangup_cause=leg.hangup_cause,
            sip_code=leg.sip_code,
            sip_reason=leg.sip_reason,
        )
    return settle(call, ending, at)


def settle(call: Call, ending: Ending, at: float) -> CallState:
    """Fix the outcome and end what is left; the final fact waits until every leg is over."""
    call.ending = ending
    if call.link is not None:
        call.out.append(EndLinkedCall(call.link.other_call_id, ending.hangup_cause))
    call.out += [StopTimer(JOIN), StopTimer(MAX_DURATION), StartTimer(ENDING_BOUND, ENDING_BOUND_S)]
    legs.drop_others(call, None, ending.hangup_cause)
    for leg in call.live_legs():
        legs.hang_up(call, leg, "NORMAL_CLEARING" if leg.state is LegState.JOINED else ending.hangup_cause)
    return end_if_clean(call, at)


def close_ending_leg(call: Call, event: LegEnded, at: float) -> CallState:
    """One of the last legs is over."""
    leg = call.legs[event.leg_id]
    if leg.state is LegState.ENDED:
        return call.state
    legs.close_leg(call, leg, event, at)
    return end_if_clean(call, at)


def end_if_clean(call: Call, at: float) -> CallState:
    """Tell the outcome once no leg is left; until then, wait."""
    if call.live_legs():
        return CallState.ENDING
    assert call.ending is not None
    call.times.ended = at
    call.out += [StopTimer(ENDING_BOUND), CallEnded(call.ending)]
    return CallState.ENDED


def give_up_ending(call: Call, event: TimerFired, at: float) -> CallState:
    """The engine has lost what it should have ended: close it ourselves."""
    if event.name != ENDING_BOUND:
        return call.state
    for leg in call.live_legs():
        legs.close_leg(call, leg, LegEnded(leg.leg_id, leg.hangup_cause, 0, "the engine lost the leg"), at)
    return end_if_clean(call, at)


def hung_up(leg: Leg, *, joined: bool) -> Ending:
    """Return how a call ends when this answered leg is over."""
    gave_up = leg.ended_by_peer and not joined
    lost = Outcome.PLATFORM_ERROR if leg.hangup_cause == policy.CRASH else Outcome.FAILED
    return Ending(
        outcome=Outcome.CONNECTED if joined else Outcome.CANCELED if leg.ended_by_peer else lost,
        party=leg.party,
        side=leg.side,
        by=policy.side_as_by(leg.side) if leg.ended_by_peer else By.PLATFORM,
        hangup_cause="ORIGINATOR_CANCEL" if gave_up else leg.hangup_cause,
        sip_code=leg.sip_code,
        sip_reason=leg.sip_reason,
    )


def connected(by: By, hangup_cause: str) -> Ending:
    """Return how a joined call ends that no party has hung up."""
    cause = "NORMAL_CLEARING" if hangup_cause == "ORIGINATOR_CANCEL" else hangup_cause
    return Ending(outcome=Outcome.CONNECTED, by=by, hangup_cause=cause)
