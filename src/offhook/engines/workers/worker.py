"""The worker's side: runs one engine for a node in another process, and ends with it."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from offhook.app.ports import Engine
from offhook.calls.events import LegEvent, LegsJoined
from offhook.kernel import OffhookError

from .channel import Channel
from .messages import (
    LOAD_INTERVAL_S,
    AskTrace,
    Begin,
    CannotBegin,
    Load,
    Perform,
    Ready,
    ToWorker,
    TraceIs,
    command_in,
    decode_for_worker,
    reported,
)

_log = structlog.get_logger("offhook.workers")


class WorkerEngine(Engine, Protocol):
    """An engine that can tell its load."""

    def count(self) -> int:
        """Return how many legs are on the wire."""
        ...


BuildEngine = Callable[[Begin], tuple[WorkerEngine, Callable[[], tuple[str, int]]]]
"""Returns an engine that is not started, and what tells its SIP address once it is."""


class EngineWorker:
    """Takes commands from the node's socket until it says Finish, or is gone: then the legs are hung up."""

    def __init__(self, build: BuildEngine) -> None:
        """build makes the engine out of what the node says first; it may raise OSError or ValueError."""
        self._build = build
        self._engine: WorkerEngine | None = None
        self._channel: Channel[ToWorker]
        self._begin: asyncio.Future[Begin]
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, descriptor: int) -> None:
        """Serve the node at the other end of a socket."""
        loop = asyncio.get_running_loop()
        self._begin = loop.create_future()
        self._channel = Channel(decode_for_worker, self._take, self._lost)
        await loop.create_unix_connection(lambda: self._channel, sock=socket.socket(fileno=descriptor))
        if await self._come_up(await self._begin):
            heartbeat = asyncio.create_task(self._tell_load(), name="load")
            await self._over.wait()
            heartbeat.cancel()
            assert self._engine is not None
            await self._engine.stop()
        self._channel.close()

    async def _come_up(self, begin: Begin) -> bool:
        try:
            engine, address = self._build(begin)
            await engine.start(self._report)
        except (OSError, ValueError, OffhookError) as error:
            self._channel.send(CannotBegin(str(error)))
            return False
        self._engine = engine
        self._channel.send(Ready(*address()))
        return True

    def _take(self, message: ToWorker) -> None:
        if isinstance(message, Perform):
            if self._engine is not None:
                self._engine.perform(command_in(message))
        elif isinstance(message, AskTrace):
            task = asyncio.create_task(self._tell_trace(message), name="trace")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif isinstance(message, Begin):
            self._begin.set_result(message)
        else:
            self._over.set()

    def _report(self, event: LegEvent) -> None:
        can_hold = (
            isinstance(event, LegsJoined)
            and self._engine is not None
            and self._engine.can_hold(event.first_leg_id)
        )
        self._channel.send(reported(event, can_hold=can_hold))

    async def _tell_trace(self, asked: AskTrace) -> None:
        lines = await self._engine.trace(asked.leg_id) if self._engine is not None else ()
        self._channel.send(TraceIs(asked.number, tuple(lines)))

    async def _tell_load(self) -> None:
        while True:
            assert self._engine is not None
            self._channel.send(Load(self._engine.count(), time.process_time()))
            await asyncio.sleep(LOAD_INTERVAL_S)

    def _lost(self, why: str) -> None:
        """The node is gone: nobody will hang these legs up but us, and the next node as well."""
        _log.error("the node is gone", reason=why)
        self._over.set()
        if not self._begin.done():
            self._begin.cancel()
