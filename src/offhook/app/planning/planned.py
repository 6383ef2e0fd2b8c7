"""What planning needs from the outside, and what it returns."""

from collections.abc import Callable, Collection
from typing import Final

import msgspec

from offhook.app.ports import Document, Documents, Json
from offhook.calls.model import CallPlan, EndpointKind, MediaMode, PartyPlan, Side
from offhook.kernel import Random, gregorian_s

from .account_directory import AccountDirectory
from .endpoints import LegView
from .explanation import explain
from .legs import make_steps, name_legs
from .phones import Phones, Registrations
from .profile import Profiles
from .rings import Route
from .routing import Router

SECOND_TIMEOUT_S: Final = 60.0
"""How long the second party rings, if neither a button's `timeout` nor its callflow say."""


class Planning(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan looks at beside the request. Built once, in bootstrap."""

    documents: Documents
    registrations: Registrations
    """aor → its live bindings."""
    random: Random
    sip_uri_allow: Collection[str] = ()
    """OFFHOOK_SIP_URI_ALLOW: `host`, `host:port`, `*.domain`."""
    quirks: frozenset[str] = frozenset()
    """OFFHOOK_KAZOO_QUIRKS."""
    max_duration_s: float = 14_400.0
    """OFFHOOK_MAX_DURATION_S: a joined call is ended after this long."""
    interaction_of: Callable[[str, str], str | None] = lambda account_id, call_id: None
    """(account id, call id of a call or leg) → interaction id of the live call, or None."""
    resting: Callable[[str, str], str] = lambda resource_id, request_uri: ""
    """(resource id, Request-URI) → hangup cause of a carrier that rests; empty: it does not."""
    is_down: Callable[[str], bool] = lambda request_uri: False
    """Request-URI → whether its server has been silent of late."""
    profiles: Profiles = msgspec.field(default_factory=Profiles)
    """What was worked out of the documents of phones."""

    def router(self, account: Document, *, for_visitor: bool) -> Router:
        """Return what routes numbers in an account, for one plan."""
        phones = Phones(AccountDirectory(self.documents, account), self.registrations, self.profiles)
        return Router(
            phones, self.random, for_visitor=for_visitor, resting=self.resting, is_down=self.is_down
        )


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A request that may be carried out."""

    plan: CallPlan
    answer: Json
    """`data` of the 202: KAZOO's originate request; reduced if a visitor may not see it."""

    @property
    def explanation(self) -> Json:
        """`data` of the answer to dry_run=true: what would be done."""
        return explain(self.plan)


def new_interaction_id(now: float, random: Random) -> str:
    """Return `<gregorian seconds>-<8 hex>`."""
    return f"{gregorian_s(now)}-{random.hex(8)}"


def media_mode(wish: object, *parties: PartyPlan) -> MediaMode:
    """Return how the media go: true bypasses, `auto` bypasses if every endpoint is a phone of the account
    that is reached at its own contact (not through a flow, so probably not behind a NAT)."""
    if wish in (True, "true"):
        return MediaMode.BYPASS
    if wish != "auto":
        return MediaMode.PROCESS
    endpoints = [endpoint for party in parties for step in party.steps for endpoint in step.endpoints]
    near = all(endpoint.kind is EndpointKind.DEVICE and not endpoint.flow_id for endpoint in endpoints)
    return MediaMode.BYPASS if endpoints and near else MediaMode.PROCESS


def make_party(route: Route, side: Side, view: LegView, *, limit_s: float) -> PartyPlan:
    """Return how a party is rung, its legs still without ids."""
    return PartyPlan(
        side=side,
        number=route.number,
        route=route.words,
        steps=make_steps(route, view, limit_s=limit_s),
        unreachable_cause=route.cause,
    )


def with_leg_ids(party: PartyPlan, *, only_id: str = "", next_id: Callable[[], str]) -> PartyPlan:
    """Return the party with an id for each leg: only_id if there is one leg, next_id() otherwise."""
    is_single = only_id and sum(len(step.endpoints) for step in party.steps) == 1
    steps = name_legs(party.steps, next_id=(lambda: only_id) if is_single else next_id)
    return msgspec.structs.replace(party, steps=steps)
