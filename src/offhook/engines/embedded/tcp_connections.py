"""SIP over TCP (RFC 3261 section 18, RFC 5626 keep-alive): connections by id and by remote address."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final, cast

from offhook.sip.errors import RemoteMalformed
from offhook.sip.flows import Flow
from offhook.sip.framing import PONG, KeepAlive, StreamFramer

CONNECT_TIMEOUT_S: Final = 4.0
"""A host that drops SYNs must not hold a call for long: a long request goes over UDP after that."""
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


class _Connection(asyncio.Protocol):
    """One connection, until it is lost."""

    def __init__(self, owner: "TcpConnections", flow_id: str) -> None:
        self._owner = owner
        self._framer = StreamFramer()
        self.flow_id = flow_id
        self.flow: Flow | None = None
        self.transport: asyncio.Transport | None = None
        self.waiting: list[bytes] = []
        self.last_heard = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none of asyncio's classes
        local, remote = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if remote is None:  # it is gone already; what was to be sent times out
            self.transport.abort()
            return
        self.flow = Flow("tcp", local[:2], remote[:2], self.flow_id)
        self.last_heard = asyncio.get_running_loop().time()
        self._owner.opened(self)
        for data in self.waiting:
            self.send(data)
        self.waiting.clear()

    def data_received(self, data: bytes) -> None:
        self.last_heard = asyncio.get_running_loop().time()
        try:
            for item in self._framer.feed(data):
                self._take(item)
        except RemoteMalformed as fault:
            self._owner.stream_lost(self, fault)

    def _take(self, item: bytes | KeepAlive) -> None:
        if item is KeepAlive.PING:
            self.send(PONG)
        elif isinstance(item, bytes) and self.flow is not None:
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

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.lost(self)

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()


class TcpConnections:
    """Accepts, opens, reuses and drops connections."""

    def __init__(self, *, on_message: Callable[[bytes, Flow], None], on_lost: Callable[[Flow], None]) -> None:
        """on_message gets each whole message; on_lost each flow that can carry nothing any more."""
        self.on_message = on_message
        self._on_lost = on_lost
        self._server: asyncio.Server | None = None
        self._by_id: dict[str, _Connection] = {}
        self._by_remote: dict[Address, _Connection] = {}
        self._opening: dict[Address, asyncio.Task[None]] = {}
        self._idle_timer: asyncio.TimerHandle | None = None
        self._count = 0
        self._is_stopping = False

    def __len__(self) -> int:
        """Return how many connections stand or are being opened."""
        return len(self._by_id) + len(self._opening)

    async def start(self, listener: socket.socket) -> None:
        """Accept connections on a bound socket."""
        loop = asyncio.get_running_loop()
        self._is_stopping = False
        self._server = await loop.create_server(lambda: _Connection(self, self._new_id()), sock=listener)
        self._idle_timer = loop.call_later(IDLE_CHECK_S, self._drop_idle)

    async def stop(self) -> None:
        """Close all; idempotent."""
        self._is_stopping = True
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        tasks = list(self._opening.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            self._server = None
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
            connection = self._by_remote.get(flow.remote) or self._open(flow)
        if connection is not None:
            connection.send(data)
        else:
            asyncio.get_running_loop().call_soon(self._on_lost, flow)

    def _new_id(self) -> str:
        self._count += 1
        return f"tcp-{self._count}"

    def _open(self, flow: Flow) -> _Connection | None:
        loop = asyncio.get_running_loop()
        if self._is_stopping or len(self) >= CONNECTIONS_MAX:
            return None
        connection = _Connection(self, self._new_id())
        self._by_remote[flow.remote] = connection
        task = loop.create_task(self._connect(connection, flow), name=f"connect {flow.remote}")
        self._opening[flow.remote] = task
        return connection

    async def _connect(self, connection: _Connection, flow: Flow) -> None:
        """Open one connection; the task belongs to this object and ends with stop()."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection, flow.remote[0], flow.remote[1]
                )
            is_open = connection.flow is not None
        except OSError:  # TimeoutError is one
            is_open = False
        finally:
            self._opening.pop(flow.remote, None)
        if not is_open:
            self._by_remote.pop(flow.remote, None)
            self._on_lost(flow)

    # --- what connections tell ---

    def opened(self, connection: _Connection) -> None:
        """A connection stands."""
        if self._is_stopping or len(self._by_id) >= CONNECTIONS_MAX:
            connection.abort()
            return
        assert connection.flow is not None
        self._by_id[connection.flow_id] = connection
        self._by_remote.setdefault(connection.flow.remote, connection)

    def stream_lost(self, connection: _Connection, fault: RemoteMalformed) -> None:
        """Nobody can tell where the next message starts: close."""
        connection.abort()

    def lost(self, connection: _Connection) -> None:
        """A connection is gone: tell the core, by the name of the connection and by its address."""
        self._by_id.pop(connection.flow_id, None)
        flow = connection.flow
        if flow is None:
            return
        if self._by_remote.get(flow.remote) is connection:
            del self._by_remote[flow.remote]
        if not self._is_stopping:
            self._on_lost(flow)
            self._on_lost(Flow("tcp", flow.local, flow.remote))

    def _drop_idle(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - IDLE_TIMEOUT_S
        for connection in list(self._by_id.values()):
            if connection.last_heard < oldest:
                connection.abort()
        self._idle_timer = loop.call_later(IDLE_CHECK_S, self._drop_idle)
