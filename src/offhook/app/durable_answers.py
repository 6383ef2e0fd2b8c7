"""Lets the engine acknowledge an answer once a crash cannot lose it any more."""

import asyncio
from typing import Final

import structlog

from offhook.calls.commands import ConfirmLeg, HangUpSurplus

from .errors import StorageLost
from .live_call import LiveCall
from .ports import Engine, Journal

_log = structlog.get_logger("offhook.calls")

CONFIRM_BOUND_S: Final = 2.0
"""A phone that picked up waits so long for a slow disk, then it is acknowledged all the same: its call is
worth more than the case that this process dies as well. (The phone itself would wait for 32 s.)"""


class DurableAnswers:
    """Confirms legs in the order of their answers, many by one flush of the journal."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine = engine
        self._journal = journal
        self._waiting: list[ConfirmLeg | HangUpSurplus] = []
        self._written: list[tuple[LiveCall, int]] = []
        """Calls, and the last entry that the next flush stores."""
        self._task: asyncio.Task[None] | None = None

    def confirm(self, live: LiveCall, leg_id: str) -> None:
        """Confirm a leg whose answer was just given to the journal, when the disk has it."""
        self._written.append((live, live.sequence))
        self.then(ConfirmLeg(leg_id))

    def then(self, command: ConfirmLeg | HangUpSurplus) -> None:
        """Let the engine do what needs the disk to have all that was given to the journal so far."""
        self._waiting.append(command)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._confirm(), name="confirm answers")

    def stop(self) -> None:
        """Confirm nothing more. Idempotent."""
        if self._task is not None:
            self._task.cancel()

    async def _confirm(self) -> None:
        try:
            await self._confirm_all()
        finally:
            self._task = None

    async def _confirm_all(self) -> None:
        while self._waiting:
            commands, self._waiting = self._waiting, []
            written, self._written = self._written, []
            try:
                async with asyncio.timeout(CONFIRM_BOUND_S):
                    await self._journal.durable()
            except (StorageLost, TimeoutError) as error:
                _log.warning("answers are acknowledged unstored", legs=len(commands), reason=repr(error))
            else:
                for live, sequence in written:
                    live.forget_stored(sequence)
            for command in commands:
                self._engine.perform(command)
