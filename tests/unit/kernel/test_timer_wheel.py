"""The timer wheel: what fires, when, in which order, and that cancelled timers cost nothing later."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.kernel import TimerWheel
from offhook.kernel.timer_wheel import SLOT_S


def test_a_timer_fires_once_and_not_before_its_time() -> None:
    wheel, fired = TimerWheel(), []
    wheel.start(10.0, fired.append)
    wheel.advance(9.99)
    assert fired == []
    wheel.advance(10.0 + SLOT_S)
    wheel.advance(11.0)
    assert fired == [10.0 + SLOT_S]
    assert wheel.next_due() is None


def test_a_cancelled_timer_never_fires() -> None:
    wheel, fired = TimerWheel(), []
    timer = wheel.start(10.0, fired.append)
    timer.cancel()
    timer.cancel()
    assert not timer.is_active
    assert len(wheel) == 0
    wheel.advance(20.0)
    assert fired == []


def test_an_action_may_start_and_cancel_timers() -> None:
    wheel, fired = TimerWheel(), []
    other = wheel.start(11.0, lambda now: fired.append("other"))

    def action(now: float) -> None:
        other.cancel()
        wheel.start(now, lambda later: fired.append("next"))

    wheel.start(10.0, action)
    wheel.advance(10.1)
    wheel.advance(20.0)
    assert fired == ["next"]


@given(st.lists(st.floats(0, 1000), max_size=50))
def test_timers_fire_in_order_of_slots_at_most_one_slot_late(delays: list[float]) -> None:
    wheel, fired = TimerWheel(), []
    for due in delays:
        wheel.start(due, lambda now, due=due: fired.append((now, due)))
    while (due := wheel.next_due()) is not None:
        wheel.advance(due)
    assert sorted(due for _, due in fired) == sorted(delays)
    assert all(due <= now <= due + SLOT_S + 1e-6 for now, due in fired)
    assert [now for now, _ in fired] == sorted(now for now, _ in fired)


def test_an_action_that_raises_leaves_the_others_their_turn() -> None:
    wheel, fired = TimerWheel(), []

    def fails(now: float) -> None:
        wheel.start(now, lambda at: fired.append("started meanwhile"))
        raise ValueError("broken")

    wheel.start(1.0, lambda now: fired.append("before"))
    wheel.start(1.0, fails)
    wheel.start(1.0, lambda now: fired.append("after"))
    with pytest.raises(ValueError, match="broken"):
        wheel.advance(2.0)
    assert fired == ["before"]
    wheel.advance(3.0)
    assert fired == ["before", "after", "started meanwhile"]
    assert len(wheel) == 0
