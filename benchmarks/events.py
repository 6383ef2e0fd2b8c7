"""What events cost: the journal and the webhooks, events per second and microseconds of CPU (all threads).

Run: python -m benchmarks.events
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from offhook.app.accounts import ensure_master, installation_secret
from offhook.app.documents import DocumentService, Place
from offhook.app.passwords import Passwords
from offhook.app.timers import LoopTimers
from offhook.app.webhook_dispatcher import WebhookDispatcher
from offhook.app.webhook_lanes import LaneSender
from offhook.app.webhooks import Subscriptions, WebhookOutbox, webhook_id
from offhook.delivery import OutboxRow
from offhook.outbound import HttpWebhookSender
from offhook.settings import Settings
from offhook.stores.sqlite import SqliteStore
from offhook.system import SystemClock, SystemRandom

from .report import Row, show
from .store import _cdrs, _history, _plan

CALLS: Final = 3_000
AT_ONCE: Final = 64
STEPS: Final = 8
"""Entries of a call between the one that accepts it and the one that ends it."""
STREAM: Final = 100_000
"""Entries written as fast as they are taken, to find out how many that is."""
BURST: Final = 1_000
"""Entries given to the journal in one turn of the loop."""

TOLD: Final = 6_000
EVENTS_OF_CALL: Final = 6
"""Two channels, each created, answered and destroyed."""
RECEIVER_HOST: Final = "127.0.0.2"
HOOKS: Final = (1, 8)

FACT: Final = (
    b'{"type":"leg_ringing","leg_id":"c2c-0123456789abcdef0123456789abcdef-0123456789","sip_code":180}'
)
EVENT: Final = (
    b'{"hook_event":"channel_create","call_id":"c2c-%d",' + b'"field":"value of the usual length",' * 20
)
PAYLOAD_END: Final = b'"sequence":1,"final":false}'


async def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        store = await SqliteStore.open(Path(folder) / "journal.sqlite")
        try:
            rows = [*await _whole_calls(store), *await _stream(store)]
        finally:
            await store.close()
        for hooks in HOOKS:
            rows += await _webhooks(Path(folder) / f"hooks{hooks}.sqlite", hooks)
    return rows


# --- the journal --------------------------------------------------------------------------------------


async def _whole_calls(store: SqliteStore) -> list[Row]:
    """Calls one after the other in many lanes: accepted, their steps, ended with history and CDRs."""

    async def lane(numbers: Iterable[int]) -> None:
        for number in numbers:
            plan = _plan(number)
            await store.journal.accept(plan, 1000.0)
            for sequence in range(1, STEPS + 1):
                store.journal.append(plan.call_id, sequence, 1000.0, FACT)
            await store.journal.finish(
                plan.call_id, STEPS + 1, 1001.0, b'{"type":"ended"}', _history(number), _cdrs(plan)
            )

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(lane(range(first, CALLS, AT_ONCE)) for first in range(AT_ONCE)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    entries = CALLS * (STEPS + 2)
    return [
        Row(f"journal of a whole call: {STEPS + 2} entries, history, 2 CDRs", 1e6 * cpu / CALLS, "µs CPU"),
        Row("the same, entries, each call durable twice", entries / wall, "events/s"),
    ]


async def _stream(store: SqliteStore) -> list[Row]:
    """Entries of many standing calls, as many as the journal takes."""
    plans = [_plan(10 * CALLS + number) for number in range(100)]
    for plan in plans:
        await store.journal.accept(plan, 1000.0)
    cpu, wall = time.process_time(), time.perf_counter()
    for first in range(0, STREAM, BURST):
        for number in range(first, first + BURST):
            sequence, plan = divmod(number, len(plans))
            store.journal.append(plans[plan].call_id, sequence + 1, 1000.0, FACT)
        await store.journal.durable()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return [
        Row("journal entry", 1e6 * cpu / STREAM, "µs CPU"),
        Row(f"journal entries, durable {BURST:,} at a time", STREAM / wall, "events/s"),
    ]


# --- webhooks -----------------------------------------------------------------------------------------


async def _webhooks(path: Path, hooks: int) -> list[Row]:
    """Events written with a journal's entries, sent to a receiver in another process, until all are told."""
    store = await SqliteStore.open(path)
    try:
        with _receiver() as uri:
            cpu, wall = await _tell(store, hooks, uri)
    finally:
        await store.close()
    words = f"webhook event, {hooks} receiver{'s' if hooks > 1 else ''}"
    return [
        Row(f"{words}: stored, signed, sent, struck off", 1e6 * cpu / TOLD, "µs CPU"),
        Row(f"{words}: in all", TOLD / wall, "events/s"),
    ]


