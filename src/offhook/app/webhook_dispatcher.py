"""Sends what the outbox holds: at least once, in order within a call, no hook waiting for another.

One worker per hook that has something to do. It takes the lanes that are due, a few at a time, and sends the
rows of each one after the other; what fails is put off and waits in the store, not in memory.
"""

import asyncio
import contextlib
from typing import Final

import structlog

from offhook.directory.model import Document
from offhook.kernel import Clock, Timer

from .errors import StorageLost
from .outbox import DueLane, Outbox
from .ports import Timers
from .webhook_lanes import LANES_WHILE_FAILING, LaneSender, ReceiverHealth
from .webhooks import Subscriptions, WebhookOutbox

_log = structlog.get_logger("offhook.webhooks")

LANES_TAKEN: Final = 32
"""Calls of one hook that are taken up at once. More than are sent at the same time: each look into the store
waits for a flush of the disk."""

ROWS_PER_LANE: Final = 8
"""Rows a lane takes into memory at once; so many at most are sent twice after kill -9."""

STORAGE_PAUSE_S: Final = 1.0
"""Pause while the disk refuses."""

STOP_S: Final = 3.0
"""Requests under way get so long at shutdown; what is cut is sent again by the next process."""

KEPT_S: Final = 4 * 86_400.0
"""The schedule is over after 76 hours and a little; what waits longer, for a disabled hook, is given up."""

CLEAN_EVERY_S: Final = 600.0


class _Worker:
    """One hook at work."""

    __slots__ = ("busy", "changed", "task")

    def __init__(self) -> None:
        self.busy: dict[str, asyncio.Task[None]] = {}
        self.changed = asyncio.Event()
        """There may be a lane to begin: a new row, or one lane less at work."""
        self.task: asyncio.Task[None] | None = None


