"""The journal of a world: the rules of the SQLite one, group commit, and what a crash does to it.

The disk outlives the node. A write is durable at its commit; its caller hears of that a moment later, so that
a process may die between the two. What was not committed dies with the process.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from offhook.app.errors import AlreadyFinal, CallIdTaken, KeyClaimed, StorageLost
from offhook.app.ports import IdempotencyClaim, JournalEntry, StoredCall
from offhook.calls.model import CallPlan

from .virtual_outbox import OutboxOnDisk
from .virtual_time import Agenda, WorldBroken

COMMIT_S: Final = 0.002
STALL_S: Final = 0.3
"""A disk that is slow for once."""

Write = Callable[[], None]


class CallOnDisk:
    """What is durable of one call."""

    __slots__ = ("accepted_at", "cdrs", "entries", "final_took_s", "history", "is_final", "plan")

    def __init__(self, plan: CallPlan, accepted_at: float) -> None:
        self.plan = plan
        self.accepted_at = accepted_at
        self.entries: list[JournalEntry] = []
        self.is_final = False
        self.final_took_s = 0.0
        """From when the outcome was first to be stored until it was durable."""
        self.history: Any = None
        self.cdrs: Sequence[Any] = ()


class Disk:
    """Durable calls. `refuses` makes every commit fail, as a full disk does."""

    def __init__(self) -> None:
        self.calls: dict[str, CallOnDisk] = {}
        self.claims: dict[str, IdempotencyClaim] = {}
        self.outbox = OutboxOnDisk()
        self.refuses = False
        self.on_final: Callable[[CallOnDisk], None] = lambda call: None
        """Called in the commit that makes a call final."""


class VirtualJournal:
    """The Journal port of one process over the disk."""

    def __init__(self, disk: Disk, agenda: Agenda, dice: random.Random) -> None:
        self._disk = disk
        self._agenda = agenda
        self._dice = dice
        self._pending: list[tuple[Write, asyncio.Future[None] | None]] = []
        self._is_scheduled = False
        self._finishing: dict[str, float] = {}
        """Call → when its outcome was first to be stored."""
        self.is_dead = False

    def kill(self) -> None:
        """The process is gone: what was not committed is lost."""
        self.is_dead = True
        self._pending.clear()

    # --- the port -------------------------------------------------------------------------------------

    async def accept(
        self, plan: CallPlan, accepted_at: float, *, claim: IdempotencyClaim | None = None
    ) -> None:
        def write() -> None:
            if claim is not None and claim.id in self._disk.claims:
                raise KeyClaimed
            if plan.call_id in self._disk.calls:
                raise CallIdTaken(plan.call_id)
            if claim is not None:
                self._disk.claims[claim.id] = claim
            self._disk.calls[plan.call_id] = CallOnDisk(plan, accepted_at)

        await self._run(write)

    def append(
        self, call_id: str, sequence: int, at: float, fact: bytes, *, outbox: Sequence[Any] = ()
    ) -> None:
        entry = JournalEntry(sequence=sequence, at=at, fact=fact)

        def write() -> None:
            self._add(call_id, entry)
            self._disk.outbox.add(outbox)

        self.post(write)

    async def finish(
        self,
        call_id: str,
        sequence: int,
        at: float,
        fact: bytes,
        history: Any,
        cdrs: Sequence[Any],
        *,
        outbox: Sequence[Any] = (),
    ) -> None:
        began_at = self._finishing.setdefault(call_id, self._agenda.now)

        def write() -> None:
            call = self._disk.calls.get(call_id)
            if call is None:
                raise WorldBroken("a final entry of a call that was never accepted", call_id)
            if call.is_final:
                raise AlreadyFinal(call_id)
            self._add(call_id, JournalEntry(sequence=sequence, at=at, fact=fact))
            self._disk.outbox.add(outbox)
            call.is_final, call.history, call.cdrs = True, history, cdrs
            call.final_took_s = self._agenda.now - began_at
            self._disk.on_final(call)

        await self._run(write)

    async def durable(self) -> None:
        """Return when everything appended so far is on the disk."""
        await self._run(lambda: None)

    async def open_calls(self) -> Sequence[StoredCall]:
        return [
            StoredCall(plan=reread(call.plan), accepted_at=call.accepted_at, is_final=False)
            for call in self._disk.calls.values()
            if not call.is_final
        ]

    async def call(self, account_id: str, call_id: str) -> StoredCall | None:
        call = self._disk.calls.get(call_id)
        if call is None or call.plan.account_id != account_id:
            return None
        return StoredCall(plan=call.plan, accepted_at=call.accepted_at, is_final=call.is_final)

    async def entries(self, call_id: str) -> Sequence[JournalEntry]:
        call = self._disk.calls.get(call_id)
        return list(call.entries) if call is not None else []

    # --- group commit ---------------------------------------------------------------------------------

    def _add(self, call_id: str, entry: JournalEntry) -> None:
        call = self._disk.calls.get(call_id)
        if call is None or call.is_final:
            raise WorldBroken(f"entry {entry.sequence} has no open call", call_id)
        if entry.sequence != len(call.entries) + 1:
            raise WorldBroken(f"entry {entry.sequence} after {len(call.entries)}", call_id)
        call.entries.append(entry)

    def post(self, write: Write) -> None:
        """Write something that nobody waits for."""
        self._post(write)

    def _post(self, write: Write, waiter: asyncio.Future[None] | None = None) -> None:
        if self.is_dead:
            return
        self._pending.append((write, waiter))
        if not self._is_scheduled:
            self._is_scheduled = True
            pause = STALL_S if self._dice.random() < 0.002 else COMMIT_S
            self._agenda.after(self._dice.random() * pause, self._commit)

    async def _run(self, write: Write) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._post(write, waiter)
        await waiter

    def _commit(self) -> None:
        """Write the group. A disk that refuses keeps what nobody waits for; it is written later."""
        self._is_scheduled = False
        if self.is_dead:
            return
        group, self._pending = self._pending, []
        told: list[tuple[asyncio.Future[None], Exception | None]] = []
        for write, waiter in group:
            if self._disk.refuses:
                if waiter is None:
                    self._pending.append((write, None))
                else:
                    told.append((waiter, StorageLost()))
                continue
            error: Exception | None = None
            try:
                write()
            except (CallIdTaken, KeyClaimed, AlreadyFinal) as refusal:
                error = refusal
            if waiter is not None:
                told.append((waiter, error))
        self._agenda.after(self._dice.random() * 0.001, self._tell, told)

    def _tell(self, told: list[tuple[asyncio.Future[None], Exception | None]]) -> None:
        if self.is_dead:
            return
        for waiter, error in told:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)


def reread(plan: CallPlan) -> CallPlan:
    """Return the plan as it comes back from a disk."""
    return msgspec.json.decode(msgspec.json.encode(plan), type=CallPlan)
