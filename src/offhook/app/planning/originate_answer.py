"""The answers that KAZOO clients expect to connect and quickcall, key by key as its documents print them.

Strings and booleans are as in those documents (`"loopback_bowout": "false"`, a quickcall's
`"retain_cid": "true"`), not as in KAZOO's source, which differs (kazoo-behaviour 5.7, 6.8).
"""

from collections.abc import Callable, Sequence
from typing import Final

from offhook.app.ports import Document, Json
from offhook.calls.model import CallPlan, EndpointPlan, MediaMode, Side

from .numbers import uri_user
from .options import DEFAULT_TIMEOUT_S
from .profile import CallerId, object_at, seconds_at, text_at, texts_at, value_at
from .rings import DeviceRing

DEFAULT_CODECS: Final = ("PCMU", "PCMA")
"""What a device without `media.audio.codecs` is offered."""
VISITOR_KEYS: Final = ("application_name", "call_id", "origination_call_id", "outbound_call_id", "timeout")
"""What an anonymous caller may see of the originate request."""

_CONNECT_EXPORTS: Final = (
    "Account-ID",
    "Authorizing-ID",
    "Authorizing-Type",
    "Loopback-Request-URI",
    "From-URI",
    "Request-URI",
)
_QUICKCALL_EXPORTS: Final = ("Account-ID", "Retain-CID", "Authorizing-ID", "Authorizing-Type")
_FAILURE_EXPORTS: Final = (*_QUICKCALL_EXPORTS, "Outbound-Callee-ID-Number", "Outbound-Callee-ID-Name")


def connect_answer(plan: CallPlan, *, button: Document, realm: str, auto_answer: bool) -> Json:
    """Return `data` of the answer to connect: the originate request (kazoo-behaviour 5.7)."""
    sides = {party.side: party.number for party in (plan.first, plan.second)}
    caller, callee = _button_caller_ids(button, sides[Side.EXTENSION], sides[Side.CONTACT])
    if plan.first.side is Side.CONTACT:
        caller, callee = callee, caller
    data = button.data
    answer: Json = {
        "application_name": "transfer",
        "application_data": {"route": plan.second.number},
        "continue_on_fail": True,
        "custom_application_vars": plan.custom_application_vars,
        "custom_channel_vars": _connect_channel_vars(plan, realm, auto_answer=auto_answer),
        "dial_endpoint_method": "single",
        "endpoints": [_loopback_endpoint(plan.first.number, realm)],
        "export_custom_channel_vars": list(_CONNECT_EXPORTS),
        "ignore_early_media": plan.ignore_early_media,
        "loopback_bowout": "false",
        "simplify_loopback": "false",
        "start_control_process": "false",
        "call_id": plan.call_id,
        "origination_call_id": plan.call_id,
        "outbound_call_id": plan.call_id,
        "outbound_callee_id_name": callee.name,
        "outbound_callee_id_number": callee.number,
        "outbound_caller_id_name": caller.name,
        "outbound_caller_id_number": caller.number,
        "timeout": int(seconds_at(data, "timeout")) or DEFAULT_TIMEOUT_S,
    }
    return answer | _options_as_stored(data, realm)


def _button_caller_ids(button: Document, extension: str, contact: str) -> tuple[CallerId, CallerId]:
    """Return what the extension sees and what the contact sees (kazoo-behaviour 5.6)."""
    data = button.data
    return (
        CallerId(text_at(data, "name"), text_at(data, "caller_id_number") or contact),
        CallerId(
            text_at(data, "outbound_callee_id_name") or extension,
            text_at(data, "outbound_callee_id_number") or extension,
        ),
    )


def _connect_channel_vars(plan: CallPlan, realm: str, *, auto_answer: bool) -> Json:
    target = _address(plan.second.number, realm)
    channel_vars: Json = {
        "account_id": plan.account_id,
        "authorizing_id": plan.authorizing_id,
        "authorizing_type": plan.authorizing_type,
        "from_uri": _address(plan.first.number, realm),
        "inherit_codec": False,
        "loopback_request_uri": target,
        "request_uri": target,
        "retain_cid": True,
    }
    return channel_vars | {"auto_answer_loopback": True} if auto_answer else channel_vars


def _address(number: str, realm: str) -> str:
    return number[4:] if number.lower().startswith("sip:") else f"{number}@{realm}"


def _loopback_endpoint(number: str, realm: str) -> Json:
    return {"invite_format": "loopback", "route": number, "to_did": number, "to_realm": realm}


def _options_as_stored(data: Json, realm: str) -> Json:
    """Return the optional keys: present when the button has them."""
    presence_id = text_at(data, "presence_id")
    options: Json = {
        "bypass_media": data.get("bypass_media"),
        "custom_sip_headers": data.get("custom_sip_headers"),
        "hold_media": value_at(data, "music_on_hold.media_id"),
        "presence_id": presence_id if not presence_id or "@" in presence_id else f"{presence_id}@{realm}",
        "ringback": data.get("ringback"),
    }
    return {name: value for name, value in options.items() if value not in (None, "", {})}


