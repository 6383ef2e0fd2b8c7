"""The socket shell of a user agent core: UDP, TCP, TLS and websockets, one timer, no protocol.

After every input it does the same two steps: hand the core's events to a callback, then transmit
what the core wants to send and re-arm the one loop timer.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from offhook.kernel import Clock
from offhook.sip.events import SipEvent
from offhook.sip.flows import WEBSOCKETS, Flow, TlsPeer, datagram_address
from offhook.sip.user_agent import UserAgentCore

from .connection_limits import ConnectionLimits
from .own_addresses import OwnAddresses
from .tcp_connections import TcpConnections
from .tls_contexts import TlsContexts
from .udp_sockets import UdpSocket, bind_both, bind_listener
from .ws_connections import WsConnections

_log = structlog.get_logger("offhook.sip")

Address = tuple[str, int]
Admission = Callable[[bytes, Flow, float], bool]
"""Asked about each message as it came, with its flow and monotonic time."""
Trace = Callable[[str, bytes, Flow, float], None]
"""Called with "in" or "out", the message, its flow, and monotonic time."""

NO_TLS_PORT: Final = 0


class SipEndpoint:
    """Runs a UserAgentCore over real sockets. `core` may be called at any time, then `flush()`."""

    def __init__(
        self,
        core: UserAgentCore,
        *,
        clock: Clock,
        on_event: Callable[[SipEvent], None],
        host: str,
        port: int,
        more_hosts: Sequence[str] = (),
        tls: TlsContexts | None = None,
        tls_port: int = NO_TLS_PORT,
        addresses: OwnAddresses | None = None,
        on_flow_lost: Callable[[Flow], None] | None = None,
        admits: Admission | None = None,
        limits: ConnectionLimits | None = None,
        trace: Trace | None = None,
    ) -> None:
        """Prepare; nothing is opened before start().

        port 0 takes a free one, the same for UDP and TCP and for each host. tls without a tls_port can only
        open connections. addresses is told the ports. admits tells whether a message is looked at; None
        admits all. limits bounds the connections of an address. on_event is called from the loop; so is
        on_flow_lost, for a connection that is gone (its bindings are, too).
        """
        self.core = core
        self.on_event = on_event
        self.on_flow_lost = on_flow_lost
        self.trace = trace
        self._clock = clock
        self._hosts = (host, *more_hosts)
        self._port = port
        self._tls_port = tls_port
        self._addresses = addresses or OwnAddresses(self._hosts)
        self._admits = admits
        self._udp: dict[str, UdpSocket] = {}
        limits = limits or ConnectionLimits()
        take, lose = self._receive, self._flow_failed
        self._tcp = TcpConnections(on_message=take, on_lost=lose, limits=limits)
        self._tls = (
            TcpConnections(on_message=take, on_lost=lose, limits=limits, contexts=tls) if tls else None
        )
        self.websockets = WsConnections(on_message=take, on_lost=lose, limits=limits)
        """Serves connections that come over HTTP."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._is_open = self._is_flushing = False

    @property
    def address(self) -> Address:
        """Where it listens, first of all; valid after start()."""
        return (self._hosts[0], self._port)

    def connection_count(self) -> int:
        """Return how many connections stand."""
        return len(self._tcp) + (len(self._tls) if self._tls else 0) + len(self.websockets)

    async def start(self) -> None:
        """Open the sockets and advertise their port to peers. Raises OSError if an address is taken."""
        listeners, tls_listeners = [], []
        try:
            for host in self._hosts:
                udp, listener = bind_both(host, self._port)
                listeners.append(listener)
                self._port = udp.getsockname()[1]
                self.open_datagrams(UdpSocket(udp, (host, self._port), self._on_datagrams))
                if self._tls is not None and self._tls_port:
                    tls_listeners.append(bind_listener(host, self._tls_port))
        except OSError:
            for listener in (*listeners, *tls_listeners):
                listener.close()
            raise
        self._addresses.ports.update(udp=self._port, tcp=self._port)
        if self._tls_port:
            self._addresses.ports["tls"] = self._tls_port
        self.core.advertise_port(self._port)
        await self._tcp.start(*listeners)
        if self._tls is not None:
            await self._tls.start(*tls_listeners)

    def open_datagrams(self, udp: UdpSocket) -> None:
        """Read from a bound socket."""
        self._is_open = True
        self._udp[udp.local[0]] = udp
        udp.start()

    async def stop(self) -> None:
        """Close everything; idempotent, and harmless before start()."""
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for udp in self._udp.values():
            udp.close()
        self._udp.clear()
        self.websockets.stop()
        await self._tcp.stop()
        if self._tls is not None:
            await self._tls.stop()

    def announce_websockets(self, port: int) -> None:
        """Say which port browsers reach us at."""
        self._addresses.ports.update(ws=port, wss=port)

    def flow_to(self, transport: str, remote: Address, tls: TlsPeer | None = None) -> Flow:
        """Return the flow to an address; over TCP and TLS, a connection that stands is used again."""
        local = self.address
        if len(self._hosts) > 1:
            local = (self._addresses.bound_host(remote[0]), self._port)
        return Flow(transport, local, remote, "", tls)

    def flow(self, flow_id: str) -> Flow | None:
        """Return the flow a binding names: a connection that stands, or an address; None if it is gone."""
        remote = datagram_address(flow_id)
        if remote is not None:
            return self.flow_to("udp", remote)
        kinds = (self._tcp, self._tls, self.websockets)
        return next((flow for kind in kinds if kind is not None and (flow := kind.flow(flow_id))), None)

    # --- the two steps ---

    def flush(self) -> None:
        """Hand over events, transmit, re-arm the timer. Call it after calling the core."""
        if self._is_flushing:
            return  # called from on_event: the loop below takes what it added
        self._is_flushing = True
        try:
            self._deliver_and_transmit()
        finally:
            self._is_flushing = False
        self._arm_timer()

    def _deliver_and_transmit(self) -> None:
        core = self.core
        while True:
            while (event := core.next_event()) is not None:
                self._deliver(event)
            messages = core.messages_to_send()
            if not messages:
                return
            now = self._clock.monotonic() if self.trace is not None else 0.0
            for data, flow in messages:
                if self.trace is not None:
                    self.trace("out", data, flow, now)
                self._send(data, flow)

    def _deliver(self, event: SipEvent) -> None:
        """Hand over one event. A fault of the callback must not keep the others from theirs."""
        try:
            self.on_event(event)
        except Exception:
            _log.exception("SIP event not taken", event_type=type(event).__name__)

    def _arm_timer(self) -> None:
        due = self.core.next_timer()
        if self._timer is not None:
            if due is not None and due >= self._timer_due:
                return  # it fires early enough, and is re-armed then
            self._timer.cancel()
            self._timer = None
        if due is not None and self._is_open:
            delay = max(0.0, due - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)
            self._timer_due = due

    def _on_timer(self) -> None:
        self._timer = None
        try:
            self.core.handle_timer(self._clock.monotonic())
        except Exception:
            _log.exception("a SIP timer was not carried out")
        self.flush()

    # --- inputs ---

    def _on_datagrams(self, datagrams: list[tuple[bytes, Address]], local: Address) -> None:
        """Take all that came, then do the two steps once."""
        now = self._clock.monotonic()
        for data, remote in datagrams:
            self._take(data, Flow("udp", local, remote), now)
        self.flush()

    def _receive(self, data: bytes, flow: Flow) -> None:
        self._take(data, flow, self._clock.monotonic())
        self.flush()

    def _take(self, data: bytes, flow: Flow, now: float) -> None:
        if self._admits is not None and not self._admits(data, flow, now):
            return
        if self.trace is not None:
            self.trace("in", data, flow, now)
        try:
            self.core.receive_message(data, flow, now)
        except Exception:  # one message must not take along those that came with it
            _log.exception("a SIP message was not taken", peer=flow.remote)

    def _flow_failed(self, flow: Flow) -> None:
        self.core.flow_failed(flow, self._clock.monotonic())
        if flow.id and self.on_flow_lost is not None:
            self.on_flow_lost(flow)
        self.flush()

    # --- outputs ---

    def _send(self, data: bytes, flow: Flow) -> None:
        transport = flow.transport
        if transport == "udp":
            self._send_datagram(data, flow)
        elif transport == "tcp":
            self._tcp.send(data, flow)
        elif transport == "tls" and self._tls is not None:
            self._tls.send(data, flow)
        elif transport in WEBSOCKETS:
            self.websockets.send(data, flow)
        else:  # never in the clear what should be encrypted
            asyncio.get_running_loop().call_soon(self._flow_failed, flow)

    def _send_datagram(self, data: bytes, flow: Flow) -> None:
        udp = self._udp.get(flow.local[0])
        if udp is None and self._udp:  # a dialog of an earlier process, or one that turned to another family
            udp = self._udp.get(self._addresses.bound_host(flow.remote[0]))
        if udp is not None:
            udp.send(data, flow.remote)
