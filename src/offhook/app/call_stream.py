"""A call as it happens: every fact from `accepted` to the outcome, for readers that come at any time.

A reader that comes late, or comes again, gets the same steps as one that was there from the start: all
of them replay the same journal entries.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from offhook.calls import Call
from offhook.calls.events import CallEnded, Fact, decode_fact
from offhook.calls.replay import Replay

from .errors import AppError
from .event_bus import EventBus, Mailbox
from .ports import Calls, CallSoFar, Journal, JournalEntry

WAITING_MAX: Final = 256
"""Entries that wait for one reader. A call of two legs has nine; 80 phones that ring at once make 240."""

READERS_PER_CALL_MAX: Final = 20
"""A visitor's page, a few consoles; more than that is a loop that forgets to close."""

READERS_MAX: Final = 5_000
"""Readers on this node (about 10 KB each)."""


class TooManyReaders(AppError):
    """As many follow the call, or calls on this node, as may. Maps to 429."""

    code = "too-many-readers"

    def __str__(self) -> str:
        return "too many clients follow this call, or calls on this node"


@dataclass(frozen=True, slots=True)
class CallStep:
    """One fact, and the call as it is after it. Read it at once: the next step changes the call."""

    sequence: int
    """Of the journal; 0 is `accepted`."""
    at: float
    """Unix seconds."""
    fact: Fact | None
    """None for `accepted`."""
    call: Call

    @property
    def tag(self) -> str:
        """The fact's name in the journal."""
        return "accepted" if self.fact is None else str(self.fact.__struct_config__.tag)

    @property
    def is_final(self) -> bool:
        """Tell whether nothing follows."""
        return isinstance(self.fact, CallEnded)


class CallStream:
    """The steps of one call. Ask `next()` until it returns None, then `close()`."""

    def __init__(
        self,
        known: CallSoFar,
        mailbox: Mailbox[JournalEntry],
        *,
        after: int,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self._replay = Replay(known.plan, known.accepted_at)
        self._accepted_at = known.accepted_at
        self._known = deque(known.entries)
        self._mailbox = mailbox
        self._after = after
        self._on_close = on_close
        self._last = -1
        """Sequence of the last entry seen."""
        self._is_over = False

    async def next(self) -> CallStep | None:
        """Return the next step above `after`, once there is one; None at the end, or see `is_cut`."""
        while not self._is_over:
            step = self._first() if self._last < 0 else await self._following()
            if step is None:
                return None
            if (
                step.sequence > self._after or step.is_final
            ):  # a reader that is ahead of us still gets the end
                return step
        return None

    @property
    def is_told(self) -> bool:
        """Tell, before the first `next()`, whether the call is over and the reader has its last step."""
        last = self._known[-1] if self._known else None
        return (
            last is not None
            and last.sequence <= self._after
            and isinstance(decode_fact(last.fact), CallEnded)
        )

    @property
    def is_cut(self) -> bool:
        """Tell whether the reader was too slow; it can come again and say what it has."""
        return self._mailbox.is_overrun

    def close(self) -> None:
        """End it; a waiting `next()` returns None."""
        self._mailbox.close()
        self._on_close()

    def _first(self) -> CallStep:
        self._last = 0
        return CallStep(0, self._accepted_at, None, self._replay.call)

    async def _following(self) -> CallStep | None:
        entry: JournalEntry | None = None
        while entry is None or entry.sequence <= self._last:  # read from the journal, and known or heard too
            entry = self._known.popleft() if self._known else await self._mailbox.next()
            if entry is None:
                return None
        fact = decode_fact(entry.fact)
        self._replay.note(entry.at, fact)
        self._last = entry.sequence
        step = CallStep(entry.sequence, entry.at, fact, self._replay.call)
        self._is_over = step.is_final
        return step


class CallStreams:
    """Streams of this node's calls. `note` is told of every fact; `stop()` ends all streams."""

    def __init__(self, calls: Calls, journal: Journal) -> None:
        self._calls = calls
        self._journal = journal
        self._bus: EventBus[JournalEntry] = EventBus()
        self._open: dict[Mailbox[JournalEntry], None] = {}
        self._stopped = False

    def note(self, call: Call, entry: JournalEntry, fact: Fact) -> None:
        """Pass an entry on to the call's readers. For CallService's fact observers."""
        self._bus.publish(call.plan.call_id, entry)

    async def open(self, account_id: str, call_id: str, *, after: int = -1) -> CallStream | None:
        """Return the steps above `after` of a live or finished call, or None if there is no such call.

        Raises TooManyReaders.
        """
        known = self._calls.so_far(account_id, call_id)
        if known is not None:
            mailbox, forget = self._listen(call_id)  # at the instant where the known entries end
            if known.stored:
                entries = (*await self._journal.entries(call_id), *known.entries)
                known = CallSoFar(known.plan, known.accepted_at, entries)
            return CallStream(known, mailbox, after=after, on_close=forget)
        stored = await self._journal.call(account_id, call_id)
        if stored is None:
            return None
        mailbox, forget = self._listen(call_id)
        if stored.is_final:
            mailbox.close()
        known = CallSoFar(stored.plan, stored.accepted_at, await self._journal.entries(call_id))
        return CallStream(known, mailbox, after=after, on_close=forget)

    def stop(self) -> None:
        """End every stream; from now on they give what is known, and end."""
        self._stopped = True
        for mailbox in self._open:
            mailbox.close()

    def _listen(self, call_id: str) -> tuple[Mailbox[JournalEntry], Callable[[], None]]:
        if self._bus.count >= READERS_MAX or self._bus.listeners(call_id) >= READERS_PER_CALL_MAX:
            raise TooManyReaders
        mailbox: Mailbox[JournalEntry] = Mailbox(WAITING_MAX)
        end = self._bus.listen(call_id, mailbox.offer)
        self._open[mailbox] = None
        if self._stopped:
            mailbox.close()

        def forget() -> None:
            end()
            self._open.pop(mailbox, None)

        return mailbox, forget
