"""SIP over TCP and TLS (RFC 3261 section 18, RFC 5626): connections by id and by who they lead to."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, cast

import structlog

from offhook.sip.errors import RemoteMalformed
from offhook.sip.flows import Flow, TlsPeer
from offhook.sip.framing import PING, PONG, KeepAlive, StreamFramer

from .connection_limits import ConnectionLimits
from .tls_contexts import TlsContexts, TlsUnusable

_log = structlog.get_logger("offhook.sip")

CONNECT_TIMEOUT_S: Final = 4.0
"""A host that drops SYNs must not hold a call for long: a long request goes over UDP after that."""
HANDSHAKE_TIMEOUT_S: Final = 10.0
"""A client that connects and says nothing costs a socket and a TLS object for this long."""
PING_EVERY_S: Final = 90.0
"""On connections we opened: within the 95 to 120 s of RFC 5626 4.4.1, before middleboxes forget them."""
IDLE_TIMEOUT_S: Final = 900.0
"""RFC 5626 phones ping every 120 s, others re-register within 3,600 s: a dead one costs memory only."""
IDLE_CHECK_S: Final = 30.0
CONNECTIONS_MAX: Final = 5_000
"""Below the usual limit of open files once uvicorn and the relay have theirs."""
WRITE_BUFFER_MAX: Final = 1024 * 1024
"""A peer that does not read is given up after a thousand messages wait for it."""
WAITING_MAX: Final = 256
"""Messages that wait for one connection to open."""

Address = tuple[str, int]
Peer = tuple[Address, TlsPeer | None]
"""What a connection may be shared by: one address, and one demand on who answers there."""


class _Connection(asyncio.Protocol):
    """One connection, until it is lost."""

    def __init__(
        self, owner: "TcpConnections", flow_id: str, *, tls: TlsPeer | None = None, is_ours: bool = False
    ) -> None:
        self._owner = owner
        self._framer = StreamFramer()
        self.flow_id = flow_id
        self.flow: Flow | None = None
        self.tls = tls
        """Whom we asked the peer to be; None for connections it opened, and without TLS."""
        self.is_ours = is_ours
        self.transport: asyncio.Transport | None = None
        self.waiting: list[bytes] = []
        self.last_heard = self.last_sent = 0.0
        self.is_counted = self.has_spoken = False
        self.opened_at = self.partial_since = 0.0
        """When it was opened, and when the message began that is not whole yet (0: there is none)."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none of asyncio's classes
        local, remote = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if remote is None:  # it is gone already; what was to be sent times out
            self.transport.abort()
            return
        self.flow = Flow(self._owner.transport, local[:2], remote[:2], self.flow_id, self.tls)
        self.opened_at = self.last_heard = self.last_sent = asyncio.get_running_loop().time()
        self._owner.opened(self)
        for data in self.waiting:
            self.send(data)
        self.waiting.clear()

    def data_received(self, data: bytes) -> None:
        self.last_heard = asyncio.get_running_loop().time()
        try:
            items = self._framer.feed(data)
            for item in items:
                self._take(item)
        except RemoteMalformed:  # nobody can tell where the next message starts
            self.abort()
            return
        if not self._framer.has_part:
            self.partial_since = 0.0
        elif items or not self.partial_since:
            self.partial_since = self.last_heard

    def _take(self, item: bytes | KeepAlive) -> None:
        if item is KeepAlive.PING:
            self.send(PONG)
        elif isinstance(item, bytes) and self.flow is not None:
            self.has_spoken = True
            self._owner.on_message(item, self.flow)

    def send(self, data: bytes) -> None:
        """Write, or wait for the connection to open; a peer that does not read is given up."""
        if self.transport is None:
            if len(self.waiting) < WAITING_MAX:
                self.waiting.append(data)
        elif self.transport.get_write_buffer_size() > WRITE_BUFFER_MAX:
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.write(data)

    def ping(self, now: float) -> None:
        """Keep a connection of ours open through NAT and firewalls."""
        if self.is_ours and now - self.last_sent >= PING_EVERY_S:
            self.last_sent = now
            self.send(PING)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.lost(self)

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()


