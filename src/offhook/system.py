"""The real clock and the real source of randomness."""

import os
import time


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Return the monotonic clock, in seconds."""
        return time.monotonic()

    def epoch(self) -> float:
        """Return Unix time, in seconds."""
        return time.time()


class SystemRandom:
    """The operating system's generator, read in blocks: one call per 4 KiB instead of one per tag."""

    def __init__(self) -> None:
        self._pool = ""

    def hex(self, length: int) -> str:
        """Return `length` lower-case hex digits."""
        if len(self._pool) < length:
            self._pool = os.urandom(max(4096, length)).hex()
        digits, self._pool = self._pool[:length], self._pool[length:]
        return digits

    def uniform(self) -> float:
        """Return a float in [0, 1) with 52 random bits."""
        return int(self.hex(13), 16) / (1 << 52)
