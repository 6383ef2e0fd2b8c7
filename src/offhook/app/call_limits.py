"""How many calls a node takes: standing, and per second. A refusal says when to come again."""

from typing import Final

from .errors import Overloaded

RETRY_AFTER_FULL_S: Final = 5.0
"""Calls end in seconds to minutes: sooner is a wasted try."""


class CallLimits:
    """0 means no limit. Starts are counted by a token bucket of one second's worth."""

    def __init__(self, *, calls_max: int, calls_per_second: float) -> None:
        self._max = calls_max
        self._per_second = calls_per_second
        self._tokens = max(calls_per_second, 1.0)
        self._refilled_at = 0.0

    def admit(self, standing: int, now: float) -> None:
        """Take one start. now is monotonic seconds. Raises Overloaded(retry_after_s)."""
        if self._max and standing >= self._max:
            raise Overloaded(RETRY_AFTER_FULL_S)
        if not self._per_second:
            return
        earned = (now - self._refilled_at) * self._per_second
        self._tokens = min(max(self._per_second, 1.0), self._tokens + earned)
        self._refilled_at = now
        if self._tokens < 1:
            raise Overloaded((1 - self._tokens) / self._per_second)
        self._tokens -= 1
