"""What every engine must do with a leg: one report of its end, whatever happens, and nothing left behind."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, get_args

import pytest

from offhook.calls.commands import (
    ConfirmLeg,
    EngineCommand,
    HangUpSurplus,
    HoldLeg,
    LegCommand,
    UnholdLeg,
)
from offhook.calls.events import (
    LegAnswered,
    LegEnded,
    LegRinging,
    LegsJoined,
    SurplusAnswered,
    SurplusEnded,
)
from offhook.phone import Answering
from tests.e2e.harness.ports import free_port

from .given_engine import (
    HOST,
    GivenLegs,
    Legs,
    build_embedded,
    given_dead_engine,
    given_media_ports,
    given_phone,
    until,
)

pytestmark = pytest.mark.slow


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


def test_two_answered_legs_hear_ringback_then_each_other_and_end(
    tmp_path: Path, given_legs: GivenLegs
) -> None:
    async def scenario() -> None:
        async with (
            given_legs(tmp_path) as legs,
            given_phone(tone_hz=700.0, listen_for_hz=(620.0, 1000.0)) as (first, first_uri),
            given_phone(tone_hz=1000.0, listen_for_hz=(700.0,)) as (second, second_uri),
        ):
            legs.dial("a", first_uri)
            await legs.reports.wait_for(LegAnswered, "a")
            legs.play("a", "%(2000,0,620)")
            await until(lambda: first.heard(620.0) > 0.3)
            legs.dial("b", second_uri, after="a")
            await legs.reports.wait_for(LegAnswered, "b")
            legs.join("a", "b")
            assert await legs.reports.wait_for(LegsJoined) == LegsJoined("a", "b")
            await until(lambda: first.heard(1000.0) > 0.3 and second.heard(700.0) > 0.3)
            second.calls[0].hang_up()
            ended = await legs.over("b")
            assert (ended.hangup_cause, ended.sip_code, ended.by_peer) == ("NORMAL_CLEARING", 200, True)
            legs.hang_up("a")
            assert not (await legs.over("a")).by_peer

    run(scenario())


@pytest.mark.parametrize(
    ("answering", "cause", "code"),
    [(Answering.BUSY, "USER_BUSY", 486), (Answering.DECLINE, "CALL_REJECTED", 603)],
)
def test_a_refusal_is_reported_with_its_cause(
    tmp_path: Path, given_legs: GivenLegs, answering: Answering, cause: str, code: int
) -> None:
    async def scenario() -> None:
        async with given_legs(tmp_path) as legs, given_phone(answering=answering) as (_, uri):
            legs.dial("a", uri)
            ended = await legs.over("a")
            assert (ended.hangup_cause, ended.sip_code, ended.by_peer) == (cause, code, True)
            assert legs.reports.of(LegAnswered) == []

    run(scenario())


def test_a_ringing_leg_can_be_given_up(tmp_path: Path, given_legs: GivenLegs) -> None:
    async def scenario() -> None:
        async with given_legs(tmp_path) as legs, given_phone(answering=Answering.NEVER) as (phone, uri):
            legs.dial("a", uri)
            await legs.reports.wait_for(LegRinging, "a")
            legs.hang_up("a", "NO_ANSWER")
            ended = await legs.over("a")
            assert (ended.hangup_cause, ended.sip_code, ended.by_peer) == ("NO_ANSWER", 487, False)
            assert phone.calls[0].is_over

    run(scenario())


def test_a_leg_hung_up_before_anything_was_sent_ends_without_a_packet(
    tmp_path: Path, given_legs: GivenLegs
) -> None:
    async def scenario() -> None:
        async with given_legs(tmp_path) as legs, given_phone() as (phone, uri):
            legs.dial("a", uri)
            legs.hang_up("a", "ORIGINATOR_CANCEL")
            assert (await legs.over("a")).hangup_cause == "ORIGINATOR_CANCEL"
            assert phone.calls == []

    run(scenario())


@pytest.mark.parametrize("delay_ms", range(0, 30, 3))
def test_an_answer_that_crosses_the_hang_up_ends_clean(
    tmp_path: Path, given_legs: GivenLegs, delay_ms: int
) -> None:
    async def scenario() -> None:
        async with given_legs(tmp_path) as legs, given_phone(answer_after_s=0.015) as (phone, uri):
            legs.dial("a", uri)
            await legs.reports.wait_for(LegRinging, "a")
            await asyncio.sleep(delay_ms / 1000)
            legs.hang_up("a")
            legs.hang_up("a")
            await legs.over("a")
            await until(lambda: phone.calls[0].is_over)
            assert len(legs.reports.of(LegEnded)) == 1

    run(scenario())


@pytest.mark.parametrize(
    "uri", ["sip:nobody@host.invalid", "tel:+15551234567", f"sip:x@{HOST}:9;transport=tcp"]
)
def test_an_endpoint_that_cannot_be_reached_is_out_of_order(
    tmp_path: Path, given_legs: GivenLegs, uri: str
) -> None:
    async def scenario() -> None:
        async with given_legs(tmp_path) as legs:
            legs.dial("a", uri)
            ended = await legs.over("a")
            assert (ended.hangup_cause, ended.by_peer) == ("DESTINATION_OUT_OF_ORDER", False)

    run(scenario())


def test_commands_for_legs_that_are_over_or_unknown_are_harmless(
    tmp_path: Path, given_legs: GivenLegs
) -> None:
    async def scenario() -> None:
        async with given_legs(tmp_path) as legs, given_phone(answering=Answering.BUSY) as (_, uri):
            legs.hang_up("never dialled")
            legs.dial("a", uri)
            await legs.over("a")
            legs.hang_up("a")
            legs.play("a", "us")
            legs.join("a", "b")
            await asyncio.sleep(0.05)
            assert len(legs.reports.of(LegEnded)) == 1

    run(scenario())


def test_an_answer_is_acknowledged_and_hung_up_when_the_journal_has_it(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with given_phone() as (phone, uri), given_dead_engine(tmp_path / "engine", 0) as legs:
            legs.dial("a", uri)
            await legs.reports.wait_for(LegAnswered, "a")
            legs.hang_up("a")
            await asyncio.sleep(0.2)
            assert not phone.calls[0].is_over
            legs.engine.perform(ConfirmLeg("a"))
            assert (await legs.over("a")).sip_code == 200
            assert phone.calls[0].is_over

    run(scenario())


async def given_surplus_answer(legs: Legs, uri: str) -> SurplusAnswered:
    """Dial and hang up until an answer crosses the CANCEL."""
    for number in range(50):
        leg_id = f"leg{number}"
        legs.dial(leg_id, uri)
        await legs.reports.wait_for(LegRinging, leg_id)
        await asyncio.sleep(0.015)
        legs.hang_up(leg_id)
        await until(lambda leg_id=leg_id: bool(legs.reports.of(LegEnded, leg_id) or crossed(legs)))
        if crossed(legs):
            return crossed(legs)[0]
        if answered := legs.reports.of(LegAnswered, leg_id):
            legs.engine.perform(ConfirmLeg(answered[0].leg_id))
    raise AssertionError("no answer crossed a CANCEL")


def crossed(legs: Legs) -> list[SurplusAnswered]:
    return legs.reports.of(SurplusAnswered)


@pytest.mark.parametrize("by_successor", [False, True])
def test_an_answer_that_nobody_wants_waits_for_the_journal_and_is_hung_up(
    tmp_path: Path, given_legs: GivenLegs, by_successor: bool
) -> None:
    async def scenario() -> None:
        async with given_phone(answer_after_s=0.015) as (phone, uri):
            port = free_port()
            async with given_dead_engine(tmp_path / "dead", port) as legs:
                surplus = await given_surplus_answer(legs, uri)
                await asyncio.sleep(0.1)
                assert not phone.calls[-1].is_over
                command = HangUpSurplus(surplus.leg_id, surplus.dialog)
                if not by_successor:
                    legs.engine.perform(command)
                    await legs.reports.wait_for(SurplusEnded, surplus.leg_id)
                    assert (await legs.over(surplus.leg_id)).sip_code == 487
                    assert phone.calls[-1].is_over
            async with given_legs(tmp_path, port) as successor:
                successor.engine.perform(command)  # also of one that is over: nobody knows after a crash
                ended = await successor.reports.wait_for(SurplusEnded, surplus.leg_id)
                assert ended.dialog == surplus.dialog
                assert phone.calls[-1].is_over

    run(scenario())


@pytest.mark.parametrize(
    ("transport", "is_confirmed", "is_known"),
    [
        ("udp", True, True),
        ("udp", False, True),
        ("udp", False, False),
        ("tcp", True, True),
        ("tcp", False, True),
    ],
)
def test_a_successor_hangs_up_what_was_answered(
    tmp_path: Path, given_legs: GivenLegs, is_confirmed: bool, is_known: bool, transport: str
) -> None:
    """The journal has the dialog, or the phone has had no ACK and repeats its 200; never neither."""

    async def scenario() -> None:
        async with given_phone() as (phone, uri):
            uri, port = f"{uri};transport={transport}", free_port()
            async with given_dead_engine(tmp_path / "dead", port) as legs:
                legs.dial("a", uri)
                answered = await legs.reports.wait_for(LegAnswered, "a")
                if is_confirmed:
                    legs.engine.perform(ConfirmLeg("a"))
                    await asyncio.sleep(0.05)
            async with given_legs(tmp_path, port) as successor:
                successor.end_lost("a", uri, answered.dialog if is_known else "")
                ended = await successor.over("a")
                assert (ended.hangup_cause, ended.by_peer) == ("CRASH", False)
                assert ended.sip_code == (200 if is_known else 487)
                assert phone.calls[0].is_over

    run(scenario())


def test_a_successor_cancels_what_was_ringing(tmp_path: Path, given_legs: GivenLegs) -> None:
    async def scenario() -> None:
        async with given_phone(answering=Answering.NEVER) as (phone, uri):
            port = free_port()
            async with given_dead_engine(tmp_path / "dead", port) as legs:
                legs.dial("a", uri)
                await legs.reports.wait_for(LegRinging, "a")
            async with given_legs(tmp_path, port) as successor:
                successor.end_lost("a", uri)
                assert (await successor.over("a")).sip_code == 487
                assert phone.calls[0].is_over

    run(scenario())


@pytest.mark.parametrize("dialog", ["", "no dialog at all"])
def test_a_leg_that_was_never_dialled_ends_without_a_sign_of_it(
    tmp_path: Path, given_legs: GivenLegs, dialog: str
) -> None:
    async def scenario() -> None:
        async with given_phone() as (phone, uri), given_legs(tmp_path) as successor:
            successor.end_lost("a", uri, dialog)
            assert (await successor.over("a")).sip_code == 0
            assert not phone.calls

    run(scenario())


@pytest.mark.parametrize("held", ["a", "b"])
def test_a_held_party_hears_music_the_other_nothing_and_then_each_other_again(
    tmp_path: Path, given_legs: GivenLegs, held: str
) -> None:
    async def scenario() -> None:
        music = 1_400.0
        async with (
            given_legs(tmp_path) as legs,
            given_phone(tone_hz=700.0, listen_for_hz=(music, 1000.0)) as (first, first_uri),
            given_phone(tone_hz=1000.0, listen_for_hz=(music, 700.0)) as (second, second_uri),
        ):
            legs.dial("a", first_uri)
            await legs.reports.wait_for(LegAnswered, "a")
            assert not legs.engine.can_hold("b")
            legs.dial("b", second_uri, after="a")
            await legs.reports.wait_for(LegAnswered, "b")
            legs.join("a", "b")
            await until(lambda: first.heard(1000.0) > 0.2 and second.heard(700.0) > 0.2)
            assert legs.engine.can_hold(held)
            legs.engine.perform(HoldLeg(held, f"%(2000,0,{music:.0f})"))
            waiting, other = (first, second) if held == "a" else (second, first)
            await until(lambda: waiting.heard(music) > 0.3)
            before = (first.heard(1000.0), second.heard(700.0))
            await asyncio.sleep(0.3)
            assert (first.heard(1000.0), second.heard(700.0)) == pytest.approx(before, abs=0.1)
            assert other.heard(music) == 0
            legs.engine.perform(UnholdLeg(held))
            await until(
                lambda: first.heard(1000.0) > before[0] + 0.3 and second.heard(700.0) > before[1] + 0.3
            )
            legs.hang_up("a")
            legs.hang_up("b")
            await legs.over("a")
            await legs.over("b")

    run(scenario())


def test_every_command_of_the_port_has_its_place(tmp_path: Path) -> None:
    with given_media_ports() as media:
        engine, _, _ = build_embedded(tmp_path, media)
    assert set(engine._of_leg) == set(get_args(LegCommand))
    assert set(engine._of_none) | set(engine._of_leg) == set(get_args(EngineCommand))
