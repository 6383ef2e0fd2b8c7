"""A world: one node, its far ends, its clients and its troubles, all from one seed."""

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from itertools import count
from typing import Any, Final

import structlog

from offhook.calls.model import Ending

from .api_desk import ApiDesk
from .callers import CallerEnd, InboundDesk
from .clients import Clients
from .far_ends import FarEnd
from .judge import CallRecord, excuse, judge, leaves_fork, orphans
from .ladder import Ladder
from .network import Network
from .node import NodeProcess
from .oracle import agrees, foretell
from .scenario import SCENARIOS, Casting, Scenario, address_of
from .scripts import Script
from .virtual_disk import CallOnDisk, Disk
from .virtual_relay import VirtualRelay
from .virtual_time import Agenda, SeededRandom, VirtualClock, WorldBroken
from .webhooks import ACCOUNT_ID, Receiver, check_told

SWEEP_S: Final = 2.0
"""How often the bounds of states are looked at."""

NODE_QUIET_S: Final = 75.0
"""After the last final entry: a stray 200 may come for 64*T1, its BYE may take 64*T1, and timer K."""

FAR_ENDS_QUIET_S: Final = 420.0
"""A phone that rings without a CANCEL that reached it gives up after 300 s; then its own timers."""

RECONNECT_S: Final = 50.0
"""A CANCEL or BYE tries new connections for 7.5 s, each of which takes up to 4 s to open; then it repeats."""

CLOCK_SET_S: Final = 22_000.0
"""A clock is set by an hour each time."""

LONGEST_CALL_S: Final = 1_200.0
"""All steps of both parties, the join, the longest talk and the end, each to its bound."""


