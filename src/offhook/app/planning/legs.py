"""From things to ring to legs: Request-URI, From, headers, credentials and times of each INVITE."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from offhook.calls.model import EndpointKind, EndpointPlan, RingStep
from offhook.sip.errors import RemoteMalformed
from offhook.sip.uri import SipUri

from .carriers import DEFAULT_GRACE_PERIOD_S
from .classifiers import EMERGENCY
from .leg_headers import (
    ANONYMOUS,
    ANONYMOUS_URI,
    asserted_identity,
    custom_headers,
    device_headers,
    hide_caller,
    merge_headers,
)
from .numbers import NUMBER_FORMATS, uri_user
from .profile import CallerId, seconds_at, text_at, texts_at, value_at
from .rings import Binding, DeviceRing, GatewayRing, Headers, Ring, Route, Step, UriRing

DEFAULT_MODULE_S: Final = 20.0
"""KAZOO's ring time of a user or device when something else is to be tried after it."""
MAX_LEGS: Final = 32
"""Legs rung together: one INVITE each, and a phone system has no more phones on one number."""
MIN_STEP_S: Final = 5.0
"""A step that comes late still gets time to ring once."""
SIP_PORT: Final = 5060


class LegView(msgspec.Struct, frozen=True, kw_only=True):
    """What the legs of one party show and carry."""

    realm: str
    number: str
    """As dialled: the user part for phones that want it."""
    caller: CallerId
    callee: CallerId
    retains_caller: bool = True
    """False: a carrier's callflow may choose another of the payer's caller ids."""
    headers: Headers = ()
    presence_id: str = ""
    """In place of the phones' own."""
    auto_answer: bool | None = False
    """None: a phone that rings alone answers by itself; True: so does the first of several."""
    is_internal: bool = True
    """The other party is inside the account (which ringtone)."""
    privacy: str = ""


def make_steps(route: Route, view: LegView, *, limit_s: float) -> tuple[RingStep, ...]:
    """Return the steps of a party, without leg ids. Things that cannot be addressed are left out."""
    steps = []
    for index, (step, timeout_s) in enumerate(
        zip(route.steps, allot_times(route.steps, limit_s), strict=True)
    ):
        is_last = not _is_same_hunt(route.steps, index)
        endpoints = _make_endpoints(step, view, timeout_s=timeout_s, is_last_way=is_last)
        if endpoints:
            steps.append(RingStep(endpoints=endpoints, timeout_s=timeout_s, hunt=step.hunt))
    return tuple(steps)


def _is_same_hunt(steps: Sequence[Step], index: int) -> bool:
    """Tell whether the step after this one is another way to the same destination."""
    return bool(steps[index].hunt) and index + 1 < len(steps) and steps[index + 1].hunt == steps[index].hunt


def allot_times(steps: Sequence[Step], limit_s: float) -> list[float]:
    """Return how long each step rings, so that a party unanswered throughout takes about limit_s.

    Ways to the same destination share their time, for only one of them rings.
    """
    left_s, times = limit_s, []
    for index, step in enumerate(steps):
        is_last = all(later.hunt and later.hunt == step.hunt for later in steps[index + 1 :])
        wanted_s = step.timeout_s or (left_s if is_last else min(left_s, DEFAULT_MODULE_S))
        granted_s = min(wanted_s or MIN_STEP_S, max(left_s, min(MIN_STEP_S, limit_s)))
        times.append(granted_s)
        if not _is_same_hunt(steps, index):
            left_s = max(left_s - granted_s, 0.0)
    return times


def name_legs(steps: Sequence[RingStep], *, next_id: Callable[[], str]) -> tuple[RingStep, ...]:
    """Return the steps with an id for each leg."""
    return tuple(
        msgspec.structs.replace(
            step,
            endpoints=tuple(
                msgspec.structs.replace(endpoint, leg_id=next_id()) for endpoint in step.endpoints
            ),
        )
        for step in steps
    )


def _make_endpoints(
    step: Step, view: LegView, *, timeout_s: float, is_last_way: bool
) -> tuple[EndpointPlan, ...]:
    phones = sum(max(len(ring.bindings), 1) for ring in step.rings if isinstance(ring, DeviceRing))
    answers = view.auto_answer is True or (view.auto_answer is None and phones == 1 == len(step.rings))
    endpoints: dict[str, EndpointPlan] = {}
    for ring in step.rings:
        for endpoint in _endpoints_of(ring, view, auto_answer=answers, is_last_way=is_last_way):
            answers = answers and not endpoint.auto_answer
            # A phone that is in a group twice, as itself and through its owner, rings once.
            endpoints.setdefault(endpoint.request_uri, _bounded(endpoint, timeout_s))
    return tuple(endpoints.values())[:MAX_LEGS]


