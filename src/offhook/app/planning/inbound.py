"""From a call that comes in over SIP to a plan: the caller waits, the number is routed as ever.

The first party is the caller: a phone of the account that has proved who it is, or a carrier. The second is
whoever the number leads to. What the caller may reach is decided by dialling.py (decision 0014).
"""

from typing import Any, Final

import msgspec

from offhook.app.ports import Document
from offhook.calls.model import CallPlan, EndpointKind, EndpointPlan, PartyPlan, RingStep, Side

from .caller_ids import far_end_caller_id
from .contacts import parse_number
from .dialling import by_phone, by_trunk
from .endpoints import LegView, caller_uri
from .errors import NumberUnknown
from .leg_headers import ANONYMOUS, custom_headers
from .numbers import apply_dial_plan, normalise, uri_user
from .planned import Planning, make_party, new_interaction_id, with_leg_ids
from .profile import CallerId, Profile, object_at, text_at, texts_at
from .rings import Headers, Route
from .routing import Router

RING_S: Final = 120.0
"""All that a number leads to rings no longer: proxies give up after three minutes (timer C)."""
MAX_NAME: Final = 128
"""Characters kept of a caller's display name."""

_PRIVATE: Final[Headers] = (("Privacy", "id"),)


class InboundRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine reads in a caller's request."""

    number: str
    """As dialled: the user part of the Request-URI, unescaped."""
    caller: CallerId = CallerId()
    """As the caller writes it: believed of a carrier, not of a phone."""
    is_private: bool = False
    """The caller asks that nobody is shown who it is (RFC 3323)."""
    contact: str = ""
    """URI at which it takes requests."""
    received: str
    """What the engine needs to answer it; opaque here, never empty."""


async def plan_phone_call(
    request: InboundRequest, *, device: Document, account: Document, world: Planning, now: float
) -> CallPlan:
    """Return what a number leads to that a phone of the account has dialled; now is Unix seconds.

    Raises PlanRefused: NumberInvalid, NumberUnknown, CallRestricted, DialOutBarred. A number that is known,
    but rings nothing now, is a plan: its call ends as `unreachable`.
    """
    router = world.router(account, for_visitor=False)
    profile = await router.phones.profile_of(device)
    router.dialling = by_phone(profile)
    spelled = parse_number(request.number, field="number")
    dialled = normalise(apply_dial_plan(spelled, profile.merged("dial_plan")))
    own = await far_end_caller_id(router.directory, profile, dialled)
    route = await _route(router, profile, dialled, spelled=spelled, caller_number=own.number)
    shown = ANONYMOUS if request.is_private else own
    view = LegView(
        realm=profile.realm,
        number=dialled,
        caller=shown,
        callee=CallerId("", dialled),
        retains_caller=request.is_private,
        headers=(
            *custom_headers(object_at(device.data, "sip"), direction="in"),
            *(_PRIVATE if request.is_private else ()),
        ),
        privacy=profile.outbound_privacy,
    )
    caller = _caller(
        request,
        dialled,
        shown,
        kind=EndpointKind.DEVICE,
        endpoint_id=device.id,
        owner_id=profile.user.id if profile.user else "",
        to_uri=f"sip:{uri_user(dialled)}@{profile.realm}",
        from_uri=f"sip:{uri_user(profile.sip_username)}@{profile.realm}",
        codecs=texts_at(device.data, "media.audio.codecs"),
        presence_id=profile.presence_id,
    )
    first = _party_of(
        caller, Side.EXTENSION, profile.internal_caller_id.number, f"device {_name(device)} calls"
    )
    second = make_party(route, Side.CONTACT, view, limit_s=RING_S)
    quiet = profile.setting("media.ignore_early_media") is True
    return _make_plan(request, first, second, device, account, route, world, now, ignore_early_media=quiet)


async def plan_trunk_call(
    request: InboundRequest, *, resource: Document, account: Document, world: Planning, now: float
) -> CallPlan:
    """Return what a number of the account leads to that a carrier has dialled; now is Unix seconds.

    Raises PlanRefused: NumberInvalid, NumberUnknown, CallRestricted.
    """
    router, profile = world.router(account, for_visitor=False), Profile(account=account)
    router.dialling = by_trunk(profile)
    spelled = parse_number(request.number, field="number")
    dialled, realm = normalise(spelled), text_at(account.data, "realm")
    number = normalise(request.caller.number)
    route = await _route(router, profile, dialled, spelled=spelled, caller_number=number)
    shown = ANONYMOUS if request.is_private else CallerId(request.caller.name[:MAX_NAME], number)
    view = LegView(realm=realm, number=dialled, caller=shown, callee=CallerId("", dialled), is_internal=False)
    caller = _caller(
        request,
        dialled,
        shown,
        kind=EndpointKind.GATEWAY,
        endpoint_id=resource.id,
        to_uri=f"sip:{uri_user(dialled)}@{realm}",
        from_uri=caller_uri(shown.number, realm),
    )
    first = _party_of(caller, Side.CONTACT, shown.number, f"carrier {_name(resource)} brings a call")
    second = make_party(route, Side.EXTENSION, view, limit_s=RING_S)
    return _make_plan(request, first, second, resource, account, route, world, now, ignore_early_media=False)


async def _route(router: Router, payer: Profile, dialled: str, *, spelled: str, caller_number: str) -> Route:
    route = await router.route(dialled, payer=payer, spelled=spelled, caller_number=caller_number)
    if not route.is_known:
        raise NumberUnknown(dialled)
    return route


def _caller(request: InboundRequest, dialled: str, shown: CallerId, **fields: Any) -> EndpointPlan:
    return EndpointPlan(
        leg_id="",
        request_uri=request.contact,
        caller_id_name=shown.name,
        caller_id_number=shown.number,
        callee_id_number=dialled,
        received=request.received,
        **fields,
    )


def _party_of(caller: EndpointPlan, side: Side, number: str, words: str) -> PartyPlan:
    step = RingStep(endpoints=(caller,), timeout_s=0.0)
    return PartyPlan(side=side, number=number, route=words, steps=(step,))


def _name(document: Document) -> str:
    return text_at(document.data, "name") or document.id


def _make_plan(
    request: InboundRequest,
    first: PartyPlan,
    second: PartyPlan,
    authorizing: Document,
    account: Document,
    route: Route,
    world: Planning,
    now: float,
    *,
    ignore_early_media: bool,
) -> CallPlan:
    call_id = f"{world.random.hex(32)}-inbound"
    return CallPlan(
        call_id=call_id,
        account_id=account.id,
        kind="inbound",
        authorizing_id=authorizing.id,
        authorizing_type=authorizing.type,
        owner_id=first.endpoints[0].owner_id,
        interaction_id=new_interaction_id(now, world.random),
        first=with_leg_ids(first, next_id=lambda: call_id),
        second=with_leg_ids(second, next_id=lambda: world.random.hex(32)),
        ringback=route.ringback,
        hold_media=text_at(account.data, "music_on_hold.media_id"),
        ignore_early_media=ignore_early_media,
        contact=request.number,
        max_duration_s=world.max_duration_s,
    )
