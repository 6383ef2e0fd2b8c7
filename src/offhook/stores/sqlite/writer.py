"""The one connection that writes: operations of many callers share a transaction and its disk flush.

Statements run on the event loop, microseconds each; only what waits for the disk runs in a thread. A thread
that ran the statements too would have to win the interpreter back after each of them, which took up to 5 ms
apiece beside a busy event loop.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import apsw
import structlog

from offhook.app.errors import StorageLost

from .background import BackgroundThread

Result = TypeVar("Result")
Operation = Callable[[apsw.Connection], Result]

QUEUE_MAX: Final = 20_000
"""Awaited operations that may wait: about a second of work; beyond it an error serves the caller better."""

POSTED_MAX: Final = 200_000
"""Posted operations that may wait, also while the disk is full: 100 MB or so; then new ones are lost."""

GROUP_MAX: Final = 1_000
"""Operations per transaction: some 20 ms of work between two flushes."""

SLICE_S: Final = 0.001
"""A group gives way to the rest of the event loop this often."""

LINGER_S: Final = 0.01
"""A group without urgent operations stays open this long; kill -9 loses no more than that."""

SELDOM_S: Final = 0.015
"""With more time than this between operations that could wait, no company comes within LINGER_S: they do not
wait. That is so up to 20 calls per second or so; a flush of its own costs 0.9 ms, a shared one 0.05."""

GAP_WEIGHT: Final = 0.1
"""Of the newest gap in the usual one: the three waits of one call are no crowd."""

RETRY_S: Final = 1.0
"""Posted operations that failed with the disk are tried again this often."""

LOG_PAGES_MAX: Final = 1_000
"""Pages of 4 KiB in the write-ahead log before it is copied into the database (SQLite's own default)."""

LOCK_WAIT_S: Final = 5.0
"""Another process (an import, a second node on the same disk) may hold the write lock this long."""

LOCK_POLL_S: Final = 0.005

PROBE: Final = "INSERT OR REPLACE INTO settings (name, value) VALUES ('probe', 'written')"
"""A write that says nothing: a commit without any flushes nothing, and tells nothing about the disk."""

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


class _Job:
    """An operation, and who waits for it (nobody, if it was posted)."""

    __slots__ = ("error", "future", "in_thread", "operation", "result")

    def __init__(
        self,
        operation: Operation[Any],
        future: asyncio.Future[Any] | None = None,
        *,
        in_thread: bool = False,
    ) -> None:
        self.operation = operation
        self.future = future
        self.in_thread = in_thread
        self.result: Any = None
        self.error: Exception | None = None


class Writer:
    """Runs operations in order, in groups. Start it in the event loop that uses it; end it with `close`.

    An awaited operation runs in a savepoint: if it raises, it alone is undone and its caller gets the
    error. A posted operation is one statement. If the disk fails the whole group is undone, every waiting
    caller gets StorageLost, and posted operations are kept for a later group.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._thread = BackgroundThread("offhook-sqlite-commit")
        self._log_pages = 0  # of the write-ahead log
        connection.wal_autocheckpoint(0)
        connection.set_wal_hook(self._count_pages)
        self._jobs: deque[_Job] = deque()
        self._kept: deque[_Job] = deque()  # posted operations that failed with the disk
        self._waiting = 0  # awaited operations under way
        self._posted = 0  # posted operations under way
        self._lost = 0
        self._something = asyncio.Event()  # there is a job
        self._urgent = asyncio.Event()  # there is a job that cannot wait for company
        self._is_flushing = True  # as PRAGMA synchronous stands now
        self._failed = ""  # why the last group failed
        self._asked_at = 0.0  # when an operation that could wait came
        self._usual_gap_s = 1.0  # between two of them
        self._checkpoint_failed = False
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self.on_commit: Callable[[], None] = lambda: None
        """Called in the event loop after each commit, before any caller learns of it."""

    @property
    def failure(self) -> str:
        """Why the disk takes nothing now; empty when it does. It is tried every second."""
        return self._failed

    def start(self) -> None:
        """Begin to work."""
        self._task = asyncio.create_task(self._work(), name="offhook-sqlite-writer")

    async def run(
        self, operation: Operation[Result], *, urgent: bool = True, in_thread: bool = False
    ) -> Result:
        """Run it and return its result once the disk has it. Raises what it raises, or StorageLost.

        One that is not urgent waits a few milliseconds for company when there is much to write: a flush costs
        more than the rest. One that takes longer than a millisecond asks for a thread.
        """
        if self._closed:
            raise StorageLost("the store is closed")
        if self._waiting >= QUEUE_MAX:
            raise StorageLost("more writes wait than the disk can take")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting += 1
        try:
            self._jobs.append(_Job(operation, future, in_thread=in_thread))
            self._something.set()
            if urgent or self._is_quiet():
                self._urgent.set()
            return await future
        finally:
            self._waiting -= 1

    def _is_quiet(self) -> bool:
        """Note an operation that could wait; tell whether they are few."""
        now = time.monotonic()
        gap_s, self._asked_at = min(now - self._asked_at, 1.0), now
        self._usual_gap_s += (gap_s - self._usual_gap_s) * GAP_WEIGHT
        return self._usual_gap_s > SELDOM_S

    def post(self, operation: Operation[None]) -> None:
        """Run it with the next group. Order with other operations is kept; nobody learns of its end."""
        if self._closed or self._posted >= POSTED_MAX:
            self._lost += 1
            if self._lost % 1_000 == 1:
                log.error("write_lost", lost=self._lost, closed=self._closed)
            return
        self._posted += 1
        self._jobs.append(_Job(operation))
        self._something.set()

    async def close(self) -> None:
        """Write what is queued, end the task, close the connection. Repeating it does nothing."""
        if self._closed:
            return
        self._closed = True
        self._something.set()
        self._urgent.set()
        if self._task is not None:
            await self._task
        self._thread.close()
        self._connection.close()

    # --- the writing task --------------------------------------------------------------------------

    async def _work(self) -> None:
        while not self._closed:
            if self._kept:
                await self._retry()
            else:
                await self._gather()
                await self._write(self._take(self._jobs))
        while self._jobs or self._kept:
            self._failed = ""
            await self._write(self._take(self._kept or self._jobs))
            if self._failed:
                log.error("writes_lost_at_close", count=len(self._kept) + len(self._jobs))
                return

    async def _gather(self) -> None:
        """Wait until there is work worth a transaction."""
        await self._something.wait()
        if not self._urgent.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await self._urgent.wait()

    def _take(self, jobs: deque[_Job]) -> list[_Job]:
        group = [jobs.popleft() for _ in range(min(GROUP_MAX, len(jobs)))]
        if not self._jobs and not self._closed:
            self._something.clear()
            self._urgent.clear()
        return group

    async def _retry(self) -> None:
        """Try the oldest kept operations again; if the disk still fails, refuse what comes for a while."""
        await self._write(self._take(self._kept))
        deadline = time.monotonic() + RETRY_S
        while self._failed and not self._closed and time.monotonic() < deadline:
            try:
                async with asyncio.timeout_at(
                    deadline - time.monotonic() + asyncio.get_running_loop().time()
                ):
                    await self._something.wait()
            except TimeoutError:
                return
            self._give_up(self._take(self._jobs))

    async def _write(self, group: list[_Job]) -> None:
        if not group:
            return
        try:
            await self._commit(group)
        except apsw.Error as error:
            if not self._failed:  # once for as long as it lasts
                log.error("storage_lost", reason=f"{type(error).__name__}: {error}", operations=len(group))
            self._failed = f"{type(error).__name__}: {error}"
            self._undo()
            for job in reversed(group):
                if job.future is None:
                    self._kept.appendleft(job)
            if not self._kept:
                self._kept.append(_Job(probe))
                self._posted += 1
            self._give_up([job for job in group if job.future is not None])
        else:
            if self._failed:
                log.warning("storage_back", operations=len(group), waiting=len(self._kept))
            self._failed = ""
            self._resolve(group)
            await self._checkpoint()

    async def _commit(self, group: list[_Job]) -> None:
        somebody_waits = any(job.future is not None for job in group)
        self._set_flushing(somebody_waits)
        await self._begin()
        until = time.monotonic() + SLICE_S
        is_alone = len(group) == 1
        for job in group:
            if job.operation is probe:
                continue
            if job.in_thread:
                await self._thread.run(partial(self._perform, job, is_alone=is_alone))
            else:
                self._perform(job, is_alone=is_alone)
            if time.monotonic() > until:
                await asyncio.sleep(0)
                until = time.monotonic() + SLICE_S
        if is_alone and group[0].error is not None:
            self._connection.execute("ROLLBACK")
            return
        if any(job.operation is probe for job in group):
            probe(self._connection)
        if somebody_waits:
            await self._thread.run(partial(self._connection.execute, "COMMIT"))
        else:
            self._connection.execute("COMMIT")
        self.on_commit()

    def _count_pages(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    async def _checkpoint(self) -> None:
        """Copy the log into the database when it is long, between two groups: then it begins anew."""
        if self._log_pages < LOG_PAGES_MAX:
            return
        self._log_pages = 0
        try:
            await self._thread.run(self._connection.wal_checkpoint)
            self._checkpoint_failed = False
        except DISK_ERRORS as error:
            if not self._checkpoint_failed:
                log.error("checkpoint_failed", error=repr(error))
            self._checkpoint_failed = True

    async def _begin(self) -> None:
        """Take the write lock; wait for another process without blocking the event loop."""
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except apsw.BusyError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(LOCK_POLL_S)
            else:
                return

    def _perform(self, job: _Job, *, is_alone: bool) -> None:
        """Run an operation; one of several awaited ones in a savepoint, to undo it alone."""
        execute = self._connection.execute
        has_savepoint = job.future is not None and not is_alone
        if has_savepoint:
            execute("SAVEPOINT operation")
        try:
            job.result = job.operation(self._connection)
        except DISK_ERRORS:
            raise
        except Exception as error:  # the outermost loop of this task: the caller gets it
            job.error = error
            if job.future is None:
                log.error("posted_write_failed", error=repr(error))
            elif has_savepoint:
                execute("ROLLBACK TO operation")
        if has_savepoint:
            execute("RELEASE operation")

    def _set_flushing(self, wanted: bool) -> None:
        """Flush to disk at commit only if somebody waits: the next flush of the log covers the rest."""
        if wanted != self._is_flushing:
            self._connection.execute(f"PRAGMA synchronous = {'full' if wanted else 'normal'}")
            self._is_flushing = wanted

    def _undo(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except apsw.Error as error:
            log.error("rollback_failed", error=repr(error))

    def _resolve(self, group: list[_Job]) -> None:
        for job in group:
            if job.future is None:
                self._posted -= 1
            elif not job.future.done():
                if job.error is not None:
                    job.future.set_exception(job.error)
                else:
                    job.future.set_result(job.result)

    def _give_up(self, jobs: list[_Job]) -> None:
        """Refuse awaited operations, keep posted ones."""
        for job in jobs:
            if job.future is None:
                self._kept.append(job)
            elif not job.future.done():
                job.future.set_exception(StorageLost(self._failed))


def probe(connection: apsw.Connection) -> None:
    """Write something, so that the commit reaches the disk."""
    connection.execute(PROBE)
