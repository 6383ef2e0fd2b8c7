"""Overload control by measurement: how late the event loop runs decides how many new calls it is given.

What counts is the smallest lateness within a second: one long turn is no overload (a page of a long list,
another program on the machine), a queue that never empties is (the idea of CoDel, RFC 8289). Then new calls
are halved until the queue is gone, and grow again step by step; calls that stand are never touched.
"""

import asyncio
from collections import deque
from math import inf
from typing import Final

from .errors import Overloaded

TICK_S: Final = 0.1
"""How often the lateness is taken: ten timers a second cost nothing."""
WINDOW_S: Final = 1.0
"""A queue that stands so long does not empty by itself."""
SAMPLES_MIN: Final = 2
"""However long they take: a single one is a long turn, or a machine that slept."""
LATE_S: Final = 0.1
"""A standing delay beyond this is overload: SIP begins to repeat itself after 0.5 s, and people notice."""
RATE_MIN: Final = 20.0
"""Calls per second that are always taken, 2 % of a core: a slow machine is no reason to refuse a few."""
CUT: Final = 0.5
"""Of the calls per second that were taken: what they cost comes partly later, when they are answered."""
GROWTH: Final = 1.05
"""Per second, while calls are refused and the loop is in time: tenfold in 47 s."""
CALM_S: Final = 10.0
"""Without a refusal for so long there is no limit any more."""
BURST_S: Final = 0.25
"""Of the rate: calls that may come at once; at least BURST_MIN."""
BURST_MIN: Final = 10.0
"""Half a second's worth of the lowest rate."""
RETRY_AFTER_S: Final = 2.0
"""Said to who is refused; load is judged anew every second."""


class Overload:
    """Measures, and admits new calls. Pure: times are monotonic seconds, given by the caller."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, float]] = deque()
        self._rate = inf
        self._tokens = 0.0
        self._refilled_at = 0.0
        self._judged_at = 0.0
        self._taken = 0
        self._refused_at = -inf
        self.refused = 0
        """Calls refused since the start."""

    @property
    def rate(self) -> float:
        """Calls per second that are admitted now; infinite if there is no need to refuse any."""
        return self._rate

    @property
    def standing_s(self) -> float:
        """Delay that stood for the last second; 0 if it cannot be told."""
        if len(self._late) < SAMPLES_MIN:
            return 0.0
        return min(late for _, late in self._late)

    def note(self, late_s: float, now: float) -> None:
        """Take how late the loop is now; call it every TICK_S."""
        self._late.append((now, late_s))
        while len(self._late) > SAMPLES_MIN and self._late[0][0] < now - WINDOW_S:
            self._late.popleft()
        if now - self._judged_at >= WINDOW_S:
            self._judge(now)

    def _judge(self, now: float) -> None:
        """Set the rate for the next second by what the last one was like."""
        taken_per_s = self._taken / (now - self._judged_at)
        self._judged_at, self._taken = now, 0
        if self.standing_s > LATE_S:
            self._rate = max(RATE_MIN, CUT * min(self._rate, taken_per_s))
            self._refused_at = now
        elif self._rate < inf:
            self._rate = inf if now - self._refused_at > CALM_S else self._rate * GROWTH

    def has_room(self, now: float) -> bool:
        """Tell whether a call would be admitted; for refusing early, before much was spent on it."""
        if self._rate == inf:
            return True
        burst = max(BURST_MIN, self._rate * BURST_S)
        self._tokens = min(burst, self._tokens + (now - self._refilled_at) * self._rate)
        self._refilled_at = now
        if self._tokens < 1.0:
            self._refused_at = now
        return self._tokens >= 1.0

    def admit(self, now: float) -> None:
        """Take a call. Raises Overloaded."""
        if not self.has_room(now):
            self.refused += 1
            raise Overloaded(RETRY_AFTER_S)
        self._taken += 1
        if self._rate < inf:
            self._tokens -= 1.0


class LoopWatch:
    """Tells an Overload how late the running loop is. `stop()` is idempotent and may precede `start()`."""

    def __init__(self, overload: Overload) -> None:
        self._overload = overload
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        """Begin to measure."""
        self._due = asyncio.get_running_loop().time()
        self._tick()

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._overload.note(max(0.0, now - self._due), now)
        self._due = now + TICK_S
        self._timer = loop.call_at(self._due, self._tick)
