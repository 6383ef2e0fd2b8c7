"""A process of ours that is started again whenever it ends: the media relay, an engine worker."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from offhook.kernel import OffhookError

_log = structlog.get_logger("offhook.engine")


class ChildProcess:
    """Holds one process at a time. Whoever owns it starts the first, and says how to start another."""

    def __init__(
        self,
        name: str,
        *,
        spawn: Callable[[], Awaitable[None]],
        on_end: Callable[[], None],
        on_back: Callable[[], None] = lambda: None,
        pauses_s: tuple[float, float],
    ) -> None:
        """spawn sets `process` and returns when it is up; it raises OffhookError or OSError if it is not.

        on_end is told when a process is gone, on_back when the next one is up. pauses_s are the first and the
        longest pause before another try; it doubles between them, and the tries never end.
        """
        self.process: asyncio.subprocess.Process | None = None
        self._name = name
        self._spawn = spawn
        self._on_end = on_end
        self._on_back = on_back
        self._pauses_s = pauses_s
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def process_id(self) -> int | None:
        """Return the process, or None while it is down."""
        return self.process.pid if self.process is not None else None

    def keep_alive(self) -> None:
        """Start another process whenever this one ends, from now on."""
        self._supervisor = asyncio.create_task(self._supervise(), name=f"{self._name} supervisor")

    async def let_go(self) -> None:
        """Start no other any more. Idempotent."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await supervisor

    def kill(self) -> None:
        """Kill it, if it runs: it hangs, or its socket broke."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()

    async def ended(self, within_s: float) -> None:
        """Return when it has ended, killed if it has not by then. Harmless if there is none."""
        process, self.process = self.process, None
        if process is None:
            return
        try:
            async with asyncio.timeout(within_s):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _supervise(self) -> None:
        pause_s, longest_s = self._pauses_s
        while True:
            if self.process is not None:
                status = await self.process.wait()
                _log.error("child process ended", child=self._name, status=status)
                self.process = None
                self._on_end()
            await asyncio.sleep(pause_s)
            try:
                await self._spawn()
            except (OffhookError, OSError) as error:
                _log.error("child process does not start", child=self._name, reason=str(error))
                pause_s = min(2 * pause_s, longest_s)
            else:
                pause_s = self._pauses_s[0]
                self._on_back()
