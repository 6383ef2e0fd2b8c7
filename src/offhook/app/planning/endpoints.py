"""From a thing to ring to the INVITE: Request-URI, From, headers, credentials."""

from functools import lru_cache
from typing import Final

import msgspec

from offhook.app.ports import Json
from offhook.calls.model import EndpointKind, EndpointPlan, Redirect
from offhook.sip.errors import RemoteMalformed
from offhook.sip.uri import SipUri

from .auto_answer import Ask, Form, ask, form_of
from .carriers import DEFAULT_GRACE_PERIOD_S
from .classifiers import EMERGENCY
from .leg_headers import (
    ANONYMOUS,
    ANONYMOUS_URI,
    custom_headers,
    device_headers,
    diversion_headers,
    hide_caller,
    identity_headers,
    merge_headers,
    ringtone_of,
)
from .numbers import NUMBER_FORMATS, uri_user
from .profile import CallerId, seconds_at, text_at, texts_at, value_at
from .rings import Binding, DeviceRing, GatewayRing, Headers, Ring, UriRing

SIP_PORT: Final = 5060
NO_REDIRECT: Final = Redirect()
"""As the node's settings say, to hosts that they allow."""


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


def endpoints_of(
    ring: Ring, view: LegView, *, answering: object | None, is_last_way: bool
) -> list[EndpointPlan]:
    """Return the legs of a thing to ring, without ids: one per contact of a phone, none if it has no address.

    answering is the binding that answers by itself, or the ring of a phone without one. is_last_way: nothing
    else is tried after it, so that a silent carrier is waited for.
    """
    if isinstance(ring, GatewayRing):
        return _gateway_endpoints(ring, view, is_last_way=is_last_way)
    if isinstance(ring, UriRing):
        return [_uri_endpoint(ring, view)]
    if ring.address:
        return [_device_endpoint(ring, view, ring.address, None, auto_answer=answering is ring)]
    return [
        _device_endpoint(
            ring, view, _request_uri(ring, binding, view), binding, auto_answer=answering is binding
        )
        for binding in ring.bindings
    ]


# --- phones ---------------------------------------------------------------------------------------------


def _device_endpoint(
    ring: DeviceRing, view: LegView, request_uri: str, binding: Binding | None, *, auto_answer: bool
) -> EndpointPlan:
    data, profile = ring.device.data, ring.profile
    presence_id = view.presence_id or profile.presence_id
    tone = ringtone_of(ring, is_internal=view.is_internal)
    asked = _ask(ring, binding, tone) if auto_answer else None
    headers = device_headers(ring, presence_id=presence_id, tone=tone, asked=asked)
    caller = ring.caller_edit.apply(view.caller)
    proxy = text_at(data, "sip.proxy")
    path = tuple(binding.path) if binding is not None else ()
    return EndpointPlan(
        leg_id="",
        kind=EndpointKind.DEVICE,
        endpoint_id=ring.device.id,
        owner_id=profile.user.id if profile.user else "",
        request_uri=_intercom(request_uri) if asked is not None and asked.in_uri else request_uri,
        to_uri=f"sip:{uri_user(profile.sip_username or view.number)}@{profile.realm}",
        from_uri=caller_uri(caller.number, view.realm),
        caller_id_name=caller.name,
        caller_id_number=caller.number,
        callee_id_name=view.callee.name,
        callee_id_number=view.callee.number,
        route_set=((_proxy_route(proxy),) if proxy else ()) + path,
        flow_id=binding.flow_id if binding is not None else "",
        headers=merge_headers(
            headers, diversion_headers(ring.caller_edit.diverted, request_uri), view.headers
        ),
        codecs=texts_at(data, "media.audio.codecs"),
        delay_s=ring.delay_s,
        timeout_s=ring.timeout_s,
        progress_timeout_s=seconds_at(data, "media.progress_timeout"),
        auto_answer=asked is not None,
        presence_id=presence_id,
        hold_media=profile.hold_media,
        redirect=_redirect(data, profile.account.data),
    )


