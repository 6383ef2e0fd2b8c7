"""An attended transfer between two calls of this node (RFC 3891): far parties talk, near ones leave.

Each call goes on as joined, with its own bounds and outcome. When one ends, so does the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import ending, joined, legs, policy
from .commands import LinkLegs, TellReferrer
from .events import CallLinked, LinkLost, LinkRequested
from .model import Ending, Link, Outcome
from .states import CallState
from .transferring import can_transfer

if TYPE_CHECKING:
    from .call import Call

_ATTENDED: Final = "ATTENDED_TRANSFER"


def link(call: Call, event: LinkRequested, at: float) -> CallState:
    """Put who stays through to a leg of another call; who leaves is hung up."""
    wanted = event.link
    if not can_transfer(call, wanted.leaving_leg_id):
        return call.state
    note_linked(call, wanted)
    joined.end_holds(call)
    call.out.append(CallLinked(wanted))
    if event.is_referrer:
        call.out += [
            TellReferrer(wanted.leaving_leg_id, 200, "OK"),
            LinkLegs(wanted.staying_leg_id, wanted.other_leg_id),
        ]
    legs.hang_up(call, call.legs[wanted.leaving_leg_id], _ATTENDED)
    return CallState.BRIDGED


def note_linked(call: Call, wanted: Link) -> None:
    """Remember whom the one who stays talks to."""
    call.link = wanted
    call.legs[wanted.staying_leg_id].joined_to = wanted.other_leg_id


def lose_link(call: Call, event: LinkLost, at: float) -> CallState:
    """The other call is over: whom it brought stood in for the one who left."""
    if call.link is None:
        return call.state
    left = call.legs[call.link.leaving_leg_id]
    over = Ending(
        outcome=Outcome.CONNECTED,
        party=left.party,
        side=left.side,
        by=policy.side_as_by(left.side),
        hangup_cause=event.hangup_cause,
    )
    return ending.settle(call, over, at)
