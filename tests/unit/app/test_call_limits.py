"""How many calls a node takes."""

import pytest

from offhook.app.call_limits import WAITING_MAX, CallLimits
from offhook.app.errors import Overloaded


def test_standing_calls_are_bounded() -> None:
    limits = CallLimits(calls_max=2, calls_per_second=0)
    limits.admit(1, 0.0)
    with pytest.raises(Overloaded) as caught:
        limits.admit(2, 0.0)
    assert caught.value.retry_after_s > 0


def test_starts_per_second_are_bounded_and_come_back() -> None:
    limits = CallLimits(calls_max=0, calls_per_second=10)
    for _ in range(10):
        limits.admit(0, 100.0)
    with pytest.raises(Overloaded):
        limits.admit(0, 100.0)
    limits.admit(0, 100.2)


def test_zero_means_no_limit() -> None:
    limits = CallLimits(calls_max=0, calls_per_second=0)
    for standing in range(1000):
        limits.admit(standing, 0.0)
    assert standing == 999


def test_calls_that_wait_for_the_disk_are_bounded() -> None:
    limits = CallLimits(calls_max=0, calls_per_second=0)
    limits.admit(WAITING_MAX, 0.0, waiting=WAITING_MAX - 1)
    with pytest.raises(Overloaded):
        limits.admit(WAITING_MAX, 0.0, waiting=WAITING_MAX)
