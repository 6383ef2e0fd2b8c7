"""What every media relay must do, with real packets: the content is checked, not only that some arrive."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from offhook.audio.g711 import PCMA, PCMU
from offhook.engines.embedded.relay import (
    MediaRefused,
    PlaybackFailed,
    PreparedMedia,
    RelayFull,
    RelayLost,
    RelayPort,
)
from offhook.engines.embedded.relay_control import REPLY_BOUND_S
from offhook.engines.embedded.rtp_io import RtpIoRelay
from offhook.sip.sdp_dtls import DtlsPeer

from .parties import (
    ANNA_HZ,
    BERT_HZ,
    CARL_HZ,
    FIRST,
    LOOPBACK,
    RINGBACK_HZ,
    SECOND,
    given_people,
    given_relay,
    given_ringback,
    listening,
)

pytestmark = pytest.mark.slow  # real processes, real time


@pytest.mark.parametrize("payload_type", [PCMU, PCMA])
def test_joined_parties_hear_each_other(tmp_path, payload_type):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            with given_people(ANNA_HZ, BERT_HZ) as (anna, bert):
                await anna.answer(relay, "call", FIRST, payload_type)
                await bert.answer(relay, "call", SECOND, payload_type)
                relay.join("call")
                await listening(anna, bert)
                assert anna.hears(BERT_HZ)
                assert bert.hears(ANNA_HZ)
                assert not anna.hears(ANNA_HZ)
                assert relay.reports == []

    asyncio.run(scenario())


def test_ports_are_known_before_anyone_answers(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            first = await relay.open_leg("call", FIRST)
            second = await relay.open_leg("call", SECOND)
            assert first.address == second.address == LOOPBACK
            assert first.port % 2 == second.port % 2 == 0
            assert first != second
            assert await relay.open_leg("call", FIRST) == first
            assert await asyncio.gather(*[relay.open_leg("call", SECOND)] * 1) == [second]

    asyncio.run(scenario())


def test_ringback_is_heard_until_the_join_and_nothing_leaks_before_it(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            with given_people(ANNA_HZ, BERT_HZ) as (anna, bert):
                await anna.answer(relay, "call", FIRST, PCMA)
                relay.play("call", FIRST, given_ringback(tmp_path))
                early = await relay.open_leg("call", SECOND)
                bert.speak(early.port, PCMA)  # early media: it has not answered yet
                await listening(anna, bert)
                assert anna.hears(RINGBACK_HZ)
                assert not anna.hears(BERT_HZ)
                assert bert.stream.packets_received == 0

                await bert.answer(relay, "call", SECOND, PCMA)
                relay.join("call")
                await listening(anna, bert)
                assert anna.hears(BERT_HZ)
                assert bert.hears(ANNA_HZ)
                assert not anna.hears(RINGBACK_HZ)

    asyncio.run(scenario())


def test_ringback_comes_in_packets_of_20_ms(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            with given_people(ANNA_HZ) as (anna,):
                await anna.answer(relay, "call", FIRST)
                relay.play("call", FIRST, given_ringback(tmp_path))
                await listening(anna, seconds=0.2)
                before = anna.stream.packets_received
                await asyncio.sleep(0.4)
                assert anna.stream.packets_received - before == pytest.approx(20, abs=4)

    asyncio.run(scenario())


def test_early_media_passes_one_way(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            with given_people(ANNA_HZ, BERT_HZ) as (anna, bert):
                await anna.answer(relay, "call", FIRST)
                relay.play("call", FIRST, given_ringback(tmp_path))
                await bert.answer(relay, "call", SECOND)
                relay.pass_through("call", FIRST)
                await listening(anna, bert)
                assert anna.hears(BERT_HZ)
                assert not anna.hears(RINGBACK_HZ)
                assert not bert.hears(ANNA_HZ)

    asyncio.run(scenario())


def test_ringback_that_has_just_begun_outlives_jitter_buffers(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            with given_people(ANNA_HZ, BERT_HZ) as (anna, bert):
                await anna.answer(relay, "call", FIRST)
                await bert.answer(relay, "call", SECOND)
                relay.play("call", FIRST, given_ringback(tmp_path))
                relay.join("call")
                await asyncio.sleep(0.15)
                assert not anna.stream.ear.heard(BERT_HZ)
                await asyncio.sleep(0.4)
                assert anna.stream.ear.heard(RINGBACK_HZ) == pytest.approx(0.2, abs=0.06)
                assert anna.hears(BERT_HZ)
                assert bert.hears(ANNA_HZ)

    asyncio.run(scenario())


def test_silence_takes_back_a_join_that_waits(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            with given_people(ANNA_HZ, BERT_HZ) as (anna, bert):
                await anna.answer(relay, "call", FIRST)
                await bert.answer(relay, "call", SECOND)
                relay.play("call", FIRST, given_ringback(tmp_path))
                relay.join("call")
                relay.silence("call", FIRST)
                await listening(anna, bert, seconds=0.3)
                assert not anna.stream.ear.heard(BERT_HZ)
                assert bert.hears(ANNA_HZ)

    asyncio.run(scenario())


def test_silence_shuts_a_side_again(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            with given_people(ANNA_HZ, BERT_HZ) as (anna, bert):
                await anna.answer(relay, "call", FIRST)
                await bert.answer(relay, "call", SECOND)
                relay.join("call")
                relay.silence("call", FIRST)
                await listening(anna, bert)
                assert not anna.hears(BERT_HZ)
                assert bert.hears(ANNA_HZ)

    asyncio.run(scenario())


@pytest.mark.parametrize("claimed", ["192.0.2.7", "phone.example.com"])
def test_a_phone_behind_nat_is_answered_where_it_sends_from(tmp_path, claimed):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            with given_people(ANNA_HZ, BERT_HZ) as (anna, bert):
                await anna.answer(relay, "call", FIRST)
                port = await relay.open_leg("call", SECOND)
                relay.connect_leg("call", SECOND, claimed, 4000, [PCMU])
                bert.speak(port.port)
                relay.join("call")
                await listening(anna, bert)
                assert anna.hears(BERT_HZ)
                assert bert.hears(ANNA_HZ)

    asyncio.run(scenario())


def test_early_media_of_a_device_that_lost_does_not_take_the_winners_place(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            with given_people(ANNA_HZ, BERT_HZ, CARL_HZ) as (anna, bert, carl):
                await anna.answer(relay, "call", FIRST)
                port = await relay.open_leg("call", SECOND)
                bert.speak(port.port)
                await asyncio.sleep(0.1)
                await carl.answer(relay, "call", SECOND)
                relay.join("call")
                bert.stream.close()  # its CANCEL has arrived
                await listening(anna, carl)
                assert anna.hears(CARL_HZ)
                assert carl.hears(ANNA_HZ)
                assert not anna.hears(BERT_HZ)

    asyncio.run(scenario())


def test_a_party_that_moves_is_followed(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            with given_people(ANNA_HZ, BERT_HZ, CARL_HZ) as (anna, bert, carl):
                await anna.answer(relay, "call", FIRST)
                await bert.answer(relay, "call", SECOND)
                relay.join("call")
                await asyncio.sleep(0.1)
                bert.stream.close()
                await carl.answer(relay, "call", SECOND)  # a re-INVITE named another address
                await listening(anna, carl)
                assert anna.hears(CARL_HZ)
                assert carl.hears(ANNA_HZ)

    asyncio.run(scenario())


def test_a_newcomer_is_heard_though_the_one_before_still_sends(tmp_path):
    """A phone that refers sends until its BYE arrives; its packets must not win the side back."""

    async def scenario():
        async with given_relay(tmp_path) as relay:
            with given_people(ANNA_HZ, BERT_HZ, CARL_HZ) as (anna, bert, carl):
                await anna.answer(relay, "call", FIRST)
                port = await relay.open_leg("call", SECOND)
                bert.expect(relay, "call", SECOND)
                await asyncio.sleep(0.05)
                bert.speak(port.port)
                relay.join("call")
                await asyncio.sleep(0.1)
                carl.expect(relay, "call", SECOND)
                await asyncio.sleep(0.1)
                carl.speak(port.port)
                await asyncio.sleep(0.1)
                bert.stream.close()
                await listening(anna, carl)
                assert anna.hears(CARL_HZ)
                assert carl.hears(ANNA_HZ)
                assert relay.reports == []

    asyncio.run(scenario())


def test_a_newcomer_that_is_mute_hears_soon(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            with given_people(ANNA_HZ, BERT_HZ, CARL_HZ) as (anna, bert, carl):
                await anna.answer(relay, "call", FIRST)
                bert.expect(relay, "call", SECOND)
                carl.expect(relay, "call", SECOND)
                relay.join("call")
                await _until(lambda: carl.stream.packets_received)
                assert relay.reports == []

    asyncio.run(scenario())


def test_close_frees_every_port(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            with given_people(ANNA_HZ) as (anna,):
                idle = relay.sockets()
                await anna.answer(relay, "call 0", FIRST)
                relay.play("call 0", FIRST, given_ringback(tmp_path))
                for number in range(1, 20):
                    await relay.open_leg(f"call {number}", FIRST)
                assert relay.sockets() == idle + 20 * 4
                for number in range(20):
                    relay.close(f"call {number}")
                    relay.close(f"call {number}")
                relay.close("never opened")
                await _until(lambda: relay.sockets() == idle)
                assert len(relay) == 0
                assert relay.reports == []

    asyncio.run(scenario())


def test_a_session_closed_while_it_opens_leaves_nothing(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            idle = relay.sockets()
            opening = asyncio.create_task(relay.open_leg("call", FIRST))
            await asyncio.sleep(0)
            relay.close("call")
            await opening
            await _until(lambda: relay.sockets() == idle)
            assert len(relay) == 0

    asyncio.run(scenario())


def test_a_full_port_range_is_said_and_recovers(tmp_path):
    async def scenario():
        async with given_relay(tmp_path, (31_000, 31_015)) as relay:
            asked = [relay.open_leg(f"call {number}", FIRST) for number in range(relay.capacity + 1)]
            got = await asyncio.gather(*asked, return_exceptions=True)
            assert isinstance(got[-1], RelayFull)
            assert relay.capacity == 3
            assert isinstance(got[0], RelayPort)
            relay.close("call 0")
            await asyncio.sleep(0.3)  # the relay is rung for, or it would keep the ports
            assert isinstance(await relay.open_leg("another", FIRST), RelayPort)

    asyncio.run(scenario())


@pytest.mark.parametrize("payload_types", [[PCMU], [18]])
def test_media_that_cannot_be_played_is_reported_and_opens_nothing(tmp_path, payload_types):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            with given_people(ANNA_HZ, BERT_HZ) as (anna, bert):
                await anna.answer(relay, "call", FIRST)
                relay.connect_leg("call", FIRST, LOOPBACK, anna.port, payload_types)
                media = PreparedMedia("missing") if payload_types == [PCMU] else given_ringback(tmp_path)
                relay.play("call", FIRST, media)
                await bert.answer(relay, "call", SECOND)
                await listening(anna, bert, seconds=0.3)
                assert [(session_id, type(error)) for session_id, error in relay.reports] == [
                    ("call", PlaybackFailed)
                ]
                assert anna.stream.packets_received == 0

    asyncio.run(scenario())


def test_packets_are_counted(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            with given_people(ANNA_HZ, BERT_HZ) as (anna, bert):
                await anna.answer(relay, "call", FIRST)
                await bert.answer(relay, "call", SECOND)
                await asyncio.sleep(0.1)
                relay.join("call")
                await asyncio.sleep(0.3)
                bert.stream.pause()
                await asyncio.sleep(0.1)
                counts = await relay.statistics("call")
                assert counts.second.packets_received == bert.stream.packets_sent
                assert counts.first.packets_received == pytest.approx(anna.stream.packets_sent, abs=1)
                assert counts.first.packets_received > counts.second.packets_received
                assert counts.packets_dropped >= 8
                assert counts.packets_relayed > 20
                assert counts.first.packets_lost == counts.second.packets_lost == 0
                assert 0 <= counts.first.jitter_mean_ms < 20
            with pytest.raises(MediaRefused):
                await relay.statistics("unknown")

    asyncio.run(scenario())


def test_ids_and_addresses_cannot_inject_commands(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            evil = "call\nX\n && D "
            await relay.open_leg("bystander", FIRST)
            await relay.open_leg(evil, FIRST)
            relay.connect_leg(evil, FIRST, "127.0.0.1 9\nX", 4000, [PCMU])
            assert (await relay.statistics("bystander")).packets_relayed == 0
            assert (await relay.statistics(evil)).packets_relayed == 0

    asyncio.run(scenario())


def test_a_session_the_relay_has_dropped_is_reported_not_made_anew(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            await relay.open_leg("call", FIRST)
            await relay.forget_all()  # as when no packet came for an hour
            sockets = relay.sockets()
            for side in (FIRST, SECOND):
                relay.connect_leg("call", side, LOOPBACK, 4000, [PCMU])
            relay.join("call")
            await _until(lambda: len(relay.reports) == 4)
            assert all(isinstance(error, MediaRefused) for _, error in relay.reports)
            assert relay.sockets() <= sockets

    asyncio.run(scenario())


def test_a_relay_that_dies_is_reported_and_replaced(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            await relay.open_leg("one", FIRST)
            await relay.open_leg("two", FIRST)
            pid = relay.process_id
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await _until(lambda: len(relay.reports) == 2)
            assert {session_id for session_id, _ in relay.reports} == {"one", "two"}
            assert all(isinstance(error, RelayLost) for _, error in relay.reports)
            with pytest.raises(RelayLost):
                await relay.open_leg("three", FIRST)
            relay.close("one")
            await _until(lambda: relay.process_id not in (None, pid))
            await _until(lambda: relay.is_up)
            assert isinstance(await relay.open_leg("four", FIRST), RelayPort)

    asyncio.run(scenario())


def test_a_relay_that_hangs_is_lost_within_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr("offhook.engines.embedded.relay_host.REPLY_BOUND_S", 1.0)

    async def scenario():
        async with given_relay(tmp_path) as relay:
            assert relay.process_id is not None
            os.kill(relay.process_id, signal.SIGSTOP)
            status = Path(f"/proc/{relay.process_id}/status")
            await _until(lambda: "State:\tT" in status.read_text())
            before = time.monotonic()
            with pytest.raises(RelayLost):
                await relay.open_leg("call", FIRST)
            assert time.monotonic() - before < REPLY_BOUND_S
            await _until(lambda: relay.is_up)
            assert isinstance(await relay.open_leg("call", FIRST), RelayPort)

    asyncio.run(scenario())


def test_a_relay_that_cannot_start_says_so(tmp_path):
    async def scenario():
        relay = RtpIoRelay(tmp_path, bind_address="192.0.2.1", ports=(30_000, 30_999))  # not our address
        with pytest.raises(RelayLost, match=r"192\.0\.2\.1"):
            await relay.start(lambda session_id, error: None)
        assert relay.process_id is None
        await relay.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("wrong", [{"bind_address": "localhost"}, {"ports": (30_000, 30_005)}])
def test_wrong_addresses_and_ranges_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError):
        RtpIoRelay(tmp_path, **wrong)


def test_stop_may_come_first_and_twice(tmp_path):
    async def scenario():
        relay = RtpIoRelay(tmp_path)
        await relay.stop()
        with pytest.raises(RelayLost):
            await relay.open_leg("call", FIRST)
        await relay.start(lambda session_id, error: None)
        await relay.open_leg("call", FIRST)
        await relay.stop()
        await relay.stop()
        assert len(relay) == 0
        with pytest.raises(RelayLost):
            await relay.open_leg("call", FIRST)

    asyncio.run(scenario())


def test_the_relay_ends_when_its_parent_is_killed(tmp_path):
    program = """
        import asyncio, pathlib, sys
        from offhook.engines.embedded.rtp_io import RtpIoRelay
        async def main():
            relay = RtpIoRelay(pathlib.Path(sys.argv[1]), ports=(30_000, 30_999))
            await relay.start(lambda session_id, error: None)
            sys.stderr.write(f"pid {relay.process_id}\\n")
            sys.stderr.flush()
            await asyncio.sleep(60)
        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as parent:
        assert parent.stderr is not None
        line = next(line for line in parent.stderr if line.startswith("pid "))
        parent.kill()
    status = Path(f"/proc/{line.split()[1]}/status")
    deadline = time.monotonic() + 5
    while _is_running(status) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_running(status)


