"""Takes up the calls that a process before this one left open, so that each gets its one outcome."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from offhook.calls import Call
from offhook.calls.events import LegPickedUp, SurplusNoted, decode_fact
from offhook.calls.replay import replay
from offhook.kernel import Clock

from .channel_events import ChannelEvents
from .live_call import LiveCall
from .ports import Journal, StoredCall

_log = structlog.get_logger("offhook.calls")

RECOVERED_AT_ONCE: Final = 50
"""Calls of a dead process taken up in one turn: some 20 ms of work, a few hundred messages."""

RECOVERY_PAUSE_S: Final = 0.05
"""Pause between them, for the messages to leave and new calls to pass: 1,000 calls per second."""

TakeUp = Callable[[LiveCall, dict[str, str], Sequence[SurplusNoted], float], None]
"""Executes the end of a call, given the dialogs of its legs, its surplus answers, and the Unix time."""


class CallRecovery:
    """Works through the calls left open, oldest first, beside new ones."""

    def __init__(
        self, journal: Journal, clock: Clock, channel_events: ChannelEvents, take_up: TakeUp
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._channel_events = channel_events
        self._take_up = take_up
        self._task: asyncio.Task[None] | None = None

    def start(self, left: Sequence[StoredCall]) -> None:
        """Begin to take them up."""
        self._task = asyncio.get_running_loop().create_task(self._recover(left), name="recover calls")

    def stop(self) -> None:
        """Take up no more; the next start does. Idempotent."""
        if self._task is not None:
            self._task.cancel()

    async def _recover(self, left: Sequence[StoredCall]) -> None:
        for number, stored in enumerate(left, 1):
            try:
                await self._begin_to_end(stored)
            except Exception:  # the next start tries this one again; the others must not wait for that
                _log.exception("a call is left open", call_id=stored.plan.call_id)
            if number % RECOVERED_AT_ONCE == 0:
                await asyncio.sleep(RECOVERY_PAUSE_S)

    async def _begin_to_end(self, stored: StoredCall) -> None:
        """Make an open call of the process before a live one that is ending."""
        plan = stored.plan
        entries = await self._journal.entries(plan.call_id)
        facts = [(entry.at, decode_fact(entry.fact)) for entry in entries]
        last_at = entries[-1].at if entries else stored.accepted_at
        now = max(self._clock.epoch(), last_at)  # the clock may have been set back meanwhile
        live = LiveCall(replay(plan, stored.accepted_at, facts), now - self._clock.monotonic())
        live.stored = live.sequence = entries[-1].sequence if entries else 0
        surplus = [fact for _, fact in facts if isinstance(fact, SurplusNoted)]
        picked_up = [fact for _, fact in facts if isinstance(fact, LegPickedUp)]
        dialogs = {noted.leg_id: noted.dialog for noted in surplus}
        dialogs |= {answer.leg_id: answer.dialog for answer in picked_up}
        self._channel_events.resume(plan.call_id, facts)
        self._take_up(live, dialogs, surplus, now)
        _log.warning("call taken up after a crash", call_id=plan.call_id)


async def replayed(journal: Journal, stored: StoredCall) -> Call:
    """Return a stored call as its journal tells it."""
    entries = await journal.entries(stored.plan.call_id)
    return replay(stored.plan, stored.accepted_at, ((entry.at, decode_fact(entry.fact)) for entry in entries))