async def _tell(store: SqliteStore, hooks: int, uri: str) -> tuple[float, float]:
    """Return seconds of CPU and of waiting for TOLD events."""
    clock, random = SystemClock(), SystemRandom()
    secret = await installation_secret(store.settings, random)
    documents = DocumentService(
        store, clock=clock, random=random, passwords=Passwords(secret), realm_suffix="sip.example.com"
    )
    master = await ensure_master(documents, store, random, api_key="5" * 64, realm="master.example.com")
    subscriptions = Subscriptions(store.documents)
    await subscriptions.load()
    rows = WebhookOutbox(subscriptions, store.outbox, clock=clock, random=random)
    documents.observe(subscriptions.observe)
    networks = Settings(webhook_allow=f"{RECEIVER_HOST}/32").webhook_networks
    lanes = LaneSender(
        outbox=store.outbox, rows=rows, subscriptions=subscriptions, sender=HttpWebhookSender(networks),
        documents=documents, clock=clock, random=random, cluster_id=master.account_id,
    )  # fmt: skip
    dispatcher = WebhookDispatcher(
        outbox=store.outbox, rows=rows, subscriptions=subscriptions, lanes=lanes, clock=clock,
        timers=LoopTimers(clock),
    )  # fmt: skip
    place = Place(type="webhook", account_id=master.account_id)
    made = [
        (await documents.create(place, {"name": "CRM", "uri": uri, "hook": "all", "format": "json"})).id
        for _ in range(hooks)
    ]
    await dispatcher.start()
    cpu, wall = time.process_time(), time.perf_counter()
    for first in range(0, TOLD, EVENTS_OF_CALL * hooks):
        await _tell_call(store, rows, made, first // (EVENTS_OF_CALL * hooks), master.account_id)
    while sum((await store.outbox.waiting()).values()):
        await asyncio.sleep(0.02)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await dispatcher.stop()
    return cpu, wall


async def _tell_call(
    store: SqliteStore, rows: WebhookOutbox, hooks: list[str], number: int, account_id: str
) -> None:
    plan = _plan(number)
    await store.journal.accept(plan, 1000.0)
    for sequence in range(1, EVENTS_OF_CALL + 1):
        told = [_row(hook, account_id, plan.call_id, sequence) for hook in hooks]
        store.journal.append(plan.call_id, sequence, 1000.0, FACT, outbox=told)
        rows.stored(told)


def _row(hook_id: str, account_id: str, call_id: str, sequence: int) -> OutboxRow:
    return OutboxRow(
        hook_id=hook_id,
        account_id=account_id,
        lane=call_id,
        webhook_id=webhook_id(hook_id, f"{call_id}/{sequence}"),
        event="channel_create",
        created_at=time.time(),
        payload=EVENT % sequence + PAYLOAD_END,
    )


@contextmanager
def _receiver() -> Iterator[str]:
    """Run a receiver in a process of its own; it says at which port."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.events", "receive"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield f"http://{RECEIVER_HOST}:{int(process.stdout.readline())}/events"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def receive() -> None:
    """Take every request with 200, as cheaply as can be."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, RECEIVER_HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    if sys.argv[1:] == ["receive"]:
        asyncio.run(receive())
    else:
        show(asyncio.run(measure()))


if __name__ == "__main__":
    main()
