"""Uvicorn's connections, where ours must be firmer: a peer that takes nothing is cut, and costs no memory."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

FRAGMENTS_MAX: Final = 64
"""Per message: clients send a request of a few hundred bytes in one. Empty fragments have no other bound."""

LINGER_S: Final = 5.0
"""How long a closed socket may take to fetch what was sent before the close frame."""

LAST_WORDS_S: Final = 1.0
"""The same after a broken frame: nothing was waiting, and nothing the peer says can be read any more."""

TOO_BIG: Final = 1009


FIRST_REQUEST_S: Final = 30.0
"""Browsers open connections beforehand and use them within seconds."""

WHOLE_REQUEST_S: Final = 120.0
"""The largest upload over a slow line; who drips bytes holds a connection no longer."""


class HttpConnection(HttpToolsProtocol):
    """An HTTP connection whose application may end it at once (`scope["extensions"]["offhook.abort"]`).

    Requests that `refusal` has an answer for never reach the application. A connection that brings no request
    is cut, and so is one whose request never ends.
    """

    refusal: Callable[[bytes, bytes], bytes | None] = staticmethod(lambda method, url: None)
    """Asked with method and URL, once the headers are here."""
    is_refused = False
    is_partial = False
    """A request has begun that is not whole yet."""
    deadline: asyncio.TimerHandle | None = None

    @classmethod
    def refusing(cls, refusal: Callable[[bytes, bytes], bytes | None]) -> type["HttpConnection"]:
        """Return connections that ask this."""
        return type(cls.__name__, (cls,), {"refusal": staticmethod(refusal)})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self.deadline = self.loop.call_later(FIRST_REQUEST_S, self._cut)

    def data_received(self, data: bytes) -> None:
        """Take some bytes; what they leave unfinished has a time to be finished in."""
        super().data_received(data)
        if self.is_partial and self.deadline is None:
            self.deadline = self.loop.call_later(WHOLE_REQUEST_S, self._cut)
        elif not self.is_partial and self.deadline is not None:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def _cut(self) -> None:
        if self.transport.get_protocol() is self:  # else it has become a websocket
            self.transport.abort()

    def on_message_begin(self) -> None:
        """Begin a request's scope."""
        super().on_message_begin()
        self._stop_waiting()  # for a request to begin; from now on for its end
        self.is_partial, self.is_refused = True, False
        self.scope["extensions"] = {"offhook.abort": self.transport.abort}  # type: ignore[dict-item]

    def on_headers_complete(self) -> None:
        """Refuse the request, or let the application have it: in its turn, and as its peer takes answers."""
        is_turn = (self.cycle is None or self.cycle.response_complete) and not self.flow.write_paused
        answer = self.refusal(self.parser.get_method(), self.url) if is_turn else None
        if answer is None:
            super().on_headers_complete()
            return
        self.is_refused = True
        self.transport.write(answer)
        if not self.parser.should_keep_alive():
            self.transport.close()

    def on_body(self, body: bytes) -> None:
        """Pass the body on, unless nobody wants it."""
        if not self.is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Say that the request is whole; after a refusal wait for the next one."""
        self.is_partial = False
        if self.is_refused:
            self.on_response_complete()
        else:
            super().on_message_complete()


class WebsocketConnection(WebSocketsSansIOProtocol):
    """A websocket that ends within LINGER_S of its close frame, whatever its peer does.

    `scope["extensions"]["offhook.pinged_at"]` tells when the peer last sent a ping (loop time).
    """

    pinged_at = 0.0

    async def run_asgi(self) -> None:
        """Run the application, then see to it that the connection ends."""
        extensions: dict[str, Any] = {
            "websocket.http.response": {},
            "offhook.pinged_at": lambda: self.pinged_at,
        }
        self.scope["extensions"] = extensions
        await super().run_asgi()
        self.loop.call_later(LINGER_S, self._abort)

    async def send(self, message: Any) -> None:
        """Send what the application says; a close frame does not wait for a peer that takes nothing."""
        if message["type"] == "websocket.close" and self.handshake_complete and not self.writable.is_set():
            self._cut(message.get("code", 1000), message.get("reason", "") or "")
        else:
            await super().send(message)

    def handle_cont(self, event: Frame) -> None:
        """Take one more fragment of a message, unless there are too many."""
        if len(self.frames) >= FRAGMENTS_MAX:
            self._cut(TOO_BIG, "too many fragments")
        else:
            super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer a ping; a peer that sends them and takes no answers is cut."""
        self.pinged_at = self.loop.time()
        if self.writable.is_set():
            super().handle_ping()
        else:
            self._abort()

    def keepalive_timeout(self) -> None:
        """Give up on a peer that answers no ping; what is not sent yet will never be."""
        super().keepalive_timeout()
        self._abort()

    def handle_parser_exception(self) -> None:
        """Close after a frame that breaks the protocol, or its bounds."""
        said = self.conn.close_sent
        if said is not None and not self.close_sent:
            self._say_last(said.code, said.reason, linger_s=LAST_WORDS_S)

    def _cut(self, code: int, reason: str) -> None:
        if not self.close_sent and not self.transport.is_closing():
            self.conn.send_close(code, reason)
            self._say_last(code, reason, linger_s=LINGER_S)

    def _say_last(self, code: int, reason: str, *, linger_s: float) -> None:
        """Send the close frame that is due. To close at once, over unread input, would reset it away."""
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(linger_s, self._abort)

    def _abort(self) -> None:
        if not self.disconnected:
            self.transport.abort()
