"""Recordings: the relay captures the packets of both directions, a child process makes a WAV of them.

A capture ends with its relay session, so a recording is ready when its call's media are closed.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from offhook.calls.events import RecordingMade

_log = structlog.get_logger("offhook.media")

PROGRAM: Final = "offhook.audio.recording"
AT_ONCE: Final = 1
"""Conversions: each takes a core, and calls need the others."""
BOUND_S: Final = 120.0
"""An hour of two directions takes about ten seconds of a core; a busy machine gives it less than that."""
STOP_BOUND_S: Final = 5.0


class Recorder:
    """The recordings of one engine. `stop()` waits a moment for what is being made."""

    def __init__(self, folder: Path, report: Callable[[RecordingMade], None]) -> None:
        self._folder = folder
        self._report = report
        self._places = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._awaited: set[str] = set()
        """Sessions that are being closed, whose captures will come."""
        self._all_here = asyncio.Event()

    def expect(self, session_id: str) -> None:
        """The captures of a session will come in a moment: `stop` waits for them."""
        self._awaited.add(session_id)
        self._all_here.clear()

    def arrived(self, session_id: str) -> None:
        """They are here."""
        self._awaited.discard(session_id)
        if not self._awaited:
            self._all_here.set()

    def make(self, recording_id: str, begin: float, end: float, captures: Sequence[Path]) -> None:
        """Make one recording of a session's captures; RecordingMade follows, its path empty on failure."""
        self._run(self._make(recording_id, begin, end, captures), recording_id)

    def forget(self, captures: Sequence[Path]) -> None:
        """Remove captures once all that was being made of them is made."""
        self._run(self._forget(captures, tuple(self._tasks)), "captures")

    async def stop(self) -> None:
        """Let what is being made be finished, within a bound. Idempotent."""
        if self._awaited:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_BOUND_S):
                    await self._all_here.wait()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_BOUND_S)
        for task in tuple(self._tasks):
            task.cancel()

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"recording {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _make(self, recording_id: str, begin: float, end: float, captures: Sequence[Path]) -> None:
        target = self._folder / f"{recording_id}.wav"
        async with self._places:
            is_made = await self._convert(target, begin, end, captures)
        self._report(RecordingMade(recording_id, str(target) if is_made else ""))

    async def _convert(self, target: Path, begin: float, end: float, captures: Sequence[Path]) -> bool:
        words = (str(target), repr(begin), repr(end), *map(str, captures))
        try:
            await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", PROGRAM, *words,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            _log.error("recording not made", recording=target.name, reason=str(error))
            return False
        try:
            async with asyncio.timeout(BOUND_S):
                status = await child.wait()
        except TimeoutError:
            status = -1
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if status != 0:
            _log.error("recording not made", recording=target.name, status=status)
        return status == 0

    async def _forget(self, captures: Sequence[Path], before: Sequence[asyncio.Task[None]]) -> None:
        if before:
            await asyncio.wait(before)
        for capture in captures:
            await asyncio.to_thread(capture.unlink, missing_ok=True)
