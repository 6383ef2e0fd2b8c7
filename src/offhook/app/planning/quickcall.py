"""From a quickcall request on a device or user to a plan (kazoo-behaviour 6.3 to 6.9)."""

from typing import Final

import msgspec

from offhook.app.ports import Document
from offhook.calls.model import CallPlan, Side

from .caller_ids import far_end_caller_id
from .contacts import Contact, parse_contact, parse_number
from .endpoints import LegView
from .errors import TargetCallUnknown
from .flow import Walk
from .leg_headers import custom_headers
from .numbers import apply_dial_plan, filter_number, is_reconcilable, normalise
from .options import QuickcallRequest
from .originate_answer import quickcall_answer, visitor_answer
from .planned import (
    SECOND_TIMEOUT_S,
    Planned,
    Planning,
    make_party,
    media_mode,
    new_interaction_id,
    with_leg_ids,
)
from .profile import CallerId, Profile, object_at, text_at, texts_at
from .rings import CallerEdit, DeviceRing, Route, Step, UriRing
from .routing import MAX_FORWARDS, Router

SCREEN_NAME: Final = "Device QuickCall"
"""What the phone shows, with the number that is going to be called."""


class _Quickcall(msgspec.Struct, frozen=True, kw_only=True):
    """A request with all that was read for it."""

    request: QuickcallRequest
    endpoint: Document
    profile: Profile
    """Of the device; of the user and account for a user's quickcall."""
    filtered: str
    """After number_filter: what will be dialled."""
    contact: Contact
    dialled: str
    """After dial plan and normalisation."""
    callee: CallerId
    """Caller id that the far end sees."""
    extension: str
    """Internal number of who calls."""


async def plan_quickcall(
    request: QuickcallRequest, *, endpoint: Document, account: Document, world: Planning, now: float
) -> Planned:
    """Return what a quickcall of a device or user (endpoint) leads to; now is Unix seconds.

    A device that cannot be rung is not refused: the plan has no step for the first party then, and says why.
    Raises PlanRefused: NumberInvalid, SipUriNotAllowed, BadNumberFilter, CallRestricted, TargetCallUnknown.
    """
    interaction_id = _interaction(request, account, world, now)
    router = world.router(account, for_visitor=request.visitor)
    devices = [endpoint] if endpoint.type == "device" else await router.directory.devices_of(endpoint)
    call = await _read(request, endpoint, devices, router, world)
    first_route = await _route_first(router, call, devices)
    second_route = await _route_second(router, call)
    call_id = f"{world.random.hex(32)}-quickcall"
    plan = _make_plan(
        call, first_route, second_route, call_id=call_id, interaction_id=interaction_id, world=world
    )
    built = [
        found for device in devices if isinstance(found := await router.phones.build(device), DeviceRing)
    ]
    answer = quickcall_answer(
        plan,
        rings=built,
        route=call.filtered,
        number=call.contact.number,
        screen=_screen(call),
        callee=call.callee,
        target_call_id=request.target_call_id,
        timeout_s=request.timeout_s,
        new_leg_id=lambda: f"{world.random.hex(32)}-quickcall",
    )
    may_see = not request.visitor or endpoint.data.get("expose_request") is True
    return Planned(plan=plan, answer=answer if may_see else visitor_answer(answer))


def _interaction(request: QuickcallRequest, account: Document, world: Planning, now: float) -> str:
    """Return the interaction id: that of the call to be met, or a new one. Raises TargetCallUnknown."""
    if not request.target_call_id:
        return new_interaction_id(now, world.random)
    interaction_id = world.interaction_of(account.id, request.target_call_id)
    if interaction_id is None:
        raise TargetCallUnknown(request.target_call_id)
    return interaction_id


async def _read(
    request: QuickcallRequest, endpoint: Document, devices: list[Document], router: Router, world: Planning
) -> _Quickcall:
    account = router.directory.account
    profile = (
        await router.phones.profile_of(endpoint)
        if endpoint.type == "device"
        else Profile(account=account, user=endpoint)
    )
    number = parse_number(request.number, field="number")
    is_uri = "@" in number  # its dots are no separators
    filtered = number if is_uri else filter_number(number, request.number_filter)
    contact = parse_contact(
        filtered,
        realm=router.directory.realm,
        allowed_hosts=(*world.sip_uri_allow, *texts_at(account.data, "sip_uri_allow")),
        field="number",
    )
    dialled = contact.number
    if contact.uri is None and not is_uri:
        dialled = normalise(apply_dial_plan(filtered, profile.merged("dial_plan")))
    # A user without a caller id shows that of the first phone, as KAZOO's documents print it.
    speaker = await router.phones.profile_of(devices[0]) if devices else profile
    shown = await far_end_caller_id(router.directory, speaker, contact.number)
    return _Quickcall(
        request=request,
        endpoint=endpoint,
        profile=profile,
        filtered=filtered,
        contact=contact,
        dialled=dialled,
        callee=CallerId(request.caller_id_name or shown.name, request.caller_id_number or shown.number),
        extension=speaker.internal_caller_id.number,
    )