class TcpConnections:
    """Accepts, opens, reuses and drops connections."""

    def __init__(
        self,
        *,
        on_message: Callable[[bytes, Flow], None],
        on_lost: Callable[[Flow], None],
        contexts: TlsContexts | None = None,
        limits: ConnectionLimits | None = None,
    ) -> None:
        """on_message gets each whole message; on_lost each flow that can carry nothing any more.

        With contexts it is TLS. limits may be shared with other transports.
        """
        self._limits = limits or ConnectionLimits()
        self.transport = "tcp" if contexts is None else "tls"
        self.on_message = on_message
        self._contexts = contexts
        self._on_lost = on_lost
        self._servers: list[asyncio.Server] = []
        self._by_id: dict[str, _Connection] = {}
        self._by_peer: dict[Peer, _Connection] = {}
        self._opening: dict[Peer, asyncio.Task[None]] = {}
        self._idle_timer: asyncio.TimerHandle | None = None
        self._count = 0
        self._is_stopping = False

    def __len__(self) -> int:
        """Return how many connections stand or are being opened."""
        return len(self._by_id) + len(self._opening)

    async def start(self, *listeners: socket.socket) -> None:
        """Accept connections on bound sockets."""
        loop = asyncio.get_running_loop()
        self._is_stopping = False
        options: dict[str, Any] = {}
        if self._contexts is not None:
            options = {"ssl": self._contexts.server, "ssl_handshake_timeout": HANDSHAKE_TIMEOUT_S}
        for listener in listeners:
            server = await loop.create_server(
                lambda: _Connection(self, self._new_id()), sock=listener, **options
            )
            self._servers.append(server)
        self._idle_timer = loop.call_later(IDLE_CHECK_S, self._look_after)

    async def stop(self) -> None:
        """Close all; idempotent."""
        self._is_stopping = True
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        tasks = list(self._opening.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._servers:
            server.close()
        self._servers.clear()
        for connection in list(self._by_id.values()):
            connection.abort()
        await asyncio.sleep(0)  # let connection_lost run

    def flow(self, flow_id: str) -> Flow | None:
        """Return the flow of a connection that stands, or None."""
        connection = self._by_id.get(flow_id)
        return connection.flow if connection is not None else None

    def send(self, data: bytes, flow: Flow) -> None:
        """Send over the connection a flow names, or one to its remote address, opened if need be."""
        if flow.id:
            connection = self._by_id.get(flow.id)
        else:
            connection = self._by_peer.get((flow.remote, flow.tls)) or self._open(flow)
        if connection is not None:
            connection.send(data)
        else:
            asyncio.get_running_loop().call_soon(self._on_lost, flow)

    def _new_id(self) -> str:
        self._count += 1
        return f"{self.transport}-{self._count}"

    def _open(self, flow: Flow) -> _Connection | None:
        loop = asyncio.get_running_loop()
        if self._is_stopping or len(self) >= CONNECTIONS_MAX:
            return None
        connection = _Connection(self, self._new_id(), tls=flow.tls, is_ours=True)
        peer = (flow.remote, flow.tls)
        self._by_peer[peer] = connection
        self._opening[peer] = loop.create_task(self._connect(connection, flow), name=f"connect {flow.remote}")
        return connection

    async def _connect(self, connection: _Connection, flow: Flow) -> None:
        """Open one connection; the task belongs to this object and ends with stop()."""
        peer = (flow.remote, flow.tls)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection, flow.remote[0], flow.remote[1], **self._tls_options(flow)
                )
            is_open = connection.flow is not None
        except (OSError, TlsUnusable) as error:  # TimeoutError and SSLError are OSErrors
            is_open = False
            _log.info(
                "connection not opened", transport=self.transport, remote=flow.remote, reason=str(error)
            )
        finally:
            self._opening.pop(peer, None)
        if not is_open:
            self._by_peer.pop(peer, None)
            self._on_lost(flow)

    def _tls_options(self, flow: Flow) -> dict[str, Any]:
        """Return what create_connection needs for TLS. Raises TlsUnusable."""
        if self._contexts is None:
            return {}
        peer = flow.tls or TlsPeer(flow.remote[0])
        return {"ssl": self._contexts.client(peer), "server_hostname": peer.name}

    # --- what connections tell ---

    def opened(self, connection: _Connection) -> None:
        """A connection stands."""
        if self._is_stopping or len(self._by_id) >= CONNECTIONS_MAX:
            connection.abort()
            return
        assert connection.flow is not None
        if not connection.is_ours:
            connection.is_counted = self._limits.opens(connection.flow.remote[0])
            if not connection.is_counted:
                connection.abort()
                return
        self._by_id[connection.flow_id] = connection
        self._by_peer.setdefault((connection.flow.remote, connection.tls), connection)

    def lost(self, connection: _Connection) -> None:
        """A connection is gone: tell the core, by the name of the connection and by its address."""
        self._by_id.pop(connection.flow_id, None)
        flow = connection.flow
        if flow is None:
            return
        if connection.is_counted:
            self._limits.closed(flow.remote[0])
        if self._by_peer.get((flow.remote, connection.tls)) is connection:
            del self._by_peer[(flow.remote, connection.tls)]
        if not self._is_stopping:
            self._on_lost(flow)
            self._on_lost(flow.without_connection())

    def _is_too_slow(self, connection: _Connection, now: float) -> bool:
        return not connection.is_ours and self._limits.is_too_slow(
            opened_at=connection.opened_at,
            partial_since=connection.partial_since,
            has_spoken=connection.has_spoken,
            now=now,
        )

    def _look_after(self) -> None:
        """Drop idle connections, ping those of ours."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._by_id.values()):
            if connection.last_heard < now - IDLE_TIMEOUT_S or self._is_too_slow(connection, now):
                connection.abort()
            else:
                connection.ping(now)
        self._idle_timer = loop.call_later(IDLE_CHECK_S, self._look_after)
