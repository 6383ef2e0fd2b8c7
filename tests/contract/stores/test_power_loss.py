"""The power goes between any two writes of SQLite: what was awaited is there, whatever else the disk kept.

SQLite writes through a file system that remembers every write and flush. A cut keeps what was flushed, and
of the rest any part; the database is then opened as after a power cut.
"""

import asyncio
import random
from pathlib import Path
from typing import Any

import apsw
import pytest

from offhook.stores.sqlite import connections
from offhook.stores.sqlite.journal import SqliteJournal
from offhook.stores.sqlite.writer import LINGER_S, Writer

from .given import given_plan

pytestmark = pytest.mark.anyio

Event = tuple[str, Any]


class Disk(apsw.VFS):
    """Passes everything on to the real file system, and takes notes."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        super().__init__("noted", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> "NotedFile":
        return NotedFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.events.append(("delete", Path(filename).name))
        super().xDelete(filename, syncdir)


class NotedFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = Path(path).name if path else ""

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._disk.events.append(("write", (self._name, offset, bytes(data))))

    def xTruncate(self, size: int) -> None:
        super().xTruncate(size)
        self._disk.events.append(("truncate", (self._name, size)))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._disk.events.append(("sync", self._name))


class Files:
    """What a disk holds: what was flushed, and what was only written."""

    def __init__(self) -> None:
        self.flushed: dict[str, bytearray] = {}
        self.written: dict[str, list[Event]] = {}

    def note(self, event: Event) -> None:
        kind, what = event
        if kind == "sync":
            for pending in self.written.pop(what, []):
                self._apply(pending)
        elif kind == "delete":
            self.flushed.pop(what, None)
            self.written.pop(what, None)
        elif kind in ("write", "truncate"):
            self.written.setdefault(what[0], []).append(event)

    def cut(self, folder: Path, dice: random.Random) -> None:
        """Write what the disk holds after a power cut: of the unflushed writes nothing, or any of them."""
        kept = dice.choice([0.0, 0.5, 1.0])
        for pending in [each for events in self.written.values() for each in events]:
            if dice.random() < kept:
                self._apply(pending)
        folder.mkdir()
        for name, data in self.flushed.items():
            (folder / name).write_bytes(data)

    def _apply(self, event: Event) -> None:
        kind, what = event
        data = self.flushed.setdefault(what[0], bytearray())
        if kind == "truncate":
            del data[what[1] :]
            return
        _, offset, new = what
        data.extend(bytes(max(0, offset + len(new) - len(data))))
        data[offset : offset + len(new)] = new


async def live_through(path: Path, disk: Disk, dice: random.Random) -> None:
    """Accept, append and finish calls; note when each of them was told to be durable."""
    writer = Writer(connections.open_writer(path))
    writer.start()
    journal = SqliteJournal(writer, None, None)  # type: ignore[arg-type] - nothing is read
    for number in range(40):
        call_id = f"c2c-{number}"
        await journal.accept(given_plan(call_id), 1000.0)
        disk.events.append(("told", ("accepted", call_id, 0)))
        entries = dice.randrange(1, 4)
        for sequence in range(1, entries + 1):
            journal.append(call_id, sequence, 1000.0, b"fact")
        if dice.random() < 0.3:
            await asyncio.sleep(1.5 * LINGER_S)  # they are written alone, without a flush
        if dice.random() < 0.5:
            await journal.durable()
            disk.events.append(("told", ("entries", call_id, entries)))
        if dice.random() < 0.5:
            await journal.finish(call_id, entries + 1, 1001.0, b"end", None, [])
            disk.events.append(("told", ("final", call_id, entries + 1)))
    await writer.close()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch):
    noted = Disk()
    connect = apsw.Connection

    def connect_alone(*arguments: Any, **options: Any) -> apsw.Connection:
        connection = connect(*arguments, **options)
        connection.pragma("locking_mode", "exclusive")  # this file system has no shared memory
        return connection

    monkeypatch.setattr(apsw, "Connection", connect_alone)
    yield noted
    noted.unregister()


@pytest.mark.parametrize("seed", range(4))
async def test_what_was_awaited_survives_a_power_cut_at_any_write(
    tmp_path: Path, disk: Disk, seed: int
) -> None:
    dice = random.Random(seed)
    path = tmp_path / "live" / "offhook.db"
    path.parent.mkdir()
    await live_through(path, disk, dice)
    disk.unregister()
    first_told = next(index for index, (kind, _) in enumerate(disk.events) if kind == "told")
    assert sum(kind == "sync" for kind, _ in disk.events) > 40
    cuts = sorted(dice.sample(range(first_told, len(disk.events)), 25))
    files, told = Files(), []
    for index, event in enumerate(disk.events):
        if event[0] == "told":
            told.append(event[1])
        files.note(event)
        if cuts and index == cuts[0]:
            cuts.pop(0)
            assert_told(_copy(files), tmp_path / f"cut-{index}", path.name, told, dice)


def assert_told(
    files: Files, folder: Path, name: str, told: list[tuple[str, str, int]], dice: random.Random
) -> None:
    files.cut(folder, dice)
    connection = apsw.Connection(str(folder / name))
    assert connection.pragma("integrity_check") == "ok"
    rows = connection.execute(
        "SELECT call_id, calls.is_final, coalesce(max(sequence), 0), count(sequence), "
        " coalesce(sum(journal.is_final), 0)"
        " FROM calls LEFT JOIN journal ON call_number = number GROUP BY number"
    )
    found = {call_id: row for call_id, *row in rows}
    for what, call_id, entries in told:
        is_final, last, count, finals = found[call_id]
        assert last == count >= entries, "a gap, or an awaited entry is lost"
        assert finals == is_final
        assert is_final or what != "final"
    connection.close()


def _copy(files: Files) -> Files:
    twin = Files()
    twin.flushed = {name: bytearray(data) for name, data in files.flushed.items()}
    twin.written = {name: list(events) for name, events in files.written.items()}
    return twin
