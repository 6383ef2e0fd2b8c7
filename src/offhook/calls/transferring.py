"""One party of a joined call is replaced by another: blind, referred or intercepted.

The target is rung as any party is (ringing.py) once the journal holds the transfer; here is what differs:
how it begins, what the parties hear meanwhile, and how it ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import ending, joined, legs, policy
from .commands import HoldLeg, JoinLegs, StartTimer, TellReferrer, UnholdLeg
from .events import TransferBegun, TransferFailed, TransferRequested
from .model import By, Ending, Handover, Leg, LegState, Outcome, Party, Transfer
from .states import JOIN, JOIN_BOUND_S, MAX_TRANSFERS, CallState

if TYPE_CHECKING:
    from .call import Call

DEFAULT_RINGBACK: Final = "us"
"""What the one who stays hears if the plan says nothing."""
TRANSFERRED: Final = {
    Handover.BLIND: "BLIND_TRANSFER",
    Handover.REFERRED: "BLIND_TRANSFER",
    Handover.INTERCEPT: "PICKED_OFF",
}
"""FreeSWITCH's words for a leg that was replaced."""
_OK: Final = 200


def can_transfer(call: Call, leg_id: str) -> bool:
    """Tell whether the other party of this leg, or the leg itself, can be replaced now."""
    pair = (call.first, call.second)
    return (
        call.state is CallState.BRIDGED
        and len(call.transfers) < MAX_TRANSFERS
        and any(leg is not None and leg.leg_id == leg_id for leg in pair)
        and all(leg is not None and leg.state is LegState.JOINED for leg in pair)
    )


def other_leg_id(call: Call, leg_id: str) -> str:
    """Return the leg that a leg of a joined call talks to."""
    assert call.first is not None
    assert call.second is not None
    return call.second.leg_id if leg_id == call.first.leg_id else call.first.leg_id


def transfer(call: Call, event: TransferRequested, at: float) -> CallState:
    """Begin to replace a party; its target is rung when the journal has it (TransferStored)."""
    wanted = event.transfer
    if not can_transfer(call, wanted.leaving_leg_id):
        return call.state
    leaving = call.legs[wanted.leaving_leg_id]
    call.transfer = wanted
    call.transfers.append(wanted)
    call.step = 0
    call.out.append(TransferBegun(wanted))
    if wanted.handover is not Handover.INTERCEPT:
        _part(call, wanted)
    if wanted.handover is Handover.BLIND:
        legs.hang_up(call, leaving, TRANSFERRED[wanted.handover])
    return CallState.TRANSFERRING


def _part(call: Call, wanted: Transfer) -> None:
    """Let the one who stays hear ringback, and the other nothing; nobody is on hold any more."""
    joined.end_holds(call)
    for leg in call.legs.values():
        leg.is_played_to = False
    ringback = wanted.ringback or call.plan.ringback or DEFAULT_RINGBACK
    call.out.append(HoldLeg(wanted.staying_leg_id, ringback))


def tell_referrer(call: Call, sip_code: int, sip_reason: str = "") -> None:
    """Tell a phone that asked for the transfer under way, if it is still there."""
    wanted = call.transfer
    if wanted is None or wanted.handover is not Handover.REFERRED:
        return
    if call.legs[wanted.leaving_leg_id].state is LegState.JOINED:
        call.out.append(TellReferrer(wanted.leaving_leg_id, sip_code, sip_reason))


def note_left(call: Call) -> CallState:
    """The one who was to leave has hung up by itself: the target is rung all the same."""
    wanted = call.transfer
    assert wanted is not None
    if wanted.handover is Handover.INTERCEPT:
        _part(call, wanted)
    return call.state


def take_over(call: Call, leg: Leg) -> CallState:
    """The target has answered: it takes the place of the one who leaves."""
    wanted = call.transfer
    assert wanted is not None
    tell_referrer(call, _OK, "OK")
    legs.hang_up(call, call.legs[wanted.leaving_leg_id], TRANSFERRED[wanted.handover])
    put_in_place(call, leg)
    call.out += [JoinLegs(wanted.staying_leg_id, leg.leg_id), StartTimer(JOIN, JOIN_BOUND_S)]
    return CallState.JOINING


def put_in_place(call: Call, leg: Leg) -> None:
    """Make the leg that answered the party; the transfer is done."""
    call.transfer = None
    if leg.party is Party.FIRST:
        call.first = leg
    else:
        call.second = leg


def give_up(call: Call, at: float) -> CallState:
    """Nobody is left to ring: the one who was to leave is taken back, or the call is over."""
    wanted = call.transfer
    assert wanted is not None
    failed = _ending(call)
    tell_referrer(call, policy.refusal_of(failed.hangup_cause, failed.sip_code))
    call.transfer = None
    is_there = call.legs[wanted.leaving_leg_id].state is LegState.JOINED
    call.out.append(
        TransferFailed(failed.hangup_cause, failed.sip_code, failed.sip_reason, None if is_there else failed)
    )
    if not is_there:
        legs.hang_up(call, call.legs[wanted.staying_leg_id], failed.hangup_cause)
        return ending.settle(call, failed, at)
    if wanted.handover is Handover.REFERRED:
        call.out.append(UnholdLeg(wanted.staying_leg_id))
        joined.carry_holds_over(call)  # most phones hold before they refer
    return CallState.BRIDGED


def _ending(call: Call) -> Ending:
    """Return how the call ends if nobody is there to be taken back: joined, and over for this cause."""
    wanted = call.transfer
    assert wanted is not None
    ids = {endpoint.leg_id for endpoint in wanted.target.endpoints}
    leg = policy.most_telling(leg for leg in call.legs.values() if leg.leg_id in ids)
    return Ending(
        outcome=Outcome.CONNECTED,
        party=call.party,
        side=wanted.target.side,
        by=By.PLATFORM if leg is None else policy.blame_for_failure(leg),
        hangup_cause=wanted.target.unreachable_cause if leg is None else leg.hangup_cause,
        sip_code=0 if leg is None else leg.sip_code,
        sip_reason="" if leg is None else leg.sip_reason,
    )
