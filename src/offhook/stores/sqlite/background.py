"""A thread for what waits for the disk, that gets its turn however busy the event loop is."""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final

YIELD_S: Final = 20e-6
YIELD_EVERY_S: Final = 0.001
"""While the thread has work the event loop sleeps so long, so often."""

Work = Callable[[], object]


class BackgroundThread:
    """Runs one piece of work after another.

    A busy event loop lets go of the interpreter for microseconds only, around each system call, and a thread
    that waits for it is never awake in time: without help a commit took seconds beside a busy loop. So the
    loop sleeps a moment when work begins, and again every millisecond until it is done.
    """

    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[tuple[Work, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Work) -> None:
        """Run it in the thread; raise what it raises."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._work.put((work, done))
        self._give_way(loop, done)
        await done

    def close(self) -> None:
        """End the thread when its work is done."""
        self._work.put(None)
        self._thread.join()

    def _give_way(self, loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> None:
        if not done.done():
            time.sleep(YIELD_S)
            loop.call_later(YIELD_EVERY_S, self._give_way, loop, done)

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            work, done = item
            error: BaseException | None = None
            try:
                work()
            except BaseException as raised:  # the outermost loop of this thread: the caller gets it
                error = raised
            with contextlib.suppress(RuntimeError):  # the event loop was closed without closing the store
                done.get_loop().call_soon_threadsafe(_settle, done, error)
            del item, work, done, error


def _settle(done: asyncio.Future[Any], error: BaseException | None) -> None:
    if done.cancelled():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(None)
