"""The socket shell of a user agent core: UDP and TCP on one address, one timer, no protocol.

After every input it does the same two steps: hand the core's events to a callback, then transmit
what the core wants to send and re-arm the one loop timer.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import structlog

from offhook.kernel import Clock
from offhook.sip.events import SipEvent
from offhook.sip.flows import Flow, datagram_address
from offhook.sip.user_agent import UserAgentCore

from .rate_limit import AddressRateLimit
from .tcp_connections import TcpConnections

_log = structlog.get_logger("offhook.sip")

DRAIN_MAX: Final = 64
"""Datagrams read in one turn of the loop: enough to empty a burst, few enough to stay fair to HTTP."""

DATAGRAM_MAX: Final = 65_535

RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""About 8,000 datagrams wait while the loop is busy; the kernel may grant less (net.core.rmem_max)."""

UNSENT_MAX: Final = 4_096
"""Datagrams kept while the socket is full; beyond that they are lost, as on any network."""

Address = tuple[str, int]
Trace = Callable[[str, bytes, Flow, float], None]
"""Called with "in" or "out", the message, its flow, and monotonic time."""


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
        on_flow_lost: Callable[[Flow], None] | None = None,
        rate_per_address: float = 0.0,
        trace: Trace | None = None,
    ) -> None:
        """Prepare; nothing is opened before start().

        port 0 takes a free one, the same for UDP and TCP. rate_per_address bounds the messages per
        second from one address, with a burst of as many (0 = off). on_event is called from the loop;
        so is on_flow_lost, for a connection that is gone (its bindings are, too).
        """
        self.core = core
        self.on_event = on_event
        self.on_flow_lost = on_flow_lost
        self.trace = trace
        self._clock = clock
        self._host = host
        self._port = port
        self._limit = AddressRateLimit(rate_per_address)
        self._udp: socket.socket | None = None
        self._tcp = TcpConnections(on_message=self._receive, on_lost=self._flow_failed)
        self._unsent: list[tuple[bytes, Flow]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._is_flushing = False

    @property
    def address(self) -> Address:
        """Where it listens; valid after start()."""
        return (self._host, self._port)

    async def start(self) -> None:
        """Open both sockets and advertise their port to peers. Raises OSError if the address is taken."""
        udp, listener = _bind_both(self._host, self._port)
        self._port = udp.getsockname()[1]
        self.core.advertise_port(self._port)
        self._udp = udp
        asyncio.get_running_loop().add_reader(udp.fileno(), self._on_readable)
        await self._tcp.start(listener)

    async def stop(self) -> None:
        """Close everything; idempotent, and harmless before start()."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        udp, self._udp = self._udp, None
        if udp is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(udp.fileno())
            loop.remove_writer(udp.fileno())
            udp.close()
        await self._tcp.stop()

    def flow_to(self, transport: str, remote: Address) -> Flow:
        """Return the flow to an address; over TCP, a connection that stands is used again."""
        return Flow(transport, self.address, remote)

    def flow(self, flow_id: str) -> Flow | None:
        """Return the flow a binding names: a connection that stands, or an address; None if it is gone."""
        remote = datagram_address(flow_id)
        return self._tcp.flow(flow_id) if remote is None else self.flow_to("udp", remote)

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
        if due is not None and self._udp is not None:
            delay = max(0.0, due - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)
            self._timer_due = due

    def _on_timer(self) -> None:
        self._timer = None
        self.core.handle_timer(self._clock.monotonic())
        self.flush()

    # --- inputs ---

    def _on_readable(self) -> None:
        """Drain the socket, then do the two steps once for all that came."""
        udp = self._udp
        if udp is None:
            return
        now, local = self._clock.monotonic(), self.address
        for _ in range(DRAIN_MAX):
            try:
                data, remote = udp.recvfrom(DATAGRAM_MAX)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                continue  # an ICMP error of an earlier packet; the timers deal with it
            if len(data) > 4:  # shorter ones are keep-alives (RFC 5626 3.5.1 allows CRLF CRLF)
                self._take(data, Flow("udp", local, remote[:2]), now)
        self.flush()

    def _receive(self, data: bytes, flow: Flow) -> None:
        self._take(data, flow, self._clock.monotonic())
        self.flush()

    def _take(self, data: bytes, flow: Flow, now: float) -> None:
        if not self._limit.admits(flow.remote[0], now):
            return
        if self.trace is not None:
            self.trace("in", data, flow, now)
        self.core.receive_message(data, flow, now)

    def _flow_failed(self, flow: Flow) -> None:
        self.core.flow_failed(flow, self._clock.monotonic())
        if flow.id and self.on_flow_lost is not None:
            self.on_flow_lost(flow)
        self.flush()

    # --- outputs ---

    def _send(self, data: bytes, flow: Flow) -> None:
        if flow.transport == "udp":
            self._send_datagram(data, flow)
        elif flow.transport == "tcp":
            self._tcp.send(data, flow)
        else:  # never in the clear what should be encrypted
            asyncio.get_running_loop().call_soon(self._flow_failed, flow)

    def _send_datagram(self, data: bytes, flow: Flow) -> None:
        udp = self._udp
        if udp is None:
            return
        if self._unsent:
            self._keep(data, flow)
            return
        try:
            udp.sendto(data, flow.remote)
        except (BlockingIOError, InterruptedError):
            self._keep(data, flow)
            asyncio.get_running_loop().add_writer(udp.fileno(), self._on_writable)
        except OSError as error:
            _log.debug("datagram not sent", remote=flow.remote, error=str(error))

    def _keep(self, data: bytes, flow: Flow) -> None:
        if len(self._unsent) < UNSENT_MAX:
            self._unsent.append((data, flow))

    def _on_writable(self) -> None:
        udp = self._udp
        if udp is None:
            return
        asyncio.get_running_loop().remove_writer(udp.fileno())
        unsent, self._unsent = self._unsent, []
        for data, flow in unsent:
            self._send_datagram(data, flow)


def _bind_both(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Return a UDP socket and a TCP listener with the same port. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    tries = 20 if port == 0 else 1  # a free UDP port may be taken for TCP
    for attempt in range(1, tries + 1):
        udp = socket.socket(family, socket.SOCK_DGRAM)
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            udp.setblocking(False)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            udp.bind((host, port))
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, udp.getsockname()[1]))
            return udp, listener
        except OSError:
            udp.close()
            listener.close()
            if attempt == tries:
                raise
    raise AssertionError("the last try returns or raises")
