"""Limits on requests, in bounded memory: token buckets, the throttle of a button, failed logins.

Times are monotonic seconds, given by the caller. Each node counts for itself.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from offhook.app.errors import TooManyRequests

BUCKETS_MAX: Final = 50_000
"""Buckets kept (about 200 bytes each); the one unused for longest is forgotten, and starts full again."""

THROTTLES_MAX: Final = 20_000
"""Buttons whose last minute is remembered; a forgotten one has been idle for longest."""

THROTTLE_WINDOW_S: Final = 60.0

LOGIN_FAILURES_FREE: Final = 5
"""Wrong passwords that cost nothing: people mistype."""

LOGIN_DELAY_MAX_S: Final = 60.0
"""A forgetful owner waits a minute, a guesser gets 1,440 tries a day."""

LOGIN_MEMORY_S: Final = 900.0
"""Failures older than this are forgiven."""

LOGINS_MAX: Final = 20_000
"""Account and address pairs remembered."""


class TokenBuckets:
    """One bucket per key: full at first, refilled steadily. Size 0 means no limit."""

    __slots__ = ("_buckets", "refill_per_s", "size")

    def __init__(self, size: int, refill_per_s: float) -> None:
        self.size = size
        self.refill_per_s = refill_per_s
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, address: str, account_id: str, *, cost: int, now: float, takes_rest: bool = False) -> int:
        """Take `cost` tokens and return how many remain. Raises TooManyRequests if there are fewer.

        What is there is then left, or taken too (KAZOO's "until" form: who guesses passwords waits longer).
        """
        if not self.size:
            return 0
        level = self._level(address, account_id, now)
        left = level - cost
        if left >= 0:
            self._keep(address, account_id, left, now)
        else:
            self._keep(address, account_id, 0.0 if takes_rest else level, now)
            raise TooManyRequests(-left / self.refill_per_s if self.refill_per_s else THROTTLE_WINDOW_S)
        return int(left)

    def _level(self, address: str, account_id: str, now: float) -> float:
        found = self._buckets.get((address, account_id))
        if found is None:
            return float(self.size)
        level, at = found
        return min(float(self.size), level + (now - at) * self.refill_per_s)

    def _keep(self, address: str, account_id: str, level: float, now: float) -> None:
        key = (address, account_id)
        self._buckets[key] = (level, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > BUCKETS_MAX:
            self._buckets.popitem(last=False)


class Throttles:
    """Accepted invocations per minute per button, over a window that slides."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: OrderedDict[str, deque[float]] = OrderedDict()

    @contextmanager
    def invocation(self, button_id: str, limit: int | None, *, now: float) -> Iterator[None]:
        """Hold one of the minute's `limit` places; it is given back if the body raises.

        None means no limit. Raises TooManyRequests if the minute is used up.
        """
        if limit is None:
            yield
            return
        taken = self._window(button_id, now)
        if len(taken) >= limit:
            raise TooManyRequests(taken[0] + THROTTLE_WINDOW_S - now if taken else THROTTLE_WINDOW_S)
        taken.append(now)
        try:
            yield
        except BaseException:
            if now in taken:
                taken.remove(now)
            raise

    def left(self, button_id: str, limit: int, *, now: float) -> int:
        """Return how many more invocations this minute allows."""
        return max(0, limit - len(self._window(button_id, now)))

    def _window(self, button_id: str, now: float) -> deque[float]:
        taken = self._taken.setdefault(button_id, deque())
        self._taken.move_to_end(button_id)
        while taken and taken[0] <= now - THROTTLE_WINDOW_S:
            taken.popleft()
        if len(self._taken) > THROTTLES_MAX:
            self._taken.popitem(last=False)
        return taken


class LoginLimiter:
    """Failed logins slow down, per account and address: 1 s after the fifth, then 2, 4, … 60 s."""

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def check(self, account: str, address: str, *, now: float) -> None:
        """Raise TooManyRequests if this pair has to wait."""
        count, last = self._failures.get((account, address), (0, 0.0))
        if count < LOGIN_FAILURES_FREE or now - last > LOGIN_MEMORY_S:
            return
        delay = min(LOGIN_DELAY_MAX_S, 2.0 ** min(count - LOGIN_FAILURES_FREE, 10))
        if now < last + delay:
            raise TooManyRequests(last + delay - now)

    def failed(self, account: str, address: str, *, now: float) -> None:
        """Count a failure."""
        key = (account, address)
        count, last = self._failures.get(key, (0, 0.0))
        self._failures[key] = (1 if now - last > LOGIN_MEMORY_S else count + 1, now)
        self._failures.move_to_end(key)
        if len(self._failures) > LOGINS_MAX:
            self._failures.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """Forget the failures."""
        self._failures.pop((account, address), None)
