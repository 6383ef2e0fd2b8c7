"""What is done to one leg of a call, or to all that ring, in any state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .commands import HangUpLeg, StopTimer
from .events import LegDialed, LegEnded, LegOver
from .model import Leg, LegState
from .states import NO_ANSWER

if TYPE_CHECKING:
    from .call import Call


def rung(call: Call) -> list[Leg]:
    """Return the legs that are not answered, not over, and not asked to end."""
    waiting = (LegState.PLANNED, LegState.DIALING, LegState.RINGING)
    return [leg for leg in call.legs.values() if leg.state in waiting]


def drop_others(call: Call, winner: Leg | None, cause: str) -> None:
    """Stop ringing the party: cancel what rings, forget what waits, stop the timers."""
    call.out.append(StopTimer(NO_ANSWER))
    if winner is not None:
        stop_leg_timers(call, winner)
    for leg in rung(call):
        stop_leg_timers(call, leg)
        if leg.state is LegState.PLANNED:
            del call.legs[leg.leg_id]
        else:
            hang_up(call, leg, cause)


def stop_leg_timers(call: Call, leg: Leg) -> None:
    """Stop the timers that the plan gives this one leg."""
    endpoint = leg.endpoint
    if endpoint.delay_s > 0:
        call.out.append(StopTimer(f"delay:{leg.leg_id}"))
    if endpoint.timeout_s > 0:
        call.out.append(StopTimer(f"leg:{leg.leg_id}"))
    if endpoint.progress_timeout_s > 0:
        call.out.append(StopTimer(f"progress:{leg.leg_id}"))


def hang_up(call: Call, leg: Leg, cause: str) -> None:
    """Ask the engine to end a leg; the cause stands unless the engine knows better."""
    if leg.state in (LegState.ENDING, LegState.ENDED):
        return
    told = call.ending if leg.state is LegState.WAITING else None
    leg.state = LegState.ENDING
    leg.hangup_cause = cause
    call.out.append(HangUpLeg(leg.leg_id, cause, told.sip_code if told else 0))


def close_leg(call: Call, leg: Leg, event: LegEnded, at: float) -> None:
    """Note that a leg is over; the cause we gave stands before the one the engine reports."""
    if leg.state is not LegState.ENDING:
        leg.hangup_cause = event.hangup_cause
    leg.state = LegState.ENDED
    leg.ended_at = at
    leg.sip_code = event.sip_code
    leg.sip_reason = event.sip_reason
    leg.ended_by_peer = event.by_peer
    if not leg.created_at:  # a process before us may have dialled it
        if not event.sip_code:
            return  # but the far end knows nothing of it
        leg.created_at = at
        call.out.append(LegDialed(leg.leg_id, leg.party, leg.side, leg.endpoint.endpoint_id))
    call.out.append(LegOver(leg.leg_id, leg.hangup_cause, event.sip_code, event.sip_reason, event.by_peer))
