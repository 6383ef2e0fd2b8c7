"""Engine workers as processes: one dies, and nothing of its calls is left."""

import os
import signal
from pathlib import Path

import pytest

from offhook.calls.commands import DialLeg
from offhook.calls.events import LegAnswered, LegEnded, LegRinging, LegsJoined
from offhook.calls.model import MediaMode
from offhook.phone import Answering
from tests.unit.calls.calls_language import endpoint, plan, step

from .given_engine import CALL_ID, given_media_ports, given_phone, until
from .given_workers import build_pool, given_worker_legs
from .test_engine import run

pytestmark = pytest.mark.slow


def test_a_dead_workers_legs_are_ended_by_the_next(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            given_worker_legs(tmp_path) as legs,
            given_phone() as (talking, talking_uri),
            given_phone(answering=Answering.NEVER) as (ringing, ringing_uri),
        ):
            legs.dial("a", talking_uri)
            await legs.reports.wait_for(LegAnswered, "a")
            legs.dial("b", ringing_uri, after="a")
            await legs.reports.wait_for(LegRinging, "b")
            [host] = legs.engine.hosts
            before, port = host.process_id, host.sip_address[1]
            os.kill(before, signal.SIGKILL)
            legs.hang_up("b")  # nobody is there to hear it
            ended = [await legs.over("a"), await legs.over("b")]
            assert [(leg.hangup_cause, leg.by_peer) for leg in ended] == [("CRASH", False)] * 2
            assert talking.calls[0].is_over
            assert ringing.calls[0].is_over
            assert len(legs.reports.of(LegEnded)) == 2
            assert host.process_id not in (before, None)
            assert host.sip_address[1] == port
            legs.dial("c", talking_uri)
            assert (await legs.reports.wait_for(LegAnswered, "c")).leg_id == "c"
            legs.hang_up("c")
            await legs.over("c")

    run(scenario())


def test_calls_of_one_interaction_stand_together_and_those_behind_a_flow_at_home(tmp_path: Path) -> None:
    with given_media_ports() as media:
        pool = build_pool(tmp_path, media, media)
        for host in pool.hosts:
            host.channel = object()  # as if it were up
        first, second = (plan(call_id=name, first=(step(name),)) for name in ("one", "two"))
        for call in (first, second, plan(call_id="nat", first=(step("x", flow_id="udp:192.0.2.1:5"),))):
            pool.open_call(call)
        assert [(load.number, load.calls) for load in pool.load()] == [(1, 2)]
        for name in ("one", "two", "nat", "unknown"):
            pool.close_call(name)
        assert [(load.number, load.calls) for load in pool.load()] == [(1, 0)]


def test_without_its_worker_a_call_is_held_at_home(tmp_path: Path) -> None:
    async def scenario() -> None:
        with given_media_ports() as home_media, given_media_ports() as media:
            pool = build_pool(tmp_path, home_media, media)
            heard: list[object] = []
            await pool._home.start(heard.append)
            async with given_phone(answering=Answering.BUSY) as (_, uri):
                pool.open_call(plan(call_id=CALL_ID))
                busy = endpoint("a", request_uri=uri)
                pool.perform(DialLeg(CALL_ID, busy, MediaMode.PROCESS))
                await until(lambda: any(isinstance(event, LegEnded) for event in heard))
            assert pool.load()[0].calls == 0
            await pool.stop()

    run(scenario())


def test_what_a_worker_remembers_is_read_by_the_node(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with given_worker_legs(tmp_path) as legs, given_phone() as (_, uri):
            legs.dial("a", uri)
            await legs.reports.wait_for(LegAnswered, "a")
            summaries = [line.summary for line in await legs.engine.trace("a")]
            assert summaries[0] == "INVITE"
            assert "200 OK (INVITE)" in summaries
            assert await legs.engine.trace("nothing") == []
            legs.hang_up("a")
            await legs.over("a")
            assert legs.reports.of(LegsJoined) == []

    run(scenario())
