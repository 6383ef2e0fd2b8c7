"""A token bucket per peer address: a flood from one does not starve the others."""

from typing import Final

ADDRESSES_MAX: Final = 10_000
"""Addresses remembered, about 2 MB. Beyond that the one seen longest ago starts afresh."""


class AddressRateLimit:
    """Admits `rate` messages per second and address, with a burst of one second's worth."""

    __slots__ = ("_buckets", "_rate", "refused")

    def __init__(self, rate: float) -> None:
        """rate is messages per second; 0 admits everything."""
        self._rate = rate
        self._buckets: dict[str, tuple[float, float]] = {}
        self.refused = 0
        """Messages turned away since the start."""

    def admits(self, address: str, now: float) -> bool:
        """Take a token of an address; False if it has none left."""
        if self._rate <= 0:
            return True
        tokens, at = self._buckets.pop(address, (self._rate, now))
        tokens = min(self._rate, tokens + (now - at) * self._rate)
        is_admitted = tokens >= 1.0
        self._buckets[address] = (tokens - 1.0 if is_admitted else tokens, now)
        if len(self._buckets) > ADDRESSES_MAX:
            del self._buckets[next(iter(self._buckets))]
        self.refused += not is_admitted
        return is_admitted
