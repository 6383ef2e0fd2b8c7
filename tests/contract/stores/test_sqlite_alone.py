"""What only SQLite can be asked: crashes, full disks, schema versions, the writer's groups."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import apsw
import msgspec
import pytest

from offhook.app.errors import StorageLost
from offhook.stores.sqlite import SCHEMA_VERSION, SchemaTooNew, SqliteStore, connections, lists_by_time
from offhook.stores.sqlite.connections import open_reader, open_writer
from offhook.stores.sqlite.writer import Writer

from .given import ACCOUNT, given_cdr, given_document, given_plan

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
PROGRAM = [sys.executable, "-m", "tests.contract.stores.given_processes"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "offhook.db"


def given_writer(path) -> Writer:
    writer = Writer(open_writer(path))
    writer.start()
    return writer


async def test_after_kill_9_everything_acknowledged_is_there(path):
    process = subprocess.Popen([*PROGRAM, "accept", str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    first = "".join(process.stdout.readline() for _ in range(200))
    process.kill()
    output = first + process.communicate()[0]
    lines = output.rpartition("\n")[0].splitlines()
    acknowledged = {int(line) for line in lines if not line.endswith("ended")}
    ended = {int(line.split()[0]) for line in lines if line.endswith("ended")}
    assert len(acknowledged) > 50
    store = await SqliteStore.open(path)
    for number in acknowledged:
        assert (await store.journal.call(ACCOUNT, f"c2c-{number}")).plan.call_id == f"c2c-{number}"
    for number in ended:
        entries = await store.journal.entries(f"c2c-{number}")
        assert [entry.fact for entry in entries] == [b"ringing", b"ended"]
    open_calls = {call.plan.call_id for call in await store.journal.open_calls()}
    assert not open_calls & {f"c2c-{number}" for number in ended}
    assert open_reader(path).pragma("integrity_check") == "ok"
    await store.close()


async def test_a_full_disk_refuses_writes_keeps_steps_and_heals(path):
    done = subprocess.run([*PROGRAM, "full", str(path)], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    facts = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines() if "storage_lost" not in line)
    assert int(facts["refused"]) > 20
    assert facts["finish"] == "refused"
    assert facts["readable"] == "1"
    assert facts["entries"] == "41"


async def test_a_database_of_a_later_version_is_left_alone(path):
    await (await SqliteStore.open(path)).close()
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO schema_versions VALUES (?, 0)", (SCHEMA_VERSION + 1,))
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew, match=f"schema version {SCHEMA_VERSION + 1}"):
        await SqliteStore.open(path)
    assert path.read_bytes() == before


async def test_opening_again_migrates_nothing(path):
    for _ in range(2):
        await (await SqliteStore.open(path)).close()
    rows = apsw.Connection(str(path)).execute("SELECT version FROM schema_versions").fetchall()
    assert rows == [(version,) for version in range(1, SCHEMA_VERSION + 1)]


async def test_the_database_itself_refuses_a_second_final_entry(path):
    store = await SqliteStore.open(path)
    await store.journal.accept(given_plan(), 1000.0)
    await store.journal.finish("c2c-1", 1, 1001.0, b"end", None, [])
    await store.close()
    connection = apsw.Connection(str(path))
    with pytest.raises(apsw.ConstraintError):
        connection.execute("INSERT INTO journal VALUES (1, 2, 0, x'', 1)")
    connection.close()


async def test_nobody_else_may_read_the_files(path):
    store = await SqliteStore.open(path)
    await store.settings.set("secret", "x")
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(("offhook.db", "offhook.db-wal", "offhook.db-shm"), 384)
    await store.close()


async def test_a_reader_cannot_write(path):
    await (await SqliteStore.open(path)).close()
    with pytest.raises(apsw.ReadOnlyError):
        open_reader(path).execute("DELETE FROM calls")


async def test_a_closed_store_refuses_writes(path):
    store = await SqliteStore.open(path)
    await store.close()
    with pytest.raises(StorageLost):
        await store.journal.accept(given_plan(), 1000.0)
    store.journal.append("c2c-1", 1, 1.0, b"lost")


async def test_another_process_may_read_what_is_stored(path):
    store = await SqliteStore.open(path)
    await store.journal.accept(given_plan(), 1000.0)
    other = open_reader(path)
    assert other.execute("SELECT count(*) FROM calls").get == 1
    other.close()
    await store.close()


async def test_callers_who_wait_together_share_one_transaction(path):
    writer = given_writer(path)
    commits = []
    await writer.run(lambda connection: connection.set_wal_hook(lambda *facts: commits.append(facts) or 0))
    results = await asyncio.gather(*(writer.run(lambda c, n=n: n) for n in range(200)))
    await asyncio.gather(
        *(
            writer.run(lambda c, n=n: c.execute("INSERT INTO settings VALUES (?, '')", (str(n),)))
            for n in range(200)
        )
    )
    await writer.close()
    assert results == list(range(200))
    assert 1 <= len(commits) < 40


async def test_a_caller_who_gives_up_does_not_disturb_the_others(path):
    writer = given_writer(path)
    gone = asyncio.ensure_future(writer.run(lambda connection: time.sleep(0.05)))
    await asyncio.sleep(0.01)
    gone.cancel()
    assert await writer.run(lambda connection: "here") == "here"
    await writer.close()


async def test_more_waiting_writes_than_the_bound_are_refused(path, monkeypatch):
    monkeypatch.setattr("offhook.stores.sqlite.writer.QUEUE_MAX", 3)
    writer = given_writer(path)
    attempts = [writer.run(lambda connection: time.sleep(0.01)) for _ in range(5)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert [type(result) for result in results] == [type(None)] * 3 + [StorageLost] * 2
    await writer.close()


async def test_more_posted_writes_than_the_bound_are_dropped(path, monkeypatch):
    monkeypatch.setattr("offhook.stores.sqlite.writer.POSTED_MAX", 3)
    writer = given_writer(path)
    done = []
    for number in range(5):
        writer.post(lambda connection, number=number: done.append(number))
    await writer.close()
    assert done == [0, 1, 2]


@pytest.mark.parametrize("error", [ValueError("bug"), LookupError("bug"), apsw.ConstraintError("bug")])
async def test_an_error_in_one_operation_is_its_callers_alone(path, error):
    writer = given_writer(path)

    def broken(connection):
        connection.execute("INSERT INTO settings VALUES ('half', 'done')")
        raise error

    results = await asyncio.gather(
        writer.run(lambda connection: 1),
        writer.run(broken),
        writer.run(lambda connection: 2),
        return_exceptions=True,
    )
    assert results == [1, error, 2]
    assert await writer.run(lambda c: c.execute("SELECT count(*) FROM settings").get) == 0
    await writer.close()


async def test_a_lone_operation_that_fails_leaves_nothing(path):
    writer = given_writer(path)

    def write_then_fail(connection):
        connection.execute("INSERT INTO settings VALUES ('half', '')")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await writer.run(write_then_fail)
    await writer.run(lambda c: c.execute("INSERT INTO settings VALUES ('whole', '')") and None)
    await writer.close()
    names = {row[0] for row in open_reader(path).execute("SELECT name FROM settings")}
    assert names & {"half", "whole"} == {"whole"}


async def test_what_was_read_is_forgotten_when_it_changes(path):
    store = await SqliteStore.open(path)
    documents = store.documents

    async def read(document):
        return await documents.get(ACCOUNT, document.id, type="device")

    first, second, third = (given_document(number) for number in (1, 2, 3))
    first = await documents.put(first, [], expected_revision=None)
    second = await documents.put(second, [], expected_revision=None)
    assert [await read(one) for one in (first, second, third)] == [first, second, None]
    renamed = msgspec.structs.replace(first, data={"name": "New"})
    renamed = await documents.put(renamed, [], expected_revision=first.revision)
    third = await documents.put(third, [], expected_revision=None)
    assert [await read(one) for one in (first, second, third)] == [renamed, second, third]
    assert await read(second) is await read(second)
    await documents.remove(ACCOUNT, second.id, expected_revision=second.revision)
    assert await read(second) is None
    await documents.delete_account(ACCOUNT, deleted_at=2.0)
    assert [await read(one) for one in (first, third)] == [None, None]
    await store.close()


async def test_another_process_with_the_write_lock_is_waited_for_without_blocking(path):
    writer = given_writer(path)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(writer.run(lambda connection: "written"))
    for _ in range(10):
        await asyncio.sleep(0.002)
    assert not waiting.done()
    other.execute("ROLLBACK")
    other.close()
    assert await waiting == "written"
    await writer.close()


async def test_another_process_that_keeps_the_write_lock_costs_a_refusal(path, monkeypatch):
    monkeypatch.setattr("offhook.stores.sqlite.writer.LOCK_WAIT_S", 0.02)
    writer = given_writer(path)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageLost, match="BusyError"):
        await writer.run(lambda connection: None)
    other.close()
    assert await writer.run(lambda connection: "written") == "written"
    await writer.close()


async def test_an_error_at_the_commit_reaches_every_caller_and_passes(path):
    writer = given_writer(path)
    broken = writer.run(lambda connection: connection.execute("ROLLBACK"))
    results = await asyncio.gather(writer.run(lambda connection: 1), broken, return_exceptions=True)
    assert [type(result) for result in results] == [StorageLost, StorageLost]
    assert await writer.run(lambda connection: 2) == 2
    await writer.close()


async def test_the_log_does_not_grow_with_the_writes(path):
    store = await SqliteStore.open(path)
    for number in range(300):
        await store.settings.set("name", str(number) * 40_000)
    log = path.with_name(path.name + "-wal")
    assert log.stat().st_size < 8 * 1024 * 1024
    await store.close()


@pytest.mark.parametrize("order", [lists_by_time.NEWEST_FIRST, lists_by_time.OLDEST_FIRST])
@pytest.mark.parametrize(
    ("select", "bindings"),
    [
        (lists_by_time.HISTORY, 2),
        (lists_by_time.CDRS, 1),
        (lists_by_time.CDRS + lists_by_time.OF_OWNER, 2),
        (lists_by_time.CDRS + lists_by_time.ONE_PER_INTERACTION, 1),
    ],
)
async def test_no_list_by_time_sorts_or_scans(path, select, bindings, order):
    connection = open_writer(path)
    plan = connection.execute(f"EXPLAIN QUERY PLAN {select} {order}", (1,) * (bindings + 7)).fetchall()
    words = [row[3] for row in plan]
    assert any("timestamp>? AND timestamp<?" in step for step in words), words
    assert not any("B-TREE" in step or step.startswith("SCAN") for step in words), words
    connection.close()


async def test_writes_get_their_turn_beside_a_busy_event_loop(path):
    store = await SqliteStore.open(path)

    async def never_rest():
        while True:
            until = time.perf_counter() + 0.0003
            while time.perf_counter() < until:
                pass
            await asyncio.sleep(0)

    busy = asyncio.ensure_future(never_rest())
    async with asyncio.timeout(20):
        for number in range(30):
            await store.journal.accept(given_plan(f"c2c-{number}"), 1000.0)
    busy.cancel()
    assert len(await store.journal.open_calls()) == 30
    await store.close()


async def test_cdrs_of_an_older_version_are_in_the_sums(path, monkeypatch):
    """Version 5 files what the summary adds beside each row; rows from before are filed when it is opened."""
    legs = [
        given_cdr(1) | {"to": "dev1@acme.example.com", "outcome": "busy", "call_direction": "outbound"},
        given_cdr(2)
        | {
            "to": "+1415@trunk.example.com",
            "did_classifier": "did_us",
            "outcome": "connected",
            "call_direction": "outbound",
            "custom_channel_vars": {"resource_id": "r1"},
            "duration_seconds": 9,
            "billing_seconds": 5,
        },
    ]
    monkeypatch.setattr(connections, "SCHEMA_VERSION", 4)
    old = open_writer(path)
    for leg in legs:
        old.execute(
            "INSERT INTO cdrs (account_id, id, timestamp, interaction_id, owner_id, data) "
            "VALUES (?, ?, ?, '', '', ?)",
            (ACCOUNT, leg["id"], leg["timestamp"], msgspec.json.encode(leg)),
        )
    old.close()
    monkeypatch.undo()
    new = open_writer(path)
    rows = new.execute("SELECT class, duration_s, billing_s FROM cdrs ORDER BY number").fetchall()
    assert rows == [(lists_by_time.cdr_class(legs[0]), 0, 0), (lists_by_time.cdr_class(legs[1]), 9, 5)]
    assert rows[1][0] == "outbound did_us 1 connected trunk.example.com"
    new.close()


async def test_a_write_that_could_wait_does_not_wait_for_company_that_does_not_come(path, monkeypatch):
    monkeypatch.setattr("offhook.stores.sqlite.writer.LINGER_S", 60.0)
    store = await SqliteStore.open(path)
    began = asyncio.get_running_loop().time()
    try:
        await store.journal.durable()
        assert asyncio.get_running_loop().time() - began < 30.0  # half of what it would wait
    finally:
        await store.close()
