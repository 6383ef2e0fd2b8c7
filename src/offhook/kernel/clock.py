"""The port through which time enters."""

from typing import Protocol


class Clock(Protocol):
    """Two clocks: one that never jumps, for durations, and the calendar's, for what people read."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow; the zero point means nothing."""
        ...

    def epoch(self) -> float:
        """Return Unix time in seconds (UTC); may jump when an operator sets the clock."""
        ...
