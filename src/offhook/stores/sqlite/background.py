"""A thread for what waits for the disk, that gets its turn however busy the event loop is."""

import asyncio
import contextlib
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

SWITCH_INTERVAL_S: Final = 1e-4
"""How long a thread that wants the interpreter waits before it asks for it (Python's default: 5 ms)."""

Work = Callable[[], object]


class BackgroundThread:
    """Runs one piece of work after another.

    A busy event loop lets go of the interpreter for microseconds only, around each system call, and a thread
    that waits for it is never awake in time: it gets its turn when it asks. With Python's default a commit
    took seconds beside a busy loop, which makes a system call more often than every 5 ms.
    """

    def __init__(self, name: str) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._work: queue.SimpleQueue[tuple[Work, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Work) -> None:
        """Run it in the thread; raise what it raises."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._work.put((work, done))
        await done

    def close(self) -> None:
        """End the thread when its work is done."""
        self._work.put(None)
        self._thread.join()

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
