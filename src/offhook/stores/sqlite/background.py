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
"""While the thread has work a busy event loop sleeps so long, so often."""

YIELD_SELDOM_S: Final = 0.016
"""An idle loop waits for its sockets outside the interpreter: it is looked at again in 1, 2, 4, 8, 16 ms."""

BUSY: Final = 0.25
"""Share of the time since the last look that the loop computed: beyond it, the thread may be waiting."""

Work = Callable[[], object]


class BackgroundThread:
    """Runs one piece of work after another.

    A busy event loop lets go of the interpreter for microseconds only, around each system call, and a thread
    that waits for it is never awake in time: without help a commit took seconds beside a busy loop. So the
    loop sleeps a moment when work begins, and again every millisecond until it is done, if it is busy.
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
        self._give_way(loop, done, YIELD_EVERY_S, -YIELD_EVERY_S)
        await done

    def close(self) -> None:
        """End the thread when its work is done."""
        self._work.put(None)
        self._thread.join()

    def _give_way(
        self, loop: asyncio.AbstractEventLoop, done: asyncio.Future[None], waited_s: float, computed_s: float
    ) -> None:
        """Let the thread in if the loop was busy. computed_s is its processor time at the last look."""
        if done.done():
            return
        now_s = time.thread_time()
        if now_s - computed_s > waited_s * BUSY:
            time.sleep(YIELD_S)
            pause_s = YIELD_EVERY_S
        else:
            pause_s = min(waited_s * 2, YIELD_SELDOM_S)
        loop.call_later(pause_s, self._give_way, loop, done, pause_s, now_s)

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
