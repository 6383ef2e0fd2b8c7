"""The bounds of docs/topics/outcomes.md hold, whatever engines and peers do, and whenever they do it."""

import random

import pytest

from offhook.calls import Call, CallState
from offhook.calls.bounds import longest_s, ringing_s, state_bounds_s
from offhook.calls.commands import StartTimer, StopTimer
from offhook.calls.events import CallInput, LegAnswered, LegEnded, LegRinging, LegsJoined, TimerFired
from offhook.calls.states import ENDING_BOUND_S, JOIN_BOUND_S

from .calls_language import ModelEngine, plan, step, two_party_plan

PLANS = [
    two_party_plan(max_duration_s=600.0),
    plan(
        first=(step("a1", "a2", timeout_s=20.0), step("a3", timeout_s=7.0)),
        second=(
            step("g1", hunt="x", timeout_s=25.0, progress_timeout_s=5.0),
            step("g2", hunt="x", timeout_s=25.0),
            step("v", delay_s=1.0, timeout_s=10.0),
        ),
        max_duration_s=60.0,
    ),
    plan(first=(step("a"),)),
    plan(second=(step("b"),)),
]


class TimedEngine(ModelEngine):
    """The model engine with timers that run out when they are due."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.due: dict[str, float] = {}

    def take(self, outputs: list) -> None:
        super().take(outputs)
        for output in outputs:
            if isinstance(output, StartTimer):
                self.due[output.name] = self.now + output.delay_s
            elif isinstance(output, StopTimer):
                self.due.pop(output.name, None)

    def next_timer(self) -> tuple[str, float]:
        return min(self.due.items(), key=lambda item: item[1])

    def reports(self) -> list[CallInput]:
        return [
            event
            for event in self.possible_inputs()
            if isinstance(event, LegRinging | LegAnswered | LegEnded | LegsJoined)
        ]


class Watch:
    """Runs a call and notes how long it stayed in each state."""

    def __init__(self, call_plan) -> None:
        self.call, self.engine = Call(call_plan, 0.0), TimedEngine()
        self.entered = 0.0
        self.stays: dict[CallState, float] = {}
        self.engine.take(self.call.start(0.0))

    def feed(self, event: CallInput) -> None:
        before, engine = self.call.state, self.engine
        engine.note(event)
        engine.take(self.call.receive(event, engine.now))
        self.stays[before] = engine.now - self.entered
        if self.call.state is not before:
            self.entered = engine.now

    def let_timer_fire(self) -> None:
        name, due = self.engine.next_timer()
        self.engine.now = due
        del self.engine.due[name]
        self.feed(TimerFired(name))

    def assert_within_bounds(self) -> None:
        bounds = state_bounds_s(self.call.plan)
        for state, stay in self.stays.items():
            assert stay <= bounds[state] + 1e-6, state
        assert self.call.times.ended <= longest_s(self.call.plan) + 1e-6


@pytest.mark.parametrize("seed", range(400))
def test_no_state_outlasts_its_bound(seed: int) -> None:
    """Reports come at any instant, most often just before a timer; engines may also fall silent for good."""
    dice = random.Random(seed)
    watch = Watch(dice.choice(PLANS))
    talkative = dice.random()
    while watch.call.state is not CallState.ENDED:
        engine = watch.engine
        reports = engine.reports()
        _, due = engine.next_timer()
        if reports and dice.random() < talkative:
            engine.now += (due - engine.now) * dice.choice([0.0, dice.random(), 0.999999])
            watch.feed(dice.choice(reports))
        else:
            watch.let_timer_fire()
    watch.assert_within_bounds()
    assert watch.engine.finals == 1


@pytest.mark.parametrize("call_plan", PLANS)
def test_an_engine_that_never_says_a_word_ends_a_call_within_ring_and_ending_time(call_plan) -> None:
    watch = Watch(call_plan)
    while watch.call.state is not CallState.ENDED:
        watch.let_timer_fire()
    assert watch.call.times.ended <= ringing_s(call_plan.first) + ENDING_BOUND_S
    watch.assert_within_bounds()


def test_the_longest_call_takes_every_state_to_its_end() -> None:
    watch = Watch(two_party_plan(max_duration_s=600.0))
    for leg_id in ("a", "b"):
        watch.engine.now += 30.0 - 1e-9
        watch.feed(LegAnswered(leg_id))
    watch.engine.now += JOIN_BOUND_S - 1e-9
    watch.feed(LegsJoined("a", "b"))
    watch.let_timer_fire()  # max_duration
    assert watch.call.state is CallState.ENDING
    watch.let_timer_fire()  # the engine never reports the ends
    assert watch.call.state is CallState.ENDED
    assert watch.call.times.ended == pytest.approx(longest_s(watch.call.plan))
    assert longest_s(watch.call.plan) == 30 + 30 + JOIN_BOUND_S + 600 + ENDING_BOUND_S
