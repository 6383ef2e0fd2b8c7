"""A caller who rang us: it waits while the other party is rung, and is answered once that one has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .commands import AlertLeg, AnswerLeg, JoinLegs, PlayToLeg, TakeLeg
from .events import LegAnswered, LegDialed, LegPickedUp
from .model import EndpointPlan, Leg, LegState, Party
from .states import CallState

if TYPE_CHECKING:
    from .call import Call


def take_caller(call: Call, endpoint: EndpointPlan, at: float) -> None:
    """Make the caller the first party, though nobody has answered it yet."""
    leg = Leg(endpoint=endpoint, party=Party.FIRST, side=call.plan.first.side, created_at=at)
    call.legs[leg.leg_id] = leg
    put_first(call, leg)
    call.out += [
        LegDialed(leg.leg_id, leg.party, leg.side, endpoint.endpoint_id),
        TakeLeg(call.plan.call_id, endpoint, call.plan.media),
    ]


def put_first(call: Call, leg: Leg) -> None:
    """Let a caller's leg wait as the first party, and the second be rung."""
    leg.state = LegState.WAITING
    call.first = leg
    call.state = CallState.RINGING_SECOND


def alert_caller(call: Call) -> None:
    """Let a caller that waits hear that the other party rings: our ringback if the account wants that."""
    caller = call.first
    if caller is None or caller.state is not LegState.WAITING:
        return
    ringback = call.plan.ringback
    call.out.append(PlayToLeg(caller.leg_id, ringback) if ringback else AlertLeg(caller.leg_id))


def bring_together(call: Call, first: Leg, second: Leg) -> None:
    """Both parties want to talk: join them, or answer the caller first."""
    if first.state is LegState.WAITING:
        call.out.append(AnswerLeg(first.leg_id, second.leg_id))
    else:
        call.out.append(JoinLegs(first.leg_id, second.leg_id))


def note_answered(call: Call, event: LegAnswered, at: float) -> CallState:
    """The caller has our answer: join it. A leg that lost the race may say so too, and is being hung up."""
    caller = call.first
    if caller is None or call.second is None:
        return call.state
    if caller.leg_id != event.leg_id or caller.state is not LegState.WAITING:
        return call.state
    caller.state, caller.answered_at = LegState.ANSWERED, at
    call.times.first_answered = at
    call.out += [
        LegPickedUp(caller.leg_id, event.media, event.dialog),
        JoinLegs(caller.leg_id, call.second.leg_id),
    ]
    return call.state
