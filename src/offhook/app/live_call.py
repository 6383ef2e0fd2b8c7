"""One call in execution: its machine, its journal so far, and who waits for what comes of it."""

import asyncio
from typing import Final

import msgspec

from offhook.calls import Call, CallState
from offhook.kernel import Timer

from .ports import CallView, JournalEntry


class LiveCall:
    """One call in execution. Made by CallService.place."""

    __slots__ = ("_answered", "_ended", "call", "entries", "epoch_offset_s", "sequence", "stored", "timers")

    def __init__(self, call: Call, epoch_offset_s: float) -> None:
        self.call = call
        self.epoch_offset_s = epoch_offset_s
        """Unix time less monotonic time when it was accepted: its times keep their distances and their
        order although somebody sets the clock."""
        self.entries: list[JournalEntry] = []
        """As given to the journal, above `stored`: it may not have written the last of them yet."""
        self.stored = 0
        """Sequence of the last entry that is known to be durable and is to be read from the journal."""
        self.sequence = 0
        """Of the last journal entry; `accepted` is 0."""
        self.timers: dict[str, Timer] = {}
        self._answered: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None

    @property
    def call_id(self) -> str:
        """The plan's call id."""
        return self.call.plan.call_id

    def forget_stored(self, sequence: int) -> None:
        """Keep no entry up to this one: the journal has them, 3 KB of each standing call."""
        self.stored = max(self.stored, sequence)
        self.entries = [entry for entry in self.entries if entry.sequence > sequence]

    def view(self) -> CallView:
        """Return the call as others may know it: a crash could still change an end that is not stored."""
        view = view_of(self.call)
        if self.call.state is CallState.ENDED and not self._is_stored():
            view.state = CallState.ENDING.value
            view.times = msgspec.structs.replace(view.times, ended=0.0)
        return view

    async def first_answered_or_ended(self) -> CallView:
        """Return once the first party answered (or sent early media that counts), or the call is over."""
        if not self._first_is_reached() and not self._is_stored():
            if self._answered is None:
                self._answered = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._answered)
        return self.view()

    async def ended(self) -> CallView:
        """Return once the final entry is stored."""
        if not self._is_stored():
            await asyncio.shield(self._stored())
        return self.view()

    def note_progress(self) -> None:
        """Wake who waits for the first party."""
        if self._answered is not None and not self._answered.done() and self._first_is_reached():
            self._answered.set_result(None)

    def note_stored(self) -> None:
        """Wake everybody: the final entry is durable."""
        for waiter in (self._stored(), self._answered):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def _first_is_reached(self) -> bool:
        return self.call.first is not None or self.call.early_media

    def _is_stored(self) -> bool:
        return self._ended is not None and self._ended.done()

    def _stored(self) -> asyncio.Future[None]:
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
        return self._ended


ACCEPTED: Final = "accepted"
"""What a placed call is to those outside, as in the answer that they got."""


def view_of(call: Call) -> CallView:
    """Return a call as it stands, for those outside."""
    first_failed = call.first is None and call.ending is not None
    return CallView(
        plan=call.plan,
        state=ACCEPTED if call.state is CallState.PLACED else call.state.value,
        legs=[leg for leg in call.legs.values() if leg.created_at],
        times=call.times,
        ending=call.ending,
        first_hangup_cause=call.ending.hangup_cause if first_failed and call.ending else "",
    )
