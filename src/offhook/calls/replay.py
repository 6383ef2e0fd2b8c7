"""A call rebuilt from its journal: for calls that are over, and for those a crash left open."""

from collections.abc import Iterable

from .call import Call, CallState
from .events import CallBridged, CallEnded, Fact, LegDialed, LegOver, LegPickedUp, LegRang
from .model import CallPlan, EndpointPlan, Leg, LegState, Party, Side


def replay(plan: CallPlan, accepted_at: float, entries: Iterable[tuple[float, Fact]]) -> Call:
    """Return the call as its facts tell it. It can be looked at, not executed.

    entries are (Unix seconds, fact) in order. Facts about legs that the plan does not know are skipped.
    """
    call = Call(plan, accepted_at)
    endpoints = _endpoints(plan)
    for at, fact in entries:
        if isinstance(fact, CallEnded):
            _note_end(call, fact, at)
        elif isinstance(fact, CallBridged):
            _note_bridge(call, at)
        elif isinstance(fact, LegDialed):
            _note_dialed(call, endpoints, fact, at)
        elif (leg := call.legs.get(fact.leg_id)) is not None:
            _note_leg(call, leg, fact, at)
    return call


def _endpoints(plan: CallPlan) -> dict[str, EndpointPlan]:
    steps = plan.first.steps + plan.second.steps
    return {endpoint.leg_id: endpoint for step in steps for endpoint in step.endpoints}


def _note_dialed(call: Call, endpoints: dict[str, EndpointPlan], fact: LegDialed, at: float) -> None:
    endpoint = endpoints.get(fact.leg_id)
    if endpoint is None:
        return
    call.legs[fact.leg_id] = Leg(
        endpoint=endpoint,
        party=Party(fact.party),
        side=Side(fact.side),
        state=LegState.DIALING,
        created_at=at,
    )
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


def _note_first_ring(call: Call, leg: Leg, at: float) -> None:
    times = call.times
    if leg.party is Party.FIRST:
        times.first_ringing = times.first_ringing or at
    else:
        times.second_ringing = times.second_ringing or at


def _note_answer(call: Call, leg: Leg, at: float) -> None:
    if leg.party is Party.FIRST:
        call.first, call.times.first_answered = leg, at
    else:
        call.second, call.state = leg, CallState.JOINING


def _note_bridge(call: Call, at: float) -> None:
    call.times.bridged = at
    call.state = CallState.BRIDGED
    for leg in (call.first, call.second):
        if leg is not None:
            leg.state = LegState.JOINED


def _note_end(call: Call, fact: CallEnded, at: float) -> None:
    call.ending = fact.ending
    call.times.ended = at
    call.state = CallState.ENDED