async def _route_first(router: Router, call: _Quickcall, devices: list[Document]) -> Route:
    """Return the phones of the device or user, rung together."""
    walk = Walk(
        router=router,
        number=call.extension,
        payer=call.profile,
        caller_edit=CallerEdit(),
        forwards_left=MAX_FORWARDS,
    )
    walk.say(f"{call.endpoint.type} {_name_of(call.endpoint)}")
    if not devices:
        walk.fail("SUBSCRIBER_ABSENT")
    rings, after = await walk.phones(devices)
    walk.add(rings)
    walk.extend(after)
    return walk.route()


def _name_of(document: Document) -> str:
    full_name = f"{text_at(document.data, 'first_name')} {text_at(document.data, 'last_name')}".strip()
    return text_at(document.data, "name") or full_name or document.id


async def _route_second(router: Router, call: _Quickcall) -> Route:
    uri = call.contact.uri
    if uri is not None:
        return Route(
            number=call.contact.number, steps=(Step(rings=(UriRing(uri=uri),)),), words=f"SIP URI {uri.host}"
        )
    return await router.route(
        call.dialled, payer=call.profile, spelled=call.filtered, caller_number=call.callee.number
    )


def _make_plan(
    call: _Quickcall,
    first_route: Route,
    second_route: Route,
    *,
    call_id: str,
    interaction_id: str,
    world: Planning,
) -> CallPlan:
    request, endpoint = call.request, call.endpoint
    first = make_party(first_route, Side.EXTENSION, _first_view(call), limit_s=float(request.timeout_s))
    second = make_party(second_route, Side.CONTACT, _second_view(call), limit_s=SECOND_TIMEOUT_S)
    wish = request.bypass_media
    return CallPlan(
        call_id=call_id,
        account_id=endpoint.account_id,
        kind="quickcall",
        authorizing_id=endpoint.id,
        authorizing_type=endpoint.type,
        owner_id=call.profile.user.id if call.profile.user else "",
        interaction_id=interaction_id,
        first=with_leg_ids(first, only_id=call_id, next_id=lambda: f"{world.random.hex(32)}-quickcall"),
        second=with_leg_ids(second, next_id=lambda: world.random.hex(32)),
        media=media_mode(call.profile.setting("media.bypass_media") if wish is None else wish, first, second),
        ringback=second_route.ringback,
        hold_media=call.profile.hold_media,
        ignore_early_media=_ignores_early_media(call),
        custom_application_vars=dict(request.custom_application_vars),
        contact=request.number,
        visitor=request.visitor,
        max_duration_s=world.max_duration_s,
    )


def _ignores_early_media(call: _Quickcall) -> bool:
    if call.request.ignore_early_media is not None:
        return call.request.ignore_early_media
    return call.profile.setting("media.ignore_early_media") is not False


def _screen(call: _Quickcall) -> CallerId:
    return CallerId(SCREEN_NAME, call.contact.number)


def _first_view(call: _Quickcall) -> LegView:
    return LegView(
        realm=text_at(call.profile.account.data, "realm"),
        number=call.contact.number,
        caller=_screen(call),
        callee=call.callee,
        auto_answer=call.request.auto_answer,
        is_internal=not is_reconcilable(call.contact.number),
        privacy=call.profile.outbound_privacy,
    )


def _second_view(call: _Quickcall) -> LegView:
    """Return how the far end is rung: as if the phone had dialled, with its own `in` headers passed on."""
    return LegView(
        realm=text_at(call.profile.account.data, "realm"),
        number=call.dialled,
        caller=call.callee,
        callee=_screen(call),
        retains_caller=bool(call.request.caller_id_number),
        headers=custom_headers(object_at(call.endpoint.data, "sip"), direction="in"),
        privacy=call.profile.outbound_privacy,
    )
