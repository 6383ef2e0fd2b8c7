"""A call as `/calls/{call_id}` shows it (design 2.2, 2.3)."""

from offhook.app.call_stream import CallStep
from offhook.app.live_call import view_of
from offhook.app.planning import attempt, ending_keys, history_item
from offhook.app.planning.records import MILESTONES
from offhook.app.ports import CallView
from offhook.calls.events import (
    CallBridged,
    CallEnded,
    CallLinked,
    CallRecorded,
    TransferBegun,
    TransferFailed,
)
from offhook.calls.model import CallPlan, Ending, Leg, Times
from offhook.directory.model import Json
from offhook.kernel import iso8601_ms


def call_item(view: CallView) -> Json:
    """Return state, outcome, parties, legs and times of a call."""
    plan = view.plan
    item: Json = {
        "id": plan.call_id,
        "call_id": plan.call_id,
        "interaction_id": plan.interaction_id,
        "kind": plan.kind,
        "authorizing_id": plan.authorizing_id,
        "authorizing_type": plan.authorizing_type,
        "state": view.state,
        "contact": plan.contact,
        "media": plan.media.value,
        "custom_application_vars": plan.custom_application_vars,
        "parties": [_party(plan, "first"), _party(plan, "second")],
        "legs": [leg_item(leg) for leg in view.legs],
        "times": times_item(view.times),
    }
    ending = final_ending(view)
    if ending is not None:
        item.update(ending_keys(ending, view.times))
    return item


def visitor_call_item(view: CallView) -> Json:
    """Return what an anonymous visitor sees of its call: no realm, extension, address, ids or variables."""
    plan = view.plan
    item: Json = {
        "id": plan.call_id,
        "call_id": plan.call_id,
        "kind": plan.kind,
        "state": view.state,
        "contact": plan.contact,
        "parties": [{"party": name, "side": _side(plan, name)} for name in ("first", "second")],
        "legs": [visitor_leg_item(leg) for leg in view.legs],
        "times": times_item(view.times),
    }
    ending = final_ending(view)
    if ending is not None:
        item.update(ending_keys(ending, view.times))
    return item


def times_item(times: Times) -> Json:
    """Return the milestones a call has passed."""
    return {name: iso8601_ms(at) for name in MILESTONES if (at := getattr(times, name))}


def step_item(step: CallStep, *, for_visitor: bool = False) -> Json:
    """Return the data of one event of a call's stream: when, which leg, how the call stands after it."""
    view, fact = view_of(step.call), step.fact
    item: Json = {
        "call_id": view.plan.call_id,
        "sequence": step.sequence,
        "type": step.tag,
        "at": iso8601_ms(step.at),
        "state": view.state,
        "final": step.is_final,
        "times": times_item(view.times),
    }
    shown = visitor_leg_item if for_visitor else leg_item
    if isinstance(fact, CallBridged):
        joined = (step.call.legs.get(fact.first_leg_id), step.call.legs.get(fact.second_leg_id))
        item["legs"] = [shown(leg) for leg in joined if leg is not None]
    elif isinstance(fact, CallEnded):
        item.update(ending_keys(fact.ending, view.times))
    elif isinstance(fact, TransferBegun | CallLinked):
        change = fact.transfer if isinstance(fact, TransferBegun) else fact.link
        pair = (step.call.legs.get(change.staying_leg_id), step.call.legs.get(change.leaving_leg_id))
        item["legs"] = [shown(leg) for leg in pair if leg is not None]
    elif isinstance(fact, CallRecorded):
        item["recording_id"], item["is_on"] = fact.recording_id, fact.is_on
    elif isinstance(fact, TransferFailed):
        item["hangup_cause"], item["sip_code"] = fact.hangup_cause, fact.sip_code
    elif fact is not None and (leg := step.call.legs.get(fact.leg_id)) is not None:
        item["leg"] = shown(leg)
    return item


def final_ending(view: CallView) -> Ending | None:
    """Return how the call ended, once every leg is over: before that the outcome is nobody's to read."""
    return view.ending if view.times.ended else None


def leg_item(leg: Leg) -> Json:
    """Return one rung endpoint."""
    endpoint = leg.endpoint
    item: Json = {
        "call_id": leg.leg_id,
        "party": leg.party.value,
        "side": leg.side.value,
        "state": leg.state.value,
        "is_on_hold": leg.is_held,
        "endpoint_id": endpoint.endpoint_id,
        "endpoint_type": endpoint.kind.value,
        "owner_id": endpoint.owner_id,
        "to": endpoint.to_uri.removeprefix("sip:"),
        "caller_id_name": endpoint.caller_id_name,
        "caller_id_number": endpoint.caller_id_number,
        "times": _leg_times(leg),
    }
    return item | _leg_end(leg)


def visitor_leg_item(leg: Leg) -> Json:
    """Return what a visitor sees of a leg: whose it is and how it goes."""
    item: Json = {
        "party": leg.party.value,
        "side": leg.side.value,
        "state": leg.state.value,
        "is_on_hold": leg.is_held,
        "times": _leg_times(leg),
    }
    return item | _leg_end(leg)


def _leg_times(leg: Leg) -> Json:
    moments = {
        "created": leg.created_at,
        "ringing": leg.ringing_at,
        "answered": leg.answered_at,
        "ended": leg.ended_at,
    }
    return {name: iso8601_ms(at) for name, at in moments.items() if at}


def _leg_end(leg: Leg) -> Json:
    if not leg.ended_at:
        return {}
    return {"hangup_cause": leg.hangup_cause, "sip_code": leg.sip_code, "sip_reason": leg.sip_reason}


def _side(plan: CallPlan, name: str) -> str:
    return (plan.first if name == "first" else plan.second).side.value


def _party(plan: CallPlan, name: str) -> Json:
    party = plan.first if name == "first" else plan.second
    return {"party": name, "side": party.side.value, "number": party.number, "route": party.route}


def attempt_item(view: CallView) -> Json:
    """Return the attempt of a call as its button's history lists it (kazoo-behaviour 5.4).

    One in progress has a `state`, and no `result` yet.
    """
    ending = final_ending(view)
    if ending is not None:
        return history_item(view.plan, ending, view.times)
    return {**attempt(view.plan, view.times), "state": view.state}


def answered_item(view: CallView) -> Json:
    """Return what a blocking connect reports: `success` once the first party answered (5.8)."""
    item = attempt_item(view)
    return item if "result" in item else {**item, "result": "success"}
