"""Several engines as one: the node's own, and one in each worker process.

A call lives in one engine, for its media does. Which one follows from its plan, so that the node finds it
again after a crash: the node's own where a call needs its sockets (a phone behind a connection or a NAT
binding that it opened to the node; a caller), else the worker that its interaction falls to. So calls of one
interaction (`target_call_id`) are placed together.

When a worker dies, the one that takes its place (and its SIP port, by which far ends know their legs) ends
what it held, as after a crash of the whole node: the pool knows plans and dialogs. The call machine hears one
LegEnded for each leg, cause CRASH.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final
from zlib import crc32

import msgspec
import structlog

from offhook.app.ports import Engine, TraceLine, WorkerLoad
from offhook.calls import policy
from offhook.calls.commands import DialLeg, EndLostLeg, EngineCommand, HangUpSurplus, TakeLeg, leg_id_of
from offhook.calls.events import (
    LegAnswered,
    LegEnded,
    LegEvent,
    LegsJoined,
    SurplusAnswered,
    SurplusEnded,
)
from offhook.calls.model import CallPlan, EndpointPlan

from .host import WorkerHost
from .messages import AskTrace, Begin, Reported, ToNode, TraceIs, event_in, perform

_log = structlog.get_logger("offhook.workers")

HOME: Final = 0
"""The node's own engine."""

SUCCESSOR_BOUND_S: Final = 10.0
"""A worker is back within a second. A far end keeps repeating its answer for 32 s (RFC 3261 13.3.1.4)."""

TRACE_BOUND_S: Final = 2.0
"""A worker that does not say what it remembers is taken to remember nothing."""


class _PlacedLeg(msgspec.Struct):
    """A leg that an engine holds."""

    call_id: str
    endpoint: EndpointPlan
    number: int
    dialog: str = ""
    """What it would take to end it without its worker."""
    can_hold: bool = False
    is_lost: bool = False
    """Its worker died, and nobody has taken it up yet."""


class _PlacedSurplus(msgspec.Struct):
    """A surplus answer that a worker holds."""

    leg_id: str
    number: int
    is_lost: bool = False


