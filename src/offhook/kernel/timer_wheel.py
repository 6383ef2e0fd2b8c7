"""One timer wheel for all that waits: SIP transactions, rings, calls.

A call_later per SIP transaction costs more than the transaction; a scan over transactions costs
more with every standing call. The wheel costs the same at 10 and at 100,000 timers.
"""

import heapq
from collections.abc import Callable
from typing import Final

SLOT_S: Final = 0.05
"""Width of a slot. Timers fire up to one slot late; the shortest SIP timer is 500 ms."""


class Timer:
    """A handle: call `cancel()` to stop it. Cancelling twice, or after it fired, does nothing."""

    __slots__ = ("action", "due")

    def __init__(self, due: float, action: Callable[[float], None]) -> None:
        self.due = due
        self.action: Callable[[float], None] | None = action

    @property
    def is_active(self) -> bool:
        """Tell whether the timer will still fire."""
        return self.action is not None

    def cancel(self) -> None:
        """Stop the timer; its place in the wheel is dropped when the hand passes."""
        self.action = None


class TimerWheel:
    """Timers by slot of 50 ms. Times are monotonic seconds."""

    __slots__ = ("_order", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, list[Timer]] = {}
        self._order: list[int] = []  # heap of the slots that exist

    def start(self, due: float, action: Callable[[float], None]) -> Timer:
        """Call `action(now)` at the first `advance(now)` with now >= due; return the handle."""
        timer = Timer(due, action)
        number = int(due / SLOT_S) + 1
        slot = self._slots.get(number)
        if slot is None:
            self._slots[number] = [timer]
            heapq.heappush(self._order, number)
        else:
            slot.append(timer)
        return timer

    def next_due(self) -> float | None:
        """Return when to call `advance` next, or None when nothing waits."""
        return self._order[0] * SLOT_S if self._order else None

    def advance(self, now: float) -> None:
        """Fire every timer that is due, in order of slots. Actions may start and cancel timers.

        If an action raises, so does this; the others that are due fire at the next call.
        """
        while self._order and self._order[0] * SLOT_S <= now:
            number = heapq.heappop(self._order)
            due = self._slots.pop(number)
            due.reverse()
            try:
                while due:
                    timer = due.pop()
                    action, timer.action = timer.action, None
                    if action is not None:
                        action(now)
            finally:
                if due:  # put back behind what actions have started in the same slot
                    if number not in self._slots:
                        heapq.heappush(self._order, number)
                    self._slots[number] = [*self._slots.get(number, ()), *reversed(due)]

    def __len__(self) -> int:
        """Return how many timers will still fire (for leak tests; walks the wheel)."""
        return sum(timer.is_active for slot in self._slots.values() for timer in slot)
