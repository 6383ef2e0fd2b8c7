"""A call rebuilt from its journal: for calls that are over, and for those a crash left open."""

from collections.abc import Iterable

from . import inbound
from .call import Call
from .events import (
    CallBridged,
    CallEnded,
    CallLinked,
    CallRecorded,
    Fact,
    LegDialed,
    LegHeld,
    LegOver,
    LegPickedUp,
    LegRang,
    LegRedirected,
    MediaPlayed,
    SurplusNoted,
    TransferBegun,
    TransferFailed,
)
from .joined import note_joined
from .linking import note_linked
from .model import CallPlan, EndpointPlan, Leg, LegState, Party, Side
from .redirecting import plan_next
from .states import CallState
from .transferring import put_in_place


class Replay:
    """A call that grows fact by fact. `call` can be looked at, not executed."""

    def __init__(self, plan: CallPlan, accepted_at: float) -> None:
        self.call = Call(plan, accepted_at)
        self._endpoints = _endpoints(plan)

    def note(self, at: float, fact: Fact) -> None:
        """Take the next fact (at in Unix seconds); one about a leg that the plan does not know is skipped."""
        call = self.call
        if isinstance(fact, SurplusNoted):
            return
        if isinstance(fact, CallEnded):
            _note_end(call, fact, at)
        elif isinstance(fact, CallBridged):
            _note_bridge(call, at)
        elif isinstance(fact, TransferBegun):
            _note_transfer(call, fact)
            self._endpoints |= {endpoint.leg_id: endpoint for endpoint in fact.transfer.target.endpoints}
        elif isinstance(fact, CallRecorded):
            call.recording = fact.recording_id if fact.is_on else ""
            call.recordings += fact.is_on
        elif isinstance(fact, TransferFailed):
            _note_failed_transfer(call, fact)
        elif isinstance(fact, CallLinked):
            if fact.link.staying_leg_id in call.legs:
                note_linked(call, fact.link)
        elif isinstance(fact, LegRedirected):
            self._endpoints[fact.endpoint.leg_id] = fact.endpoint
            redirected = call.legs.get(fact.leg_id)
            if redirected is not None:
                plan_next(call, redirected, fact.endpoint)  # it may be rung before the journal says so
        elif isinstance(fact, LegDialed):
            _note_dialed(call, self._endpoints, fact, at)
        elif (leg := call.legs.get(fact.leg_id)) is None:
            return
        elif isinstance(fact, LegHeld):
            leg.is_held = fact.is_held
        elif isinstance(fact, MediaPlayed):
            leg.is_played_to = True
        else:
            _note_leg(call, leg, fact, at)


def replay(plan: CallPlan, accepted_at: float, entries: Iterable[tuple[float, Fact]]) -> Call:
    """Return the call as its facts tell it: entries are (Unix seconds, fact) in order."""
    growing = Replay(plan, accepted_at)
    for at, fact in entries:
        growing.note(at, fact)
    return growing.call


def _endpoints(plan: CallPlan) -> dict[str, EndpointPlan]:
    steps = plan.first.steps + plan.second.steps
    return {endpoint.leg_id: endpoint for step in steps for endpoint in step.endpoints}


def _note_dialed(call: Call, endpoints: dict[str, EndpointPlan], fact: LegDialed, at: float) -> None:
    endpoint = endpoints.get(fact.leg_id)
    if endpoint is None:
        return
    transfer = call.transfer
    leg = call.legs[fact.leg_id] = Leg(
        endpoint=endpoint,
        number=call.number_of(fact.leg_id),
        party=Party(fact.party),
        side=Side(fact.side),
        state=LegState.DIALING,
        created_at=at,
    )
    if endpoint.is_caller:
        inbound.put_first(call, leg)
    elif transfer is None:
        call.state = CallState.RINGING_FIRST if fact.party == Party.FIRST else CallState.RINGING_SECOND


def _note_leg(call: Call, leg: Leg, fact: LegRang | LegPickedUp | LegOver, at: float) -> None:
    if isinstance(fact, LegRang):
        leg.state, leg.ringing_at = LegState.RINGING, at
        _note_first_ring(call, leg, at)
    elif isinstance(fact, LegPickedUp):
        leg.state, leg.answered_at = LegState.ANSWERED, at
        _note_answer(call, leg, at)
    else:
        leg.state, leg.ended_at = LegState.ENDED, at
        leg.hangup_cause, leg.sip_code, leg.sip_reason = fact.hangup_cause, fact.sip_code, fact.sip_reason
        leg.ended_by_peer = fact.by_peer
        if leg in (call.first, call.second) and not call.is_leaving(leg):
            call.state = CallState.ENDING  # no call outlives a party that is not replaced


def _note_first_ring(call: Call, leg: Leg, at: float) -> None:
    times = call.times
    if call.transfer is not None:
        return
    if leg.party is Party.FIRST:
        times.first_ringing = times.first_ringing or at
    else:
        times.second_ringing = times.second_ringing or at


def _note_answer(call: Call, leg: Leg, at: float) -> None:
    if call.transfer is not None:
        put_in_place(call, leg)
        call.state = CallState.JOINING
    elif leg.party is Party.FIRST:
        call.first, call.times.first_answered = leg, at
        # a call with nobody to ring there ends at the same instant; a caller is answered last
        call.state = CallState.JOINING if call.second else CallState.RINGING_SECOND
    else:
        call.second, call.state = leg, CallState.JOINING


def _note_bridge(call: Call, at: float) -> None:
    call.state = CallState.BRIDGED
    if call.first is not None and call.second is not None:
        note_joined(call, at)


def _note_transfer(call: Call, fact: TransferBegun) -> None:
    if fact.transfer.leaving_leg_id in call.legs:
        call.transfer = fact.transfer
        call.transfers.append(fact.transfer)
        call.state = CallState.TRANSFERRING


def _note_failed_transfer(call: Call, fact: TransferFailed) -> None:
    call.transfer = None
    call.ending = fact.ending
    call.state = CallState.BRIDGED if fact.ending is None else CallState.ENDING


def _note_end(call: Call, fact: CallEnded, at: float) -> None:
    call.ending = fact.ending
    call.times.ended = at
    call.state = CallState.ENDED
