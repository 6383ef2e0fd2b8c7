"""New calls are held back while the loop stays late, never for one long turn, and come back afterwards."""

import asyncio
from math import inf

import pytest

from offhook.app.errors import Overloaded
from offhook.app.overload import BURST_MIN, CALM_S, LATE_S, RATE_MIN, TICK_S, LoopWatch, Overload


class Node:
    """A loop whose lateness the test decides, and callers at a rate."""

    def __init__(self) -> None:
        self.overload, self.now = Overload(), 0.0

    def run(self, seconds: float, *, late_s: float, per_second: float = 0.0) -> int:
        """Let time pass; return how many calls were taken."""
        taken, due, end = 0, 0.0, self.now + seconds
        while self.now < end:
            self.now += TICK_S + late_s
            due += per_second * (TICK_S + late_s)
            while due >= 1:
                due -= 1
                taken += self.try_call()
            self.overload.note(late_s, self.now)
        return taken

    def try_call(self) -> bool:
        try:
            self.overload.admit(self.now)
        except Overloaded:
            return False
        return True


def test_a_loop_in_time_takes_every_call() -> None:
    assert Node().run(10, late_s=0.01, per_second=1_000) == pytest.approx(10_000, rel=0.05)


def test_one_long_turn_is_no_overload() -> None:
    node = Node()
    node.run(2, late_s=0.0, per_second=100)
    node.overload.note(3.0, node.now + 3.0)
    node.now += 3.0
    node.run(2, late_s=0.0, per_second=100)
    assert node.overload.rate == inf


def test_two_late_turns_within_a_moment_are_no_overload() -> None:
    node = Node()
    node.run(2, late_s=0.0, per_second=100)
    node.run(0.3, late_s=0.11, per_second=100)
    node.run(1, late_s=0.0, per_second=100)
    assert node.overload.rate == inf


def test_a_loop_that_stays_late_takes_few_at_once() -> None:
    node = Node()
    node.run(3, late_s=0.0, per_second=1_000)
    node.run(1, late_s=0.2, per_second=1_000)
    assert node.overload.rate == RATE_MIN
    assert node.overload.standing_s == pytest.approx(0.2)
    taken = node.run(1, late_s=0.2, per_second=1_000)
    assert taken <= RATE_MIN + BURST_MIN + 1
    assert node.overload.refused > 900


def test_a_turn_of_seconds_is_enough_if_another_follows() -> None:
    node = Node()
    node.run(2, late_s=0.0, per_second=1_000)
    node.run(6, late_s=3.0, per_second=1_000)
    assert node.overload.rate == RATE_MIN


def test_a_few_calls_are_taken_however_late_the_loop_is() -> None:
    node = Node()
    node.run(60, late_s=0.25, per_second=500)
    assert node.overload.rate == RATE_MIN
    assert node.run(10, late_s=0.25, per_second=RATE_MIN - 2) >= 150


def test_the_rate_comes_back_quickly_to_half_of_what_was_too_much_and_slowly_above() -> None:
    node = Node()
    node.run(3.05, late_s=0.0, per_second=1_000)
    node.run(2, late_s=0.3, per_second=1_000)
    node.run(5.5, late_s=0.0, per_second=1_000)
    half = node.overload.rate
    assert half == pytest.approx(500, rel=0.3)
    node.run(3, late_s=0.0, per_second=1_000)
    assert half < node.overload.rate < 1.6 * half


def test_it_settles_near_what_the_node_bears() -> None:
    node, rates = Node(), []
    for _ in range(600):  # the loop is late whenever more than 200 per second are taken
        before = node.now
        taken = node.run(0.1, late_s=0.0, per_second=1_000)
        late_s = 0.3 if taken / (node.now - before) > 200 else 0.0
        if late_s:
            node.run(0.8, late_s=late_s, per_second=1_000)
        rates.append(node.overload.rate)
    settled = rates[300:]
    assert max(settled) < 400
    assert sum(settled) / len(settled) > 60


def test_the_limit_goes_when_nothing_was_refused_for_a_while() -> None:
    node = Node()
    node.run(3, late_s=0.0, per_second=1_000)
    node.run(5, late_s=0.3, per_second=1_000)
    node.run(CALM_S + 3, late_s=0.0, per_second=10)
    assert node.overload.rate == inf
    assert node.overload.standing_s == 0.0


def test_asking_for_room_takes_none() -> None:
    node = Node()
    node.run(60, late_s=0.3, per_second=500)
    node.now += 1.0
    assert all(node.overload.has_room(node.now) for _ in range(100))
    assert sum(node.try_call() for _ in range(100)) == int(BURST_MIN)
    assert not node.overload.has_room(node.now)


def test_a_refusal_says_when_to_come_again() -> None:
    node = Node()
    node.run(60, late_s=0.3, per_second=500)
    while node.try_call():
        continue
    with pytest.raises(Overloaded) as refusal:
        node.overload.admit(node.now)
    assert refusal.value.retry_after_s == 2.0


def test_a_blocked_loop_is_seen() -> None:
    async def run() -> float:
        overload = Overload()
        watch = LoopWatch(overload)
        watch.stop()
        watch.start()
        loop = asyncio.get_running_loop()
        for _ in range(8):
            end = loop.time() + 0.3
            while loop.time() < end:
                pass
            await asyncio.sleep(0)
        watch.stop()
        return overload.standing_s

    assert asyncio.run(run()) > LATE_S
