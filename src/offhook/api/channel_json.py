"""A live leg as KAZOO's channel: one form in lists, another alone (kazoo-behaviour 8)."""

from offhook.app.ports import CallView
from offhook.calls.model import EndpointKind, Leg, LegState, Party
from offhook.directory.model import Json
from offhook.kernel import gregorian_s


def channel_item(view: CallView, leg: Leg, now: float) -> Json:
    """Return a list item. Keys without a value are left out."""
    item = {
        "uuid": leg.leg_id,
        "other_leg": other_leg(leg),
        "direction": leg.endpoint.direction,
        "elapsed_s": _elapsed_s(leg, now),
        "interaction_id": view.plan.interaction_id,
        "is_onhold": leg.is_held,
        **_common(view, leg),
    }
    return {name: value for name, value in item.items() if value != ""}


def channel_details(view: CallView, leg: Leg, now: float) -> Json:
    """Return one channel; KAZOO names some keys otherwise here."""
    endpoint = leg.endpoint
    item = {
        "call_id": leg.leg_id,
        "call_direction": endpoint.direction,
        "other_leg_call_id": other_leg(leg),
        "caller_id_name": endpoint.caller_id_name,
        "caller_id_number": endpoint.caller_id_number,
        "callee_id_name": endpoint.callee_id_name,
        "callee_id_number": endpoint.callee_id_number,
        "elapsed_seconds": _elapsed_s(leg, now),
        "from": endpoint.from_uri.removeprefix("sip:"),
        "to": endpoint.to_uri.removeprefix("sip:"),
        "call_interaction_id": view.plan.interaction_id,
        "is_on_hold": leg.is_held,
        **_common(view, leg),
    }
    return {name: value for name, value in item.items() if value != ""}


def other_leg(leg: Leg) -> str:
    """Return the leg it is joined to, or an empty string."""
    if leg.state is not LegState.JOINED:
        return ""
    return leg.joined_to


def _common(view: CallView, leg: Leg) -> Json:
    plan, endpoint = view.plan, leg.endpoint
    party = plan.first if leg.party is Party.FIRST else plan.second
    return {
        "answered": leg.answered_at > 0,
        "authorizing_id": plan.authorizing_id,
        "authorizing_type": plan.authorizing_type,
        "owner_id": endpoint.owner_id,
        "presence_id": endpoint.presence_id,
        "username": _user_of(endpoint.own_uri) if endpoint.kind is EndpointKind.DEVICE else "",
        "resource_id": endpoint.endpoint_id if endpoint.kind is EndpointKind.GATEWAY else "",
        "destination": leg.number or party.number,
        "timestamp": gregorian_s(leg.created_at),
        "custom_application_vars": plan.custom_application_vars,
        "custom_channel_vars": {"account_id": plan.account_id, "call_id": plan.call_id},
        "is_loopback": False,
    }


def _elapsed_s(leg: Leg, now: float) -> int:
    return max(0, int(now - (leg.answered_at or leg.created_at)))


def _user_of(uri: str) -> str:
    return uri.partition(":")[2].partition("@")[0]
