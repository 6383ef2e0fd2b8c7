"""Both parties answered: they are joined, talk, hold and are parted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import ending, legs
from .commands import HoldLeg, StartTimer, StopTimer, UnholdLeg
from .events import (
    CallBridged,
    HoldRequested,
    LegEnded,
    LegHeld,
    LegsJoined,
    TimerFired,
    UnholdRequested,
)
from .model import By, Ending, Leg, LegState, Outcome
from .states import JOIN, MAX_DURATION, CallState

if TYPE_CHECKING:
    from .call import Call


def bridge(call: Call, event: LegsJoined, at: float) -> CallState:
    """Both hear each other now. Its time runs from the first time, whoever is replaced later."""
    call.out += [StopTimer(JOIN), CallBridged(event.first_leg_id, event.second_leg_id)]
    if not call.times.bridged:
        call.out.append(StartTimer(MAX_DURATION, call.plan.max_duration_s))
    note_joined(call, at)
    return CallState.BRIDGED


def note_joined(call: Call, at: float) -> None:
    """Remember that the two parties are joined."""
    first, second = call.first, call.second
    assert first is not None
    assert second is not None
    first.state = second.state = LegState.JOINED
    first.joined_to, second.joined_to = second.leg_id, first.leg_id
    call.times.bridged = call.times.bridged or at


def lose_joined_leg(call: Call, event: LegEnded, at: float) -> CallState:
    """A leg is over while both are answered: the loser of a race, or one of the two."""
    leg = call.legs[event.leg_id]
    legs.close_leg(call, leg, event, at)
    if leg is not call.first and leg is not call.second:
        return call.state
    return ending.settle_hung_up(call, leg, at)


def hold(call: Call, event: HoldRequested, at: float) -> CallState:
    """Play to one party; whoever was held before is not any more: one hears music, the other waits."""
    leg = call.legs.get(event.leg_id)
    if leg is None or leg.state is not LegState.JOINED:
        return call.state
    for other in call.legs.values():
        if other.is_held and other is not leg:
            _note_held(call, other, is_held=False)
    if not leg.is_held:
        _note_held(call, leg, is_held=True)
    call.out.append(HoldLeg(leg.leg_id, event.media))
    return call.state


def unhold(call: Call, event: UnholdRequested, at: float) -> CallState:
    """Let both hear each other again."""
    leg = call.legs.get(event.leg_id)
    if leg is not None and leg.is_held:
        _note_held(call, leg, is_held=False)
        call.out.append(UnholdLeg(leg.leg_id))
    return call.state


def _note_held(call: Call, leg: Leg, *, is_held: bool) -> None:
    leg.is_held = is_held
    call.out.append(LegHeld(leg.leg_id, is_held))


def stop_joined(call: Call, event: TimerFired, at: float) -> CallState:
    """A join that came to nothing, or a call that lasted too long."""
    if event.name == MAX_DURATION:
        return ending.settle(call, ending.connected(By.POLICY, "ALLOTTED_TIMEOUT"), at)
    if event.name == JOIN and call.state is CallState.JOINING:
        outcome = Outcome.CONNECTED if call.times.bridged else Outcome.FAILED
        lost = Ending(outcome=outcome, by=By.PLATFORM, hangup_cause="RECOVERY_ON_TIMER_EXPIRE")
        return ending.settle(call, lost, at)
    return call.state  # a ring timer that fired as it was stopped
