"""Who comes in place of a party of a joined call: a number, a callflow of the account, or one of its phones.

The target is reached by the rules of any call of the account: dial plan, callflows, call_restriction, allowed
hosts. It sees the one who stays as its caller. What a phone may transfer to is what it may dial (decision
0014); who transfers over HTTP has said who he is, and pays.
"""

from typing import Final

import msgspec

from offhook.app.ports import Document
from offhook.calls.model import CallPlan, EndpointKind, Leg, PartyPlan
from offhook.sip.errors import RemoteMalformed
from offhook.sip.uri import SipUri

from .contacts import parse_contact
from .dialling import by_phone, may_dial_out
from .endpoints import LegView
from .errors import DialOutBarred
from .flow import Walk
from .flow_modules import follow
from .numbers import apply_dial_plan, is_reconcilable, normalise
from .planned import SECOND_TIMEOUT_S, Planning, make_party, with_leg_ids
from .profile import CallerId, Profile, text_at, texts_at
from .records import leg_number
from .rings import CallerEdit, Headers, Route, Step, UriRing
from .routing import MAX_FORWARDS, Router

FIELD: Final = "target"


class Replacement(msgspec.Struct, frozen=True, kw_only=True):
    """The pair of a joined call, one of whom is to be replaced."""

    plan: CallPlan
    staying: Leg
    leaving: Leg
    by_phone: bool = False
    """The leaving phone asks for it itself: what it may not dial it may not transfer to."""
    headers: Headers = ()
    """More for the target's INVITE: Referred-By, Replaces."""


async def plan_number(
    wanted: Replacement, target: str, *, account: Document, world: Planning, own_hosts: frozenset[str]
) -> PartyPlan:
    """Return how a number, an extension or a SIP URI is reached; at own_hosts a URI's user is dialled.

    Raises PlanRefused: NumberInvalid, SipUriNotAllowed, CallRestricted, DialOutBarred.
    """
    payer, router = await _payer(wanted, account, world)
    contact = parse_contact(
        _at_home(target, own_hosts, router.directory.realm),
        realm=router.directory.realm,
        allowed_hosts=(*world.sip_uri_allow, *texts_at(account.data, "sip_uri_allow")),
        field=FIELD,
    )
    if contact.uri is not None:
        if wanted.by_phone and not may_dial_out(payer):
            raise DialOutBarred(contact.number, classifier="SIP URI")
        step = Step(rings=(UriRing(uri=contact.uri),))
        route = Route(number=contact.number, steps=(step,), words=f"SIP URI at {contact.uri.host_port}")
    else:
        dialled = normalise(apply_dial_plan(contact.number, payer.merged("dial_plan")))
        shown = caller_of(wanted)
        route = await router.route(dialled, payer=payer, spelled=contact.raw, caller_number=shown.number)
    return _party(wanted, route, payer, world)


def _at_home(target: str, own_hosts: frozenset[str], realm: str) -> str:
    """Return the target with our realm in place of our address: phones write the one they know."""
    try:
        uri = SipUri.parse(target)
    except RemoteMalformed:
        return target  # a number, or what parse_contact has a word for
    is_ours = uri.user and uri.host.strip("[]").lower() in own_hosts
    return f"{target.partition('@')[0]}@{realm}" if is_ours else target


async def plan_callflow(
    wanted: Replacement, callflow: Document, *, captured: str, account: Document, world: Planning
) -> PartyPlan:
    """Return whom a callflow rings; captured is what its pattern would have caught. Raises PlanRefused."""
    payer, router = await _payer(wanted, account, world)
    walk = _walk(router, captured or leg_number(wanted.plan, wanted.leaving), payer, wanted, captured)
    walk.say(f"callflow {text_at(callflow.data, 'name') or callflow.id}")
    await follow(walk, callflow.data.get("flow"))
    return _party(wanted, walk.route(), payer, world)


async def plan_phones(
    wanted: Replacement, endpoint: Document, *, account: Document, world: Planning
) -> PartyPlan:
    """Return how the phones of a device or user are rung together. Raises PlanRefused."""
    payer, router = await _payer(wanted, account, world)
    devices = [endpoint] if endpoint.type == "device" else await router.directory.devices_of(endpoint)
    profile = await router.phones.profile_of(devices[0]) if devices else payer
    walk = _walk(router, profile.internal_caller_id.number, payer, wanted, "")
    walk.say(f"{endpoint.type} {text_at(endpoint.data, 'name') or endpoint.id}")
    if not devices:
        walk.fail("SUBSCRIBER_ABSENT")
    rings, after = await walk.phones(devices)
    walk.add(rings)
    walk.extend(after)
    return _party(wanted, walk.route(), payer, world)


def _walk(router: Router, number: str, payer: Profile, wanted: Replacement, captured: str) -> Walk:
    return Walk(
        router=router,
        number=number,
        captured=captured,
        payer=payer,
        caller_number=caller_of(wanted).number,
        caller_edit=CallerEdit(),
        forwards_left=MAX_FORWARDS,
    )


async def _payer(wanted: Replacement, account: Document, world: Planning) -> tuple[Profile, Router]:
    """Return whose call the new leg is, and what routes it: the phone's that leaves, or the account's."""
    router = world.router(account, for_visitor=False)
    leaving = wanted.leaving.endpoint
    device = (
        await router.directory.get("device", leaving.endpoint_id)
        if leaving.kind is EndpointKind.DEVICE
        else None
    )
    payer = Profile(account=account) if device is None else await router.phones.profile_of(device)
    if wanted.by_phone:
        router.dialling = by_phone(payer)
    return payer, router


def caller_of(wanted: Replacement) -> CallerId:
    """Return who stays, as the target sees it."""
    staying = wanted.staying
    return CallerId(staying.endpoint.callee_id_name, leg_number(wanted.plan, staying))


def _party(wanted: Replacement, route: Route, payer: Profile, world: Planning) -> PartyPlan:
    shown = caller_of(wanted)
    view = LegView(
        realm=text_at(payer.account.data, "realm"),
        number=route.number,
        caller=shown,
        callee=CallerId("", route.number),
        retains_caller=False,
        headers=wanted.headers,
        is_internal=not is_reconcilable(shown.number),
        privacy=payer.outbound_privacy,
    )
    party = make_party(route, wanted.leaving.side, view, limit_s=SECOND_TIMEOUT_S)
    return with_leg_ids(party, next_id=lambda: world.random.hex(32))
