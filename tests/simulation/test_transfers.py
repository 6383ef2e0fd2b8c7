"""Worlds whose joined calls are transferred at any instant: one true outcome each, and no leg left.

Whom a transfer brings in follows a script as anybody does: rings for ever, is busy, hangs up, is away.
The end of such a call is judged by less: it was connected, unless a crash or a dead relay ended it.
"""

import random

import msgspec
import pytest
import structlog

from offhook.calls.events import CallBridged, Fact, TransferBegun, decode_fact
from offhook.calls.model import By, Handover, Outcome, Party, PartyPlan, Side, Transfer
from offhook.calls.states import CallState

from .judge import _check_facts, _check_replay, _check_times, _must
from .scenario import Casting, scenario_named
from .virtual_disk import CallOnDisk
from .virtual_time import WorldBroken
from .world import World, take_log

pytestmark = pytest.mark.slow

WORLDS = ("calm", "bad network", "crashes", "crashes on a bad network", "the relay dies", "the disk refuses")
PAUSE_S = 0.4
"""Mean time between two transfers of a world."""


@pytest.fixture(autouse=True)
def logs_go_to_the_world():
    """The world reads the logs of what it runs."""
    before = structlog.get_config()
    structlog.configure(processors=[take_log])
    yield
    structlog.configure(**before)


class TransferWorld(World):
    """A world where somebody transfers calls."""

    def __init__(self, seed: int, name: str) -> None:
        scenario = msgspec.structs.replace(scenario_named(name), api_plans=0.0)
        super().__init__(seed, scenario=scenario)
        self._transfer_dice: random.Random = self._dice("transfers")
        self._targets = Casting(self.scenario, self._dice("targets"))
        self.agenda.after(PAUSE_S, self._transfer_something)

    def _transfer_something(self) -> None:
        """Replace a party of some joined call."""
        dice = self._transfer_dice
        self.agenda.after(dice.expovariate(1 / PAUSE_S), self._transfer_something)
        if self.node is None:
            return
        lives = [live.call for live in self.node.calls._calls.values()]
        joined = [
            call for call in lives if call.state is CallState.BRIDGED and call.plan.call_id in self.records
        ]
        if joined:
            self.run_in_node(self._transfer(dice.choice(joined).plan.call_id), "transfer")

    async def _transfer(self, call_id: str) -> None:
        dice, node = self._transfer_dice, self.node
        call = node.live_call(call_id) if node is not None else None
        if node is None or call is None or call.state is not CallState.BRIDGED or call.first is None:
            return
        leaving = dice.choice([leg for leg in (call.first, call.second) if leg is not None])
        cast = self.records[call_id].cast
        party = leaving.party.value
        count = dice.choice((0, 1, 1, 2))
        steps = tuple(self._targets._step(cast, party, dice.randrange(1, 3)) for _ in range(count))
        transfer = Transfer(
            staying_leg_id=leaving.joined_to,
            leaving_leg_id=leaving.leg_id,
            handover=dice.choice(list(Handover)),
            by=By.API,
            target=PartyPlan(side=leaving.side, number="1003", steps=steps),
        )
        self.statistics["transfers"] += node.calls.joined.transfer(call.plan.account_id, transfer)

    def _on_final(self, stored: CallOnDisk) -> None:
        facts = [decode_fact(entry.fact) for entry in stored.entries]
        if not any(isinstance(fact, TransferBegun) for fact in facts):
            super()._on_final(stored)
            return
        call_id = stored.plan.call_id
        record = self.records[call_id]
        record.finals += 1
        try:
            self._judge(stored, facts)
            self._check_no_orphan(record, stored, over_tcp=False)
        except WorldBroken as broken:
            raise WorldBroken(broken.what, call_id) from broken
        self.statistics["replaced"] += sum(isinstance(fact, CallBridged) for fact in facts) > 1
        self.statistics["transferred"] += 1

    def _check_foretold(self, ending: object, record: object) -> None:
        """Nothing is foretold: the loop turns, and so may be busy, more often than that allows for."""

    def _judge(self, stored: CallOnDisk, facts: list[Fact]) -> None:
        record = self.records[stored.plan.call_id]
        ending = _check_facts(facts, record)
        live = self.node.live_call(stored.plan.call_id) if self.node is not None else None
        if live is not None:
            _check_replay(stored, live, facts)
        _check_times(stored.entries, stored.accepted_at)
        died = record.crashed_at or record.was_stopped or record.lost_relay
        allowed = (Outcome.CONNECTED, Outcome.PLATFORM_ERROR) if died else (Outcome.CONNECTED,)
        _must(ending.outcome in allowed, f"{ending.outcome}, although they were joined")
        if ending.party is not Party.NONE:
            _must(ending.side in (Side.EXTENSION, Side.CONTACT), "a party without a side")


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_world_of_transfers_holds(name: str, seed: int) -> None:
    world = TransferWorld(seed, name)
    world.run()
    assert world.statistics["transferred"] > 0
