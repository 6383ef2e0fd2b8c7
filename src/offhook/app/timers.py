"""The timer wheel on an event loop: one loop timer for all that waits."""

import asyncio
from collections.abc import Callable

from offhook.kernel import Clock, Timer, TimerWheel


class LoopTimers:
    """Fires wheel timers on the running loop. `stop()` forgets them all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wheel = TimerWheel()
        self._handle: asyncio.TimerHandle | None = None
        self._armed_for = 0.0

    def start(self, delay_s: float, action: Callable[[], None]) -> Timer:
        """Call `action` once, `delay_s` from now (up to 50 ms late), unless it is cancelled before."""
        timer = self._wheel.start(self._clock.monotonic() + delay_s, lambda now: action())
        self._arm()
        return timer

    def stop(self) -> None:
        """Forget every timer."""
        self._wheel = TimerWheel()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self) -> None:
        due = self._wheel.next_due()
        if due is None or (self._handle is not None and self._armed_for <= due):
            return
        if self._handle is not None:
            self._handle.cancel()
        self._armed_for = due
        delay = max(0.0, due - self._clock.monotonic())
        self._handle = asyncio.get_running_loop().call_later(delay, self._fire)

    def _fire(self) -> None:
        self._handle = None
        try:
            self._wheel.advance(self._clock.monotonic())
        finally:
            self._arm()
