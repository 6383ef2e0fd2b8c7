"""Answers that a call does not want: written to the journal, then hung up, and waited for in the end."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from offhook.calls.commands import HangUpSurplus
from offhook.calls.events import SurplusAnswered, SurplusEnded, SurplusNoted

from .durable_answers import DurableAnswers
from .live_call import LiveCall
from .ports import Engine

_log = structlog.get_logger("offhook.calls")

SURPLUS_BOUND_S: Final = 100.0
"""A BYE is given up after 32 s, one that looks for a new connection a little later: an engine that has not
told its end after that has lost it."""

Write = Callable[[LiveCall, SurplusNoted], None]
"""Appends a fact to the call's journal."""


class SurplusAnswers:
    """The surplus answers of all live calls."""

    def __init__(self, engine: Engine, answers: DurableAnswers, write: Write) -> None:
        self._engine = engine
        self._answers = answers
        self._write = write
        self._by_call: dict[LiveCall, set[str]] = {}
        self._calls: dict[str, LiveCall] = {}
        """Who waits for the end of a surplus answer, by what the engine calls it."""
        self._clean: dict[LiveCall, asyncio.Event] = {}

    def take(self, event: SurplusAnswered, live: LiveCall | None) -> None:
        """Let the engine hang one up as soon as the journal has it; at once if its call is over."""
        command = HangUpSurplus(event.leg_id, event.dialog)
        if live is None:
            self._engine.perform(command)
            return
        self._add(event.dialog, live)
        self._write(live, SurplusNoted(event.leg_id, event.dialog))
        self._answers.then(command)

    def take_up(self, left: Iterable[SurplusNoted], live: LiveCall) -> None:
        """Hang up again what a process before this one may not have: nobody knows."""
        for noted in left:
            self._add(noted.dialog, live)
            self._engine.perform(HangUpSurplus(noted.leg_id, noted.dialog))

    def end(self, event: SurplusEnded) -> None:
        """Take note that one is over."""
        live = self._calls.pop(event.dialog, None)
        if live is None:
            return
        standing = self._by_call[live]
        standing.discard(event.dialog)
        if not standing:
            self._forget(live)

    def end_all(self) -> None:
        """The engine is closed: nobody will tell their ends."""
        self._calls.clear()
        for live in list(self._by_call):
            self._forget(live)

    async def all_over(self, live: LiveCall) -> None:
        """Return when no surplus answer of the call stands any more."""
        if live not in self._by_call:
            return
        try:
            async with asyncio.timeout(SURPLUS_BOUND_S):
                await self._clean.setdefault(live, asyncio.Event()).wait()
        except TimeoutError:
            _log.error("the engine lost a surplus answer", call_id=live.call_id)
            for dialog in self._by_call.get(live, ()):
                self._calls.pop(dialog, None)
            self._forget(live)

    def _add(self, dialog: str, live: LiveCall) -> None:
        self._calls[dialog] = live
        self._by_call.setdefault(live, set()).add(dialog)

    def _forget(self, live: LiveCall) -> None:
        self._by_call.pop(live, None)
        clean = self._clean.pop(live, None)
        if clean is not None:
            clean.set()
