"""KAZOO's channel events, made from the facts of a call (kazoo-behaviour 10.4 and 11; design 2.2, 2.3).

    LegDialed → CHANNEL_CREATE      LegPickedUp → CHANNEL_ANSWER
    LegHeld → CHANNEL_HOLD, CHANNEL_UNHOLD
    CallBridged → CHANNEL_BRIDGE of both legs      LegOver → CHANNEL_DESTROY

They are numbered from 1 without a gap, by the facts alone: a call read from the journal gives the same
numbers as it did live. Exactly one event of a call is final: its last CHANNEL_DESTROY. A LegOver that leaves
no other leg may be that one, so it waits for the next fact of its call.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import offhook
from offhook.calls import Call
from offhook.calls.events import CallBridged, CallEnded, Fact, LegDialed, LegHeld, LegOver, LegPickedUp
from offhook.calls.model import CallPlan, EndpointKind, Leg, Party
from offhook.kernel import gregorian_s

from .planning.records import (
    address_of,
    channel_vars_of,
    disposition_of,
    ending_keys,
    leg_durations,
    leg_number,
    plan_vars_of,
)
from .ports import Json

CREATE: Final = "CHANNEL_CREATE"
ANSWER: Final = "CHANNEL_ANSWER"
BRIDGE: Final = "CHANNEL_BRIDGE"
HOLD: Final = "CHANNEL_HOLD"
UNHOLD: Final = "CHANNEL_UNHOLD"
DESTROY: Final = "CHANNEL_DESTROY"

_STATES: Final = {
    CREATE: ("DOWN", "INIT"),
    ANSWER: ("ACTIVE", "EXECUTE"),
    BRIDGE: ("ACTIVE", "EXCHANGE_MEDIA"),
    HOLD: ("HELD", "EXCHANGE_MEDIA"),
    UNHOLD: ("ACTIVE", "EXCHANGE_MEDIA"),
    DESTROY: ("HANGUP", "DESTROY"),
}
"""`channel_call_state` and `channel_state` in FreeSWITCH's words."""


class Milestone(NamedTuple):
    """That a channel event is due, before anybody has asked what it says."""

    name: str
    """`CHANNEL_CREATE`"""
    leg_id: str
    """Empty for a call of which no leg was rung: the event is then the call's own."""
    at: float
    """Unix seconds."""
    sequence: int
    """Per call, from 1, no gaps."""
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelEvent:
    """One channel event with all it says."""

    account_id: str
    call_id: str
    """Of the call; `data["call_id"]` is the channel's, which is another one."""
    name: str
    """`CHANNEL_CREATE`"""
    sequence: int
    final: bool
    is_internal_leg: bool
    """The leg rings a device of the account itself."""
    data: Json
    """KAZOO's complete call event, keys in snake_case. Not to be changed: all listeners get the same one."""


class ChannelTally:
    """Counts the channel events of one call, by its facts alone."""

    __slots__ = ("_held", "_open", "count")

    def __init__(self) -> None:
        self.count = 0
        """The sequence of the latest event."""
        self._open: dict[str, None] = {}  # legs that were dialled and are not over, in order
        self._held: tuple[str, float] | None = None  # leg and end of a CHANNEL_DESTROY that may be final

    def take(self, at: float, fact: Fact) -> Sequence[Milestone]:
        """Return the events a fact brings, in order: none for most, two for a bridge or an end."""
        if isinstance(fact, CallEnded):
            return self._end(at)
        if isinstance(fact, LegDialed):
            self._open[fact.leg_id] = None
            return [*self._release(), self._next(CREATE, fact.leg_id, at)]
        if isinstance(fact, LegPickedUp):
            return [self._next(ANSWER, fact.leg_id, at)]
        if isinstance(fact, CallBridged):
            return [self._next(BRIDGE, leg_id, at) for leg_id in (fact.first_leg_id, fact.second_leg_id)]
        if isinstance(fact, LegHeld):
            return [self._next(HOLD if fact.is_held else UNHOLD, fact.leg_id, at)]
        if isinstance(fact, LegOver):
            return self._close(fact.leg_id, at)
        return ()

    def _close(self, leg_id: str, at: float) -> Sequence[Milestone]:
        if leg_id not in self._open:
            return ()  # of a leg that recovery ended to be sure, and nobody was told of
        del self._open[leg_id]
        released = self._release()
        if self._open:
            return [*released, self._next(DESTROY, leg_id, at)]
        self._held = (leg_id, at)
        return released

    def _end(self, at: float) -> Sequence[Milestone]:
        """Close what no fact has closed (after a crash), and let the last one say that it is the last."""
        over = [self._held] if self._held else []
        over += [(leg_id, at) for leg_id in self._open]
        self._held = None
        self._open.clear()
        *others, last = over or [("", at)]
        events = [self._next(DESTROY, *other) for other in others]
        return [*events, self._next(DESTROY, *last, final=True)]

    def _release(self) -> list[Milestone]:
        if self._held is None:
            return []
        leg_id, at = self._held
        self._held = None
        return [self._next(DESTROY, leg_id, at)]

    def _next(self, name: str, leg_id: str, at: float, *, final: bool = False) -> Milestone:
        self.count += 1
        return Milestone(name, leg_id, at, self.count, final)


