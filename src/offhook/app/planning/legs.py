"""From things to ring to steps of legs: who rings when, for how long, and who answers by itself."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from offhook.calls.model import EndpointPlan, RingStep

from .endpoints import LegView, endpoints_of
from .rings import DeviceRing, Route, Step

DEFAULT_MODULE_S: Final = 20.0
"""KAZOO's ring time of a user or device when something else is to be tried after it."""
MAX_LEGS: Final = 32
"""Legs rung together: one INVITE each, and a phone system has no more phones on one number."""
MIN_STEP_S: Final = 5.0
"""A step that comes late still gets time to ring once."""


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
    answering = _answering(step, view)
    endpoints: dict[str, EndpointPlan] = {}
    for ring in step.rings:
        for endpoint in endpoints_of(ring, view, answering=answering, is_last_way=is_last_way):
            # A phone that is in a group twice, as itself and through its owner, rings once.
            endpoints.setdefault(endpoint.request_uri, _bounded(endpoint, timeout_s))
    return tuple(endpoints.values())[:MAX_LEGS]


def _answering(step: Step, view: LegView) -> object | None:
    """Return what answers by itself: a binding, or the ring of a phone with an address of its own.

    Of several phones it is the one that registered last: where somebody was seen last.
    """
    if view.auto_answer is False:
        return None
    phones: list[tuple[float, object]] = []
    for ring in step.rings:
        if isinstance(ring, DeviceRing) and ring.address:
            phones.append((0.0, ring))
        elif isinstance(ring, DeviceRing):
            phones += [(binding.registered_at, binding) for binding in ring.bindings]
    if view.auto_answer is None and not len(phones) == 1 == len(step.rings):
        return None
    return max(phones, key=lambda phone: phone[0], default=(0.0, None))[1]


def _bounded(endpoint: EndpointPlan, timeout_s: float) -> EndpointPlan:
    own = endpoint.timeout_s if endpoint.timeout_s < timeout_s else 0.0
    return msgspec.structs.replace(endpoint, timeout_s=own)
