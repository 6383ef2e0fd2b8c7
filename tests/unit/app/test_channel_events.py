"""Channel events: numbered without a gap, one of them final, the same from the journal as live."""

import random

import pytest

from offhook.app.channel_events import ChannelEvent, ChannelEvents, ChannelTally, channel_event
from offhook.calls import Call, CallState
from offhook.calls.events import (
    CallEnded,
    EndRequested,
    Fact,
    LegAnswered,
    LegDialed,
    LegEnded,
    LegOver,
    LegRinging,
    LegsJoined,
)
from offhook.calls.model import By, CallPlan
from offhook.calls.replay import replay
from offhook.calls.states import Output
from tests.unit.calls.calls_language import ModelEngine, plan, step, two_party_plan

ACCEPTED_AT = 1_767_225_600.0
NODE = "n1"


class Played:
    """A call and the events that a listener got while it went on."""

    def __init__(self, call_plan: CallPlan) -> None:
        self.call = Call(call_plan, ACCEPTED_AT)
        self.now = ACCEPTED_AT
        self.events: list[ChannelEvent] = []
        self.facts: list[tuple[float, Fact]] = []
        self._source = ChannelEvents(node=NODE)
        self._source.want(lambda asked: True)
        self.outputs = self.call.start(self.now)
        self._note(self.outputs)

    def feed(self, event: object) -> list[Output]:
        self.now += 1.25
        outputs = self.call.receive(event, self.now)  # type: ignore[arg-type]
        self._note(outputs)
        return outputs

    def _note(self, outputs: list[Output]) -> None:
        for fact in outputs:
            if isinstance(fact, Fact):
                self.facts.append((self.now, fact))
                self.events += self._source.take(self.call, self.now, fact)

    def names(self) -> list[tuple[str, str]]:
        return [(event.name.removeprefix("CHANNEL_"), event.data["call_id"]) for event in self.events]


def given_bridged_call() -> Played:
    played = Played(two_party_plan(custom_application_vars={"ticket": "42"}))
    for event in (LegRinging("a"), LegAnswered("a"), LegRinging("b"), LegAnswered("b"), LegsJoined("a", "b")):
        played.feed(event)
    return played


def test_a_connected_call_in_kazoos_words() -> None:
    played = given_bridged_call()
    played.feed(LegEnded("b", "NORMAL_CLEARING", 200, "OK", by_peer=True))
    played.feed(LegEnded("a", "NORMAL_CLEARING", 200, "OK"))
    assert played.names() == [
        ("CREATE", "a"),
        ("ANSWER", "a"),
        ("CREATE", "b"),
        ("ANSWER", "b"),
        ("BRIDGE", "a"),
        ("BRIDGE", "b"),
        ("DESTROY", "b"),
        ("DESTROY", "a"),
    ]
    assert [event.sequence for event in played.events] == list(range(1, 9))
    assert [event.final for event in played.events] == [False] * 7 + [True]


def test_bridge_names_the_other_leg_and_its_number() -> None:
    bridges = [event.data for event in given_bridged_call().events if event.name == "CHANNEL_BRIDGE"]
    assert [(data["other_leg_call_id"], data["other_leg_destination_number"]) for data in bridges] == [
        ("b", "1002"),
        ("a", "1001"),
    ]
    assert all(data["custom_application_vars"] == {"ticket": "42"} for data in bridges)


def test_the_last_destroy_carries_the_outcome_and_the_leg_its_durations() -> None:
    played = given_bridged_call()
    played.feed(LegEnded("b", "NORMAL_CLEARING", 200, "OK", by_peer=True))
    played.feed(LegEnded("a", "NORMAL_CLEARING", 200, "OK"))
    *_, other, last = (event.data for event in played.events)
    assert "outcome" not in other
    assert (other["hangup_code"], other["billing_seconds"], other["ringing_seconds"]) == ("sip:200", 2, 2)
    assert {key: last[key] for key in ("outcome", "party", "side", "by", "hangup_cause", "sip_code")} == {
        "outcome": "connected", "party": "second", "side": "contact", "by": "contact",
        "hangup_cause": "NORMAL_CLEARING", "sip_code": 200,
    }  # fmt: skip
    assert set(last["times"]) == {
        "accepted", "first_ringing", "first_answered", "second_ringing", "bridged", "ended",
    }  # fmt: skip


def test_a_call_without_a_leg_ends_with_one_event_of_its_own() -> None:
    played = Played(plan())
    [event] = played.events
    assert (event.name, event.sequence, event.final) == ("CHANNEL_DESTROY", 1, True)
    assert event.data["call_id"] == "c2c-test"
    assert event.data["outcome"] == "unreachable"
    assert event.data["hangup_cause"] == "USER_NOT_REGISTERED"


def test_a_leg_before_the_next_step_is_not_the_last() -> None:
    played = Played(plan(first=(step("a"), step("c"))))
    played.feed(LegEnded("a", "USER_BUSY", 486, "Busy Here", by_peer=True))
    assert played.names() == [("CREATE", "a"), ("DESTROY", "a"), ("CREATE", "c")]


