"""The one thread that writes: operations of many callers share a transaction and its disk flush."""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import apsw
import structlog

from offhook.app.errors import StorageLost

Result = TypeVar("Result")
Operation = Callable[[apsw.Connection], Result]

QUEUE_MAX: Final = 20_000
"""Awaited operations that may wait: about a second of work; beyond it an error serves the caller better."""

POSTED_MAX: Final = 200_000
"""Posted operations that may wait, also while the disk is full: 100 MB or so; then new ones are lost."""

GROUP_MAX: Final = 1_000
"""Operations per transaction: keeps one commit under some 20 ms."""

LINGER_S: Final = 0.004
"""A group in which nobody waits stays open this long to gather more."""

RETRY_S: Final = 1.0
"""Posted operations that failed with the disk are tried again this often."""

DISK_ERRORS: Final = (
    apsw.FullError,
    apsw.IOError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.BusyError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.PermissionsError,
    apsw.NoMemError,
)

log = structlog.get_logger(__name__)


class _Job(Generic[Result]):
    """An operation, and who waits for it (nobody, if it was posted)."""

    __slots__ = ("error", "future", "loop", "operation", "result")

    def __init__(
        self,
        operation: Operation[Result],
        loop: asyncio.AbstractEventLoop | None = None,
        future: asyncio.Future[Result] | None = None,
    ) -> None:
        self.operation = operation
        self.loop = loop
        self.future = future
        self.result: Result | None = None
        self.error: Exception | None = None


class Writer:
    """Runs operations in order, in groups.

    An awaited operation runs in a savepoint: if it raises, it alone is undone and its caller gets the
    error. A posted operation is one statement. If the disk fails the whole group is undone, every waiting
    caller gets StorageLost, and posted operations are kept for a later group.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._queue: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._kept: deque[_Job[Any]] = deque()  # posted operations that failed with the disk
        self._failed = ""  # why the last group failed
        self._is_ended = False
        self._waiting = 0  # submitted and not resolved; only the submitting thread changes it
        self._posted_in = 0  # only the submitting thread
        self._posted_out = 0  # only the writer thread
        self._lost = 0
        self._is_flushing = True  # as PRAGMA synchronous stands now
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="offhook-sqlite-writer")
        self._thread.start()

    async def run(self, operation: Operation[Result]) -> Result:
        """Run it and return its result once the disk has it. Raises what it raises, or StorageLost."""
        if self._closed:
            raise StorageLost("the store is closed")
        if self._waiting >= QUEUE_MAX:
            raise StorageLost("more writes wait than the disk can take")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting += 1
        try:
            self._queue.put(_Job(operation, loop, future))
            return await future
        finally:
            self._waiting -= 1

    def post(self, operation: Operation[None]) -> None:
        """Run it with the next group. Order with other operations is kept; nobody learns of its end."""
        if self._closed or self._posted_in - self._posted_out >= POSTED_MAX:
            self._lost += 1
            if self._lost % 1000 == 1:
                log.error("write_lost", lost=self._lost, closed=self._closed)
            return
        self._posted_in += 1
        self._queue.put(_Job(operation))

    async def close(self) -> None:
        """Write what is queued, end the thread, close the connection."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        self._connection.close()

    # --- the writer thread -------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_ended:
            if self._kept:
                self._retry()
            else:
                self._write(self._gather())
        if self._kept:
            self._write([self._kept.popleft() for _ in range(len(self._kept))])
        if self._kept:
            log.error("writes_lost_at_close", count=len(self._kept))

    def _gather(self) -> list[_Job[Any]]:
        """Wait for work; return what is there."""
        group: list[_Job[Any]] = []
        deadline, somebody_waits = 0.0, False
        try:
            while len(group) < GROUP_MAX and not self._is_ended:
                if somebody_waits:
                    job = self._queue.get_nowait()
                elif group:
                    job = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
                else:
                    job = self._queue.get()
                    deadline = time.monotonic() + LINGER_S
                self._is_ended = job is None
                if job is not None:
                    group.append(job)
                    somebody_waits = somebody_waits or job.future is not None
        except queue.Empty:
            pass
        return group

    def _retry(self) -> None:
        """Try the oldest kept operations again; if the disk still fails, refuse what comes for a while."""
        self._write([self._kept.popleft() for _ in range(min(GROUP_MAX, len(self._kept)))])
        if not self._failed:
            return
        deadline = time.monotonic() + RETRY_S
        try:
            while not self._is_ended:
                job = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
                self._is_ended = job is None
                if job is None:
                    return
                if job.future is None:
                    self._kept.append(job)
                else:
                    job.error = StorageLost(self._failed)
                    self._resolve([job])
        except queue.Empty:
            pass

    def _write(self, group: list[_Job[Any]]) -> None:
        if not group:
            return
        try:
            self._commit(group)
        except DISK_ERRORS as error:
            self._failed = f"{type(error).__name__}: {error}"
            self._undo(group)
        else:
            self._failed = ""
            self._posted_out += sum(job.future is None for job in group)
        self._resolve([job for job in group if job.future is not None])

    def _commit(self, group: list[_Job[Any]]) -> None:
        execute = self._connection.execute
        self._set_flushing(any(job.future is not None for job in group))
        execute("BEGIN IMMEDIATE")
        for job in group:
            if job.future is None:
                self._perform(job)
                continue
            execute("SAVEPOINT operation")
            self._perform(job)
            if job.error is not None:
                execute("ROLLBACK TO operation")
            execute("RELEASE operation")
        execute("COMMIT")

    def _perform(self, job: _Job[Any]) -> None:
        try:
            job.result = job.operation(self._connection)
        except DISK_ERRORS:
            raise
        except Exception as error:  # the outermost loop of this thread: the caller gets it
            job.error = error
            if job.future is None:
                log.error("posted_write_failed", error=repr(error))

    def _set_flushing(self, wanted: bool) -> None:
        """Flush to disk at commit only if somebody waits: the next flush of the log covers the rest."""
        if wanted != self._is_flushing:
            self._connection.pragma("synchronous", "full" if wanted else "normal")
            self._is_flushing = wanted

    def _undo(self, group: list[_Job[Any]]) -> None:
        log.error("storage_lost", reason=self._failed, operations=len(group))
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except apsw.Error as error:
            log.error("rollback_failed", error=repr(error))
        for job in reversed(group):
            if job.future is None:
                self._kept.appendleft(job)
            else:
                job.error = StorageLost(self._failed)

    def _resolve(self, jobs: list[_Job[Any]]) -> None:
        """Wake the callers: one call into each event loop per group."""
        for loop in {job.loop for job in jobs if job.loop is not None}:
            mine = [job for job in jobs if job.loop is loop]
            try:
                loop.call_soon_threadsafe(_set_results, mine)
            except RuntimeError:
                log.warning("event_loop_gone", callers=len(mine))


def _set_results(jobs: list[_Job[Any]]) -> None:
    for job in jobs:
        if job.future is None or job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
