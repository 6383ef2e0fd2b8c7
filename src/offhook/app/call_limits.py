"""How many calls a node takes: standing, per second, and as its load allows; when to come again."""

from typing import Final

from .errors import Overloaded
from .overload import Overload

WAITING_MAX: Final = 500
"""Calls that wait for the disk before they begin: ten flushes' worth; more only wait longer."""

RETRY_AFTER_FULL_S: Final = 5.0
"""Calls end in seconds to minutes: sooner is a wasted try."""


class CallLimits:
    """0 means no limit. Starts are counted by a token bucket of one second's worth."""

    def __init__(self, *, calls_max: int, calls_per_second: float, overload: Overload | None = None) -> None:
        """overload is told of every start, and may refuse it."""
        self._overload = overload or Overload()
        self._max = calls_max
        self._per_second = calls_per_second
        self._tokens = max(calls_per_second, 1.0)
        self._refilled_at = 0.0

    def admit(self, standing: int, now: float, *, waiting: int = 0) -> None:
        """Take one start. now is monotonic seconds. Raises Overloaded(retry_after_s).

        standing counts all calls, also the waiting ones: those that are not durable yet.
        """
        if (self._max and standing >= self._max) or waiting >= WAITING_MAX:
            raise Overloaded(RETRY_AFTER_FULL_S)
        self._take_token(now)
        self._overload.admit(now)

    def _take_token(self, now: float) -> None:
        if not self._per_second:
            return
        earned = (now - self._refilled_at) * self._per_second
        self._tokens = min(max(self._per_second, 1.0), self._tokens + earned)
        self._refilled_at = now
        if self._tokens < 1:
            raise Overloaded((1 - self._tokens) / self._per_second)
        self._tokens -= 1
