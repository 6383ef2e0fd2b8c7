import asyncio

import pytest

from offhook.app.errors import AlreadyFinal, CallIdTaken

from .given import ACCOUNT, BUTTON, given_cdr, given_history, given_plan
from .test_lists import EVER, NEWEST

pytestmark = pytest.mark.anyio


async def test_an_accepted_call_is_open_until_it_is_finished(store):
    await store.journal.accept(given_plan(), 1000.5)
    [call] = await store.journal.open_calls()
    assert (call.plan, call.accepted_at, call.is_final) == (given_plan(), 1000.5, False)
    await store.journal.finish("c2c-1", 1, 1001.0, b'{"type":"ended"}', None, [])
    assert await store.journal.open_calls() == []
    assert (await store.journal.call(ACCOUNT, "c2c-1")).is_final


async def test_open_calls_come_oldest_first(store):
    for call_id in ("c2c-z", "c2c-a", "c2c-m"):
        await store.journal.accept(given_plan(call_id), 1000.0)
    assert [call.plan.call_id for call in await store.journal.open_calls()] == ["c2c-z", "c2c-a", "c2c-m"]


async def test_entries_come_in_order_with_the_final_one_last(store):
    await store.journal.accept(given_plan(), 1000.0)
    for sequence in (1, 2, 3):
        store.journal.append("c2c-1", sequence, 1000.0 + sequence, b"%d" % sequence)
    await store.journal.finish("c2c-1", 4, 1009.0, b"4", None, [])
    entries = await store.journal.entries("c2c-1")
    assert [(e.sequence, e.at, e.fact) for e in entries] == [
        (1, 1001.0, b"1"),
        (2, 1002.0, b"2"),
        (3, 1003.0, b"3"),
        (4, 1009.0, b"4"),
    ]


async def test_appends_become_readable_without_another_write(store):
    await store.journal.accept(given_plan(), 1000.0)
    store.journal.append("c2c-1", 1, 1001.0, b"1")
    async with asyncio.timeout(5):
        while not (entries := await store.journal.entries("c2c-1")):
            await asyncio.sleep(0.002)
    assert [(entry.sequence, entry.at, entry.fact) for entry in entries] == [(1, 1001.0, b"1")]


async def test_a_second_final_entry_is_refused_and_changes_nothing(store):
    await store.journal.accept(given_plan(), 1000.0)
    await store.journal.finish("c2c-1", 1, 1001.0, b"first", given_history(1), [given_cdr(1)])
    with pytest.raises(AlreadyFinal):
        await store.journal.finish("c2c-1", 2, 1002.0, b"second", given_history(2), [given_cdr(2)])
    assert [entry.fact for entry in await store.journal.entries("c2c-1")] == [b"first"]
    assert (await store.history.list(ACCOUNT, BUTTON, EVER, NEWEST)).items == [given_history(1)]
    assert (await store.cdrs.list(ACCOUNT, EVER, NEWEST)).items == [given_cdr(1)]


async def test_of_many_rival_final_entries_one_wins(store):
    await store.journal.accept(given_plan(), 1000.0)
    ends = [store.journal.finish("c2c-1", n, 1001.0, b"end", given_history(n), []) for n in range(1, 20)]
    results = await asyncio.gather(*ends, return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert all(isinstance(result, AlreadyFinal) for result in results if result is not None)
    assert len((await store.history.list(ACCOUNT, BUTTON, EVER, NEWEST)).items) == 1


async def test_a_final_call_takes_no_more_entries(store):
    await store.journal.accept(given_plan(), 1000.0)
    await store.journal.finish("c2c-1", 1, 1001.0, b"end", None, [])
    store.journal.append("c2c-1", 2, 1002.0, b"late")
    await store.journal.accept(given_plan("c2c-2"), 1003.0)
    assert [entry.fact for entry in await store.journal.entries("c2c-1")] == [b"end"]


async def test_a_call_id_is_accepted_once(store):
    await store.journal.accept(given_plan(), 1000.0)
    with pytest.raises(CallIdTaken):
        await store.journal.accept(given_plan(account_id="b" * 32), 1001.0)
    assert await store.journal.call("b" * 32, "c2c-1") is None


async def test_a_call_that_was_never_accepted_cannot_end(store):
    with pytest.raises(LookupError):
        await store.journal.finish("c2c-none", 1, 1001.0, b"end", None, [])
    assert await store.journal.call(ACCOUNT, "c2c-none") is None


async def test_an_operation_that_fails_does_not_take_its_neighbours_with_it(store):
    await store.journal.accept(given_plan("c2c-0"), 1000.0)
    attempts = [store.journal.accept(given_plan(f"c2c-{n % 10}"), 1000.0) for n in range(1, 40)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(result is None for result in results) == 9
    assert len(await store.journal.open_calls()) == 10


async def test_what_was_stored_is_there_after_a_restart(adapter, tmp_path):
    first = await adapter(tmp_path)
    await first.journal.accept(given_plan(), 1000.0)
    first.journal.append("c2c-1", 1, 1001.0, b"1")
    await first.close()
    second = await adapter(tmp_path)
    [call] = await second.journal.open_calls()
    assert call.plan == given_plan()
    assert [entry.fact for entry in await second.journal.entries("c2c-1")] == [b"1"]
    await second.close()
