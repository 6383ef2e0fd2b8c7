"""Waiting for other processes: the only place in the tests that sleeps on the real clock."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

POLL_S: Final = 0.02


def wait_for(condition: Callable[[], T | None], *, timeout_s: float, what: str) -> T:
    """Return the first truthy value of `condition`, asked every 20 ms. Raises AssertionError in the end."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s in vain for {what}")
        time.sleep(POLL_S)