def _ask(ring: DeviceRing, binding: Binding | None, tone: str) -> Ask | None:
    """Return what makes the phone answer by itself; None if its document forbids it."""
    form = form_of(binding.user_agent if binding else "", text_at(ring.device.data, "sip.auto_answer"))
    return None if form is Form.NONE else ask(form, realm=ring.profile.realm, ringtone=tone)


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


@lru_cache(maxsize=1_024)  # the contacts of phones, over and over
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
    request_uri = gateway_uri(ring)
    if not request_uri:
        return []
    identity = ring.caller_edit.apply(_outbound_caller(ring, view))
    wish = "" if ring.caller_kind == EMERGENCY else ring.payer.outbound_privacy
    shown, privacy = hide_caller(identity, wish)
    grace_s = 0.0 if is_last_way else seconds_at(resource, "grace_period") or DEFAULT_GRACE_PERIOD_S
    headers = merge_headers(
        _asserted(ring, identity, view, privacy=wish),
        privacy,
        diversion_headers(ring.caller_edit.diverted, request_uri),
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
        tls_ca=text_at(gateway, "tls_ca"),
        tls_verify=gateway.get("tls_verify", True) is True,
        codecs=texts_at(gateway, "codecs"),
        delay_s=ring.delay_s,
        timeout_s=ring.timeout_s,
        progress_timeout_s=seconds_at(gateway, "progress_timeout") or grace_s,
        hold_media=ring.payer.hold_media,
        redirect=_redirect(gateway, ring.payer.account.data, own_host=text_at(gateway, "server")),
    )
    return [endpoint]


def _asserted(ring: GatewayRing, identity: CallerId, view: LegView, *, privacy: str) -> Headers:
    """Return who calls, as the carrier is told: the payer's `caller_id.asserted`, or who is shown."""
    own = ring.payer.caller_id("asserted")
    caller = CallerId(own.name or identity.name, own.number) if own.number else identity
    realm = (own.number and ring.payer.asserted_realm) or view.realm
    return identity_headers(caller, realm, form=text_at(ring.gateway, "identity_header"), privacy=privacy)


def _redirect(data: Json, account: Json, *, own_host: str = "") -> Redirect:
    """Return where a device or gateway may send us on to: its own server, and what the account allows."""
    follow = data.get("follow_redirects")
    if follow is None and not account.get("sip_uri_allow") and not own_host:
        return NO_REDIRECT
    own = (own_host,) if own_host else ()
    return Redirect(
        follow=follow if isinstance(follow, bool) else None, hosts=(*own, *texts_at(account, "sip_uri_allow"))
    )


def gateway_uri(ring: GatewayRing) -> str:
    """Return where the INVITE goes: `route` as it is, or the number at the server; empty if it is no URI."""
    by_name = text_at(ring.gateway, "invite_format") == "username"
    user = (text_at(ring.gateway, "username") if by_name else "") or ring.number
    return server_uri(ring.gateway, user)


def server_uri(gateway: Json, user: str = "") -> str:
    """Return the URI of a gateway, with a user part if there is one to reach; empty if it is no URI."""
    route = text_at(gateway, "route")
    if route:
        uri = route if route.lower().startswith(("sip:", "sips:")) else f"sip:{route}"
    else:
        port = gateway.get("port")
        at_port = f":{port}" if isinstance(port, int) and port != SIP_PORT else ""
        static = "".join(f";{item}" for item in texts_at(gateway, "invite_parameters.static"))
        at = f"{uri_user(user)}@" if user else ""
        uri = f"sip:{at}{text_at(gateway, 'server')}{at_port}{static}"
    try:
        return str(_with_transport(SipUri.parse(uri), text_at(gateway, "transport")))
    except RemoteMalformed:
        return ""


def _with_transport(uri: SipUri, transport: str) -> SipUri:
    """Return the URI with the gateway's transport, unless it names one itself; UDP needs no word."""
    if transport in ("", "udp") or uri.transport or uri.scheme == "sips":
        return uri
    return uri.with_params(transport=transport)


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
        headers=merge_headers(
            privacy, diversion_headers(ring.caller_edit.diverted, str(ring.uri)), ring.headers, view.headers
        ),
        delay_s=ring.delay_s,
        timeout_s=ring.timeout_s,
    )