class World:
    """Runs one seed. `run()` returns what happened, or raises WorldBroken."""

    def __init__(self, seed: int, *, scenario: Scenario | None = None, ladder: Ladder | None = None) -> None:
        self.seed = seed
        self.scenario = scenario or SCENARIOS[seed % len(SCENARIOS)]
        self.ladder = ladder
        self.agenda = Agenda()
        self.clock = VirtualClock(self.agenda)
        self.network = Network(self.agenda, self._dice("network"), self.scenario.conditions)
        self.disk = Disk()
        self.disk.on_final = self._on_final
        self.records: dict[str, CallRecord] = {}
        self.joined: set[frozenset[int]] = set()
        self.statistics: Counter[str] = Counter()
        self.node: NodeProcess | None = None
        self.receiver = Receiver(self._dice("receiver")) if self.scenario.webhooks else None
        casting = Casting(self.scenario, self._dice("casting"))
        desk = ApiDesk(casting, self._dice("desk"), str(seed))
        self._inbound_desk = InboundDesk(self, casting, self._dice("inbound"))
        self._clients = Clients(self, self._dice("requests"), casting, desk)
        self._node_dice = self._dice("node")
        self._ports = count(20_000, 2)
        self._far_end_random = SeededRandom(f"{seed}/far ends")
        self._processes = 0
        self._far_ends = 0
        self._hosts: dict[str, str] = {}
        self._busy_until = 0.0
        """Crash or trouble under way: the next one waits."""
        if ladder is not None:
            ladder.agenda = self.agenda
            self.network.note = ladder.message

    def _dice(self, name: str) -> random.Random:
        return random.Random(f"{self.seed}/{name}")

    # --- the run --------------------------------------------------------------------------------------

    def run(self) -> Counter[str]:
        """Run the world to its end."""
        previous = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        watch_logs(self)
        try:
            self._run()
        finally:
            if self.node is not None:
                self.node.loop.kill()
            asyncio._set_running_loop(previous)
            watch_logs(None)
        return self.statistics

    def _run(self) -> None:
        self.agenda.after_each = self._take_turn
        self._start_node()
        last = self._clients.plan_requests()
        self._plan_troubles(last)
        self.agenda.after(SWEEP_S, self._sweep)
        end = last + LONGEST_CALL_S
        while self.agenda.now < last or (self._is_busy() and self.agenda.now < end):
            self.agenda.run(self.agenda.now + 10.0)
        self.agenda.run(self.agenda.now + NODE_QUIET_S)
        self._check_outcomes()
        self._check_node()
        self.agenda.run(self.agenda.now + FAR_ENDS_QUIET_S)
        self._check_far_ends()
        self._check_webhooks()
        self.statistics["worlds"] += 1
        self.statistics["packets"] += self.network.carried

    def _take_turn(self) -> None:
        if self.node is not None:
            self.node.loop.take_turn()

    def _is_busy(self) -> bool:
        return self.node is None or self.node.calls.count() > 0 or self.node.tasks > 0

    def _sweep(self) -> None:
        if self.node is not None:
            self.node.check_bounds(self.agenda.now)
        self.agenda.after(SWEEP_S, self._sweep)

    # --- the node -------------------------------------------------------------------------------------

    def _start_node(self) -> None:
        self._processes += 1
        relay = VirtualRelay(self._node_dice, self._ports, self.joined) if self.scenario.relay else None
        node = NodeProcess(
            network=self.network,
            disk=self.disk,
            relay=relay,
            dice=self._node_dice,
            seed=f"{self.seed}/process {self._processes}",
            clock=self.clock,
            calls_max=self.scenario.calls_max,
            busy=self.scenario.busy,
            receiver=self.receiver,
            desk=self._inbound_desk,
        )
        node.loop.look_up = self._look_up
        node.loop.connect = self.network.connect_from_node
        self.node = node
        self.network.loop = node.loop
        asyncio._set_running_loop(node.loop)
        node.loop.create_task(node.start(), name="start")
        self._take_turn()

    def _crash(self) -> None:
        """Kill the node; start the next process a while later."""
        node = self.node
        if node is None or self.agenda.now < self._busy_until:
            return
        self._note_in_all("crashed_at")
        node.kill()
        self.node = None
        self.statistics["crashes"] += 1
        self._tell_ladder("the node is killed")
        self._start_after(self._node_dice.choice((0.0, 0.5, 0.5, 2.0, 2.0, 15.0)))

    def _start_after(self, pause: float) -> None:
        self._busy_until = self.agenda.now + pause + 0.001
        self.agenda.after(pause, self._start_node)

    def _restart(self) -> None:
        if self.node is not None and self.agenda.now >= self._busy_until:
            self._busy_until = float("inf")
            self.run_in_node(self._stop_node(self.node), "restart")

    async def _stop_node(self, node: NodeProcess) -> None:
        await node.calls.drain(self._node_dice.choice((0.1, 5.0, 30.0)))
        self._note_in_all("was_stopped")
        await node.stop()
        self.statistics["restarts"] += 1
        self.agenda.after(0.0, self._end_process, node)

    def _end_process(self, node: NodeProcess) -> None:
        node.kill()
        self.node = None
        self._start_after(0.5)

    def _note_in_all(self, what: str) -> None:
        for call_id, record in self.records.items():
            stored = self.disk.calls.get(call_id)
            if stored is not None and stored.is_final:
                continue
            if what == "crashed_at":
                record.crashed_at.append(self.agenda.now)
            else:
                setattr(record, what, True)

    def run_in_node(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Run what a client asks of the node; nothing if it is down."""
        if self.node is None:
            work.close()
        else:
            self.node.loop.create_task(work, name=name)

    # --- far ends -------------------------------------------------------------------------------------

    def make_far_end(self, script: Script) -> FarEnd:
        """Return a far end at a new address."""
        self._far_ends += 1
        far_end = FarEnd(
            address_of(self._far_ends),
            script,
            network=self.network,
            random=self._far_end_random,
        )
        if script.name:
            self._hosts[script.name] = far_end.address[0]
        return far_end

    def make_caller(self, script: Script) -> CallerEnd:
        """Return somebody who will ring the node, at a new address."""
        self._far_ends += 1
        address = address_of(self._far_ends)
        return CallerEnd(address, script, network=self.network, random=self._far_end_random)

    def _look_up(self, host: str) -> tuple[float, str]:
        dice = self._node_dice
        if dice.random() < 0.1:
            return 0.01, ""
        return dice.choice((0.0, 0.02, 1.0, 6.0)), self._hosts.get(host, "")

    # --- troubles -------------------------------------------------------------------------------------

    def _plan_troubles(self, last: float) -> None:
        dice, scenario = self._dice("troubles"), self.scenario
        troubles = (
            (scenario.crashes, self._crash),
            (scenario.restarts, self._restart),
            (scenario.relay_deaths, self._kill_relay),
            (scenario.disk_troubles, self._fill_disk),
            (scenario.clock_jumps, self._set_clock),
        )
        for times, action in troubles:
            for _ in range(times):
                self.agenda.at(dice.uniform(2.0, last + 20.0), action)

    def _kill_relay(self) -> None:
        if self.node is not None and self.node.relay is not None:
            self._note_in_all("lost_relay")
            self.node.relay.die()
            self._tell_ladder("the relay dies")

    def _fill_disk(self) -> None:
        self._note_in_all("lost_disk")
        self.disk.refuses = True
        self.agenda.after(self._node_dice.uniform(0.1, 15.0), self._free_disk)

    def _free_disk(self) -> None:
        self.disk.refuses = False

    def _set_clock(self) -> None:
        self.clock.jump += self._node_dice.choice((-3600.0, -1.0, 1.0, 3600.0))

    # --- checks ---------------------------------------------------------------------------------------

    def _on_final(self, stored: CallOnDisk) -> None:
        """A final entry is durable: judge the call."""
        call_id = stored.plan.call_id
        record = self.records[call_id]
        record.finals += 1
        live = self.node.live_call(call_id) if self.node is not None else None
        try:
            ending = judge(stored, record, live, self.joined)
            self._check_no_orphan(record, stored, over_tcp=False)
            if self.scenario.is_calm:
                self._check_foretold(ending, record)
        except WorldBroken as broken:
            raise WorldBroken(broken.what, call_id) from broken
        if self.scenario.conditions.breaks:
            self.agenda.after(RECONNECT_S, self._check_orphans_over_tcp, stored, record, self._processes)
        record.outcome = ending.outcome.value
        self.statistics[record.outcome] += 1

    def _check_foretold(self, ending: Ending, record: CallRecord) -> None:
        """What the scripts say must happen has happened."""
        foretold = foretell(record)
        if foretold is None:
            return
        self.statistics["foretold"] += 1
        if not agrees(ending, foretold):
            raise WorldBroken(f"{foretold} was to be expected, not {ending}")

    def _check_no_orphan(self, record: CallRecord, stored: CallOnDisk, *, over_tcp: bool) -> None:
        """No far end holds a leg when its call is over; after a broken connection, a while later."""
        slow = self.scenario.conditions.breaks > 0
        held = [one for one in orphans(record, stored) if not slow or one.script.tcp == over_tcp]
        if held:
            raise WorldBroken(f"a leg stands at {[one.address[0] for one in held]}")

    def _check_orphans_over_tcp(self, stored: CallOnDisk, record: CallRecord, process: int) -> None:
        if process != self._processes or self.node is None:
            return  # a crash came while a CANCEL looked for a new connection
        try:
            self._check_no_orphan(record, stored, over_tcp=True)
        except WorldBroken as broken:
            raise WorldBroken(broken.what, stored.plan.call_id) from broken

    def _check_outcomes(self) -> None:
        """Exactly one final entry per accepted call, none for those that were refused."""
        for call_id, record in self.records.items():
            stored = self.disk.calls.get(call_id)
            finals = record.finals
            if record.accepted and stored is None:
                raise WorldBroken("accepted, and not in the journal", call_id)
            if stored is not None and finals != 1:
                raise WorldBroken(f"{finals} final entries", call_id)
            if record.refused and stored is not None:
                raise WorldBroken("refused, and in the journal", call_id)
            if record.asked_twice and f"{call_id}-again" in self.disk.calls and stored is not None:
                raise WorldBroken("one key placed two calls", call_id)

    def _check_node(self) -> None:
        if self.node is None:
            raise WorldBroken("the node did not come up again")
        left = self.node.leftovers()
        if left:
            raise WorldBroken(f"left in the node: {', '.join(left)}")

    def _check_far_ends(self) -> None:
        for call_id, record in self.records.items():
            for far_end in record.cast.all:
                stored = self.disk.calls.get(call_id)
                if far_end.script.is_lost or stored is None:
                    continue
                if far_end.is_held and excuse(far_end, record, stored):
                    far_end.hang_up()
                    continue
                if leaves_fork(far_end, record, stored):
                    raise WorldBroken(f"a fork is left at {far_end.address[0]}", call_id)
                if far_end.is_held or not far_end.core.is_idle:
                    raise WorldBroken(f"a leg is left at {far_end.address[0]}", call_id)
                self.statistics["legs"] += far_end.invited_at is not None

    def _check_webhooks(self) -> None:
        if self.receiver is not None:
            if self.scenario.clock_jumps:  # a pause that was stored before a crash may have become longer
                self.agenda.run(self.agenda.now + CLOCK_SET_S)
            outcomes = {call_id: record.outcome for call_id, record in self.records.items() if record.outcome}
            heard = {call_id for call_id in outcomes if self.records[call_id].plan.account_id == ACCOUNT_ID}
            told = {call_id: outcomes[call_id] for call_id in heard}
            self.statistics["webhooks"] += check_told(self.receiver, self.disk.outbox, told)

    def _tell_ladder(self, what: str) -> None:
        if self.ladder is not None:
            self.ladder.say(what)


# --- logs ---------------------------------------------------------------------------------------------

EXPECTED_ERRORS: Final = {
    "relay error": "relay_deaths",
    "no media for a leg": "relay_deaths",
    "the end of a call cannot be stored yet": "disk_troubles",
}
"""Words of an error log → the trouble of the scenario that explains them."""

_world: World | None = None


def watch_logs(world: World | None) -> None:
    """Take an error in the log of the code under test as a broken world."""
    global _world
    _world = world


def take_log(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Do as a structlog processor: let nothing out."""
    world, words = _world, event.get("event", "")
    if world is not None and (method in ("error", "exception", "critical") or "unknown leg" in words):
        trouble = EXPECTED_ERRORS.get(words)
        if trouble is None or not getattr(world.scenario, trouble):
            world.agenda.at(world.agenda.now, _break, f"log: {event}", str(event.get("call_id", "")))
    raise structlog.DropEvent


def _break(what: str, call_id: str) -> None:
    raise WorldBroken(what, call_id)
