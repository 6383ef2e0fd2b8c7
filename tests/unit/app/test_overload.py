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


def test_a_loop_that_stays_late_takes_half_and_less() -> None:
    node = Node()
    node.run(3, late_s=0.0, per_second=1_000)
    node.run(1.5, late_s=0.2, per_second=1_000)
    assert node.overload.rate == pytest.approx(500, rel=0.2)
    node.run(1.5, late_s=0.2, per_second=1_000)
    assert node.overload.rate < 300
    assert node.overload.refused > 300


def test_a_few_calls_are_taken_however_late_the_loop_is() -> None:
    node = Node()
    node.run(60, late_s=0.25, per_second=500)
    assert node.overload.rate == RATE_MIN
    assert node.run(10, late_s=0.25, per_second=RATE_MIN - 2) >= 150


def test_the_rate_grows_again_and_the_limit_goes() -> None:
    node = Node()
    node.run(3, late_s=0.0, per_second=1_000)
    node.run(5, late_s=0.3, per_second=1_000)
    low = node.overload.rate
    node.run(5, late_s=0.0, per_second=1_000)
    assert low < node.overload.rate < inf
    node.run(CALM_S + 3, late_s=0.0, per_second=10)
    assert node.overload.rate == inf


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
