"""SIP over websockets (RFC 7118): an ASGI application that hands frames to the core, and sends its own.

One frame is one message, text or binary. Only the peer can open a connection, and its Contact and Via are
names that lead nowhere (`….invalid`): what it is sent goes over the flow it came by.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import structlog

from offhook.sip.flows import Flow
from offhook.sip.framing import PING, PONG

from .connection_limits import ConnectionLimits

_log = structlog.get_logger("offhook.sip")

SUBPROTOCOL: Final = "sip"
CONNECTIONS_MAX: Final = 10_000
"""Browsers on one node; about 40 KB each, uvicorn's buffers and ours."""
WAITING_MAX: Final = 256
"""Messages that wait for a browser that reads nothing; then it is given up."""
IDLE_TIMEOUT_S: Final = 3_900.0
"""Without a message: longer than the longest registration. Uvicorn's pings find the dead earlier."""
SEND_BOUND_S: Final = 30.0
"""For one frame to a browser that takes nothing."""


class _Connection:
    """One accepted websocket."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self._waiting: deque[bytes] = deque()
        self._has_news = asyncio.Event()
        self._is_over = False

    def put(self, data: bytes) -> None:
        """Queue a frame; one too many ends the connection."""
        if len(self._waiting) >= WAITING_MAX:
            self.close()
            return
        self._waiting.append(data)
        self._has_news.set()

    def close(self) -> None:
        """End it, from our side."""
        self._is_over = True
        self._has_news.set()

    async def next(self) -> bytes | None:
        """Return the next frame to send; None when it is over."""
        while not self._waiting and not self._is_over:
            self._has_news.clear()
            await self._has_news.wait()
        return self._waiting.popleft() if not self._is_over else None


class WsConnections:
    """ASGI application for SIP over websockets; `send` and `flow` are for the endpoint."""

    def __init__(
        self,
        *,
        on_message: Callable[[bytes, Flow], None],
        on_lost: Callable[[Flow], None],
        limits: ConnectionLimits | None = None,
    ) -> None:
        """on_message gets each message; on_lost each flow that can carry nothing any more.

        limits may be shared with other transports.
        """
        self._limits = limits or ConnectionLimits()
        self._on_message = on_message
        self._on_lost = on_lost
        self._by_id: dict[str, _Connection] = {}
        self._count = 0
        self._is_stopping = False
        self.peer_of: Callable[[Any], tuple[str, int, bool]] = _client
        """Tells from an ASGI scope who the peer is, and whether TLS is between (a trusted proxy says so)."""

    def __len__(self) -> int:
        """Return how many connections stand."""
        return len(self._by_id)

    def stop(self) -> None:
        """Close all, and take no more."""
        self._is_stopping = True
        for connection in list(self._by_id.values()):
            connection.close()

    def flow(self, flow_id: str) -> Flow | None:
        """Return the flow of a connection that stands, or None."""
        connection = self._by_id.get(flow_id)
        return connection.flow if connection is not None else None

    def send(self, data: bytes, flow: Flow) -> None:
        """Send over the connection of a flow; there is no other way to this peer."""
        connection = self._by_id.get(flow.id)
        if connection is not None:
            connection.put(data)
        else:
            asyncio.get_running_loop().call_soon(self._on_lost, flow)

    # --- one connection -----------------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection from its handshake to its end (ASGI)."""
        await receive()  # websocket.connect
        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(send, *refusal)
            return
        connection = self._new_connection(scope)
        self._by_id[connection.flow.id] = connection
        try:
            await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
            await self._serve(connection, receive, send)
        finally:
            del self._by_id[connection.flow.id]
            self._limits.closed(connection.flow.remote[0])
            if not self._is_stopping:
                self._on_lost(connection.flow)

    def _refusal(self, scope: Any) -> tuple[int, str] | None:
        if SUBPROTOCOL not in scope.get("subprotocols", ()):
            return 400, "Sec-WebSocket-Protocol must be sip (RFC 7118)"
        if self._is_stopping or len(self._by_id) >= CONNECTIONS_MAX:
            return 503, "too many websockets"
        if not self._limits.opens(self.peer_of(scope)[0]):
            return 429, "too many connections from this address"
        return None

    def _new_connection(self, scope: Any) -> _Connection:
        self._count += 1
        host, port, is_secure = self.peer_of(scope)
        transport = "wss" if is_secure else "ws"
        server = scope.get("server") or ("", 0)
        local = (server[0], server[1] or 0)
        return _Connection(Flow(transport, local, (host, port), f"{transport}-{self._count}"))

    async def _serve(self, connection: _Connection, receive: Any, send: Any) -> None:
        """Read and write until one side ends it."""
        work = [
            asyncio.ensure_future(self._read(connection, receive)),
            asyncio.ensure_future(_write(connection, send)),
        ]
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            peer_left = work[0] in done
        finally:
            for task in work:
                task.cancel()
            results = await asyncio.gather(*work, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, TimeoutError):
                raise result
        if not peer_left or isinstance(results[0], TimeoutError):
            await send({"type": "websocket.close", "code": 1001, "reason": ""})

    async def _read(self, connection: _Connection, receive: Any) -> None:
        """Take messages until the peer leaves. Raises TimeoutError if it says nothing."""
        while True:
            async with asyncio.timeout(IDLE_TIMEOUT_S):
                frame = await receive()
            if frame["type"] != "websocket.receive":
                return
            text = frame.get("text")
            data: bytes = text.encode() if text is not None else frame.get("bytes") or b""
            if data == PING:
                connection.put(PONG)
            elif data.strip(b"\r\n"):
                self._on_message(data, connection.flow)


async def _write(connection: _Connection, send: Any) -> None:
    """Send what waits, until it is over. Raises TimeoutError if the peer takes nothing."""
    while (data := await connection.next()) is not None:
        async with asyncio.timeout(SEND_BOUND_S):
            await send(_frame(data))


def _frame(data: bytes) -> dict[str, Any]:
    """Return a frame to send: text, as browsers like it, unless the message is none (RFC 7118 section 4)."""
    try:
        return {"type": "websocket.send", "text": data.decode()}
    except UnicodeDecodeError:
        return {"type": "websocket.send", "bytes": data}


def _client(scope: Any) -> tuple[str, int, bool]:
    host, port = scope.get("client") or ("", 0)
    return host, port, scope.get("scheme") == "wss"


async def _refuse(send: Any, status: int, reason: str) -> None:
    """Answer a handshake with an error (ASGI's websocket.http.response)."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": f"{reason}\n".encode()})
