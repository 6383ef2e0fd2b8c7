"""Token buckets: one per peer address, so that a flood from one does not starve the others; one for all."""

from typing import Final

ADDRESSES_MAX: Final = 10_000
"""Addresses remembered, about 2 MB. Beyond that the one seen longest ago starts afresh."""


class AddressRateLimit:
    """Admits `rate` messages per second and address, with a burst of one second's worth unless told."""

    __slots__ = ("_buckets", "_burst", "_rate")

    def __init__(self, rate: float, *, burst: float = 0.0) -> None:
        """rate is messages per second; 0 admits everything."""
        self._rate = rate
        self._burst = burst or rate
        self._buckets: dict[str, tuple[float, float]] = {}

    def admits(self, address: str, now: float) -> bool:
        """Take a token of an address; False if it has none left."""
        if self._rate <= 0:
            return True
        tokens, at = self._buckets.pop(address, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        is_admitted = tokens >= 1.0
        self._buckets[address] = (tokens - 1.0 if is_admitted else tokens, now)
        if len(self._buckets) > ADDRESSES_MAX:
            del self._buckets[next(iter(self._buckets))]
        return is_admitted


class RateLimit:
    """Admits `rate` messages per second from anybody, with a burst of one second's worth."""

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: float) -> None:
        """rate is messages per second; 0 admits everything."""
        self._rate = rate
        self._tokens = rate
        self._at = 0.0

    def admits(self, now: float) -> bool:
        """Take a token; False if there is none."""
        if self._rate <= 0:
            return True
        self._tokens = min(self._rate, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
