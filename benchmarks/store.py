"""What the SQLite store costs: microseconds of CPU (all threads) and of waiting, per call and per document.

Run: python -m benchmarks.store
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec.structs import replace

from offhook.app.ports import Document, DocumentKey, Page, TimeRange
from offhook.calls.model import CallPlan, EndpointKind, EndpointPlan, PartyPlan, RingStep, Side
from offhook.stores.sqlite import SqliteStore

from .report import Row, show

CALLS = 4_000
LANES = 64
APPENDS = 8
DOCUMENTS = 2_000
READS = 20_000
ACCOUNT = "a" * 32


async def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        store = await SqliteStore.open(Path(folder) / "offhook.db")
        try:
            return [*await _calls(store), *await _documents(store), *await _lists(store)]
        finally:
            await store.close()


async def _calls(store: SqliteStore) -> list[Row]:
    async def one(number: int) -> None:
        plan = _plan(number)
        await store.journal.accept(plan, 1000.0)
        for sequence in range(1, APPENDS + 1):
            store.journal.append(
                plan.call_id, sequence, 1000.0, b'{"type":"leg_ringing","leg_id":"x","sip_code":180}'
            )
        await store.journal.finish(
            plan.call_id, APPENDS + 1, 1001.0, b'{"type":"ended"}', _history(number), _cdrs(plan)
        )

    rows = []
    for lanes, numbers in ((1, range(200)), (LANES, range(200, 200 + CALLS))):
        cpu, wall = await _timed(one, numbers, lanes)
        words = f"call: accept, {APPENDS} appends, finish, {lanes} at once"
        rows += [Row(words, cpu, "µs CPU"), Row(f"{words}, end to end", wall * lanes, "µs")]
    return rows


async def _documents(store: SqliteStore) -> list[Row]:
    documents: dict[int, Document] = {}

    async def create(number: int) -> None:
        keys = [DocumentKey(kind="sip_username", value=f"dev{number}", scope="acme")]
        documents[number] = await store.documents.put(_device(number), keys, expected_revision=None)

    async def change(number: int) -> None:
        before = documents[number]
        documents[number] = await store.documents.put(
            replace(before, modified_at=2.0), [], expected_revision=before.revision
        )

    async def get(number: int) -> None:
        await store.documents.get(ACCOUNT, f"{number % DOCUMENTS:032x}", type="device")

    async def find(number: int) -> None:
        await store.documents.find("owner_id", f"u{number}", scope=ACCOUNT)

    numbers = range(DOCUMENTS)
    return [
        Row("document write, 1 at once", (await _timed(create, numbers, 1))[0], "µs CPU"),
        Row(f"document change, {LANES} at once", (await _timed(change, numbers, LANES))[0], "µs CPU"),
        Row("document read", (await _timed(get, range(READS), 1))[0], "µs CPU"),
        Row("key looked up in vain", (await _timed(find, range(READS), 1))[0], "µs CPU"),
    ]


async def _lists(store: SqliteStore) -> list[Row]:
    ever = TimeRange(from_gregorian_s=0, to_gregorian_s=10**11)

    async def page(number: int) -> None:
        await store.cdrs.list(ACCOUNT, ever, Page(size=50))

    cpu, wall = await _timed(page, range(500), 1)
    return [Row("page of 50 CDRs", cpu, "µs CPU"), Row("page of 50 CDRs, end to end", wall, "µs")]


async def _timed(work: Callable[[int], Awaitable[None]], numbers: range, lanes: int) -> tuple[float, float]:
    """Return microseconds of CPU and of waiting per number, with so many at work at once."""

    async def lane(first: int) -> None:
        for number in numbers[first::lanes]:
            await work(number)

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(lane(first) for first in range(lanes)))
    per = 1e6 / len(numbers)
    return (time.process_time() - cpu) * per, (time.perf_counter() - wall) * per


def _plan(number: int) -> CallPlan:
    def party(side: Side) -> PartyPlan:
        endpoint = EndpointPlan(
            leg_id=f"c2c-{number}-{side}",
            kind=EndpointKind.DEVICE,
            endpoint_id="d" * 32,
            request_uri="sip:dev1@192.0.2.5:5062",
            to_uri="sip:dev1@acme.example.com",
            from_uri="sip:+14158867900@acme.example.com",
        )
        return PartyPlan(side=side, number="1001", steps=(RingStep(endpoints=(endpoint,), timeout_s=30.0),))

    return CallPlan(
        call_id=f"c2c-{'c' * 32}-{number:010x}",
        account_id=ACCOUNT,
        kind="clicktocall",
        authorizing_id="c" * 32,
        authorizing_type="clicktocall",
        interaction_id=f"63876500000-{number:08x}",
        first=party(Side.EXTENSION),
        second=party(Side.CONTACT),
    )


def _history(number: int) -> dict:
    return {"id": f"{number:032x}", "timestamp": 63876500000 + number, "contact": "1002", "result": "success"}


def _cdrs(plan: CallPlan) -> list[dict]:
    words = {f"field_{n}": "value of the usual length" for n in range(40)}
    return [
        {
            **words,
            "id": f"202403-{plan.call_id}-{leg}",
            "timestamp": 63876500000,
            "interaction_id": plan.interaction_id,
            "custom_channel_vars": {"owner_id": "u1"},
        }
        for leg in (0, 1)
    ]


def _device(number: int) -> Document:
    return Document(
        id=f"{number:032x}",
        account_id=ACCOUNT,
        type="device",
        data={
            "name": f"Desk {number}",
            "enabled": True,
            "sip": {"username": f"dev{number}", "password": "secret"},
        },
        created_at=1.0,
        modified_at=1.0,
    )


def main() -> None:
    show(asyncio.run(measure()))


if __name__ == "__main__":
    main()