class WebhookDispatcher:
    """Sends the outbox. `start` after Subscriptions.load; `stop` is idempotent."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        rows: WebhookOutbox,
        subscriptions: Subscriptions,
        lanes: LaneSender,
        clock: Clock,
        timers: Timers,
    ) -> None:
        self._outbox = outbox
        self._rows = rows
        self._subscriptions = subscriptions
        self._lanes = lanes
        self._clock = clock
        self._timers = timers
        self._workers: dict[str, _Worker] = {}
        self._health: dict[str, ReceiverHealth] = {}
        self._later: dict[str, Timer] = {}
        self._cleaner: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Go on with what waits."""
        self._rows.on_rows(self.notice)
        for hook_id in await self._rows.load():
            self.notice(hook_id)
        self._cleaner = asyncio.create_task(self._clean(), name="offhook-webhooks-clean")

    async def stop(self) -> None:
        """Begin nothing new, let requests under way end, close. What is cut is sent again later."""
        self._stopping = True
        self._lanes.is_stopping = True
        for timer in self._later.values():
            timer.cancel()
        self._later.clear()
        workers = list(self._workers.values())
        for worker in workers:
            worker.changed.set()
        tasks = [worker.task for worker in workers if worker.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_S)
            for task in late:
                task.cancel()
        if self._cleaner is not None:
            self._cleaner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._cleaner
            self._cleaner = None
        await self._lanes.close()

    def notice(self, hook_id: str) -> None:
        """Look at a hook: there may be something to do now."""
        if self._stopping:
            return
        timer = self._later.pop(hook_id, None)
        if timer is not None:
            timer.cancel()
        worker = self._workers.get(hook_id)
        if worker is not None:
            worker.changed.set()
            return
        worker = self._workers[hook_id] = _Worker()
        worker.task = asyncio.get_running_loop().create_task(
            self._work(hook_id, worker), name=f"webhook {hook_id}"
        )

    def observe(self, document: Document, before: Document | None) -> None:
        """Take note of a webhook that was written, or of an account that is gone with its webhooks."""
        if document.type != "webhook":
            return
        if document.deleted:
            self._outbox.forget(document.id)
            self._health.pop(document.id, None)
            return
        hook = self._subscriptions.get(document.id)
        was_enabled = before is not None and before.data.get("enabled", True) is True
        if hook is not None and hook.is_enabled and not was_enabled:
            self._health.pop(document.id, None)
            self._outbox.wake([document.id], self._clock.epoch())
            self.notice(document.id)

    # --- one hook -----------------------------------------------------------------------------------

    async def _work(self, hook_id: str, worker: _Worker) -> None:
        """Begin lanes while there are any; end when nothing is due, having asked to be woken."""
        try:
            while not self._stopping:
                worker.changed.clear()
                try:
                    next_at = await self._begin_lanes(hook_id, worker)
                except StorageLost as error:
                    _log.warning("outbox cannot be read", reason=str(error))
                    await asyncio.sleep(STORAGE_PAUSE_S)
                    continue
                if not worker.busy and not worker.changed.is_set():
                    self._sleep_until(hook_id, next_at)
                    return
                await self._wait_for_change(worker, next_at)
            if worker.busy:
                await asyncio.wait(worker.busy.values())
        except Exception:  # the outermost loop of this task
            _log.exception("webhook worker failed", hook_id=hook_id)
            self._sleep_until(hook_id, self._clock.epoch() + CLEAN_EVERY_S)
        finally:
            for task in worker.busy.values():
                task.cancel()
            del self._workers[hook_id]

    async def _begin_lanes(self, hook_id: str, worker: _Worker) -> float | None:
        """Begin what is due and there is room for; return when to look again, or None: at the next change."""
        hook, now = self._subscriptions.get(hook_id), self._clock.epoch()
        if hook is None:
            self._outbox.forget(hook_id)
            return None
        if not hook.is_enabled:
            return None
        health = self._health.setdefault(hook_id, ReceiverHealth())
        if health.note_clock(now - self._clock.monotonic()):
            self._outbox.wake([hook_id], now)
        if now < health.paused_until:
            return health.paused_until
        most = LANES_WHILE_FAILING if health.is_failing else LANES_TAKEN
        room = most - len(worker.busy)
        if room <= most // 2:
            return None
        # As they are now: the rows of a lane that ends meanwhile are settled after this is read.
        busy = frozenset(worker.busy)
        due = await self._outbox.due(hook_id, now, busy=busy, lanes=room, rows=ROWS_PER_LANE)
        for lane in due.lanes:
            self._begin(hook_id, worker, lane, health)
        return None if due.next_at is not None and due.next_at <= now else due.next_at

    def _begin(self, hook_id: str, worker: _Worker, lane: DueLane, health: ReceiverHealth) -> None:
        task = asyncio.get_running_loop().create_task(
            self._lanes.send(hook_id, lane, health), name=f"webhook lane {lane.lane}"
        )
        worker.busy[lane.lane] = task

        def done(_: asyncio.Task[None]) -> None:
            del worker.busy[lane.lane]
            worker.changed.set()

        task.add_done_callback(done)

    async def _wait_for_change(self, worker: _Worker, next_at: float | None) -> None:
        delay_s = None if next_at is None else max(next_at - self._clock.epoch(), 0.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await worker.changed.wait()

    def _sleep_until(self, hook_id: str, next_at: float | None) -> None:
        if next_at is None or self._stopping:
            return
        delay_s = max(next_at - self._clock.epoch(), 0.0)
        self._later[hook_id] = self._timers.start(delay_s, lambda: self.notice(hook_id))

    # --- what nobody waits for ----------------------------------------------------------------------

    async def _clean(self) -> None:
        """Give up what is too old, for hooks that have been disabled for days."""
        while True:
            try:
                dropped = 0
                while some := await self._outbox.drop_older(self._clock.epoch() - KEPT_S):
                    dropped += some
                if dropped:
                    _log.warning("events given up: they waited too long for a disabled webhook", rows=dropped)
                    await self._rows.load()
            except StorageLost as error:
                _log.warning("outbox cannot be cleaned", reason=str(error))
            await asyncio.sleep(CLEAN_EVERY_S)