def _bounded(endpoint: EndpointPlan, timeout_s: float) -> EndpointPlan:
    own = endpoint.timeout_s if endpoint.timeout_s < timeout_s else 0.0
    return msgspec.structs.replace(endpoint, timeout_s=own)


def _endpoints_of(ring: Ring, view: LegView, *, auto_answer: bool, is_last_way: bool) -> list[EndpointPlan]:
    if isinstance(ring, GatewayRing):
        return _gateway_endpoints(ring, view, is_last_way=is_last_way)
    if isinstance(ring, UriRing):
        return [_uri_endpoint(ring, view)]
    if ring.address:
        return [_device_endpoint(ring, view, ring.address, None, auto_answer=auto_answer)]
    return [
        _device_endpoint(
            ring, view, _request_uri(ring, binding, view), binding, auto_answer=auto_answer and index == 0
        )
        for index, binding in enumerate(ring.bindings)
    ]


# --- phones ---------------------------------------------------------------------------------------------


def _device_endpoint(
    ring: DeviceRing, view: LegView, request_uri: str, binding: Binding | None, *, auto_answer: bool
) -> EndpointPlan:
    data, profile = ring.device.data, ring.profile
    presence_id = view.presence_id or profile.presence_id
    headers = device_headers(
        ring, presence_id=presence_id, auto_answer=auto_answer, is_internal=view.is_internal
    )
    caller = ring.caller_edit.apply(view.caller)
    proxy = text_at(data, "sip.proxy")
    path = tuple(binding.path) if binding is not None else ()
    return EndpointPlan(
        leg_id="",
        kind=EndpointKind.DEVICE,
        endpoint_id=ring.device.id,
        owner_id=profile.user.id if profile.user else "",
        request_uri=_intercom(request_uri) if auto_answer else request_uri,
        to_uri=f"sip:{uri_user(profile.sip_username or view.number)}@{profile.realm}",
        from_uri=caller_uri(caller.number, view.realm),
        caller_id_name=caller.name,
        caller_id_number=caller.number,
        callee_id_name=view.callee.name,
        callee_id_number=view.callee.number,
        route_set=((_proxy_route(proxy),) if proxy else ()) + path,
        flow_id=binding.flow_id if binding is not None else "",
        headers=merge_headers(headers, view.headers),
        codecs=texts_at(data, "media.audio.codecs"),
        delay_s=ring.delay_s,
        timeout_s=ring.timeout_s,
        progress_timeout_s=seconds_at(data, "media.progress_timeout"),
        auto_answer=auto_answer,
        presence_id=presence_id,
    )


def _request_uri(ring: DeviceRing, binding: Binding, view: LegView) -> str:
    """Return the registered contact with the user part that `sip.invite_format` asks for (6.5)."""
    data = ring.device.data
    form = text_at(data, "sip.invite_format")
    to_user = text_at(data, "sip.static_invite")
    if form == "username":
        to_user = to_user or ring.profile.sip_username
    elif form in NUMBER_FORMATS:
        to_user = to_user or NUMBER_FORMATS[form](text_at(data, "sip.number") or view.number)
    if not to_user:
        return binding.contact
    try:
        contact = SipUri.parse(binding.contact)
    except RemoteMalformed:
        return binding.contact
    return str(msgspec.structs.replace(contact, user=uri_user(to_user)))


def _intercom(request_uri: str) -> str:
    """Return the URI with `intercom=true`, as FreeSWITCH's sip_auto_answer does."""
    try:
        return str(SipUri.parse(request_uri).with_params(intercom="true"))
    except RemoteMalformed:
        return request_uri


def _proxy_route(proxy: str) -> str:
    """Return an outbound proxy as a Route value: a loose router (RFC 3261 section 16.12)."""
    uri = proxy.strip("<>")
    uri = uri if uri.lower().startswith(("sip:", "sips:")) else f"sip:{uri}"
    return f"<{uri}>" if ";lr" in uri.lower() else f"<{uri};lr>"


def caller_uri(number: str, realm: str) -> str:
    """Return the From URI of a caller: a SIP URI as it is, a number in the realm."""
    if number.lower().startswith("sip:"):
        return number.partition(";")[0]
    return f"sip:{uri_user(number or ANONYMOUS.number)}@{realm}"


