"""Keeps one engine worker running: starts its process, notices its end, starts another."""

import asyncio
import socket
import sys
from typing import Final, Protocol

import msgspec
import structlog

from offhook.engines.child_process import ChildProcess
from offhook.kernel import OffhookError

from .channel import Channel
from .messages import LOAD_INTERVAL_S, Begin, CannotBegin, Finish, Load, Ready, ToNode, decode_for_node

_log = structlog.get_logger("offhook.workers")

START_BOUND_S: Final = 20.0
"""An interpreter, our modules and a relay come up in half a second; a machine under full load needs more."""

START_ATTEMPTS: Final = 6
START_PAUSE_S: Final = 1.0
"""Together more than STOP_BOUND_S."""

SILENCE_MAX_S: Final = 20 * LOAD_INTERVAL_S
"""A worker whose loop stands still for so long is no use to its calls: it is ended, and they are."""

STOP_BOUND_S: Final = 6.0
"""Above what an engine gives its far ends to hear the BYE."""

RESTART_DELAY_S: Final = 0.2
RESTART_DELAY_MAX_S: Final = 10.0
"""A worker that keeps dying is tried this often, for ever; the others and the node take its calls."""


class WorkerLost(OffhookError):
    """An engine worker did not come up."""

    code = "worker-lost"

    def __init__(self, number: int, why: str) -> None:
        super().__init__(number, why)
        self.number = number
        self.why = why

    def __str__(self) -> str:
        return f"engine worker {self.number}: {self.why}"


class WorkerListener(Protocol):
    """Is told what a worker says."""

    def take(self, number: int, message: ToNode) -> None:
        """Take a message of a worker that is up."""
        ...

    def lost(self, number: int) -> None:
        """Its process is gone, and all its legs with it. Told once for each process that was up."""
        ...

    def back(self, number: int) -> None:
        """Another process has taken its place, at the same SIP port. Not told of the first one."""
        ...


class WorkerHost:
    """One worker process at a time. `channel` is None while there is none to talk to."""

    def __init__(self, begin: Begin, listener: WorkerListener, *, program: str) -> None:
        """Prepare; program is the module that runs (it gets the descriptor of its socket)."""
        self.begin = begin
        self.channel: Channel[ToNode] | None = None
        self.load = Load(0, 0.0)
        """As it said last."""
        self.sip_address = ("", 0)
        self._listener = listener
        self._program = program
        self._child = ChildProcess(
            f"engine worker {begin.number}",
            spawn=self._spawn,
            on_end=lambda: self._lost("its process ended"),
            on_back=lambda: listener.back(begin.number),
            pauses_s=(RESTART_DELAY_S, RESTART_DELAY_MAX_S),
        )
        self._starting: asyncio.Future[Ready] | None = None
        self._heard_at = 0.0
        self._watch: asyncio.TimerHandle | None = None

    @property
    def number(self) -> int:
        """Which worker this is, from 1."""
        return self.begin.number

    @property
    def process_id(self) -> int | None:
        """Return the process, or None while it is down."""
        return self._child.process_id

    async def start(self) -> None:
        """Bring it up, and keep it up. Raises WorkerLost if it does not come up.

        Its port may still be held by a worker of a node that died a moment ago, and that hangs up its legs.
        """
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                await self._spawn()
                break
            except WorkerLost:
                if attempt == START_ATTEMPTS:
                    raise
            await asyncio.sleep(START_PAUSE_S)
        self._child.keep_alive()

    async def stop(self) -> None:
        """Let it hang up what is left and end. Idempotent; may precede start()."""
        await self._child.let_go()
        if self._watch is not None:
            self._watch.cancel()
        channel, self.channel = self.channel, None
        if channel is not None:
            channel.send(Finish())
        await self._child.ended(STOP_BOUND_S)
        if channel is not None:
            channel.close()

    async def _spawn(self) -> None:
        loop = asyncio.get_running_loop()
        self._starting = loop.create_future()
        channel = await self._launch()
        try:
            channel.send(self.begin)
            async with asyncio.timeout(START_BOUND_S):
                ready = await self._starting
        except TimeoutError:
            await self._give_up(channel)
            raise WorkerLost(self.number, "it gives no answer") from None
        except WorkerLost:
            await self._give_up(channel)
            raise
        finally:
            self._starting = None
        self.sip_address = (ready.sip_host, ready.sip_port)
        self.begin = msgspec.structs.replace(self.begin, sip_port=ready.sip_port)
        self.channel = channel
        self._heard_at = loop.time()
        self._watch = loop.call_later(SILENCE_MAX_S, self._check_silence)
        _log.info("engine worker started", worker=self.number, pid=self.process_id, sip_port=ready.sip_port)

    async def _launch(self) -> Channel[ToNode]:
        ours, theirs = socket.socketpair()
        try:
            self._child.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", self._program, str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # a terminal's Ctrl-C is for the node: calls are drained first
            )
            loop = asyncio.get_running_loop()
            _, channel = await loop.create_unix_connection(
                lambda: Channel(decode_for_node, self._take, self._lost), sock=ours
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return channel

    def _take(self, message: ToNode) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        if isinstance(message, Load):
            self.load = message
        elif isinstance(message, Ready | CannotBegin):
            self._note_start(message)
        else:
            self._listener.take(self.number, message)

    def _note_start(self, message: Ready | CannotBegin) -> None:
        if self._starting is None or self._starting.done():
            return
        if isinstance(message, Ready):
            self._starting.set_result(message)
        else:
            self._starting.set_exception(WorkerLost(self.number, message.reason))

    def _lost(self, why: str) -> None:
        """The connection broke, or the process ended: it holds no call of ours any more."""
        if self._starting is not None and not self._starting.done():
            self._starting.set_exception(WorkerLost(self.number, why))
        channel, self.channel = self.channel, None
        if channel is None:
            return
        _log.error("engine worker lost", worker=self.number, reason=why)
        self._child.kill()
        channel.close()
        if self._watch is not None:
            self._watch.cancel()
        self.load = Load(0, 0.0)
        self._listener.lost(self.number)

    def _check_silence(self) -> None:
        loop = asyncio.get_running_loop()
        silent_s = loop.time() - self._heard_at
        if silent_s >= SILENCE_MAX_S:
            self._lost(f"it was silent for {silent_s:.0f} s")
        else:
            self._watch = loop.call_later(SILENCE_MAX_S - silent_s, self._check_silence)

    async def _give_up(self, channel: Channel[ToNode]) -> None:
        channel.close()
        self._child.kill()
        await self._child.ended(STOP_BOUND_S)
