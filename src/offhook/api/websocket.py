"""Websockets: `/websocket` on the API's port, and any path on a port of their own (kazoo-behaviour 11)."""

import asyncio
import contextlib
from typing import Any, Final

import msgspec
import structlog
from prometheus_client import Gauge

from offhook.app.limits import TokenBuckets

from .request import client_address
from .services import ApiServices
from .websocket_session import Gateway, Session

_log = structlog.get_logger("offhook.api")

IDLE_S: Final = 3_600.0
"""KAZOO's: a client that says nothing for an hour is gone. A ping, of either kind, is enough."""

SOCKETS_MAX: Final = 10_000
"""On this node, about 20 KB each."""

TOO_FAST_PAUSE_MAX_S: Final = 1.0
"""A client over its rate is read no faster than this."""

SEND_BOUND_S: Final = 30.0
"""A client that takes nothing for this long is cut, however little waits for it."""

LAST_WORDS_S: Final = 1.0
"""For the frame that says why, before the close frame that says it too."""

GOING_AWAY: Final = 1001
POLICY: Final = 1008
TRY_AGAIN_LATER: Final = 1013
"""Close codes (RFC 6455 7.4.1 and its registry)."""

TOO_SLOW: Final = "too slow: events were piling up"
LAPSED: Final = "authentication token expired or revoked"


class Closing(Exception):
    """The server ends the socket."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Websockets:
    """ASGI application of all sockets."""

    def __init__(self, services: ApiServices) -> None:
        settings = services.settings
        self._services = services
        self._clock = services.clock
        self._gateway = Gateway(
            auth=services.auth,
            documents=services.store.documents,
            events=services.live_events,
            buckets=TokenBuckets(settings.rate_bucket, settings.rate_refill_per_s),
            random=services.random,
        )
        self._open = services.open_sockets
        gauge = Gauge("offhook_websockets", "Websockets that are open.", registry=services.metrics)
        gauge.set_function(self._open.count)

    # --- one connection -----------------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection from its handshake to its end."""
        if scope["type"] != "websocket":
            await _refuse_http(send)
            return
        await receive()  # websocket.connect
        address, port = self._peer(scope)
        refusal = self._refusal(scope, address)
        if refusal is not None:
            await _refuse(send, *refusal)
            return
        session = Session(self._gateway, self._open.new_id(address, port), address, self._clock.epoch())
        self._open.add(session)
        try:
            await send({"type": "websocket.accept"})
            await self._serve(session, scope, receive, send)
        finally:
            session.close()
            self._open.remove(session)

    def peer_of(self, scope: Any) -> tuple[str, int, bool]:
        """Return address and port of a client, and whether TLS is between; a trusted proxy says so."""
        address, port = self._peer(scope)
        peer = (scope.get("client") or ("",))[0]
        protocol = next((value for name, value in scope["headers"] if name == b"x-forwarded-proto"), b"")
        is_told = peer in self._services.settings.trusted_proxies and protocol in (b"https", b"wss")
        return address, port, is_told or scope.get("scheme") == "wss"

    def _peer(self, scope: Any) -> tuple[str, int]:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        address = client_address(scope, headers, self._services.settings.trusted_proxies)
        return address, (scope.get("client") or ("", 0))[1]

    def _refusal(self, scope: Any, address: str) -> tuple[int, str] | None:
        """Return status and reason if this client may not open a socket."""
        limit = self._services.settings.websockets_per_address
        if any(name == b"sec-websocket-protocol" for name, _ in scope["headers"]):
            return 400, "Sec-WebSocket-Protocol is not supported"
        if limit and self._open.count(address) >= limit:
            return 429, f"more than {limit} websockets from {address}"
        if self._open.count() >= SOCKETS_MAX:
            return 503, "too many websockets"
        return None

    async def _serve(self, session: Session, scope: Any, receive: Any, send: Any) -> None:
        """Read and write until one side ends it, then say why if it was us."""
        work = [
            asyncio.ensure_future(self._read(session, scope, receive)),
            asyncio.ensure_future(self._write(session, send)),
            asyncio.ensure_future(self._watch(session)),
        ]
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            closing = next((error for task in done if (error := task.exception()) is not None), None)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        if closing is None:
            return
        if not isinstance(closing, Closing):
            raise closing
        _log.info("websocket is closed", session=session.id, code=closing.code, reason=closing.reason)
        if closing.code == POLICY:
            await self._say_lapsed(session, send)
        await send({"type": "websocket.close", "code": closing.code, "reason": closing.reason})

    async def _read(self, session: Session, scope: Any, receive: Any) -> None:
        """Take requests until the client leaves. Raises Closing."""
        while True:
            message = await self._next_message(session, scope, receive)
            if message["type"] != "websocket.receive":
                return
            text = message.get("text")
            frame = text if text is not None else message.get("bytes", b"")
            wait_s = await session.take(frame, now=self._clock.monotonic())
            if wait_s:
                await asyncio.sleep(min(wait_s, TOO_FAST_PAUSE_MAX_S))

    async def _next_message(self, session: Session, scope: Any, receive: Any) -> Any:
        """Return what the client says next. Raises Closing when it is idle, or when its token has run out."""
        heard_at = self._clock.monotonic()
        pinged_at = scope.get("extensions", {}).get("offhook.pinged_at", lambda: 0.0)
        while True:
            principal, left_s = session.principal, IDLE_S - (self._clock.monotonic() - heard_at)
            if left_s <= 0:
                raise Closing(GOING_AWAY, "idle for an hour")
            if principal is not None:
                left_s = min(left_s, principal.expires_at - self._clock.epoch())
                if left_s <= 0:
                    raise Closing(POLICY, LAPSED)
            try:
                async with asyncio.timeout(left_s):
                    return await receive()
            except TimeoutError:
                heard_at = max(heard_at, pinged_at())

    async def _write(self, session: Session, send: Any) -> None:
        """Send what waits. Raises Closing when the client may not see it any more, or takes nothing."""
        while True:
            frame = await session.outgoing.next()
            if frame is None:
                return
            if frame.is_event and not await session.is_still_allowed():
                raise Closing(POLICY, LAPSED)
            try:
                async with asyncio.timeout(SEND_BOUND_S):
                    await send({"type": "websocket.send", "text": frame.text.decode()})
            except TimeoutError:
                raise Closing(TRY_AGAIN_LATER, TOO_SLOW) from None

    async def _watch(self, session: Session) -> None:
        """Raise Closing as soon as too much waits, also while a send is stuck."""
        await session.outgoing.overrun()
        raise Closing(TRY_AGAIN_LATER, TOO_SLOW)

    async def _say_lapsed(self, session: Session, send: Any) -> None:
        body = {"action": "reply", "request_id": self._services.random.hex(32), "status": "error"}
        text = msgspec.json.encode({**body, "data": {"errors": [LAPSED]}}).decode()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await send({"type": "websocket.send", "text": text})


async def _refuse(send: Any, status: int, reason: str) -> None:
    """Answer a handshake with an error (ASGI's websocket.http.response)."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": f"{reason}\n".encode()})


async def _refuse_http(send: Any) -> None:
    """Tell who comes without a handshake that only websockets are here."""
    body = b"this port speaks websocket only\n"
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"upgrade", b"websocket"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 426, "headers": headers})
    await send({"type": "http.response.body", "body": body})
