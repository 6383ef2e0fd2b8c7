"""From a connect request on a click-to-call button to a plan (kazoo-behaviour 5.5 to 5.7)."""

from typing import Any, Final

import msgspec

from offhook.app.ports import Document, Json
from offhook.app.quirks import WHITELIST_IS_SEARCHED
from offhook.calls.model import CallPlan, Side

from .contacts import Contact, check_whitelist, parse_contact, parse_number
from .endpoints import LegView
from .leg_headers import custom_headers
from .numbers import apply_dial_plan, is_reconcilable, normalise
from .options import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S, ConnectRequest
from .originate_answer import connect_answer, visitor_answer
from .planned import (
    SECOND_TIMEOUT_S,
    Planned,
    Planning,
    make_party,
    media_mode,
    new_interaction_id,
    with_leg_ids,
)
from .profile import CallerId, Profile, object_at, seconds_at, text_at, texts_at, value_at
from .rings import Route, Step, UriRing
from .routing import Router

CONTACT_FIRST: Final = "contact"


class _Sides(msgspec.Struct, frozen=True, kw_only=True):
    """The two ends of a button's call, by role."""

    button: Document
    account: Profile
    extension: str
    contact: Contact
    caller: CallerId
    """Shown to the extension."""
    callee: CallerId
    """Shown to the contact."""

    @property
    def contact_first(self) -> bool:
        return self.button.data.get("dial_first") == CONTACT_FIRST


async def plan_connect(
    request: ConnectRequest, *, button: Document, account: Document, world: Planning, now: float
) -> Planned:
    """Return what a connect request leads to; now is Unix seconds.

    Unreachable parties are not refused: the plan says so, and the call ends as `unreachable`.
    Raises PlanRefused: NumberInvalid, SipUriNotAllowed, ContactNotAllowed, CallRestricted.
    """
    sides = _read_sides(request, button, account, world)
    router = world.router(account, for_visitor=request.visitor)
    extension_route = await router.route(
        sides.extension, payer=sides.account, caller_number=sides.caller.number
    )
    contact_route = await _route_contact(router, sides)
    call_id = f"c2c-{button.id}-{world.random.hex(10)}"
    plan = _make_plan(request, sides, extension_route, contact_route, call_id=call_id, world=world, now=now)
    answer = connect_answer(
        plan, button=button, realm=router.directory.realm, auto_answer=request.auto_answer is not False
    )
    may_see = not request.visitor or button.data.get("expose_request") is True
    return Planned(plan=plan, answer=answer if may_see else visitor_answer(answer))


def _read_sides(request: ConnectRequest, button: Document, account: Document, world: Planning) -> _Sides:
    data = button.data
    extension = normalise(parse_number(text_at(data, "extension"), field="extension"))
    contact = parse_contact(
        request.contact,
        realm=text_at(account.data, "realm"),
        allowed_hosts=(*world.sip_uri_allow, *texts_at(account.data, "sip_uri_allow")),
    )
    check_whitelist(contact, texts_at(data, "whitelist"), anywhere=WHITELIST_IS_SEARCHED in world.quirks)
    return _Sides(
        button=button,
        account=Profile(account=account),
        extension=extension,
        contact=contact,
        caller=CallerId(text_at(data, "name"), text_at(data, "caller_id_number") or contact.number),
        callee=CallerId(
            text_at(data, "outbound_callee_id_name") or extension,
            text_at(data, "outbound_callee_id_number") or extension,
        ),
    )


async def _route_contact(router: Router, sides: _Sides) -> Route:
    contact = sides.contact
    if contact.uri is not None:
        step = Step(rings=(UriRing(uri=contact.uri),))
        return Route(number=contact.number, steps=(step,), words=f"SIP URI at {contact.uri.host_port}")
    dialled = normalise(apply_dial_plan(contact.number, sides.account.merged("dial_plan")))
    return await router.route(
        dialled, payer=sides.account, spelled=contact.raw, caller_number=sides.callee.number
    )


def _make_plan(
    request: ConnectRequest,
    sides: _Sides,
    extension_route: Route,
    contact_route: Route,
    *,
    call_id: str,
    world: Planning,
    now: float,
) -> CallPlan:
    data = sides.button.data
    # "How long, in seconds, to wait for the call to progress": each party, if the button says so.
    timeout_s = min(seconds_at(data, "timeout"), MAX_TIMEOUT_S)
    first_s, second_s = timeout_s or DEFAULT_TIMEOUT_S, timeout_s or SECOND_TIMEOUT_S
    extension_s, contact_s = (second_s, first_s) if sides.contact_first else (first_s, second_s)
    extension = make_party(
        extension_route, Side.EXTENSION, _extension_view(request, sides, extension_route), limit_s=extension_s
    )
    contact = make_party(contact_route, Side.CONTACT, _contact_view(sides, contact_route), limit_s=contact_s)
    first, second = (contact, extension) if sides.contact_first else (extension, contact)
    second_route = extension_route if sides.contact_first else contact_route
    media = media_mode(data.get("bypass_media"), first, second)
    return CallPlan(
        call_id=call_id,
        account_id=sides.account.account.id,
        kind="clicktocall",
        authorizing_id=sides.button.id,
        authorizing_type="clicktocall",
        interaction_id=new_interaction_id(now, world.random),
        first=with_leg_ids(first, only_id=call_id, next_id=lambda: f"{call_id}-{world.random.hex(8)}"),
        second=with_leg_ids(second, next_id=lambda: world.random.hex(32)),
        media=media,
        ringback=text_at(data, "music_on_hold.media_id")
        or text_at(data, "ringback")
        or second_route.ringback,
        music_on_hold=text_at(data, "music_on_hold.media_id"),
        hold_media=text_at(sides.account.account.data, "music_on_hold.media_id"),
        ignore_early_media=value_at(data, "media.ignore_early_media") is not False,
        custom_application_vars=_variables(sides.button, request),
        contact=request.contact,
        visitor=request.visitor,
        max_duration_s=world.max_duration_s,
    )


def _extension_view(request: ConnectRequest, sides: _Sides, route: Route) -> LegView:
    data, realm = sides.button.data, text_at(sides.account.account.data, "realm")
    presence_id = text_at(data, "presence_id")
    return LegView(
        realm=realm,
        number=route.number,
        caller=sides.caller,
        callee=sides.callee,
        headers=_headers(data, is_second=sides.contact_first),
        presence_id=presence_id if not presence_id or "@" in presence_id else f"{presence_id}@{realm}",
        auto_answer=request.auto_answer,
        is_internal=sides.contact.uri is None and not is_reconcilable(sides.contact.number),
        privacy=sides.account.outbound_privacy,
    )


def _contact_view(sides: _Sides, route: Route) -> LegView:
    return LegView(
        realm=text_at(sides.account.account.data, "realm"),
        number=route.number,
        caller=sides.callee,
        callee=sides.caller,
        headers=_headers(sides.button.data, is_second=not sides.contact_first),
        privacy=sides.account.outbound_privacy,
    )


def _headers(data: Json, *, is_second: bool) -> tuple[tuple[str, str], ...]:
    """Return custom_sip_headers: `out` and flat ones go on both legs, `in` on the second.

    `in` are those that the first party's phone would have sent in, and which are passed on.
    """
    out = custom_headers(data, direction="out")
    return (*custom_headers(data, direction="in"), *out) if is_second else out


def _variables(button: Document, request: ConnectRequest) -> dict[str, str]:
    stored: dict[str, Any] = object_at(button.data, "custom_application_vars")
    return {name: str(value) for name, value in stored.items()} | request.custom_application_vars
