"""Several engines as one: the node's own, and one in each worker process.

A call lives in one engine, for its media does. New calls go to the workers, the least loaded first; the
node's own engine keeps those that need its sockets: phones behind a connection or a NAT binding that they
opened to the node, and callers. Calls of one interaction (`target_call_id`) are placed together.

When a worker dies, the node's own engine ends the legs it held, at their far ends, as after a crash of the
whole node: the pool knows their plans and dialogs. The call machine hears one LegEnded for each, cause CRASH.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from offhook.app.ports import Engine, TraceLine
from offhook.calls import policy
from offhook.calls.commands import DialLeg, EndLostLeg, EngineCommand, TakeLeg
from offhook.calls.events import LegAnswered, LegEnded, LegEvent, LegsJoined
from offhook.calls.model import CallPlan, EndpointPlan

from .host import WorkerHost
from .messages import AskTrace, Begin, Reported, ToNode, TraceIs, event_in, perform

_log = structlog.get_logger("offhook.workers")

HOME: Final = 0
"""The node's own engine."""

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


class _PlacedCall(msgspec.Struct, frozen=True):
    number: int
    interaction_id: str


class WorkerPool:
    """Implements the Engine port. `start` brings the node's own engine up, then every worker."""

    def __init__(self, home: Engine, begins: Sequence[Begin], *, program: str) -> None:
        """Prepare; begins say what each worker is built from, program is the module that runs it."""
        self._home = home
        self.hosts = [WorkerHost(begin, self, program=program) for begin in begins]
        self._by_number = {host.number: host for host in self.hosts}
        self._calls: dict[str, _PlacedCall] = {}
        self._count: Counter[int] = Counter()
        """Calls by engine."""
        self._interactions: dict[str, int] = {}
        """Where the last call of a live interaction was placed."""
        self._legs: dict[str, _PlacedLeg] = {}
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
        number = self._place(plan)
        self._calls[plan.call_id] = _PlacedCall(number, plan.interaction_id)
        self._interactions[plan.interaction_id] = number
        self._count[number] += 1

    def close_call(self, call_id: str) -> None:
        """Forget a call that is over."""
        call = self._calls.pop(call_id, None)
        if call is not None:
            self._count[call.number] -= 1
            self._interactions.pop(call.interaction_id, None)

    def perform(self, command: EngineCommand) -> None:
        """Pass a command on to the engine that holds the leg."""
        if isinstance(command, DialLeg | TakeLeg):
            self._begin_leg(command)
        elif isinstance(command, EndLostLeg):
            self._home.perform(command)
        else:
            leg = self._legs.get(_leg_id_of(command))
            self._send(leg.number if leg is not None else HOME, command)

    def can_hold(self, leg_id: str) -> bool:
        """Tell whether a joined leg's media can be cut and played to."""
        leg = self._legs.get(leg_id)
        if leg is None or leg.number == HOME:
            return self._home.can_hold(leg_id)
        return leg.can_hold

    async def trace(self, leg_id: str) -> Sequence[TraceLine]:
        """Return the signalling of a recent leg, wherever it is remembered."""
        asked = [self._ask_trace(host, leg_id) for host in self.hosts if host.channel is not None]
        found = await asyncio.gather(self._home.trace(leg_id), *asked)
        return max(found, key=len)

    def live_calls(self) -> dict[int, int]:
        """Return how many calls each engine holds, by number (for metrics)."""
        return {number: self._count[number] for number in (HOME, *self._by_number)}

    # --- placing ------------------------------------------------------------------------------------

    def _place(self, plan: CallPlan) -> int:
        if _needs_home(plan):
            return HOME
        together = self._interactions.get(plan.interaction_id)
        if together is not None and self._is_up(together):
            return together
        up = [host.number for host in self.hosts if host.channel is not None]
        return min(up, key=self._count.__getitem__, default=HOME)

    def _is_up(self, number: int) -> bool:
        return number == HOME or self._by_number[number].channel is not None

    def _begin_leg(self, command: DialLeg | TakeLeg) -> None:
        call = self._calls.get(command.call_id)
        number = call.number if call is not None and self._is_up(call.number) else HOME
        self._legs[command.endpoint.leg_id] = _PlacedLeg(command.call_id, command.endpoint, number)
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
            self._note(event)
            self._report(event)
        elif isinstance(message, TraceIs):
            asked = self._traces.pop(message.number, None)
            if asked is not None and not asked.done():
                asked.set_result(message.lines)

    def lost(self, number: int) -> None:
        """End, from here, the legs that a dead worker held."""
        left = [leg for leg in self._legs.values() if leg.number == number]
        _log.error("legs of a lost worker are ended", worker=number, legs=len(left))
        for leg in left:
            leg.number = HOME
            self._home.perform(EndLostLeg(leg.call_id, leg.endpoint, policy.CRASH, leg.dialog))

    def _report_home(self, event: LegEvent) -> None:
        self._note(event)
        self._report(event)

    def _note(self, event: LegEvent) -> None:
        if isinstance(event, LegEnded):
            self._legs.pop(event.leg_id, None)
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


def _leg_id_of(command: EngineCommand) -> str:
    """Return the id of the leg that a command is about (of two, the first)."""
    leg_id: str = getattr(command, "leg_id", "") or getattr(command, "first_leg_id", "")
    return leg_id