def quickcall_answer(
    plan: CallPlan,
    *,
    rings: Sequence[DeviceRing],
    route: str,
    number: str,
    screen: CallerId,
    callee: CallerId,
    target_call_id: str,
    timeout_s: int,
    new_leg_id: Callable[[], str],
) -> Json:
    """Return `data` of the answer to quickcall: the originate request (kazoo-behaviour 6.8).

    rings are the devices that may be rung, registered or not; a device without a leg gets an id of its own.
    """
    legs = {endpoint.endpoint_id: endpoint for step in plan.first.steps for endpoint in step.endpoints[::-1]}
    answer: Json = {
        "application_name": "transfer",
        "application_data": {"route": route},
        "call_id": plan.call_id,
        "continue_on_fail": False,
        "custom_application_vars": plan.custom_application_vars,
        "custom_channel_vars": {
            "account_id": plan.account_id,
            "authorizing_id": plan.authorizing_id,
            "authorizing_type": plan.authorizing_type,
            "inherit_codec": "false",
            "retain_cid": "true",
        },
        "dial_endpoint_method": "simultaneous",
        "endpoints": [
            _phone_endpoint(plan, ring, legs.get(ring.device.id), number=number, new_leg_id=new_leg_id)
            for ring in rings
        ],
        "export_custom_channel_vars": list(_QUICKCALL_EXPORTS),
        "ignore_early_media": plan.ignore_early_media,
        "media": "bypass" if plan.media is MediaMode.BYPASS else "process",
        "outbound_call_id": plan.call_id,
        "outbound_callee_id_name": callee.name,
        "outbound_callee_id_number": callee.number,
        "outbound_caller_id_name": screen.name,
        "outbound_caller_id_number": screen.number,
        "timeout": timeout_s,
    }
    return answer | ({"existing_call_id": target_call_id} if target_call_id else {})


def _phone_endpoint(
    plan: CallPlan,
    ring: DeviceRing,
    leg: EndpointPlan | None,
    *,
    number: str,
    new_leg_id: Callable[[], str],
) -> Json:
    """Return an endpoint in the documented form, KAZOO's v4 (kazoo-behaviour 6.5)."""
    data, profile = ring.device.data, ring.profile
    username, form = profile.sip_username, text_at(data, "sip.invite_format") or "contact"
    endpoint: Json = {
        "codecs": [
            *(texts_at(data, "media.audio.codecs") or DEFAULT_CODECS),
            *texts_at(data, "media.video.codecs"),
        ],
        "custom_channel_vars": _phone_channel_vars(plan, ring, answers=leg is not None and leg.auto_answer),
        "custom_sip_headers": _phone_headers(ring, form),
        "endpoint_id": ring.device.id,
        "ignore_completed_elsewhere": value_at(data, "sip.ignore_completed_elsewhere") is not False,
        "invite_format": form,
        "outbound_call_id": leg.leg_id if leg is not None else new_leg_id(),
        "presence_id": profile.presence_id,
        "to_did": text_at(data, "sip.number") or number,
        "to_realm": profile.realm,
        "to_user": text_at(data, "sip.static_invite") or username,
        "to_username": username,
    }
    places = {
        "to_ip": text_at(data, "sip.ip"),
        "route": text_at(data, "sip.route"),
        "proxy_ip": text_at(data, "sip.proxy"),
        "sip_transport": text_at(data, "sip.transport"),
    }
    return endpoint | {name: value for name, value in places.items() if value}


def _phone_headers(ring: DeviceRing, form: str) -> Json:
    headers: Json = {"x_kazoo_aor": f"sip:{uri_user(ring.profile.sip_username)}@{ring.profile.realm}"}
    return headers | {"x_kazoo_invite_format": "contact"} if form == "contact" else headers


def _phone_channel_vars(plan: CallPlan, ring: DeviceRing, *, answers: bool) -> Json:
    owner = ring.profile.user
    channel_vars: Json = {
        "account_id": plan.account_id,
        "authorizing_id": plan.authorizing_id,
        "authorizing_type": plan.authorizing_type,
        "media_encryption_enforce_security": value_at(
            object_at(ring.device.data, "media"), "encryption.enforce_security"
        )
        is True,
        "sip_invite_domain": ring.profile.realm,
    }
    if owner is not None:
        channel_vars["owner_id"] = owner.id
    return channel_vars | {"auto_answer": True} if answers else channel_vars


def quickcall_failure(answer: Json, hangup_cause: str, *, request_id: str, node: str) -> Json:
    """Return `data` of the 500 `quickcall initiation failed`: the cause, and the request as KAZOO logs it."""
    return {
        "error_message": hangup_cause,
        "request": answer
        | {
            "app_name": "crossbar",
            "app_version": "4.0.0",
            "event_category": "resource",
            "event_name": "originate_req",
            "export_custom_channel_vars": list(_FAILURE_EXPORTS),
            "msg_id": request_id,
            "node": node,
            "server_id": node,
            "system_log_id": request_id,
        },
    }


def visitor_answer(answer: Json) -> Json:
    """Return what an anonymous caller may see: no realm, extension, caller ids or channel variables."""
    return {name: answer[name] for name in VISITOR_KEYS if name in answer}
