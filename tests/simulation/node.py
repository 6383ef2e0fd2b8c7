"""One process of a simulated node: the real parts, wired as bootstrap does, over virtual sockets and disk."""

import random
from typing import Final

from offhook.app.call_limits import CallLimits
from offhook.app.call_service import CallService
from offhook.app.outbox import NO_OUTBOX
from offhook.app.planning.records import record_call
from offhook.app.timers import LoopTimers
from offhook.calls import Call, CallState
from offhook.calls.bounds import state_bounds_s
from offhook.engines.embedded import EmbeddedEngine
from offhook.engines.embedded.call_media import CallMediaFactory
from offhook.engines.embedded.identities import LegIdentities
from offhook.engines.embedded.inbound import InboundRequests
from offhook.engines.embedded.inbound_invites import InboundInvites
from offhook.engines.embedded.resolver import Resolver
from offhook.engines.embedded.trace import SipTrace
from offhook.engines.embedded.transports import SipEndpoint
from offhook.engines.embedded.udp_sockets import UdpSocket
from offhook.sip.config import UserAgentConfig
from offhook.sip.user_agent import UserAgentCore

from .callers import InboundDesk, OneTrunk
from .network import NODE, Network, NodeSocket
from .virtual_disk import Disk, VirtualJournal
from .virtual_outbox import VirtualOutbox
from .virtual_relay import SilentLibrary, VirtualRelay
from .virtual_time import SeededRandom, VirtualClock, VirtualLoop, WorldBroken
from .webhooks import Hooks, Receiver

LATE_S: Final = 2.5
"""A sweep, a slot of the timer wheel, a busy loop."""


class VirtualEndpoint(SipEndpoint):
    """The real endpoint over a virtual socket: the connections and the rest are its own."""

    def __init__(self, core: UserAgentCore, *, clock: VirtualClock, network: Network) -> None:
        super().__init__(core, clock=clock, on_event=lambda event: None, host=NODE[0], port=NODE[1])
        self._network = network

    async def start(self) -> None:
        loop = self._network.loop
        assert loop is not None
        socket = NodeSocket(self._network, loop)
        self._network.socket = socket
        self.open_datagrams(UdpSocket(socket, NODE, self._on_datagrams))  # type: ignore[arg-type]
        await self._tcp.start(None)  # type: ignore[arg-type]

    @property
    def connection_count(self) -> int:
        """TCP connections that are being opened."""
        return len(self._tcp._opening)


class NodeProcess:
    """A process: `start()` it in its loop; `kill()` it at any instant."""

    def __init__(
        self,
        *,
        network: Network,
        disk: Disk,
        relay: VirtualRelay | None,
        dice: random.Random,
        seed: str,
        clock: VirtualClock,
        calls_max: int,
        busy: float,
        receiver: Receiver | None,
        desk: InboundDesk,
    ) -> None:
        agenda = network.agenda
        self.network = network
        self.relay = relay
        self.loop = VirtualLoop(agenda, dice, busy=busy)
        self.journal = VirtualJournal(disk, agenda, dice)
        self.core = UserAgentCore(
            UserAgentConfig(
                holds_surplus=True,
                advertised={"udp": NODE, "tcp": NODE},
                allow=("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS"),
                contact_user="offhook",
            ),
            SeededRandom(seed),
        )
        self.endpoint = VirtualEndpoint(self.core, clock=clock, network=network)
        invites = InboundInvites(self.core, None, OneTrunk(), clock)  # type: ignore[arg-type]
        invites.calls = desk  # type: ignore[assignment]
        invites.flush = self.endpoint.flush
        self.engine = EmbeddedEngine(
            endpoint=self.endpoint,
            media=CallMediaFactory(relay, SilentLibrary(), clock=clock),
            inbound=InboundRequests(self.core, None, invites, clock),  # type: ignore[arg-type]
            resolver=Resolver(),
            trace=SipTrace(),
            clock=clock,
            random=SeededRandom(seed + "/engine"),
            identities=LegIdentities("secret of the installation"),
        )
        self.timers = LoopTimers(clock)
        self._webhook_timers = LoopTimers(clock)
        self.hooks = None
        if receiver is not None:
            self.hooks = Hooks(
                VirtualOutbox(self.journal, disk.outbox),
                receiver,
                self._webhook_timers,
                clock=clock,
                random=SeededRandom(seed + "/webhooks"),
            )
        self.calls = CallService(
            engine=self.engine,
            journal=self.journal,
            timers=self.timers,
            clock=clock,
            limits=CallLimits(calls_max=calls_max, calls_per_second=0),
            record=record_call,
            channel_events=self.hooks.channel_events if self.hooks is not None else None,
            outbox=self.hooks.rows if self.hooks is not None else NO_OUTBOX,
        )
        self._due: dict[str, tuple[CallState, float]] = {}
        """By call: its state, and when that must be left."""

    async def start(self) -> None:
        if self.hooks is not None:
            await self.hooks.start()
        await self.calls.start()

    async def stop(self) -> None:
        """End in order."""
        await self.calls.stop()
        if self.hooks is not None:
            await self.hooks.dispatcher.stop()
        self.timers.stop()
        self._webhook_timers.stop()

    @property
    def tasks(self) -> int:
        """How many tasks run, but for those of webhooks: they have time of their own."""
        return sum("webhook" not in task.get_name() for task in self.loop.tasks)

    def kill(self) -> None:
        """Nothing of this process happens any more; the system closes its sockets."""
        self.journal.kill()
        if self.network.socket is not None:
            self.network.socket.close()
        self.network.node_died()
        self.loop.kill()

    def live_call(self, call_id: str) -> Call | None:
        live = self.calls._calls.get(call_id)
        return live.call if live is not None else None

    # --- invariants -----------------------------------------------------------------------------------

    def check_bounds(self, now: float) -> None:
        """Every state is left within its bound."""
        seen: dict[str, tuple[CallState, float]] = {}
        for call_id, live in self.calls._calls.items():
            state = live.call.state
            before = self._due.get(call_id)
            if before is None or before[0] is not state:
                before = (state, now + bound_of(live.call) + LATE_S)
            elif now > before[1]:
                raise WorldBroken(f"{state} for longer than {bound_of(live.call):.1f} s", call_id)
            seen[call_id] = before
        self._due = seen

    def leftovers(self) -> list[str]:
        """Return what is left of calls although all of them are over."""
        calls, engine, core = self.calls, self.engine, self.core
        relay = self.relay
        counts = {
            "live calls": len(calls._calls),
            "legs that the service knows": len(calls._by_leg),
            "final entries under way": len(calls._finishing),
            "call timers": len(self.timers._wheel),
            "legs of the engine": engine.count(),
            "surplus answers": len(engine._surplus),
            "media of the engine": len(engine._calls),
            "tasks of the engine": len(engine._tasks),
            "dialogs": core.dialog_count,
            "transactions": core.transaction_count,
            "SIP timers": core.timer_count,
            "things in the core": not core.is_idle,
            "relay sessions": len(relay.sessions) if relay is not None else 0,
            "tasks": self.tasks,
            "connections being opened": self.endpoint.connection_count,
        }
        return [f"{count} {name}" for name, count in counts.items() if count]


def bound_of(call: Call) -> float:
    """Return how long a call may stay in its state; the final entry may wait for the disk, however long."""
    return state_bounds_s(call.plan).get(call.state, float("inf"))
