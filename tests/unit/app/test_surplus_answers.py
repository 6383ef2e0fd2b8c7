"""Answers that a call does not want: journalled, then hung up; the outcome waits for their end."""

import asyncio
from pathlib import Path

import pytest

from offhook.app import surplus_answers
from offhook.calls.commands import HangUpSurplus
from offhook.calls.events import LegDialed, LegOver, SurplusAnswered, SurplusEnded, SurplusNoted, encode_fact
from offhook.calls.model import By, Outcome
from tests.unit.calls.calls_language import two_party_plan

from .test_call_service import ACCOUNT, PhonesThatAnswer, given_service, given_store, run


def hung_up(engine: PhonesThatAnswer) -> list[HangUpSurplus]:
    return [command for command in engine.performed if isinstance(command, HangUpSurplus)]


async def until(condition) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.005)


def test_it_is_hung_up_when_the_journal_has_it_and_the_outcome_waits_for_its_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with given_service(tmp_path) as (service, engine), given_store(tmp_path) as store:
            live = await service.place(two_party_plan())
            engine.report(SurplusAnswered("a", "dialog"))
            assert hung_up(engine) == [], "nothing is durable yet"
            await until(lambda: hung_up(engine))
            entries = await store.journal.entries(live.call_id)
            assert encode_fact(SurplusNoted("a", "dialog")) in [entry.fact for entry in entries]
            await service.hang_up(ACCOUNT, live.call_id, By.API)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(live.ended(), 0.2)
            engine.report(SurplusEnded("a", "dialog"))
            view = await live.ended()
            assert view.ending is not None
            assert [leg.leg_id for leg in view.legs if leg.answered_at] == ["a", "b"]
            assert "surplus_answered" in [
                line["what"] for line in await service.timeline(ACCOUNT, live.call_id) or ()
            ]

    run(scenario())


def test_one_of_a_call_that_is_over_is_hung_up_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with given_service(tmp_path) as (_, engine):
            engine.report(SurplusAnswered("gone", "dialog"))
            assert hung_up(engine) == [HangUpSurplus("gone", "dialog")]
            engine.report(SurplusEnded("gone", "dialog"))

    run(scenario())


def test_a_successor_hangs_up_what_the_journal_has_although_its_leg_is_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with given_store(tmp_path) as store:
            await store.journal.accept(two_party_plan(), 1000.0)
            facts = (
                LegDialed("a", "first", "extension", ""),
                SurplusNoted("a", "dialog"),
                LegOver("a", "ORIGINATOR_CANCEL", 487, "", by_peer=False),
            )
            for sequence, fact in enumerate(facts, 1):
                store.journal.append("c2c-test", sequence, 1000.0 + sequence, encode_fact(fact))
            await store.journal.durable()
        async with given_service(tmp_path) as (service, engine):
            await until(lambda: hung_up(engine))
            assert hung_up(engine) == [HangUpSurplus("a", "dialog")]
            assert service.count() == 1
            engine.report(SurplusEnded("a", "dialog"))
            await until(lambda: service.count() == 0)
            view = await service.get(ACCOUNT, "c2c-test")
            assert view is not None
            assert view.ending is not None
            assert view.ending.outcome is Outcome.PLATFORM_ERROR

    run(scenario())


def test_one_that_the_engine_loses_holds_up_the_outcome_for_a_while_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surplus_answers, "SURPLUS_BOUND_S", 0.1)

    async def scenario() -> None:
        async with given_service(tmp_path) as (service, engine):
            live = await service.place(two_party_plan())
            engine.report(SurplusAnswered("a", "dialog"))
            await service.hang_up(ACCOUNT, live.call_id, By.API)
            assert (await live.ended()).ending is not None
            engine.report(SurplusEnded("a", "dialog"))

    run(scenario())
