"""Whole nodes in worlds that lose packets, processes and disks: one true outcome each, and no leg left."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog

from offhook.calls import policy
from offhook.calls.commands import EngineCommand, HangUpLeg
from offhook.calls.model import Outcome
from offhook.delivery import PreparedRequest
from offhook.engines.embedded import EmbeddedEngine

from .ladder import Ladder
from .scenario import CALLS, SCENARIOS, Conditions, Scenario
from .virtual_outbox import OutboxOnDisk
from .virtual_time import WorldBroken
from .webhooks import Receiver
from .world import World, take_log

PROJECT = Path(__file__).parents[2]
CALLS_IN_A_PART = 10_000
"""Small enough to end well within the limit for one test, on a busy machine too."""
PARTS = 10 if os.environ.get("CI") else 1
"""CI walks 100,000 calls; a person who waits for `make test` walks a tenth of them."""


@pytest.fixture(autouse=True)
def logs_go_to_the_world():
    """The world reads the logs of what it runs."""
    before = structlog.get_config()
    structlog.configure(processors=[take_log])
    yield
    structlog.configure(**before)


def run(seed: int, scenario: Scenario | None = None) -> tuple[World, Ladder]:
    ladder = Ladder()
    world = World(seed, scenario=scenario, ladder=ladder)
    world.run()
    return world, ladder


@pytest.mark.parametrize("seed", range(len(SCENARIOS)), ids=[scenario.name for scenario in SCENARIOS])
def test_a_world_of_each_kind_holds(seed: int) -> None:
    world, _ = run(seed)
    assert sum(world.statistics[answer] for answer in ("accepted", "refused", "claimed")) > CALLS / 4
    assert world.statistics["connected"] > 0


def test_a_seed_gives_the_same_world_again() -> None:
    for seed in (7, 11):
        (world, ladder), (twin, again) = run(seed), run(seed)
        assert world.statistics == twin.statistics
        assert ladder.lines == again.lines


class DeafEngine:
    """The real engine, but for hang-ups, which it forgets."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def perform(self, command: EngineCommand) -> None:
        if not isinstance(command, HangUpLeg):
            self._engine.perform(command)


def test_a_node_that_forgets_to_hang_up_is_found_out() -> None:
    world = World(5, scenario=Scenario(name="calm", conditions=Conditions()))
    start = world._start_node

    def start_deaf_node() -> None:
        start()
        assert world.node is not None
        world.node.calls._engine = DeafEngine(world.node.engine)  # type: ignore[assignment]

    world._start_node = start_deaf_node  # type: ignore[method-assign]
    with pytest.raises(WorldBroken):
        world.run()


def test_a_wrong_word_for_an_outcome_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(policy._OUTCOME_OF_CAUSE, "UNALLOCATED_NUMBER", Outcome.FAILED)
    with pytest.raises(WorldBroken):
        run(5, Scenario(name="calm", conditions=Conditions(), strange=0.0))


def test_a_disk_that_forgets_what_it_committed_is_found_out() -> None:
    world = World(5, scenario=Scenario(name="calm", conditions=Conditions()))
    world.agenda.at(20.0, world.disk.calls.clear)
    with pytest.raises(WorldBroken):
        world.run()


def test_an_event_that_is_lost_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    advance = OutboxOnDisk.advance
    monkeypatch.setattr(
        OutboxOnDisk, "advance", lambda self, lane, through, now: advance(self, lane, through + 1, now)
    )
    with pytest.raises(WorldBroken, match="events"):
        run(0)


def test_an_outcome_that_is_told_in_two_ways_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Receiver._take
    changed: list[str] = []

    def take_otherwise(self: Receiver, request: PreparedRequest) -> None:
        take(self, request)
        told = [told[-1][1] for told in self.taken.values() if told[-1][0] == request.headers["webhook-id"]]
        if told[0]["final"] and not changed:
            changed.append(told[0].pop("outcome"))
            told[0]["outcome"] = "connected" if changed == ["failed"] else "failed"

    monkeypatch.setattr(Receiver, "_take", take_otherwise)
    with pytest.raises(WorldBroken, match="told"):
        run(0)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_ten_thousand_calls_end_once_and_leave_nothing(part: int) -> None:
    first = str(part * CALLS_IN_A_PART // CALLS)
    ran = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--calls", str(CALLS_IN_A_PART), "--first", first],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