class ChannelEvents:
    """The channel events of a node's live calls.

    A call that nobody listens to costs a count. Give every fact to `take` in order; `resume` a call that was
    read from the journal before its next fact.
    """

    def __init__(self, *, node: str = "offhook") -> None:
        self._node = node
        self._tallies: dict[str, ChannelTally] = {}
        self._wanted: list[Callable[[CallPlan], bool]] = []
        self._listeners: list[Callable[[ChannelEvent], None]] = []

    def want(self, is_wanted: Callable[[CallPlan], bool]) -> None:
        """Ask before an event is built; it is if anybody says yes. Must take microseconds."""
        self._wanted.append(is_wanted)

    def listen(self, listener: Callable[[ChannelEvent], None]) -> None:
        """Call listener with every event that is built; it must not block or raise.

        The final one comes when the outcome is durable, as CallEnded does to observers of facts.
        """
        self._listeners.append(listener)

    def publish(self, events: Sequence[ChannelEvent]) -> None:
        """Tell the listeners what `take` returned."""
        for event in events:
            for listener in self._listeners:
                listener(event)

    def take(self, call: Call, at: float, fact: Fact) -> Sequence[ChannelEvent]:
        """Return the events a fact brings, if anybody wants them."""
        plan = call.plan
        tally = self._tallies.get(plan.call_id)
        if isinstance(fact, CallEnded):
            tally = self._tallies.pop(plan.call_id, None) or ChannelTally()
        elif tally is None:
            tally = self._tallies[plan.call_id] = ChannelTally()
        milestones = tally.take(at, fact)
        if milestones:
            for is_wanted in self._wanted:
                if is_wanted(plan):
                    return [channel_event(call, milestone, node=self._node) for milestone in milestones]
        return ()

    def resume(self, call_id: str, facts: Iterable[tuple[float, Fact]]) -> None:
        """Count what is known of an open call of the process before. The call must get its CallEnded."""
        tally = self._tallies[call_id] = ChannelTally()
        for at, fact in facts:
            tally.take(at, fact)


def channel_event(call: Call, milestone: Milestone, *, node: str) -> ChannelEvent:
    """Return what an event says. Keys without a value are left out, as KAZOO does."""
    leg = call.legs.get(milestone.leg_id)
    data = _common(call, milestone, node) | (_of_leg(call, leg, milestone) if leg is not None else {})
    data = {key: value for key, value in data.items() if value not in ("", None)}
    if milestone.final and call.ending is not None:
        data |= ending_keys(call.ending, call.times)
    return ChannelEvent(
        account_id=call.plan.account_id,
        call_id=call.plan.call_id,
        name=milestone.name,
        sequence=milestone.sequence,
        final=milestone.final,
        is_internal_leg=leg is not None and leg.endpoint.kind is EndpointKind.DEVICE,
        data=data,
    )


