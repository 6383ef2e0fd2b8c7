"""The real clock, the real source of randomness, and the interpreter's memory."""

import gc
import os
import time
from typing import Final

GC_THRESHOLDS: Final = (20_000, 20, 50)
"""A young collection when 20,000 more objects were made than freed (Python: 700): most of what a call makes
is gone by then. What stands is looked at a fiftieth as often."""


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


def relax_garbage_collection() -> None:
    """Let a process that serves calls look for garbage seldom; to be called when all is built."""
    gc.collect()
    gc.freeze()  # what was built at start stays: later collections need not look at it
    gc.set_threshold(*GC_THRESHOLDS)