# --- carriers and SIP URIs ------------------------------------------------------------------------------


def _gateway_endpoints(ring: GatewayRing, view: LegView, *, is_last_way: bool) -> list[EndpointPlan]:
    gateway, resource = ring.gateway, ring.resource.data
    request_uri = _gateway_uri(ring)
    if not request_uri:
        return []
    identity = ring.caller_edit.apply(_outbound_caller(ring, view))
    shown, privacy = hide_caller(identity, ring.payer.outbound_privacy)
    grace_s = 0.0 if is_last_way else seconds_at(resource, "grace_period") or DEFAULT_GRACE_PERIOD_S
    headers = merge_headers(
        (asserted_identity(identity, view.realm), *privacy),
        custom_headers(resource, direction="out"),
        custom_headers(gateway, direction="out"),
        ring.headers,
        view.headers,
    )
    endpoint = EndpointPlan(
        leg_id="",
        kind=EndpointKind.GATEWAY,
        endpoint_id=ring.resource.id,
        request_uri=request_uri,
        to_uri=f"sip:{uri_user(ring.number)}@{gateway['server']}",
        from_uri=_gateway_from(ring, shown, view),
        caller_id_name=shown.name,
        caller_id_number=shown.number,
        callee_id_name=view.callee.name,
        callee_id_number=view.callee.number,
        headers=headers,
        username=text_at(gateway, "username"),
        password=text_at(gateway, "password"),
        realm=text_at(gateway, "realm"),
        codecs=texts_at(gateway, "codecs"),
        delay_s=ring.delay_s,
        timeout_s=ring.timeout_s,
        progress_timeout_s=seconds_at(gateway, "progress_timeout") or grace_s,
    )
    return [endpoint]


def _gateway_uri(ring: GatewayRing) -> str:
    """Return where the INVITE goes: `route` as it is, or the number at the server; empty if it is no URI."""
    gateway = ring.gateway
    route = text_at(gateway, "route")
    if route:
        uri = route if route.lower().startswith("sip:") else f"sip:{route}"
    else:
        by_name = text_at(gateway, "invite_format") == "username"
        user = (text_at(gateway, "username") if by_name else "") or ring.number
        port = gateway.get("port")
        at_port = f":{port}" if isinstance(port, int) and port != SIP_PORT else ""
        static = "".join(f";{item}" for item in texts_at(gateway, "invite_parameters.static"))
        uri = f"sip:{uri_user(user)}@{gateway['server']}{at_port}{static}"
    try:
        return str(SipUri.parse(uri))
    except RemoteMalformed:
        return ""


def _outbound_caller(ring: GatewayRing, view: LegView) -> CallerId:
    if view.retains_caller and ring.caller_kind != EMERGENCY:
        return view.caller
    configured = ring.payer.caller_id(ring.caller_kind)
    if not configured.number:
        return view.caller
    return CallerId(configured.name or view.caller.name, configured.number)


def _gateway_from(ring: GatewayRing, shown: CallerId, view: LegView) -> str:
    if shown.number == ANONYMOUS.number:
        return ANONYMOUS_URI
    gateway, resource = ring.gateway, ring.resource.data
    formats = any(value_at(data, "format_from_uri") is True for data in (gateway, resource))
    if not formats or resource.get("from_account_realm") is True:
        return caller_uri(shown.number, view.realm)
    realm = (
        text_at(gateway, "from_uri_realm")
        or text_at(resource, "from_uri_realm")
        or text_at(gateway, "realm")
        or text_at(gateway, "server")
    )
    return caller_uri(shown.number, realm)


def _uri_endpoint(ring: UriRing, view: LegView) -> EndpointPlan:
    identity = ring.caller_edit.apply(view.caller)
    shown, privacy = hide_caller(identity, view.privacy)
    hidden = shown.number == ANONYMOUS.number
    return EndpointPlan(
        leg_id="",
        kind=EndpointKind.URI,
        request_uri=str(ring.uri),
        to_uri=str(msgspec.structs.replace(ring.uri, params=type(ring.uri.params)())),
        from_uri=ANONYMOUS_URI if hidden else caller_uri(shown.number, view.realm),
        caller_id_name=shown.name,
        caller_id_number=shown.number,
        callee_id_name=view.callee.name,
        callee_id_number=view.callee.number,
        headers=merge_headers(privacy, ring.headers, view.headers),
        delay_s=ring.delay_s,
        timeout_s=ring.timeout_s,
    )