def _is_running(status: Path) -> bool:
    try:
        return "State:\tZ" not in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def _until(condition, seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_side_speaks_a_browsers_language_and_a_phones_again(tmp_path):
    browser = DtlsPeer(":".join(["AB"] * 32), True, "Fr4g", "0123456789abcdefghijkl")

    async def scenario():
        with given_people(ANNA_HZ, BERT_HZ) as (anna, bert):
            async with given_relay(tmp_path) as relay:
                await anna.answer(relay, "call", FIRST)
                await relay.open_leg("call", SECOND)
                asked = [relay.secure_leg("call", SECOND) for _ in range(2)]
                first, again = await asyncio.gather(*asked)
                assert (first.ufrag, first.fingerprint) == (again.ufrag, again.fingerprint)
                assert len(first.fingerprint.split(":")) == 32
                relay.connect_leg("call", SECOND, LOOPBACK, 9, [PCMU], dtls=browser)
                relay.connect_leg("call", SECOND, LOOPBACK, 9, [PCMU], dtls=browser)
                await bert.answer(relay, "call", SECOND)
                relay.join("call")
                await listening(anna, bert)
                assert anna.hears(BERT_HZ)
                assert bert.hears(ANNA_HZ)
                assert relay.reports == []

    asyncio.run(scenario())


def test_nobody_makes_an_unknown_session_speak_dtls(tmp_path):
    async def scenario():
        async with given_relay(tmp_path) as relay:
            with pytest.raises(MediaRefused):
                await relay.secure_leg("call", FIRST)

    asyncio.run(scenario())
