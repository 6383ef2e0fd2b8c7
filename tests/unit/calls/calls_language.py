"""Words to speak about calls in tests: plans, a model engine, and what must hold at every end."""

from collections.abc import Iterator

from offhook.calls import Call, CallState
from offhook.calls.commands import AnswerLeg, DialLeg, HangUpLeg, JoinLegs, StartTimer, StopTimer, TakeLeg
from offhook.calls.events import (
    CallEnded,
    CallInput,
    EndRequested,
    LegAnswered,
    LegEnded,
    LegRinging,
    LegsJoined,
    LinkRequested,
    TimerFired,
    TransferBegun,
    TransferRequested,
    TransferStored,
)
from offhook.calls.model import (
    By,
    CallPlan,
    EndpointKind,
    EndpointPlan,
    Handover,
    Link,
    PartyPlan,
    RingStep,
    Side,
    Transfer,
)
from offhook.calls.states import Output


def endpoint(leg_id: str, **fields: object) -> EndpointPlan:
    defaults: dict[str, object] = {
        "kind": EndpointKind.DEVICE,
        "request_uri": f"sip:{leg_id}@192.0.2.1",
        "to_uri": f"sip:{leg_id}@example.com",
        "from_uri": "sip:1002@example.com",
    }
    return EndpointPlan(leg_id=leg_id, **{**defaults, **fields})


def step(*leg_ids: str, timeout_s: float = 30.0, hunt: str = "", **fields: object) -> RingStep:
    endpoints = tuple(endpoint(leg_id, **fields) for leg_id in leg_ids)
    return RingStep(endpoints=endpoints, timeout_s=timeout_s, hunt=hunt)


def plan(
    *, first: tuple[RingStep, ...] = (), second: tuple[RingStep, ...] = (), **fields: object
) -> CallPlan:
    defaults: dict[str, object] = {
        "call_id": "c2c-test",
        "account_id": "a" * 32,
        "kind": "clicktocall",
        "authorizing_id": "b" * 32,
        "authorizing_type": "clicktocall",
        "interaction_id": "63876500000-1a2b3c4d",
        "first": PartyPlan(
            side=Side.EXTENSION, number="1001", steps=first, unreachable_cause="USER_NOT_REGISTERED"
        ),
        "second": PartyPlan(side=Side.CONTACT, number="1002", steps=second),
    }
    return CallPlan(**{**defaults, **fields})


def inbound_plan(*second: RingStep, **fields: object) -> CallPlan:
    """A call whose first party, leg `a`, has rung us."""
    caller = step("a", timeout_s=0.0, received="an INVITE")
    return plan(first=(caller,), second=second, kind="inbound", **fields)


def two_party_plan(**fields: object) -> CallPlan:
    return plan(first=(step("a"),), second=(step("b"),), **fields)


def target(*steps: RingStep, side: Side = Side.CONTACT) -> PartyPlan:
    return PartyPlan(side=side, number="1003", steps=steps, unreachable_cause="USER_NOT_REGISTERED")


def transfer_of(
    staying: str, leaving: str, handover: Handover, *steps: RingStep, side: Side = Side.CONTACT
) -> TransferRequested:
    """`staying` is put through to what the steps ring."""
    return TransferRequested(
        Transfer(
            staying_leg_id=staying,
            leaving_leg_id=leaving,
            handover=handover,
            by=By.API,
            target=target(*steps, side=side),
        )
    )


def link_of(staying: str, leaving: str, *, is_referrer: bool = True) -> LinkRequested:
    """`staying` is put through to leg `x` of another call."""
    link = Link(staying_leg_id=staying, leaving_leg_id=leaving, other_call_id="c2c-other", other_leg_id="x")
    return LinkRequested(link, is_referrer)


def commands(outputs: list[Output], kind: type) -> list[Output]:
    return [output for output in outputs if isinstance(output, kind)]


