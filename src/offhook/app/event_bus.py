"""Who is told of what, within one process: listeners by topic, and bounded mailboxes for slow readers."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class EventBus(Generic[T]):
    """Listeners by topic (a call id, an account id). An event nobody listens to costs one look-up."""

    __slots__ = ("_listeners", "count")

    def __init__(self) -> None:
        self._listeners: dict[str, list[Callable[[T], None]]] = {}
        self.count = 0
        """Listeners there are, for bounds."""

    def listen(self, topic: str, listener: Callable[[T], None]) -> Callable[[], None]:
        """Call listener with every event of the topic from now on; it must not block or raise.

        Returns what ends it; ending twice is harmless.
        """
        self._listeners.setdefault(topic, []).append(listener)
        self.count += 1

        def stop() -> None:
            listeners = self._listeners.get(topic, [])
            if listener not in listeners:
                return
            listeners.remove(listener)
            self.count -= 1
            if not listeners:
                del self._listeners[topic]

        return stop

    def listeners(self, topic: str) -> int:
        """Return how many listen to a topic."""
        return len(self._listeners.get(topic, ()))

    def publish(self, topic: str, event: T) -> None:
        """Tell everybody who listens to the topic, in the order they came."""
        listeners = self._listeners.get(topic)
        if listeners is not None:
            for listener in tuple(listeners):
                listener(event)


class Mailbox(Generic[T]):
    """What one reader has yet to take: first in, first out, bounded. For one reader at a time."""

    __slots__ = ("_capacity", "_filled", "_items", "_overrun", "_used", "is_closed")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._used = 0
        self._items: deque[tuple[T, int]] = deque()
        self._filled = asyncio.Event()
        self._overrun = asyncio.Event()
        self.is_closed = False

    @property
    def is_overrun(self) -> bool:
        """Tell whether the reader was too slow: nothing more is taken in."""
        return self._overrun.is_set()

    async def overrun(self) -> None:
        """Return once the reader was too slow."""
        await self._overrun.wait()

    def offer(self, item: T, cost: int = 1) -> None:
        """Put an item in, or note that there is no room for it. Never blocks."""
        if self.is_closed or self.is_overrun:
            return
        if self._used + cost > self._capacity:
            self._overrun.set()
            self._items.clear()
        else:
            self._used += cost
            self._items.append((item, cost))
        self._filled.set()

    def close(self) -> None:
        """Take nothing more in; what is there can still be read."""
        self.is_closed = True
        self._filled.set()

    async def next(self) -> T | None:
        """Return the oldest item once there is one; None if the mailbox is overrun, or closed and empty."""
        while not self._items:
            if self.is_overrun or self.is_closed:
                return None
            self._filled.clear()
            await self._filled.wait()
        item, cost = self._items.popleft()
        self._used -= cost
        return item
