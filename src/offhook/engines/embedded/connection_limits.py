"""How many connections one address may have open, over all transports, and how slow they may be."""

from collections import Counter
from typing import Final

FIRST_MESSAGE_S: Final = 30.0
"""A connection that a peer opened brings its first whole message within this, or is closed."""
PARTIAL_S: Final = 30.0
"""A message that has begun is whole within this: the slowest network is faster, who drips bytes is not."""


class ConnectionLimits:
    """Counts connections that peers have opened, by address; `counts` says what was turned away, and why."""

    def __init__(self, per_address: int = 0) -> None:
        """0 is no limit."""
        self._per_address = per_address
        self._open: Counter[str] = Counter()
        self.counts: Counter[str] = Counter({"connections_per_address": 0, "slow_connection": 0})

    def opens(self, address: str) -> bool:
        """Count a connection; False if the address has too many."""
        if self._per_address and self._open[address] >= self._per_address:
            self.counts["connections_per_address"] += 1
            return False
        self._open[address] += 1
        return True

    def closed(self, address: str) -> None:
        """Count one that was counted no more."""
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]

    def is_too_slow(self, *, opened_at: float, partial_since: float, has_spoken: bool, now: float) -> bool:
        """Tell whether a peer holds a connection without using it; partial_since is 0 between messages."""
        is_slow = partial_since > 0 and now - partial_since > PARTIAL_S
        is_slow = is_slow or (not has_spoken and now - opened_at > FIRST_MESSAGE_S)
        self.counts["slow_connection"] += is_slow
        return is_slow
