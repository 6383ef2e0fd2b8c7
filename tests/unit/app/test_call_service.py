"""The call service over the real store; the engine is a double, because no phone is the point here."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from offhook.app.call_limits import CallLimits
from offhook.app.call_service import CallService
from offhook.app.call_stream import CallStreams
from offhook.app.errors import Draining, Overloaded, StorageLost
from offhook.app.ports import CallView, TraceLine
from offhook.app.timers import LoopTimers
from offhook.calls.commands import ConfirmLeg, DialLeg, EndLostLeg, EngineCommand, HangUpLeg, JoinLegs
from offhook.calls.events import (
    LegAnswered,
    LegDialed,
    LegEnded,
    LegEvent,
    LegPickedUp,
    LegRinging,
    LegsJoined,
    encode_fact,
)
from offhook.calls.model import By, CallPlan, Outcome
from offhook.stores.sqlite import SqliteStore
from offhook.system import SystemClock
from tests.unit.calls.calls_language import plan, step, two_party_plan

ACCOUNT = "a" * 32


class PhonesThatAnswer:
    """Answers every leg at once, joins, and ends what it is told to end."""

    def __init__(self, answers: bool = True) -> None:
        self.answers = answers
        self.performed: list[EngineCommand] = []
        self.open_calls: set[str] = set()
        self.report: Callable[[LegEvent], None] = lambda event: None
        self.stopped = False

    async def start(self, report: Callable[[LegEvent], None]) -> None:
        self.report = report

    def perform(self, command: EngineCommand) -> None:
        self.performed.append(command)
        soon = asyncio.get_running_loop().call_soon
        if isinstance(command, DialLeg):
            soon(self.report, LegRinging(command.endpoint.leg_id))
            if self.answers:
                soon(self.report, LegAnswered(command.endpoint.leg_id, "PCMU"))
        elif isinstance(command, JoinLegs):
            soon(self.report, LegsJoined(command.first_leg_id, command.second_leg_id))
        elif isinstance(command, HangUpLeg):
            soon(self.report, LegEnded(command.leg_id, command.hangup_cause, 200))
        elif isinstance(command, EndLostLeg):
            soon(self.report, LegEnded(command.endpoint.leg_id, command.hangup_cause, 0))

    def open_call(self, plan: CallPlan) -> None:
        self.open_calls.add(plan.call_id)

    def close_call(self, call_id: str) -> None:
        self.open_calls.discard(call_id)

    def confirmed(self) -> int:
        return sum(isinstance(command, ConfirmLeg) for command in self.performed)

    async def trace(self, leg_id: str) -> list[TraceLine]:
        return []

    async def stop(self) -> None:
        self.stopped = True


def record(view: CallView):
    plan = view.plan
    assert view.ending is not None
    history = {"id": plan.call_id[-8:], "timestamp": 63_876_500_000, "outcome": view.ending.outcome.value}
    return history, []


@asynccontextmanager
async def given_service(tmp_path: Path, **options) -> AsyncIterator[tuple[CallService, PhonesThatAnswer]]:
    store = await SqliteStore.open(tmp_path / "offhook.sqlite")
    engine = options.pop("engine", PhonesThatAnswer())
    timers = LoopTimers(SystemClock())
    limits = options.pop("limits", CallLimits(calls_max=0, calls_per_second=0))
    service = CallService(
        engine=engine, journal=options.pop("journal", store.journal), timers=timers,
        clock=options.pop("clock", SystemClock()), limits=limits, record=record, **options,
    )  # fmt: skip
    await service.start()
    try:
        yield service, engine
    finally:
        await service.stop()
        timers.stop()
        await store.close()


@asynccontextmanager
async def given_store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """A second look at the same file."""
    store = await SqliteStore.open(tmp_path / "offhook.sqlite")
    try:
        yield store
    finally:
        await store.close()


def run(scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario, 20))


def test_a_call_is_joined_ended_and_can_be_read_afterwards(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with given_service(tmp_path) as (service, engine):
            live = await service.place(two_party_plan())
            view = await live.first_answered_or_ended()
            assert view.times.first_answered
            while live.view().state != "bridged":
                await asyncio.sleep(0)
            assert service.count() == 1
            engine.report(LegEnded("b", "NORMAL_CLEARING", 200, by_peer=True))
            view = await live.ended()
            assert view.ending is not None
            assert (view.ending.outcome, view.ending.by) == (Outcome.CONNECTED, By.CONTACT)
            assert service.count() == 0
            stored = await service.get(ACCOUNT, live.call_id)
            assert stored is not None
            assert stored.ending == view.ending
            assert stored.times == view.times
            assert [leg.leg_id for leg in stored.legs] == ["a", "b"]
            timeline = await service.timeline(ACCOUNT, live.call_id)
            assert timeline is not None
            assert [line["what"] for line in timeline] == [
                "decision", "decision", "decision", "accepted", "leg_dialed", "leg_ringing", "leg_answered",
                "leg_dialed", "leg_ringing",
                "leg_answered", "bridged", "leg_ended", "leg_ended", "ended",
            ]  # fmt: skip

    run(scenario())


def test_a_reader_of_a_standing_call_gets_what_only_the_journal_keeps(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with given_service(tmp_path) as (service, engine), given_store(tmp_path) as other:
            journal = other.journal
            live = await service.place(two_party_plan())
            while engine.confirmed() < 2 or live.view().state != "bridged":
                await asyncio.sleep(0.01)
            known = service.so_far(ACCOUNT, live.call_id)
            assert known is not None
            assert known.stored >= 4  # both were dialled and have answered
            assert [entry.sequence for entry in known.entries][:1] in ([], [known.stored + 1])
            stream = await CallStreams(service, journal).open(ACCOUNT, live.call_id)
            assert stream is not None
            steps = [await stream.next() for _ in range(live.sequence + 1)]
            assert [step.sequence for step in steps if step] == list(range(live.sequence + 1))
            stream.close()

    run(scenario())


def test_another_account_sees_nothing_of_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with given_service(tmp_path, engine=PhonesThatAnswer(answers=False)) as (service, _):
            live = await service.place(two_party_plan())
            assert await service.get("f" * 32, live.call_id) is None
            assert await service.timeline("f" * 32, live.call_id) is None
            assert not await service.hang_up("f" * 32, live.call_id, By.API)
            assert service.live("f" * 32) == []

    run(scenario())


def test_a_request_ends_a_ringing_call_as_canceled(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with given_service(tmp_path, engine=PhonesThatAnswer(answers=False)) as (service, engine):
            live = await service.place(two_party_plan())
            assert await service.hang_up(ACCOUNT, live.call_id, By.VISITOR)
            view = await live.ended()
            assert view.ending is not None
            assert (view.ending.outcome, view.ending.by) == (Outcome.CANCELED, By.VISITOR)
            assert HangUpLeg("a", "ORIGINATOR_CANCEL") in engine.performed
            assert not await service.hang_up(ACCOUNT, live.call_id, By.API)

    run(scenario())


def test_the_ring_timer_runs_on_the_loop(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with given_service(tmp_path, engine=PhonesThatAnswer(answers=False)) as (service, _):
            plan = two_party_plan()
            first = plan.first.__class__(
                side=plan.first.side, number="1001", steps=(step("a", timeout_s=0.1),)
            )
            live = await service.place(CallPlan(**{**_fields(plan), "first": first}))
            view = await live.ended()
            assert view.ending is not None
            assert (view.ending.outcome, view.ending.hangup_cause) == (Outcome.NO_ANSWER, "NO_ANSWER")

    run(scenario())


def _fields(plan: CallPlan) -> dict:
    return {name: getattr(plan, name) for name in plan.__struct_fields__}


def test_limits_and_draining_refuse_before_anything_rings(tmp_path: Path) -> None:
    async def scenario() -> None:
        limits = CallLimits(calls_max=1, calls_per_second=0)
        async with given_service(tmp_path, engine=PhonesThatAnswer(False), limits=limits) as (
            service,
            engine,
        ):
            await service.place(two_party_plan())
            with pytest.raises(Overloaded):
                await service.place(two_party_plan(call_id="c2c-second"))
            assert len(engine.performed) == 1
            await service.stop()
            with pytest.raises(Draining):
                await service.place(two_party_plan(call_id="c2c-third"))
            assert engine.stopped

    run(scenario())


def test_a_shutdown_ends_live_calls_with_one_true_outcome(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with given_service(tmp_path, engine=PhonesThatAnswer(answers=False)) as (service, _):
            live = await service.place(two_party_plan())
            await service.stop()
            view = await live.ended()
            assert view.ending is not None
            assert (view.ending.outcome, view.ending.by) == (Outcome.PLATFORM_ERROR, By.PLATFORM)

    run(scenario())


async def outcome_of(service: CallService, call_id: str = "c2c-test") -> CallView:
    while True:
        view = await service.get(ACCOUNT, call_id)
        assert view is not None
        if view.state == "ended":
            return view
        await asyncio.sleep(0.005)


def test_a_call_that_a_crash_left_open_gets_its_outcome_at_the_next_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await SqliteStore.open(tmp_path / "offhook.sqlite")
        await store.journal.accept(two_party_plan(), 1_700_000_000.0)
        await store.close()
        async with given_service(tmp_path) as (service, engine):
            view = await outcome_of(service)
            assert view.ending is not None
            assert view.ending.outcome is Outcome.PLATFORM_ERROR
            lost = [command for command in engine.performed if isinstance(command, EndLostLeg)]
            assert [command.endpoint.leg_id for command in lost] == ["a", "b"]
            assert view.legs == []

    run(scenario())


def test_a_successor_ends_the_dialogs_it_finds_in_the_journal(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await SqliteStore.open(tmp_path / "offhook.sqlite")
        await store.journal.accept(two_party_plan(), 1_700_000_000.0)
        facts = [
            LegDialed("a", "first", "extension", ""),
            LegPickedUp("a", "PCMU", "dialog of a"),
            LegDialed("b", "second", "contact", ""),
        ]
        for sequence, fact in enumerate(facts, 1):
            store.journal.append("c2c-test", sequence, 1_700_000_000.0 + sequence, encode_fact(fact))
        await store.close()
        async with given_service(tmp_path) as (service, engine):
            view = await outcome_of(service)
            lost = [command for command in engine.performed if isinstance(command, EndLostLeg)]
            assert [command.dialog for command in lost] == ["dialog of a", ""]
            assert [(leg.leg_id, leg.hangup_cause) for leg in view.legs] == [("a", "CRASH"), ("b", "CRASH")]
            timeline = await service.timeline(ACCOUNT, "c2c-test")
            assert timeline is not None
            assert "dialog of a" not in str(timeline)

    run(scenario())


def test_calls_are_placed_while_others_are_recovered(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await SqliteStore.open(tmp_path / "offhook.sqlite")
        for number in range(120):
            steps = {"first": (step(f"a{number}"),), "second": (step(f"b{number}"),)}
            await store.journal.accept(plan(call_id=f"c2c-{number}", **steps), 1_700_000_000.0)
        await store.close()
        async with given_service(tmp_path) as (service, _):
            live = await service.place(two_party_plan(call_id="c2c-new"))
            await live.first_answered_or_ended()
            for number in range(120):
                view = await outcome_of(service, f"c2c-{number}")
                assert view.ending is not None
                assert view.ending.outcome is Outcome.PLATFORM_ERROR

    run(scenario())


class SlowJournal:
    """The real journal, whose disk takes its time."""

    def __init__(self, journal, *, fails: bool = False) -> None:
        self._journal, self.fails = journal, fails
        self.is_durable = asyncio.Event()

    def __getattr__(self, name: str):
        return getattr(self._journal, name)

    async def durable(self) -> None:
        await self.is_durable.wait()
        if self.fails:
            raise StorageLost("disk full")


@pytest.mark.parametrize("fails", [False, True])
def test_an_answer_is_confirmed_when_the_journal_has_it_or_cannot_have_it(
    tmp_path: Path, fails: bool
) -> None:
    async def scenario() -> None:
        store = await SqliteStore.open(tmp_path / "offhook.sqlite")
        journal = SlowJournal(store.journal, fails=fails)
        async with given_service(tmp_path, journal=journal) as (service, engine):
            live = await service.place(two_party_plan())
            while live.view().state != "bridged":
                await asyncio.sleep(0)
            assert not [command for command in engine.performed if isinstance(command, ConfirmLeg)]
            journal.is_durable.set()
            for leg_id in ("a", "b"):
                while ConfirmLeg(leg_id) not in engine.performed:
                    await asyncio.sleep(0)
        await store.close()

    run(scenario())


class DiskThatFails:
    """The real journal, whose final writes fail a number of times."""

    def __init__(self, journal, failures: int) -> None:
        self._journal, self._failures = journal, failures

    def __getattr__(self, name: str):
        return getattr(self._journal, name)

    async def finish(self, *arguments, **more) -> None:
        if self._failures:
            self._failures -= 1
            raise StorageLost("disk full")
        await self._journal.finish(*arguments, **more)


def test_the_outcome_waits_for_a_disk_that_refuses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offhook.app.call_service.FINISH_RETRY_S", 0.01)

    async def scenario() -> None:
        store = await SqliteStore.open(tmp_path / "offhook.sqlite")
        journal = DiskThatFails(store.journal, failures=3)
        async with given_service(tmp_path, engine=PhonesThatAnswer(False), journal=journal) as (service, _):
            live = await service.place(two_party_plan())
            await service.hang_up(ACCOUNT, live.call_id, By.API)
            told = await service.get(ACCOUNT, live.call_id)
            assert told is not None
            assert (told.state, told.times.ended) == ("ending", 0.0)
            await asyncio.sleep(0.005)
            untold = await service.get(ACCOUNT, live.call_id)
            assert untold is not None
            assert (untold.state, untold.times.ended) == ("ending", 0.0)
            assert (await live.ended()).ending is not None
            stored = await store.journal.call(ACCOUNT, live.call_id)
            assert stored is not None
            assert stored.is_final
        await store.close()

    run(scenario())


class ClockSetByHand(SystemClock):
    """The machine's clock, whose calendar jumps."""

    jump_s = 0.0

    def epoch(self) -> float:
        return super().epoch() + self.jump_s


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
def test_a_calendar_that_jumps_changes_no_duration_and_no_timer(tmp_path: Path, jump_s: float) -> None:
    async def scenario() -> None:
        clock = ClockSetByHand()
        async with given_service(tmp_path, clock=clock) as (service, engine):
            live = await service.place(two_party_plan())
            clock.jump_s = jump_s
            while live.view().state != "bridged":
                await asyncio.sleep(0)
            await asyncio.sleep(0.05)
            assert service.count() == 1
            engine.report(LegEnded("b", "NORMAL_CLEARING", 200, by_peer=True))
            times = (await live.ended()).times
            in_order = [
                times.accepted,
                times.first_answered,
                times.second_ringing,
                times.bridged,
                times.ended,
            ]
            assert in_order == sorted(in_order)
            assert 0.04 < times.ended - times.bridged < 5.0

    run(scenario())


