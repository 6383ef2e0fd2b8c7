"""What is kept of a call that is over: the button's history item and one CDR per leg.

KAZOO's keys (kazoo-behaviour 5.4, 9.3), and beside them the outcome as it reads everywhere (design 2.3).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

import offhook
from offhook.app.ports import CallView, Json
from offhook.app.quirks import CANCEL_IS_SUCCESS
from offhook.calls.model import CallPlan, Ending, EndpointKind, Leg, Outcome, Party, Side, Times
from offhook.calls.policy import outcome_of
from offhook.kernel import GREGORIAN_OFFSET_S, gregorian_s, iso8601_ms

from .classifiers import classify

MILESTONES: Final = ("accepted", "first_ringing", "first_answered", "second_ringing", "bridged", "ended")

_DISPOSITIONS: Final[dict[Outcome, str]] = {
    Outcome.BUSY: "BUSY",
    Outcome.NO_ANSWER: "NO ANSWER",
    Outcome.REJECTED: "REJECTED",
}
"""Of a leg that was not answered; any other is FAILED. An answered one is ANSWER, a dropped one CANCEL."""
ORIGINATOR_CANCEL: Final = "ORIGINATOR_CANCEL"
_DROPPED: Final = frozenset(("LOSE_RACE", "ORIGINATOR_CANCEL"))


def record_call(view: CallView, *, quirks: frozenset[str] = frozenset()) -> tuple[Json | None, list[Json]]:
    """Return the history item (None for a quickcall) and the CDRs of a call that is over."""
    assert view.ending is not None
    history = history_item(view.plan, view.ending, view.times) if view.plan.kind == "clicktocall" else None
    if history is not None and CANCEL_IS_SUCCESS in quirks and history.get("cause") == ORIGINATOR_CANCEL:
        history["result"] = "success"
        del history["cause"]
    return history, cdr_documents(view.plan, view.ending, view.times, view.legs)


def ending_keys(ending: Ending, times: Times) -> Json:
    """Return the outcome as it stands at the top level of every record."""
    return {
        "outcome": str(ending.outcome),
        "party": str(ending.party),
        "side": str(ending.side),
        "by": str(ending.by),
        "hangup_cause": ending.hangup_cause,
        "sip_code": ending.sip_code,
        "sip_reason": ending.sip_reason,
        "times": {name: iso8601_ms(at) for name in MILESTONES if (at := getattr(times, name))},
    }


def history_item(plan: CallPlan, ending: Ending, times: Times) -> Json:
    """Return the attempt as the button's history lists it. Only a joined call is a success."""
    item = attempt(plan, times)
    if ending.outcome is Outcome.CONNECTED:
        item["result"] = "success"
    else:
        item |= {"result": "error", "cause": ending.hangup_cause}
    return item | ending_keys(ending, times)


def attempt(plan: CallPlan, times: Times) -> Json:
    """Return the part of a history item that is known from the start."""
    return {
        "id": sha256(plan.call_id.encode()).hexdigest()[:32],
        "timestamp": gregorian_s(times.accepted),
        "contact": contact_number(plan),
        "call_id": plan.call_id,
        "custom_application_vars": plan.custom_application_vars,
    }


def contact_number(plan: CallPlan) -> str:
    """Return the contact as it was dialled: normalised."""
    return plan.first.number if plan.first.side is Side.CONTACT else plan.second.number


def dialled_number(plan: CallPlan) -> str:
    """Return the number that was asked for: the contact's, or what a caller has dialled."""
    return contact_number(plan) if plan.caller is None else plan.second.number


def cdr_documents(plan: CallPlan, ending: Ending, times: Times, legs: Sequence[Leg]) -> list[Json]:
    """Return one full CDR per leg that was rung; one for the call itself if none was."""
    by_id = {leg.leg_id: leg for leg in legs}
    rung = [leg for leg in legs if leg.created_at]
    if not rung:
        return [_unrung_document(plan, ending, times)]
    return [_leg_document(plan, ending, times, leg, by_id.get(leg.joined_to)) for leg in rung]


def _leg_document(plan: CallPlan, ending: Ending, times: Times, leg: Leg, other: Leg | None) -> Json:
    endpoint = leg.endpoint
    number = endpoint.callee_id_number if endpoint.is_caller else leg_number(plan, leg)
    ended_at = leg.ended_at or times.ended
    document = _common(plan, ending, times, leg.leg_id, ended_at=ended_at) | {
        "call_direction": endpoint.direction,
        "leg_party": str(leg.party),
        "leg_side": str(leg.side),
        "caller_id_name": endpoint.caller_id_name,
        "caller_id_number": endpoint.caller_id_number,
        "callee_id_name": endpoint.callee_id_name,
        "callee_id_number": number,
        "did_classifier": classify(number),
        "e164_destination": _e164(number),
        "e164_origination": _e164(endpoint.caller_id_number),
        "from": address_of(endpoint.from_uri),
        "to": address_of(endpoint.to_uri),
        "request": address_of(endpoint.to_uri),
        "from_uri": address_of(endpoint.from_uri),
        "to_uri": address_of(endpoint.to_uri),
        "presence_id": endpoint.presence_id,
        "channel_created_time": int(leg.created_at * 1_000_000),
        "hangup_cause": leg.hangup_cause,
        "hangup_code": f"sip:{leg.sip_code}" if leg.sip_code else "",
        "disposition": disposition_of(leg),
        "custom_channel_vars": channel_vars_of(plan, leg, other),
        "custom_sip_headers": dict(endpoint.headers),
    }
    return document | leg_durations(leg, ended_at) | _other_leg(leg, other)


