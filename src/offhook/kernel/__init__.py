"""What every part shares: ports for time and randomness, units, the error base, the timer wheel."""

from .clock import Clock
from .errors import OffhookError
from .randomness import Random
from .timer_wheel import Timer, TimerWheel
from .units import GREGORIAN_OFFSET_S, gregorian_s, iso8601_ms

__all__ = [
    "GREGORIAN_OFFSET_S",
    "Clock",
    "OffhookError",
    "Random",
    "Timer",
    "TimerWheel",
    "gregorian_s",
    "iso8601_ms",
]
