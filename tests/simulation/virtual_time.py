"""Time that is computed, not waited for: an agenda of what happens when, and an asyncio loop on top of it.

Everything in a simulated world hangs on one Agenda. The node's coroutines run on a VirtualLoop, whose turns
are as a real loop's: what was called soon runs first, then what the sockets brought, all in one batch. A busy
loop (by seed) takes its next turn later, so that packets pile up in its socket as they do under load.
"""

import asyncio
import contextvars
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

Address = tuple[str, int]

EPOCH: Final = 1_764_000_000.0
"""Unix time at virtual second 0."""

TURNS_MAX: Final = 100_000
"""Callbacks in one instant; more is a loop that never ends."""


class WorldBroken(AssertionError):
    """An invariant does not hold: what, when, and in which call."""

    def __init__(self, what: str, call_id: str = "") -> None:
        super().__init__(what, call_id)
        self.what = what
        self.call_id = call_id

    def __str__(self) -> str:
        return f"{self.call_id}: {self.what}" if self.call_id else self.what


class Agenda:
    """What is to be done, in order of time and then of entry."""

    __slots__ = ("_count", "_queue", "after_each", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self.after_each: Callable[[], None] = lambda: None
        """Lets the node's loop take a turn."""
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def at(self, when: float, action: Callable[..., None], *args: Any) -> None:
        """Call action(*args) at virtual time `when`."""
        self._count += 1
        heapq.heappush(self._queue, (when, self._count, action, args))

    def after(self, delay: float, action: Callable[..., None], *args: Any) -> None:
        """Call action(*args) after `delay` seconds."""
        self.at(self.now + delay, action, *args)

    def run(self, until: float) -> None:
        """Do what is due up to `until`."""
        queue, pop = self._queue, heapq.heappop
        while queue and queue[0][0] <= until:
            when, _, action, args = pop(queue)
            if when > self.now:
                self.now = when
            action(*args)
            self.after_each()
        self.now = max(self.now, until)


class VirtualClock:
    """The Clock port. The calendar may be set (`jump`), as an operator may do."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self.jump = 0.0

    def monotonic(self) -> float:
        return self._agenda.now

    def epoch(self) -> float:
        return EPOCH + self._agenda.now + self.jump


class SeededRandom:
    """The Random port."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def hex(self, length: int) -> str:
        return f"{self._random.getrandbits(4 * length):0{length}x}"

    def uniform(self) -> float:
        return self._random.random()


class VirtualHandle:
    """What call_soon and call_later return."""

    __slots__ = ("args", "callback", "context")

    def __init__(
        self, callback: Callable[..., Any], args: tuple[Any, ...], context: contextvars.Context | None
    ) -> None:
        self.callback: Callable[..., Any] | None = callback
        self.args = args
        self.context = context

    def cancel(self) -> None:
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        return self.callback is None

    def run(self) -> None:
        callback, self.callback = self.callback, None
        if callback is None:
            return
        if self.context is not None:
            self.context.run(callback, *self.args)
        else:
            callback(*self.args)


class VirtualLoop(asyncio.AbstractEventLoop):
    """The loop of one process; when the process is killed nothing of it runs any more."""

    def __init__(self, agenda: Agenda, dice: random.Random, *, busy: float = 0.0) -> None:
        """busy is how often a turn is late (up to 20 ms)."""
        self.agenda = agenda
        self.is_dead = False
        self.readers: dict[int, Callable[[], None]] = {}
        self.server_factory: Callable[[], Any] | None = None
        """Makes the protocol of a connection that comes in."""
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self._dice = dice
        self._busy = busy
        self._busy_until = -1.0
        self._ready: deque[VirtualHandle] = deque()
        self._fault: str = ""
        self.look_up: Callable[[str], tuple[float, str]] = lambda host: (0.0, "")
        """Name service: (seconds it takes, address or nothing)."""
        self.connect: Callable[[Any, Address], Coroutine[Any, Any, Any]] | None = None
        """Opens a TCP connection for a protocol."""

    # --- turns ----------------------------------------------------------------------------------------

    def take_turn(self) -> None:
        """Run what is ready, unless the loop is busy just now."""
        if not self._ready or self.is_dead or self.agenda.now < self._busy_until:
            return
        if self._busy and self._dice.random() < self._busy:
            self._busy_until = self.agenda.now + self._dice.random() * 0.02
            self.agenda.at(self._busy_until, self._go_on)
            return
        self._run_ready()

    def _go_on(self) -> None:
        """The end of a busy time; the agenda lets the loop take its turn."""
        self._busy_until = -1.0

    def _run_ready(self) -> None:
        ready = self._ready
        turns = 0
        while ready:
            ready.popleft().run()
            turns += 1
            if turns > TURNS_MAX:
                raise WorldBroken("the loop never comes to rest")
        if self._fault:
            raise WorldBroken(self._fault)

    def kill(self) -> None:
        """Stop everything where it stands. What the tasks do in their `finally` has no effect outside."""
        for task in list(self.tasks):
            task.cancel()
        self._fault = ""
        for _ in range(20):  # a task may catch and wait again; after that it is only forgotten
            if not self._ready:
                break
            ready, self._ready = self._ready, deque()
            for handle in ready:
                handle.run()
        self.is_dead = True
        self._ready.clear()
        self.readers.clear()
        self.tasks.clear()

    # --- what asyncio and the code under test ask -----------------------------------------------------

    def time(self) -> float:
        return self.agenda.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.is_dead

    def is_closed(self) -> bool:
        return self.is_dead

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = VirtualHandle(callback, args, context)
        self._ready.append(handle)
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.call_at(self.agenda.now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = VirtualHandle(callback, args, context)
        self.agenda.at(when, self._ready_when_due, handle)
        return handle

    def _ready_when_due(self, handle: VirtualHandle) -> None:
        if handle.callback is not None and not self.is_dead:
            self._ready.append(handle)

    def create_future(self) -> Any:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> Any:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name)
        self.tasks[task] = None
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self.tasks.pop(task, None)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, WorldBroken):
            raise error
        if error is not None:
            self._fault = f"task {task.get_name()!r} failed: {error!r}"

    def call_exception_handler(self, context: Any) -> None:
        if not self.is_dead:
            self._fault = f"{context.get('message')}: {context.get('exception')!r}"

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:
        self.readers[fd] = callback

    def remove_reader(self, fd: Any) -> bool:
        return self.readers.pop(fd, None) is not None

    def remove_writer(self, fd: Any) -> bool:
        return False

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> Any:
        seconds, address = self.look_up(host)
        await asyncio.sleep(seconds)
        if not address:
            raise OSError("name or service not known")
        return [(2, 2, 17, "", (address, 0))]

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None) -> Any:  # type: ignore[override]
        assert self.connect is not None
        return await self.connect(protocol_factory, (host, port))

    async def create_server(self, protocol_factory: Any, **options: Any) -> Any:  # type: ignore[override]
        self.server_factory = protocol_factory
        return self

    def close(self) -> None:
        """Close the server that create_server returned: this object stands for both."""
        self.server_factory = None
