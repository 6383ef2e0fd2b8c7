"""Keeps a relay process running: starts it, greets it, notices its end, starts another."""

import asyncio
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from offhook.engines.child_process import ChildProcess

from .relay import RelayLost
from .relay_control import REPLY_BOUND_S, ControlChannel

PROCESS_PROGRAM: Final = Path(__file__).with_name("relay_process.py")
START_BOUND_S: Final = 10.0
"""It takes 35 ms; a machine under full load has been seen to take two seconds to start an interpreter."""
STOP_BOUND_S: Final = 2.0
RESTART_DELAY_S: Final = 0.1
RESTART_DELAY_MAX_S: Final = 5.0
"""A relay that keeps dying is tried this often, for ever: calls fail meanwhile, with a clear error."""
SEND_BUFFER_BYTES: Final = 1 << 20
"""For the relay's replies: room for ten times MAX_IN_FLIGHT."""
PROTOCOL_VERSION: Final = "20040107"

_log = structlog.get_logger("offhook.media")


class RelayHost:
    """One relay process at a time. `channel` is None while there is none to talk to."""

    def __init__(
        self,
        folder: Path,
        bind_address: str,
        ports: tuple[int, int],
        *,
        bell: str,
        on_lost: Callable[[str], None],
    ) -> None:
        """Prepare. `bell` is the command that opens a port for good; on_lost is told why, once for each."""
        self.channel: ControlChannel | None = None
        self._folder = folder
        self._arguments = (bind_address, *map(str, ports))
        self.captures = folder / f"captures-{ports[0]}"
        """Where recorded sessions are written; a relay process of its own each."""
        self._bell = bell
        self._on_lost = on_lost
        self._child = ChildProcess(
            "media relay",
            spawn=self._spawn,
            on_end=lambda: self._lost("the relay process ended"),
            pauses_s=(RESTART_DELAY_S, RESTART_DELAY_MAX_S),
        )

    @property
    def process_id(self) -> int | None:
        """Return the process that carries the packets, or None while it is down."""
        return self._child.process_id

    async def start(self) -> None:
        """Bring it up, and keep it up. Raises RelayLost if it does not come up."""
        await self._spawn()
        self._child.keep_alive()

    async def stop(self) -> None:
        """End it. Idempotent; may precede start()."""
        await self._child.let_go()
        channel, self.channel = self.channel, None
        if channel is not None:
            channel.close()
        await self._end_process()

    async def _spawn(self) -> None:
        channel = await self._launch()
        try:
            await self._greet(channel)
        except BaseException:
            channel.close()
            await self._end_process()
            raise
        self.channel = channel
        _log.info("media relay started", pid=self.process_id, ports="-".join(self._arguments[1:]))

    async def _launch(self) -> ControlChannel:
        await asyncio.to_thread(_empty, self.captures)
        ours, theirs = socket.socketpair()
        try:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            self._child.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", str(PROCESS_PROGRAM), str(theirs.fileno()), *self._arguments),
                str(self.captures),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                cwd=self._folder,
                start_new_session=True,  # a terminal's Ctrl-C is for us: calls are drained first
            )
            loop = asyncio.get_running_loop()
            _, channel = await loop.create_unix_connection(lambda: ControlChannel(self._lost), sock=ours)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return channel

    async def _greet(self, channel: ControlChannel) -> None:
        channel.bound_replies(START_BOUND_S)
        version = await channel.ask("V")
        if version != PROTOCOL_VERSION:
            raise RelayLost(f"it did not start ({version or 'it ended'})")
        bell = await channel.ask(self._bell)  # now, while a port is certainly free
        if not bell[:1].isdigit():
            raise RelayLost(f"it cannot open a port at {self._arguments[0]} ({bell or 'it ended'})")
        channel.bound_replies(REPLY_BOUND_S)

    async def _end_process(self) -> None:
        """Close its input, which ends it."""
        process = self._child.process
        if process is not None and process.stdin is not None:
            process.stdin.close()
        await self._child.ended(STOP_BOUND_S)

    def _lost(self, why: str) -> None:
        self._child.kill()
        channel, self.channel = self.channel, None
        if channel is not None:
            self._on_lost(why)
            channel.close()


def _empty(folder: Path) -> None:
    """Make the folder; what a relay before left in it belongs to no call any more."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():
        left.unlink(missing_ok=True)
