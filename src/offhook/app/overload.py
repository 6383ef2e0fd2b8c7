"""Overload control by measurement: how late the event loop runs decides how many new calls it is given.

One long turn is no overload (a page of a long list, another program on the machine); a loop that has not
been in time for half a second, and for two turns, has a queue that does not empty by itself. Then only a
few calls are taken until it is in time again; from there on their rate doubles every second up to half of
what was too much, and grows slowly above that, as TCP finds its rate (RFC 5681). Calls that stand are never
touched.
"""

import asyncio
from math import inf
from typing import Final

from .errors import Overloaded

TICK_S: Final = 0.1
"""How often the lateness is taken: ten timers a second cost nothing."""
LATE_S: Final = 0.1
"""Later than this is not in time: SIP begins to repeat itself after 0.5 s, and people notice."""
STANDS_S: Final = 0.5
TURNS: Final = 2
"""A loop that was late for so long, and so often in a row, is overloaded."""
RATE_MIN: Final = 20.0
"""Calls per second that are always taken, 2 % of a core: a slow machine is no reason to refuse a few."""
JUDGED_EVERY_S: Final = 1.0
CUT: Final = 0.5
"""Of the rate that was too much: so far it grows quickly again."""
QUICK, SLOW = 2.0, 1.15
"""Growth per second below that, and above."""
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
        self._in_time_at = 0.0
        self._late_turns = 0
        self._rate = self._threshold = inf
        self._tokens = 0.0
        self._refilled_at = 0.0
        self._judged_at = 0.0
        self._taken = 0
        self._refused_at = -inf
        self.standing_s = 0.0
        """The smallest lateness since the loop was in time; 0 if it is."""
        self.refused = 0
        """Calls refused since the start."""

    @property
    def rate(self) -> float:
        """Calls per second that are admitted now; infinite if there is no need to refuse any."""
        return self._rate

    def note(self, late_s: float, now: float) -> None:
        """Take how late the loop is now; call it every TICK_S."""
        if late_s <= LATE_S:
            self._in_time_at, self._late_turns, self.standing_s = now, 0, 0.0
        else:
            self._late_turns += 1
            self.standing_s = min(self.standing_s or inf, late_s)
        if self._late_turns >= TURNS and now - self._in_time_at >= STANDS_S:
            self._cut(now)
        elif now - self._judged_at >= JUDGED_EVERY_S:
            self._grow(now)

    def _cut(self, now: float) -> None:
        """Take few calls from now on; remember what was too much."""
        if self._rate > RATE_MIN:
            taken_per_s = self._taken / max(now - self._judged_at, TICK_S)
            self._threshold = max(RATE_MIN, CUT * min(self._rate, taken_per_s))
        self._rate = RATE_MIN
        self._refused_at = self._judged_at = now
        self._taken = 0

    def _grow(self, now: float) -> None:
        self._judged_at, self._taken = now, 0
        if now - self._refused_at > CALM_S:
            self._rate = inf
        elif self._rate < self._threshold:
            self._rate = min(self._threshold, self._rate * QUICK)
        else:
            self._rate *= SLOW

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