def _common(plan: CallPlan, ending: Ending, times: Times, leg_id: str, *, ended_at: float) -> Json:
    interaction_time, _, interaction_key = plan.interaction_id.partition("-")
    month = datetime.fromtimestamp(int(interaction_time) - GREGORIAN_OFFSET_S, UTC)
    return ending_keys(ending, times) | {
        "id": f"{month:%Y%m}-{leg_id}",
        "call_id": leg_id,
        "call_direction": plan.caller.direction if plan.caller is not None else "outbound",
        "timestamp": gregorian_s(ended_at),
        "interaction_id": plan.interaction_id,
        "interaction_key": interaction_key,
        "interaction_time": int(interaction_time),
        "custom_application_vars": plan.custom_application_vars,
        "dialed_number": dialled_number(plan),
        "digits_dialed": dialled_number(plan),
        "app_name": "offhook",
        "app_version": offhook.__version__,
    }


def _unrung_document(plan: CallPlan, ending: Ending, times: Times) -> Json:
    """Return the CDR of a call for which nothing could be rung: the only trace of a quickcall then."""
    return _common(plan, ending, times, plan.call_id, ended_at=times.ended) | {
        "leg_party": str(Party.FIRST),
        "leg_side": str(plan.first.side),
        "callee_id_number": plan.first.number,
        "did_classifier": classify(plan.first.number),
        "channel_created_time": int(times.accepted * 1_000_000),
        "hangup_code": "",
        "disposition": "FAILED",
        "duration_seconds": 0,
        "ringing_seconds": 0,
        "billing_seconds": 0,
        "other_leg_call_id": "",
        "custom_channel_vars": plan_vars_of(plan),
    }


def _e164(number: str) -> str:
    return number if number.startswith("+") else ""


def party_number(plan: CallPlan, party: Party) -> str:
    """Return the number a party was reached by."""
    return plan.first.number if party is Party.FIRST else plan.second.number


def leg_number(plan: CallPlan, leg: Leg) -> str:
    """Return the number a leg was reached by: its party's, or that of the transfer that brought it."""
    return leg.number or party_number(plan, leg.party)


def address_of(uri: str) -> str:
    """Return `user@host` of a SIP URI."""
    return uri.partition(":")[2].partition(";")[0]


def leg_durations(leg: Leg, ended_at: float) -> Json:
    """Return whole seconds: created to end, created to answer (or end), answer to end."""
    answered_at = leg.answered_at or ended_at
    return {
        "duration_seconds": max(int(ended_at - leg.created_at), 0),
        "ringing_seconds": max(int(answered_at - leg.created_at), 0),
        "billing_seconds": max(int(ended_at - answered_at), 0),
    }


def _other_leg(leg: Leg, other: Leg | None) -> Json:
    if other is None:
        return {"other_leg_call_id": leg.joined_to}  # of another call, by an attended transfer
    return {
        "other_leg_call_id": other.leg_id,
        "other_leg_caller_id_name": other.endpoint.caller_id_name,
        "other_leg_caller_id_number": other.endpoint.caller_id_number,
        "other_leg_destination_number": address_of(other.endpoint.to_uri).partition("@")[0],
        "other_leg_direction": other.endpoint.direction,
    }


def disposition_of(leg: Leg) -> str:
    """Return KAZOO's word for how a leg ended."""
    if leg.answered_at:
        return "ANSWER"
    if leg.hangup_cause in _DROPPED:
        return "CANCEL"
    return _DISPOSITIONS.get(outcome_of(leg.hangup_cause, leg.sip_code), "FAILED")


def plan_vars_of(plan: CallPlan) -> Json:
    """Return the channel variables that every leg of a call has."""
    return {
        "account_id": plan.account_id,
        "authorizing_id": plan.authorizing_id,
        "authorizing_type": plan.authorizing_type,
        "owner_id": plan.owner_id,
    }


def channel_vars_of(plan: CallPlan, leg: Leg, other: Leg | None) -> Json:
    """Return a leg's channel variables; `other` is the leg it was joined with."""
    endpoint = leg.endpoint
    username, _, realm = address_of(endpoint.own_uri).partition("@")
    channel_vars = plan_vars_of(plan) | {
        "owner_id": endpoint.owner_id or plan.owner_id,
        "bridge_id": plan.call_id if other is not None else "",
    }
    if endpoint.kind is EndpointKind.DEVICE:
        return channel_vars | {"username": username, "realm": realm, "device_id": endpoint.endpoint_id}
    if endpoint.kind is EndpointKind.GATEWAY:
        return channel_vars | {"resource_id": endpoint.endpoint_id}
    return channel_vars