class ModelEngine:
    """What any engine may report about the legs it was given: used to walk every interleaving."""

    def __init__(self) -> None:
        self.legs: dict[str, str] = {}
        """Leg id → dialing | ringing | answered | ending; of a caller: waiting | answering | …"""

        self.joins: set[tuple[str, str]] = set()
        self.timers: set[str] = set()
        self.finals = 0
        self.stores = 0  # transfers that the journal does not hold yet

    def copy(self) -> "ModelEngine":
        twin = ModelEngine()
        twin.legs, twin.joins = dict(self.legs), set(self.joins)
        twin.timers, twin.finals, twin.stores = set(self.timers), self.finals, self.stores
        return twin

    def take(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, DialLeg):
                assert output.endpoint.leg_id not in self.legs
                self.legs[output.endpoint.leg_id] = "dialing"
            elif isinstance(output, TakeLeg):
                assert output.endpoint.leg_id not in self.legs
                self.legs[output.endpoint.leg_id] = "waiting"
            elif isinstance(output, AnswerLeg):
                if self.legs.get(output.leg_id) == "waiting":
                    self.legs[output.leg_id] = "answering"
            elif isinstance(output, HangUpLeg):
                if output.leg_id in self.legs:
                    self.legs[output.leg_id] = "ending"
            elif isinstance(output, JoinLegs):
                self.joins.add((output.first_leg_id, output.second_leg_id))
            elif isinstance(output, StartTimer):
                self.timers.add(output.name)
            elif isinstance(output, StopTimer):
                self.timers.discard(output.name)
            elif isinstance(output, TransferBegun):
                self.stores += 1
            elif isinstance(output, CallEnded):
                self.finals += 1

    def possible_inputs(self) -> Iterator[CallInput]:
        for leg_id, state in self.legs.items():
            if state == "dialing":
                yield LegRinging(leg_id)
                yield LegRinging(leg_id, 183, has_media=True)
            if state in ("dialing", "ringing"):
                yield LegAnswered(leg_id)
                yield LegEnded(leg_id, "USER_BUSY", 486, "Busy Here", by_peer=True)
                yield LegEnded(leg_id, "RECOVERY_ON_TIMER_EXPIRE", 0, "", by_peer=False)
            if state == "answering":
                yield LegAnswered(leg_id)
                yield LegEnded(
                    leg_id, "RECOVERY_ON_TIMER_EXPIRE", 200, "", by_peer=False
                )  # never acknowledged
            if state in ("waiting", "answering"):
                yield LegEnded(leg_id, "ORIGINATOR_CANCEL", 487, "", by_peer=True)
            if state == "answered":
                yield LegEnded(leg_id, "NORMAL_CLEARING", 200, "", by_peer=True)
            if state == "ending":
                yield LegEnded(leg_id, "NORMAL_CLEARING", 487, "", by_peer=False)
        for first, second in self.joins:
            if self.legs.get(first) == self.legs.get(second) == "answered":
                yield LegsJoined(first, second)
        if self.stores:
            yield TransferStored()
            yield TransferStored(is_durable=False)
        for name in self.timers - {
            "ending"
        }:  # an engine keeps its bound; see test_an_engine_that_loses_a_leg
            yield TimerFired(name)
        yield EndRequested(By.API)

    def note(self, event: CallInput) -> None:
        """Remember what the engine itself knows after it reported `event`."""
        if isinstance(event, LegRinging):
            self.legs[event.leg_id] = "ringing"
        elif isinstance(event, LegAnswered):
            self.legs[event.leg_id] = "answered"
        elif isinstance(event, LegEnded):
            del self.legs[event.leg_id]
        elif isinstance(event, LegsJoined):
            self.joins.discard((event.first_leg_id, event.second_leg_id))
        elif isinstance(event, TransferStored):
            self.stores -= 1
        elif isinstance(event, TimerFired):
            self.timers.discard(event.name)


def assert_clean_end(call: Call, engine: ModelEngine) -> None:
    assert call.state is CallState.ENDED
    assert engine.finals == 1
    assert engine.legs == {}, "a leg outlived its call"
    assert engine.timers == set(), "a timer outlived its call"
    assert call.ending is not None
    assert all(leg.ended_at for leg in call.legs.values() if leg.created_at)
