"""The callflow modules that lead to a ring (kazoo-behaviour 7.5).

A module that is not in the table ends the flow there, and the route says so: it never silently succeeds.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from offhook.app.ports import Document, Json
from offhook.calls.policy import cause_of_sip
from offhook.kernel import Random

from .carriers import MAX_GATEWAYS, gateways_of, matching_resources
from .classifiers import EMERGENCY, classify
from .endpoints import gateway_uri
from .errors import CallRestricted
from .flow import Walk
from .leg_headers import custom_headers
from .numbers import normalise
from .profile import Profile, object_at, seconds_at, text_at, texts_at, value_at
from .rings import GatewayRing, Ring, Step

Handler = Callable[[Walk, Json], Awaitable[bool]]
"""Adds to the walk; returns whether the branch `_` is to be followed."""

MAX_REPEATS: Final = 10
"""Rounds of a ring group."""
MAX_MEMBERS: Final = 64
"""Members of a ring group that are looked up."""


async def follow(walk: Walk, node: Any) -> None:
    """Walk from a flow node along the default branches."""
    while isinstance(node, dict) and node.get("module"):
        if walk.nodes_left == 0:
            walk.say("the callflow does not end")
            return
        walk.nodes_left -= 1
        module, data = str(node["module"]), object_at(node, "data")
        handler = _MODULES.get(module)
        if handler is None:
            walk.say(f"module {module} is not done here: the flow ends")
            walk.fail("SERVICE_NOT_IMPLEMENTED")
            return
        if data.get("skip_module") is not True and not await handler(walk, data):
            return
        node = value_at(node, "children._")


# --- people and phones --------------------------------------------------------------------------------


async def _user(walk: Walk, data: Json) -> bool:
    user = await walk.router.directory.get("user", data.get("id"))
    if user is None:
        walk.say("a user that does not exist")
        walk.fail("DESTINATION_OUT_OF_ORDER")
        return True
    devices = await walk.router.directory.devices_of(user)
    walk.say(f"user {_full_name(user)}, {len(devices)} device{'' if len(devices) == 1 else 's'}")
    if not devices:
        walk.fail("SUBSCRIBER_ABSENT")
    rings, after = await walk.phones(devices, headers=custom_headers(data, direction="out"))
    _add_by_strategy(walk, rings, data)
    walk.extend(after)
    return True


async def _device(walk: Walk, data: Json) -> bool:
    device = await walk.router.directory.get("device", data.get("id"))
    if device is None:
        walk.say("a device that does not exist")
        walk.fail("DESTINATION_OUT_OF_ORDER")
        return True
    walk.say(f"device {device.data.get('name', device.id)}")
    rings, after = await walk.phones([device], headers=custom_headers(data, direction="out"))
    _add_by_strategy(walk, rings, data)
    walk.extend(after)
    return True


def _full_name(user: Document) -> str:
    return f"{text_at(user.data, 'first_name')} {text_at(user.data, 'last_name')}".strip() or user.id


def _add_by_strategy(walk: Walk, rings: Sequence[Ring], data: Json) -> None:
    delay_s, timeout_s = seconds_at(data, "delay"), seconds_at(data, "timeout")
    step_s = delay_s + timeout_s if timeout_s else 0.0
    rings = [_delayed(ring, delay_s=delay_s) for ring in rings]
    if text_at(data, "strategy") == "single":
        for ring in rings:
            walk.add([ring], timeout_s=step_s)
    else:
        walk.add(rings, timeout_s=step_s)


def _delayed(ring: Ring, *, delay_s: float, timeout_s: float = 0.0) -> Ring:
    return msgspec.structs.replace(
        ring, delay_s=ring.delay_s + delay_s, timeout_s=timeout_s or ring.timeout_s
    )


# --- ring groups ----------------------------------------------------------------------------------------


async def _ring_group(walk: Walk, data: Json) -> bool:
    members = [member for member in value_at(data, "endpoints") or () if isinstance(member, dict)]
    walk.say(f"ring group {text_at(data, 'name') or ''}".rstrip() + f", {len(members)} members")
    walk.ringback = walk.ringback or text_at(data, "ringback")
    strategy = text_at(data, "strategy") or "simultaneous"
    members = members[:MAX_MEMBERS]
    if strategy == "weighted_random":
        members = by_weight(members, walk.router.random)
    found = [(member, await _member(walk, member, data)) for member in members]
    steps = _group_steps(found, data) if strategy == "simultaneous" else _one_by_one(found, data)
    if not steps:
        walk.fail("SUBSCRIBER_ABSENT")
    for _ in range(_repeats(data)):
        walk.extend(steps)
    return True


def _repeats(data: Json) -> int:
    return min(max(int(seconds_at(data, "repeats")), 1), MAX_REPEATS)


async def _member(walk: Walk, member: Json, group: Json) -> list[Ring]:
    """Return the rings of a member, with its delay and timeout. Forwards are followed only if asked for."""
    directory = walk.router.directory
    document = await directory.get(text_at(member, "endpoint_type"), member.get("id"))
    if document is None or document.type not in ("user", "device"):
        walk.say(f"member {member.get('id')} is no user or device of the account")
        return []
    devices = await directory.devices_of(document) if document.type == "user" else [document]
    rings, _ = await walk.phones(
        devices,
        is_direct=False,
        follows_forward=group.get("ignore_forward") is False,
        headers=custom_headers(group, direction="out"),
        alert_info=text_at(group, "ringtones.internal"),
    )
    delay_s, timeout_s = seconds_at(member, "delay"), seconds_at(member, "timeout")
    return [_delayed(ring, delay_s=delay_s, timeout_s=timeout_s) for ring in rings]


def _group_steps(found: Sequence[tuple[Json, list[Ring]]], data: Json) -> list[Step]:
    rings = [ring for _, member_rings in found for ring in member_rings]
    longest = max((ring.delay_s + ring.timeout_s for ring in rings if ring.timeout_s), default=0.0)
    return [Step(rings=tuple(rings), timeout_s=seconds_at(data, "timeout") or longest)] if rings else []


def _one_by_one(found: Sequence[tuple[Json, list[Ring]]], data: Json) -> list[Step]:
    return [
        Step(rings=tuple(rings), timeout_s=seconds_at(member, "timeout") or seconds_at(data, "timeout"))
        for member, rings in found
        if rings
    ]


def by_weight(members: Sequence[Json], random: Random) -> list[Json]:
    """Return the members in random order, heavier ones earlier (weighted sampling without replacement)."""
    keyed = [
        (random.uniform() ** (1.0 / (seconds_at(member, "weight") or 1.0)), member) for member in members
    ]
    return [member for _, member in sorted(keyed, key=lambda pair: pair[0], reverse=True)]


# --- carriers -------------------------------------------------------------------------------------------


async def _resources(walk: Walk, data: Json) -> bool:
    number = text_at(data, "to_did") or walk.captured or walk.number
    if data.get("do_not_normalize") is not True and data.get("bypass_e164") is not True:
        number = normalise(number)
    classifier = classify(number)
    if walk.payer.denies(classifier) or (walk.router.for_visitor and classifier == EMERGENCY):
        raise CallRestricted(number, classifier=classifier)
    walk.router.dialling.may_leave(walk.payer, number, classifier, bool(text_at(data, "to_did")))
    directory = walk.router.directory
    flags = (*texts_at(data, "outbound_flags"), *_own_flags(walk.payer))
    groups = await directory.resources_above()
    if data.get("use_local_resources") is not False:
        groups.insert(0, await directory.resources_of(text_at(data, "hunt_account_id")))
    rings = [
        ring
        for group in groups
        for match in matching_resources(group, number, caller_number=walk.caller_number, flags=flags)
        for ring in gateways_of(
            match, payer=walk.payer, caller_kind=_caller_kind(data, classifier), random=walk.router.random
        )
    ][:MAX_GATEWAYS]
    walk.ringback = walk.ringback or text_at(data, "ringback")
    walk.say(f"{number} ({classifier}) through {_names(rings) or 'no carrier: none takes this number'}")
    if not rings:
        walk.fail("NO_ROUTE_DESTINATION")
    if classifier != EMERGENCY:
        rings = _awake(walk, rings)
    rings = _up_first(walk, rings)
    for ring in rings:
        edited = msgspec.structs.replace(
            ring, caller_edit=walk.caller_edit, headers=custom_headers(data, direction="out")
        )
        walk.add([edited], timeout_s=seconds_at(data, "timeout"), hunt=f"carriers {number}")
    return True


def _up_first(walk: Walk, rings: list[GatewayRing]) -> list[GatewayRing]:
    """Try servers that have been silent of late after the others."""
    down = [ring for ring in rings if walk.router.is_down(gateway_uri(ring))]
    if not down or len(down) == len(rings):
        return rings
    walk.say(f"{_names(down)} tried last: does not answer")
    return [*(ring for ring in rings if ring not in down), *down]


def _awake(walk: Walk, rings: list[GatewayRing]) -> list[GatewayRing]:
    """Leave out carriers that asked to be left alone; with none left the call ends as their last one did."""
    causes = [walk.router.resting(ring.resource.id, gateway_uri(ring)) for ring in rings]
    resting = [ring for ring, cause in zip(rings, causes, strict=True) if cause]
    if resting:
        walk.say(f"{_names(resting)} left out: asked for a pause (Retry-After)")
    if rings and len(resting) == len(rings):
        walk.fail(causes[-1])
    return [ring for ring, cause in zip(rings, causes, strict=True) if not cause]


def _own_flags(payer: Profile) -> tuple[str, ...]:
    levels = [document.data for document in (payer.device, payer.user, payer.account) if document]
    return tuple(
        flag
        for data in levels
        for flag in (*texts_at(data, "outbound_flags"), *texts_at(data, "outbound_flags.static"))
    )


def _caller_kind(data: Json, classifier: str) -> str:
    return EMERGENCY if classifier == EMERGENCY else text_at(data, "caller_id_type") or "external"


def _names(rings: Sequence[Any]) -> str:
    return ", ".join(
        f"{ring.resource.data.get('name', ring.resource.id)} at {ring.gateway['server']}" for ring in rings
    )


# --- the rest -------------------------------------------------------------------------------------------


async def _callflow(walk: Walk, data: Json) -> bool:
    callflow = await walk.router.directory.get("callflow", data.get("id"))
    if callflow is None:
        walk.say("a callflow that does not exist")
        walk.fail("DESTINATION_OUT_OF_ORDER")
        return False
    walk.say(f"callflow {text_at(callflow.data, 'name') or callflow.id}")
    await follow(walk, callflow.data.get("flow"))
    return False


async def _hangup(walk: Walk, data: Json) -> bool:
    walk.say("hangup")
    walk.answer_with("CALL_REJECTED")
    return False


async def _response(walk: Walk, data: Json) -> bool:
    code = int(seconds_at(data, "code")) or 486
    walk.say(f"response {code}")
    walk.answer_with(cause_of_sip(code))
    return False


async def _set_cid(walk: Walk, data: Json) -> bool:
    walk.caller_edit = msgspec.structs.replace(
        walk.caller_edit,
        name=text_at(data, "caller_id_name") or walk.caller_edit.name,
        number=text_at(data, "caller_id_number") or walk.caller_edit.number,
    )
    return True


async def _prepend_cid(walk: Walk, data: Json) -> bool:
    if text_at(data, "action") == "reset":
        walk.caller_edit = msgspec.structs.replace(walk.caller_edit, name_prefix="", number_prefix="")
        return True
    walk.caller_edit = msgspec.structs.replace(
        walk.caller_edit,
        name_prefix=text_at(data, "caller_id_name_prefix") + walk.caller_edit.name_prefix,
        number_prefix=text_at(data, "caller_id_number_prefix") + walk.caller_edit.number_prefix,
    )
    return True


_MODULES: Final[dict[str, Handler]] = {
    "user": _user,
    "device": _device,
    "ring_group": _ring_group,
    "resources": _resources,
    "offnet": _resources,
    "callflow": _callflow,
    "hangup": _hangup,
    "response": _response,
    "set_cid": _set_cid,
    "prepend_cid": _prepend_cid,
}
