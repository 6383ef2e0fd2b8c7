"""The outbox: stored with what it tells of, read in order, each hook and lane by itself."""

import pytest

from offhook.app.errors import AlreadyFinal, RevisionConflict
from offhook.app.outbox import StoredAttempt
from offhook.app.ports import DocumentWrite, Page, TimeRange
from offhook.delivery import OutboxRow

from .given import ACCOUNT, given_document, given_plan

pytestmark = pytest.mark.anyio

NOW = 1000.0


def given_row(number: int = 1, *, hook: str = "h1", lane: str = "c2c-1", at: float = NOW) -> OutboxRow:
    return OutboxRow(
        hook_id=hook, account_id=ACCOUNT, lane=lane, webhook_id=f"msg_{lane}_{number}",
        event="channel_create", created_at=at, payload=b'{"n":%d}' % number,
    )  # fmt: skip


async def due(store, *, hook="h1", now=NOW, busy=frozenset(), lanes=10, rows=10):
    return await store.outbox.due(hook, now, busy=busy, lanes=lanes, rows=rows)


def ids(found) -> list[list[str]]:
    return [[numbered.row.webhook_id for numbered in lane.rows] for lane in found.lanes]


async def test_rows_come_with_the_journal_entry_in_order(store):
    await store.journal.accept(given_plan(), NOW)
    store.journal.append("c2c-1", 1, NOW, b"{}", outbox=[given_row(1), given_row(2)])
    await store.journal.finish("c2c-1", 2, NOW, b"{}", None, [], outbox=[given_row(3)])
    found = await due(store)
    assert ids(found) == [["msg_c2c-1_1", "msg_c2c-1_2", "msg_c2c-1_3"]]
    assert found.lanes[0].rows[0].row == given_row(1)
    assert found.next_at is None


async def test_a_refused_entry_tells_nobody(store):
    await store.journal.accept(given_plan(), NOW)
    await store.journal.finish("c2c-1", 1, NOW, b"{}", None, [])
    with pytest.raises(AlreadyFinal):
        await store.journal.finish("c2c-1", 2, NOW, b"{}", None, [], outbox=[given_row(1)])
    store.journal.append("c2c-1", 3, NOW, b"{}", outbox=[given_row(2)])
    assert ids(await due(store)) == []


async def test_rows_come_with_a_document_or_not_at_all(store):
    write = DocumentWrite(
        document=given_document(), keys=(), expected_revision=None, outbox=[given_row(lane="d")]
    )
    [stored] = await store.documents.put_all([write])
    with pytest.raises(RevisionConflict):
        await store.documents.put_all([write])
    await store.documents.remove(
        ACCOUNT, stored.id, expected_revision=stored.revision, outbox=[given_row(2, lane="d")]
    )
    assert ids(await due(store)) == [["msg_d_1", "msg_d_2"]]


async def test_the_same_event_is_stored_once(store):
    store.outbox.add([given_row()], at=NOW)
    store.outbox.add([given_row()], at=NOW)
    assert ids(await due(store)) == [["msg_c2c-1_1"]]
    assert await store.outbox.waiting() == {"h1": 1}


async def test_lanes_and_hooks_do_not_wait_for_each_other(store):
    store.outbox.add([given_row(lane="a"), given_row(lane="b"), given_row(lane="a", hook="h2")], at=NOW)
    assert ids(await due(store, busy=frozenset({"a"}))) == [["msg_b_1"]]
    assert ids(await due(store, hook="h2")) == [["msg_a_1"]]
    assert ids(await due(store, lanes=1)) == [["msg_a_1"]]
    assert (await due(store, lanes=1)).next_at == NOW


async def test_an_advanced_lane_goes_on_and_an_empty_one_is_closed(store):
    store.outbox.add([given_row(1), given_row(2)], at=NOW)
    [lane] = (await due(store)).lanes
    store.outbox.advance("h1", lane.lane, lane.rows[0].number, NOW)
    assert ids(await due(store)) == [["msg_c2c-1_2"]]
    store.outbox.advance("h1", lane.lane, lane.rows[1].number, NOW)
    assert ids(await due(store)) == []
    assert await store.outbox.waiting() == {}


async def test_a_postponed_lane_is_due_later_and_tells_when(store):
    store.outbox.add([given_row(1)], at=NOW)
    store.outbox.postpone("h1", "c2c-1", 3, NOW + 60)
    store.outbox.add([given_row(2, at=NOW + 1)], at=NOW + 100)  # behind the first one
    found = await due(store, now=NOW + 59)
    assert (ids(found), found.next_at) == ([], NOW + 60)
    [lane] = (await due(store, now=NOW + 60)).lanes
    assert (lane.attempts, len(lane.rows)) == (3, 2)
    store.outbox.wake(["h1"], NOW + 5)
    assert len((await due(store, now=NOW + 5)).lanes) == 1


async def test_a_forgotten_hook_has_nothing_to_do(store):
    store.outbox.add([given_row(hook="h1"), given_row(hook="h2")], at=NOW)
    store.outbox.forget("h1")
    assert ids(await due(store)) == []
    assert await store.outbox.waiting() == {"h2": 1}


async def test_old_rows_are_given_up(store):
    store.outbox.add([given_row(1, lane="old"), given_row(1, lane="new", at=NOW + 50)], at=NOW)
    assert await store.outbox.drop_older(NOW + 10) == 1
    assert await store.outbox.drop_older(NOW + 10) == 0
    assert ids(await due(store, now=NOW + 60)) == [["msg_new_1"]]


def given_attempt(number: int, *, hook: str = "h1") -> StoredAttempt:
    return StoredAttempt(data={"id": f"a{number}", "timestamp": 100 + number}, row=given_row(1, hook=hook))


async def test_attempts_are_listed_by_hook_and_account_and_the_latest_are_kept(store):
    for number in range(5):
        store.outbox.note_attempt(given_attempt(number), kept=3)
    store.outbox.note_attempt(given_attempt(9, hook="h2"), kept=3)
    await due(store)
    between = TimeRange(from_gregorian_s=0, to_gregorian_s=10_000)
    listed = await store.outbox.attempts(ACCOUNT, "h1", between, Page(size=2))
    assert [item["id"] for item in listed.items] == ["a4", "a3"]
    rest = await store.outbox.attempts(ACCOUNT, "h1", between, Page(size=2, start_key=listed.next_key))
    assert [item["id"] for item in rest.items] == ["a2"]
    everything = await store.outbox.attempts(ACCOUNT, "", between, Page(size=9))
    assert [item["id"] for item in everything.items] == ["a9", "a4", "a3", "a2"]
    found = await store.outbox.attempt(ACCOUNT, "h1", "a4")
    assert found is not None
    assert found.row.payload == b'{"n":1}'
    assert await store.outbox.attempt("b" * 32, "h1", "a4") is None