def _common(call: Call, milestone: Milestone, node: str) -> Json:
    """Return what holds for the call as well as for a leg; alone it is the event of a call without legs."""
    plan = call.plan
    call_state, state = _STATES[milestone.name]
    data: Json = {
        "account_id": plan.account_id,
        "call_id": milestone.leg_id or plan.call_id,
        "call_direction": "outbound",
        "call_forwarded": False,
        "authorizing_id": plan.authorizing_id,
        "authorizing_type": plan.authorizing_type,
        "owner_id": plan.owner_id,
        "interaction_id": plan.interaction_id,
        "origin_call_id": plan.call_id,
        "custom_channel_vars": plan_vars_of(plan),
        "custom_application_vars": plan.custom_application_vars,
        "channel_call_state": call_state,
        "channel_state": state,
        "channel_created_time": int(call.times.accepted * 1_000_000),
        "timestamp": gregorian_s(milestone.at),
        "media_server": node,
        "event_name": milestone.name,
        "event_category": "call_event",
        "app_name": "offhook",
        "app_version": offhook.__version__,
        "msg_id": f"{plan.call_id}/{milestone.sequence}",
        "sequence": milestone.sequence,
        "final": milestone.final,
    }
    if milestone.name == DESTROY:
        data |= {"duration_seconds": 0, "ringing_seconds": 0, "billing_seconds": 0, "disposition": "FAILED"}
    return data


def _of_leg(call: Call, leg: Leg, milestone: Milestone) -> Json:
    plan, endpoint = call.plan, leg.endpoint
    to = address_of(endpoint.to_uri)
    other = _other_leg(call, leg)
    is_joined = bool(leg.joined_to)
    data: Json = {
        "call_direction": endpoint.direction,
        "leg_party": str(leg.party),
        "leg_side": str(leg.side),
        "caller_id_name": endpoint.caller_id_name,
        "caller_id_number": endpoint.caller_id_number,
        "callee_id_name": endpoint.callee_id_name,
        "callee_id_number": endpoint.callee_id_number or leg_number(plan, leg),
        "from": address_of(endpoint.from_uri),
        "to": to,
        "request": to,
        "presence_id": endpoint.presence_id,
        "owner_id": endpoint.owner_id or plan.owner_id,
        "is_internal_leg": endpoint.kind is EndpointKind.DEVICE,
        "channel_name": f"offhook/{to}",
        "channel_created_time": int(leg.created_at * 1_000_000),
        "custom_channel_vars": {
            name: value
            for name, value in channel_vars_of(plan, leg, other if is_joined else None).items()
            if value
        },
        "other_leg_call_id": other.leg_id if other is not None else leg.joined_to,
    }
    if milestone.name == BRIDGE and other is not None:
        data |= _joined_with(plan, other)
    if milestone.name == DESTROY:
        data |= _end_of_leg(leg, milestone.at)
    return data


def _other_leg(call: Call, leg: Leg) -> Leg | None:
    """Return the leg it is joined to, was joined to last, or will be if it answers."""
    if leg.joined_to:
        return call.legs.get(leg.joined_to)
    if leg.number:
        return call.waiting if call.transfer is not None else None
    if leg is call.first or leg is call.second:
        return call.second if leg is call.first else call.first
    return call.first if leg.party is Party.SECOND else None


def _joined_with(plan: CallPlan, other: Leg) -> Json:
    return {
        "original_number": leg_number(plan, other),
        "other_leg_caller_id_name": other.endpoint.caller_id_name,
        "other_leg_caller_id_number": other.endpoint.caller_id_number,
        "other_leg_destination_number": leg_number(plan, other),
        "other_leg_direction": other.endpoint.direction,
    }


def _end_of_leg(leg: Leg, at: float) -> Json:
    return {
        "hangup_cause": leg.hangup_cause,
        "hangup_code": f"sip:{leg.sip_code}" if leg.sip_code else "",
        "sip_code": leg.sip_code,
        "sip_reason": leg.sip_reason,
        "disposition": disposition_of(leg),
    } | leg_durations(leg, leg.ended_at or at)