def test_a_calendar_set_back_during_a_crash_keeps_the_order_of_entries(tmp_path: Path) -> None:
    async def scenario() -> None:
        later = SystemClock().epoch() + 86_400.0
        store = await SqliteStore.open(tmp_path / "offhook.sqlite")
        await store.journal.accept(two_party_plan(), later)
        store.journal.append(
            "c2c-test", 1, later + 1.0, encode_fact(LegDialed("a", "first", "extension", ""))
        )
        await store.close()
        async with given_service(tmp_path) as (service, _):
            view = await outcome_of(service)
            assert later + 1.0 <= view.times.ended < later + 60.0

    run(scenario())


def test_a_late_event_of_a_leg_nobody_knows_is_dropped(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with given_service(tmp_path) as (service, _):
            service.report(LegEnded("never dialled", "NORMAL_CLEARING", 200))
            assert service.count() == 0

    run(scenario())


class DiskThatTakesItsTime:
    """The real journal, whose accept returns only when `go_on` is set."""

    def __init__(self, journal) -> None:
        self._journal = journal
        self.go_on = asyncio.Event()

    def __getattr__(self, name: str):
        return getattr(self._journal, name)

    async def accept(self, *arguments, **options) -> None:
        await self._journal.accept(*arguments, **options)
        await self.go_on.wait()


def test_a_call_that_is_being_stored_at_shutdown_ends_without_a_ring(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await SqliteStore.open(tmp_path / "offhook.sqlite")
        disk = DiskThatTakesItsTime(store.journal)
        async with given_service(tmp_path, journal=disk) as (service, engine):
            placing = asyncio.create_task(service.place(two_party_plan()))
            await asyncio.sleep(0.05)
            assert not await service.hang_up(ACCOUNT, "c2c-test", By.API)
            stopping = asyncio.create_task(service.stop())
            await asyncio.sleep(0)
            disk.go_on.set()
            view = await (await placing).ended()
            await stopping
            assert view.ending is not None
            assert (view.ending.outcome, view.ending.by) == (Outcome.PLATFORM_ERROR, By.PLATFORM)
            assert engine.performed == []
        await store.close()

    run(scenario())


def test_a_call_whose_client_left_while_it_was_stored_ends_as_canceled(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await SqliteStore.open(tmp_path / "offhook.sqlite")
        disk = DiskThatTakesItsTime(store.journal)
        async with given_service(tmp_path, journal=disk) as (service, engine):
            placing = asyncio.create_task(service.place(two_party_plan()))
            await asyncio.sleep(0.05)
            placing.cancel()
            while (view := await service.get(ACCOUNT, "c2c-test")) is None or view.ending is None:
                await asyncio.sleep(0.01)
            assert view.ending.outcome is Outcome.CANCELED
            assert engine.performed == []
        await store.close()

    run(scenario())