def test_a_leg_that_was_over_before_the_call_waits_to_be_the_last() -> None:
    delayed = step("late", delay_s=5.0).endpoints
    first = step("a")
    played = Played(plan(first=(type(first)(endpoints=first.endpoints + delayed, timeout_s=30.0),)))
    played.feed(LegEnded("a", "USER_BUSY", 486, "Busy Here", by_peer=True))
    assert played.names() == [("CREATE", "a")]
    played.feed(EndRequested(By.API))
    assert played.names() == [("CREATE", "a"), ("DESTROY", "a")]
    assert played.events[-1].final
    assert played.events[-1].data["outcome"] == "canceled"


def test_nothing_is_built_for_a_call_nobody_listens_to() -> None:
    source = ChannelEvents()
    source.want(lambda asked: False)
    call = Call(two_party_plan(), ACCEPTED_AT)
    facts = [fact for fact in call.start(ACCEPTED_AT) if isinstance(fact, LegDialed)]
    assert facts
    assert [source.take(call, ACCEPTED_AT, fact) for fact in facts] == [()]


def test_a_listener_who_comes_late_sees_the_right_numbers() -> None:
    listens = False
    source = ChannelEvents()
    source.want(lambda asked: listens)
    call = Call(two_party_plan(), ACCEPTED_AT)
    for fact in call.start(ACCEPTED_AT):
        if isinstance(fact, Fact):
            source.take(call, ACCEPTED_AT, fact)
    listens = True
    for fact in call.receive(EndRequested(By.API), ACCEPTED_AT):
        assert not isinstance(fact, Fact)
    outputs = call.receive(LegEnded("a", "ORIGINATOR_CANCEL", 487), ACCEPTED_AT)
    events = [e for f in outputs if isinstance(f, Fact) for e in source.take(call, ACCEPTED_AT, f)]
    assert [(event.sequence, event.final) for event in events] == [(2, True)]


PLANS = (
    two_party_plan(),
    plan(first=(step("a1", "a2"), step("a3")), second=(step("b1", "b2"),)),
    plan(first=(step("a1", delay_s=3.0),), second=(step("b1"),)),
)


@pytest.mark.parametrize("call_plan", PLANS)
@pytest.mark.parametrize("seed", range(60))
def test_any_call_has_contiguous_events_and_one_final(call_plan: CallPlan, seed: int) -> None:
    chance = random.Random(seed)
    played, engine = Played(call_plan), ModelEngine()
    engine.take(played.outputs)
    while played.call.state is not CallState.ENDED:
        event = chance.choice(list(engine.possible_inputs()))
        outputs = played.feed(event)
        engine.note(event)
        engine.take(outputs)
    events = played.events
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.final for event in events] == [False] * (len(events) - 1) + [True]
    names = played.names()
    for leg_id in (leg.leg_id for leg in played.call.legs.values() if leg.created_at):
        assert names.count(("CREATE", leg_id)) == names.count(("DESTROY", leg_id)) == 1
        assert names.index(("CREATE", leg_id)) < names.index(("DESTROY", leg_id))
    assert_journal_gives_the_same(played)


def assert_journal_gives_the_same(played: Played) -> None:
    again = replay(played.call.plan, ACCEPTED_AT, played.facts)
    tally = ChannelTally()
    told = [
        channel_event(again, milestone, node=NODE)
        for at, fact in played.facts
        for milestone in tally.take(at, fact)
    ]
    for old, new in zip(played.events, told, strict=True):
        assert (old.name, old.sequence, old.final) == (new.name, new.sequence, new.final)
        assert old.data["call_id"] == new.data["call_id"]
    assert played.events[-1].data == told[-1].data
    for cut in range(len(played.facts)):
        assert_resumed_call_goes_on(played, cut)


def assert_resumed_call_goes_on(played: Played, cut: int) -> None:
    """A node that reads the first facts and makes the others gives each event once, under its number."""
    call_id, known = played.call.plan.call_id, played.facts[:cut]
    tally = ChannelTally()
    before = sum(len(tally.take(at, fact)) for at, fact in known)
    source = ChannelEvents(node=NODE)
    source.want(lambda asked: True)
    source.resume(call_id, known)
    after = [e for at, fact in played.facts[cut:] for e in source.take(played.call, at, fact)]
    assert [event.sequence for event in after] == list(range(before + 1, len(played.events) + 1))


def test_legs_that_a_crash_left_open_are_closed_before_the_final_event() -> None:
    tally = ChannelTally()
    for leg_id in ("a", "b"):
        tally.take(1.0, LegDialed(leg_id, "first", "extension", ""))
    ending = given_ended_call().facts[-1][1]
    assert isinstance(ending, CallEnded)
    assert [(m.name, m.leg_id, m.sequence, m.final) for m in tally.take(9.0, ending)] == [
        ("CHANNEL_DESTROY", "a", 3, False),
        ("CHANNEL_DESTROY", "b", 4, True),
    ]


def test_a_leg_nobody_was_told_of_ends_unheard() -> None:
    tally = ChannelTally()
    tally.take(1.0, LegDialed("a", "first", "extension", ""))
    assert tally.take(2.0, LegOver("b", "CRASH", 0, "", by_peer=False)) == ()


def given_ended_call() -> Played:
    played = Played(two_party_plan())
    played.feed(LegEnded("a", "USER_BUSY", 486, "Busy Here", by_peer=True))
    assert isinstance(played.facts[-2][1], LegOver)
    return played
