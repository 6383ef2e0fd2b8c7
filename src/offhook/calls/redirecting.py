"""A leg that was sent elsewhere (3xx): its next address is rung as a leg of its own, once it is stored.

Whether a redirect may be followed at all, and to where, the engine knows by the plan; here are the bounds:
no address twice, MAX_REDIRECTS in all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from . import policy
from .events import LegEnded, LegRedirected
from .model import MAX_REDIRECTS, EndpointPlan, Leg

if TYPE_CHECKING:
    from .call import Call

MAX_WAITING: Final = 8
"""Other addresses kept for the case that the next does not answer; who lists more is not serious."""


def follow(call: Call, leg: Leg, event: LegEnded) -> bool:
    """Plan the next address of a leg that is over; False if there is none."""
    endpoint = _next_endpoint(leg, event)
    if endpoint is None:
        return False
    plan_next(call, leg, endpoint)
    call.out.append(LegRedirected(leg.leg_id, endpoint))
    return True


def plan_next(call: Call, leg: Leg, endpoint: EndpointPlan) -> None:
    """Note the next address of a leg, still to be rung."""
    leg.redirected_to = endpoint.leg_id
    call.legs[endpoint.leg_id] = Leg(endpoint=endpoint, party=leg.party, side=leg.side, number=leg.number)


def _next_endpoint(leg: Leg, event: LegEnded) -> EndpointPlan | None:
    redirect = leg.endpoint.redirect
    waiting = () if policy.is_definitive(leg) else redirect.waiting
    tried = (*redirect.tried, leg.endpoint.request_uri)
    targets = [uri for uri in dict.fromkeys((*event.targets, *waiting)) if uri not in tried]
    if not targets or not redirect.left:
        return None
    origin = leg.leg_id.rpartition("-r")[0] if redirect.tried else leg.leg_id
    return msgspec.structs.replace(
        leg.endpoint,
        leg_id=f"{origin}-r{MAX_REDIRECTS - redirect.left + 1}",
        request_uri=targets[0],
        route_set=(),
        flow_id="",
        delay_s=0.0,
        redirect=msgspec.structs.replace(
            redirect, left=redirect.left - 1, tried=tried, waiting=tuple(targets[1 : MAX_WAITING + 1])
        ),
    )
