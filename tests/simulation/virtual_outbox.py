"""The outbox of a world: rows that are written with the journal's entries, by the rules of the SQLite one."""

from collections.abc import Collection, Iterable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from offhook.app.outbox import Due, DueLane, NumberedRow, StoredAttempt
from offhook.delivery import OutboxRow

if TYPE_CHECKING:
    from .virtual_disk import VirtualJournal

Lane = tuple[str, str]


class OutboxOnDisk:
    """What is durable of the outbox: rows by lane, and when each lane is due."""

    def __init__(self) -> None:
        self.lanes: dict[Lane, list[NumberedRow]] = {}
        self.due: dict[Lane, tuple[int, float]] = {}
        """Lane → how often its first row was tried, when it is to be tried (again)."""
        self._numbers = count(1)

    def add(self, rows: Iterable[OutboxRow]) -> None:
        """Write rows, with the entry that they tell of."""
        for row in rows:
            lane = (row.hook_id, row.lane)
            waiting = self.lanes.setdefault(lane, [])
            if all(known.row.webhook_id != row.webhook_id for known in waiting):
                waiting.append(NumberedRow(next(self._numbers), row))
            self.due.setdefault(lane, (0, row.created_at))

    def take(self, hook_id: str, now: float, *, busy: frozenset[str], lanes: int, rows: int) -> Due:
        """Return what is due."""
        free = sorted(
            (at, lane, attempts)
            for (hook, lane), (attempts, at) in self.due.items()
            if hook == hook_id and lane not in busy
        )
        ready = [(lane, attempts) for at, lane, attempts in free if at <= now]
        later = next((at for at, _, _ in free if at > now), None)
        found = [
            DueLane(lane=lane, attempts=attempts, rows=self.lanes[hook_id, lane][:rows])
            for lane, attempts in ready[:lanes]
        ]
        return Due(lanes=found, next_at=now if len(ready) > lanes else later)

    def advance(self, lane: Lane, through: int, now: float) -> None:
        """Strike off what was delivered."""
        left = [row for row in self.lanes.get(lane, ()) if row.number > through]
        if left:
            self.lanes[lane], self.due[lane] = left, (0, now)
        else:
            self.lanes.pop(lane, None)
            self.due.pop(lane, None)


class VirtualOutbox:
    """The Outbox port of one process: what it writes takes its turn among the journal's writes."""

    def __init__(self, journal: "VirtualJournal", disk: OutboxOnDisk) -> None:
        self._journal = journal
        self._disk = disk

    async def waiting(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for (hook_id, _), rows in self._disk.lanes.items():
            found[hook_id] = found.get(hook_id, 0) + len(rows)
        return found

    async def due(self, hook_id: str, now: float, *, busy: frozenset[str], lanes: int, rows: int) -> Due:
        await self._journal.durable()
        return self._disk.take(hook_id, now, busy=busy, lanes=lanes, rows=rows)

    def advance(self, hook_id: str, lane: str, through: int, now: float) -> None:
        self._journal.post(lambda: self._disk.advance((hook_id, lane), through, now))

    def postpone(self, hook_id: str, lane: str, attempts: int, next_at: float) -> None:
        def write() -> None:
            if (hook_id, lane) in self._disk.due:
                self._disk.due[hook_id, lane] = (attempts, next_at)

        self._journal.post(write)

    def note_attempt(self, attempt: StoredAttempt, *, kept: int) -> None:
        """Nobody reads attempts here."""

    async def drop_older(self, before: float) -> int:
        return 0

    def add(self, rows: Sequence[OutboxRow], *, at: float) -> None:
        raise NotImplementedError("nothing is redelivered by hand here")

    def wake(self, hook_ids: Collection[str], now: float) -> None:
        def write() -> None:
            for lane, (attempts, at) in self._disk.due.items():
                if lane[0] in hook_ids:
                    self._disk.due[lane] = (attempts, min(at, now))

        self._journal.post(write)

    def forget(self, hook_id: str) -> None:
        raise NotImplementedError("no webhook is deleted here")

    async def attempts(self, *arguments: Any) -> Any:
        raise NotImplementedError

    async def attempt(self, *arguments: Any) -> Any:
        raise NotImplementedError
