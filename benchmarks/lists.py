"""What a page of CDRs or history costs among ten thousand and among a million rows: milliseconds to wait.

Run: python -m benchmarks.lists [rows ...]
"""

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from offhook.app.ports import CdrTotals, Listing, Page, RowFilter, TimeRange
from offhook.stores.sqlite import SqliteStore
from offhook.stores.sqlite.connections import open_writer
from offhook.stores.sqlite.lists_by_time import cdr_class

from .report import Row, show

SIZES = (10_000, 1_000_000)
PAGES = 300
SLOW = 5
"""Runs of what looks at every row of the range."""
ACCOUNT = "a" * 32
BUTTON = "c" * 32
BEGIN = 63876500000
RANGE_S = 2_600_000
EVER = TimeRange(from_gregorian_s=BEGIN, to_gregorian_s=BEGIN + RANGE_S)
OWNERS = 50

ADD_CDR = """
INSERT INTO cdrs (account_id, id, timestamp, interaction_id, owner_id, class, duration_s, billing_s, data)
VALUES (?, ?, ?, ?, ?, ?, 30, 20, ?)
"""
ADD_HISTORY = "INSERT INTO history (account_id, button_id, timestamp, data) VALUES (?, ?, ?, ?)"


async def measure(count: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "offhook.db"
        fill(path, count)
        store = await SqliteStore.open(path)
        try:
            return iter([row async for row in _rows(store, count)])
        finally:
            await store.close()


async def _rows(store: SqliteStore, count: int):
    dice = random.Random(1)
    cdrs, history = store.cdrs, store.history

    def anywhere() -> Page:
        return Page(size=50, start_key=str(BEGIN + dice.randrange(RANGE_S)))

    def only_order(number: int) -> RowFilter:
        wanted = {"order": str(number)}
        return RowFilter(
            keep=lambda cdr: cdr["custom_application_vars"] == wanted, needles=((b'"%d"' % number,),)
        )

    lists: list[tuple[str, int, Callable[[int], Awaitable[Listing | Sequence[CdrTotals]]]]] = [
        ("CDRs, newest 50", PAGES, lambda n: cdrs.list(ACCOUNT, EVER, Page(size=50))),
        ("CDRs, 50 from anywhere", PAGES, lambda n: cdrs.list(ACCOUNT, EVER, anywhere())),
        ("CDRs of a user, 50 from anywhere", PAGES,
         lambda n: cdrs.list(ACCOUNT, EVER, anywhere(), owner_id=f"{n % OWNERS:032x}")),
        ("interactions, 50 from anywhere", PAGES,
         lambda n: cdrs.list(ACCOUNT, EVER, anywhere(), one_per_interaction=True)),
        ("history, 50 from anywhere", PAGES, lambda n: history.list(ACCOUNT, BUTTON, EVER, anywhere())),
        ("one CDR found by a variable, in the whole range", SLOW,
         lambda n: cdrs.list(ACCOUNT, EVER, Page(size=50), only=only_order(n * count // SLOW))),
        ("sums over the whole range", SLOW, lambda n: cdrs.summary(ACCOUNT, EVER)),
    ]  # fmt: skip
    for what, runs, read in lists:
        times = sorted([await _timed(read, number) for number in range(runs)])
        middle, last = times[len(times) // 2], times[int(len(times) * 0.99)]
        yield Row(f"{what}, {count:,} rows: p50", middle * 1e3, "ms")
        yield Row(f"{what}, {count:,} rows: p99", last * 1e3, "ms")


async def _timed(read: Callable[[int], Awaitable[object]], number: int) -> float:
    began = time.perf_counter()
    await read(number)
    return time.perf_counter() - began


def fill(path: Path, count: int) -> None:
    """Write the rows as the store does, in large transactions."""
    connection = open_writer(path)
    for table, rows in ((ADD_CDR, _cdrs(count)), (ADD_HISTORY, _history(count))):
        for group in _groups(rows, 20_000):
            with connection:
                connection.executemany(table, group)
    connection.wal_checkpoint()
    connection.close()


def _groups(rows: Iterator[tuple], size: int) -> Iterable[list[tuple]]:
    while group := [row for _, row in zip(range(size), rows)]:  # noqa: B905 (the range ends it)
        yield group


def _cdrs(count: int) -> Iterator[tuple]:
    filler = {f"key_of_usual_length_{n}": "a value of usual length" for n in range(26)}
    for number in range(count):
        at = BEGIN + number * RANGE_S // count
        interaction = f"{at - at % 2}-{number // 2:08x}"
        owner = f"{number % OWNERS:032x}"
        document = {
            **filler,
            "id": f"202403-leg-{number}",
            "timestamp": at,
            "interaction_id": interaction,
            "call_direction": "outbound",
            "to": "+14158867900@carrier.example.com",
            "did_classifier": "did_us",
            "outcome": ("connected", "busy", "no_answer")[number % 3],
            "duration_seconds": 30,
            "billing_seconds": 20,
            "custom_channel_vars": {"owner_id": owner, "resource_id": "r1"},
            "custom_application_vars": {"order": str(number)},
        }
        place = (ACCOUNT, document["id"], at, interaction, owner)
        yield *place, cdr_class(document), msgspec.json.encode(document)


def _history(count: int) -> Iterator[tuple]:
    for number in range(count):
        at = BEGIN + number * RANGE_S // count
        item = {
            "id": f"{number:032x}",
            "timestamp": at,
            "contact": "1002",
            "result": "success",
            "by": "x" * 300,
        }
        yield ACCOUNT, BUTTON, at, msgspec.json.encode(item)


def main() -> None:
    for count in [int(word) for word in sys.argv[1:]] or SIZES:
        show(asyncio.run(measure(count)))


if __name__ == "__main__":
    main()