class WorkerPool:
    """Implements the Engine port. `start` brings the node's own engine up, then every worker."""

    def __init__(self, home: Engine, begins: Sequence[Begin], *, program: str) -> None:
        """Prepare; begins say what each worker is built from, program is the module that runs it."""
        self._home = home
        self.hosts = [WorkerHost(begin, self, program=program) for begin in begins]
        self._by_number = {host.number: host for host in self.hosts}
        self._calls: dict[str, int] = {}
        """By call id: the engine that holds it."""
        self._count: Counter[int] = Counter()
        """Calls by engine."""
        self._legs: dict[str, _PlacedLeg] = {}
        self._surplus: dict[str, _PlacedSurplus] = {}
        """By dialog."""
        self._report: Callable[[LegEvent], None] = lambda event: None
        self._traces: dict[int, asyncio.Future[tuple[TraceLine, ...]]] = {}
        self._asked = 0

    # --- the port -----------------------------------------------------------------------------------

    async def start(self, report: Callable[[LegEvent], None]) -> None:
        """Bring all engines up. Raises what the node's own raises, or WorkerLost."""
        self._report = report
        await self._home.start(self._report_home)
        await asyncio.gather(*(host.start() for host in self.hosts))

    async def stop(self) -> None:
        """End what is left in every engine. Idempotent."""
        await asyncio.gather(*(host.stop() for host in self.hosts))
        await self._home.stop()

    def open_call(self, plan: CallPlan) -> None:
        """Place a call, before its first command."""
        number = self._calls[plan.call_id] = self._place(plan)
        self._count[number] += 1

    def close_call(self, call_id: str) -> None:
        """Forget a call that is over."""
        number = self._calls.pop(call_id, None)
        if number is not None:
            self._count[number] -= 1

    def perform(self, command: EngineCommand) -> None:
        """Pass a command on to the engine that holds the leg."""
        if isinstance(command, DialLeg | TakeLeg | EndLostLeg):
            self._begin_leg(command)
            return
        if isinstance(command, HangUpSurplus):
            self._hang_up_surplus(command)
            return
        leg = self._legs.get(leg_id_of(command))
        if leg is None or not leg.is_lost:  # a lost one is about to be ended anyhow
            self._send(leg.number if leg is not None else HOME, command)

    def _hang_up_surplus(self, command: HangUpSurplus) -> None:
        surplus = self._surplus.get(command.dialog)
        if surplus is None or not surplus.is_lost:  # a lost one is about to be hung up anyhow
            self._send(surplus.number if surplus is not None else HOME, command)

    def can_hold(self, leg_id: str) -> bool:
        """Tell whether a joined leg's media can be cut and played to."""
        leg = self._legs.get(leg_id)
        if leg is None or leg.number == HOME:
            return self._home.can_hold(leg_id)
        return leg.can_hold

    def can_link(self, leg_id: str, other_leg_id: str) -> bool:
        """Tell whether one engine holds both legs, and their media can be cut."""
        numbers = {self._legs[each].number for each in (leg_id, other_leg_id) if each in self._legs}
        return len(numbers) <= 1 and self.can_hold(leg_id) and self.can_hold(other_leg_id)

    async def trace(self, leg_id: str) -> Sequence[TraceLine]:
        """Return the signalling of a recent leg, wherever it is remembered."""
        asked = [self._ask_trace(host, leg_id) for host in self.hosts if host.channel is not None]
        found = await asyncio.gather(self._home.trace(leg_id), *asked)
        return max(found, key=len)

    def count(self) -> int:
        """Return how many legs the engines hold (for leak tests)."""
        return len(self._legs)

    def load(self) -> list[WorkerLoad]:
        """Return what each worker has to do (for metrics)."""
        return [
            WorkerLoad(host.number, host.channel is not None, self._count[host.number], host.load.cpu_s)
            for host in self.hosts
        ]

    # --- placing ------------------------------------------------------------------------------------

    def _place(self, plan: CallPlan) -> int:
        if _needs_home(plan):
            return HOME
        number = 1 + crc32(plan.interaction_id.encode()) % len(self.hosts)
        return number if self._is_up(number) else HOME

    def _is_up(self, number: int) -> bool:
        return number == HOME or self._by_number[number].channel is not None

    def _begin_leg(self, command: DialLeg | TakeLeg | EndLostLeg) -> None:
        number = self._calls.get(command.call_id, HOME)
        if not self._is_up(number):  # the call goes on at home: its legs there are lost
            self._count[number] -= 1
            number = self._calls[command.call_id] = HOME
            self._count[HOME] += 1
        endpoint = command.endpoint
        if number != HOME and endpoint.flow_id:
            # A phone that a transfer names, behind a connection to the node: no worker can use that.
            ended = LegEnded(endpoint.leg_id, "DESTINATION_OUT_OF_ORDER", 0, "its connection is not ours")
            asyncio.get_running_loop().call_soon(self._report, ended)
            return
        self._legs[endpoint.leg_id] = _PlacedLeg(command.call_id, endpoint, number)
        self._send(number, command)

    def _send(self, number: int, command: EngineCommand) -> None:
        channel = self._by_number[number].channel if number != HOME else None
        if channel is not None:
            channel.send(perform(command))
        else:
            self._home.perform(command)

    # --- what the workers say -----------------------------------------------------------------------

    def take(self, number: int, message: ToNode) -> None:
        """Take a message of a worker that is up."""
        if isinstance(message, Reported):
            event = event_in(message)
            if isinstance(event, LegsJoined):
                self._note_joined(event, can_hold=message.can_hold)
            elif isinstance(event, SurplusAnswered):
                self._surplus[event.dialog] = _PlacedSurplus(event.leg_id, number)
            self._note(event)
            try:
                self._report(event)
            except Exception:  # one call must not take along its worker
                _log.exception("an event was not taken", reported=message.kind)
        elif isinstance(message, TraceIs):
            asked = self._traces.pop(message.number, None)
            if asked is not None and not asked.done():
                asked.set_result(message.lines)

    def lost(self, number: int) -> None:
        """Wait for the worker that will end what this one held; if none comes, the node's own engine does."""
        left = [leg for leg in self._legs.values() if leg.number == number]
        _log.error("engine worker lost", worker=number, legs=len(left))
        for leg in left:
            leg.is_lost = True
        for surplus in self._surplus.values():
            surplus.is_lost |= surplus.number == number
        asyncio.get_running_loop().call_later(SUCCESSOR_BOUND_S, self._end_lost, number, HOME)

    def back(self, number: int) -> None:
        """End what the worker before it held."""
        self._end_lost(number, number)

    def _end_lost(self, number: int, by: int) -> None:
        for leg in self._legs.values():
            if leg.number == number and leg.is_lost:
                leg.number, leg.is_lost = by, False
                self._send(by, EndLostLeg(leg.call_id, leg.endpoint, policy.CRASH, leg.dialog))
        for dialog, surplus in self._surplus.items():
            if surplus.number == number and surplus.is_lost:
                surplus.number, surplus.is_lost = by, False
                self._send(by, HangUpSurplus(surplus.leg_id, dialog))

    def _report_home(self, event: LegEvent) -> None:
        self._note(event)
        self._report(event)

    def _note(self, event: LegEvent) -> None:
        if isinstance(event, LegEnded):
            self._legs.pop(event.leg_id, None)
        elif isinstance(event, SurplusEnded):
            self._surplus.pop(event.dialog, None)
        elif isinstance(event, LegAnswered) and event.leg_id in self._legs:
            self._legs[event.leg_id].dialog = event.dialog

    def _note_joined(self, event: LegsJoined, *, can_hold: bool) -> None:
        for leg_id in (event.first_leg_id, event.second_leg_id):
            if leg_id in self._legs:
                self._legs[leg_id].can_hold = can_hold

    async def _ask_trace(self, host: WorkerHost, leg_id: str) -> Sequence[TraceLine]:
        assert host.channel is not None
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[tuple[TraceLine, ...]] = asyncio.get_running_loop().create_future()
        self._traces[number] = answer
        host.channel.send(AskTrace(number, leg_id))
        try:
            async with asyncio.timeout(TRACE_BOUND_S):
                return await answer
        except TimeoutError:
            return ()
        finally:
            self._traces.pop(number, None)


def _needs_home(plan: CallPlan) -> bool:
    """Tell whether a call needs a socket of the node: a phone behind one of its flows, or a caller."""
    endpoints = (*plan.first.endpoints, *plan.second.endpoints)
    return any(endpoint.flow_id or endpoint.is_caller for endpoint in endpoints)
