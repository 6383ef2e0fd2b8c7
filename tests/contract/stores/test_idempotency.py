"""Claims of idempotency keys: stored with the call they placed, one call per key (design 2.2)."""

import asyncio

import pytest

from offhook.app.errors import CallIdTaken, KeyClaimed
from offhook.app.ports import IdempotencyClaim

from .given import ACCOUNT, given_plan

pytestmark = pytest.mark.anyio

NOW = 1000.0
DAY_S = 86_400.0


def given_claim(
    call_id: str = "c2c-1", *, id: str = "k1", expires_at: float = NOW + DAY_S
) -> IdempotencyClaim:
    return IdempotencyClaim(
        id=id, fingerprint="f1", call_id=call_id, is_answered=False, answer=b'{"a":1}', expires_at=expires_at
    )


async def test_a_claim_is_stored_with_its_call(store):
    claim = given_claim()
    await store.journal.accept(given_plan(), NOW, claim=claim)
    assert await store.idempotency.find("k1", NOW) == claim
    assert await store.idempotency.find("k2", NOW) is None


async def test_a_second_call_with_the_key_is_not_stored(store):
    await store.journal.accept(given_plan("c2c-1"), NOW, claim=given_claim("c2c-1"))
    with pytest.raises(KeyClaimed):
        await store.journal.accept(given_plan("c2c-2"), NOW, claim=given_claim("c2c-2"))
    assert await store.journal.call(ACCOUNT, "c2c-2") is None
    found = await store.idempotency.find("k1", NOW)
    assert found.call_id == "c2c-1"


async def test_a_call_that_is_not_stored_leaves_no_claim(store):
    await store.journal.accept(given_plan("c2c-1"), NOW)
    with pytest.raises(CallIdTaken):
        await store.journal.accept(given_plan("c2c-1"), NOW, claim=given_claim("c2c-1"))
    assert await store.idempotency.find("k1", NOW) is None


async def test_of_many_calls_at_once_with_one_key_one_is_stored(store):
    tries = [
        store.journal.accept(given_plan(f"c2c-{n}"), NOW, claim=given_claim(f"c2c-{n}")) for n in range(20)
    ]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(result) for result in results].count(KeyClaimed) == 19
    stored = [n for n in range(20) if await store.journal.call(ACCOUNT, f"c2c-{n}") is not None]
    assert len(stored) == 1


async def test_an_answer_replaces_what_would_have_been_said_at_once(store):
    await store.journal.accept(given_plan(), NOW, claim=given_claim())
    await store.idempotency.answer("k1", b'{"b":2}')
    found = await store.idempotency.find("k1", NOW)
    assert (found.is_answered, found.answer) == (True, b'{"b":2}')


async def test_a_claim_expires_and_its_key_may_place_another_call(store):
    await store.journal.accept(given_plan("c2c-1"), NOW, claim=given_claim("c2c-1"))
    later = NOW + DAY_S
    assert await store.idempotency.find("k1", later) is None
    await store.journal.accept(
        given_plan("c2c-2"), later, claim=given_claim("c2c-2", expires_at=later + DAY_S)
    )
    found = await store.idempotency.find("k1", later)
    assert found.call_id == "c2c-2"


async def test_expired_claims_are_removed_by_new_ones(store):
    for number in range(30):
        claim = given_claim(f"c2c-{number}", id=f"k{number}", expires_at=NOW + 1)
        await store.journal.accept(given_plan(f"c2c-{number}"), NOW, claim=claim)
    for number in (30, 31):
        claim = given_claim(f"c2c-{number}", id=f"k{number}", expires_at=NOW + DAY_S)
        await store.journal.accept(given_plan(f"c2c-{number}"), NOW + 2, claim=claim)
    left = [n for n in range(32) if await store.idempotency.find(f"k{n}", NOW) is not None]
    assert left == [30, 31]


async def test_claims_survive_a_restart(adapter, tmp_path):
    first = await adapter(tmp_path)
    await first.journal.accept(given_plan(), NOW, claim=given_claim())
    await first.close()
    second = await adapter(tmp_path)
    try:
        assert await second.idempotency.find("k1", NOW) == given_claim()
    finally:
        await second.close()
