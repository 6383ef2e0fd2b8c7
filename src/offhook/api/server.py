"""Uvicorn inside a node: it leaves signals to us, and starts and stops when told."""

import asyncio
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from .connections import HttpConnection, WebsocketConnection

BACKLOG = 2048
"""Connections the kernel keeps while the loop is busy."""

FRAME_MAX_BYTES = 65_536
"""Of a websocket client's message: 200 bindings of the longest kind fit."""

PING_EVERY_S = 20.0
"""A websocket peer that does not answer within as long is gone; middleboxes forget connections after 60 s."""


Refusal = Callable[[bytes, bytes], bytes | None]
"""Returns a whole answer to a method and URL that get no service now, or None."""


class HttpServer:
    """Serves an ASGI application on one address. `stop()` is idempotent and may precede `start()`."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        certificate: str = "",
        key: str = "",
        refusal: Refusal | None = None,
    ) -> None:
        """With certificate and key (PEM files) it serves TLS.

        refusal may answer a request by its method and URL, before anything is spent on it.
        """
        self._address = (host, port)
        config = uvicorn.Config(
            app,
            http=HttpConnection if refusal is None else HttpConnection.refusing(refusal),
            ws=WebsocketConnection,
            ws_max_size=FRAME_MAX_BYTES,
            ws_ping_interval=PING_EVERY_S,
            ws_ping_timeout=PING_EVERY_S,
            ws_per_message_deflate=False,  # frames are small; a compressor's memory per socket is not
            lifespan="off",
            access_log=False,
            proxy_headers=False,  # the gate reads X-Forwarded-For, from trusted proxies only
            log_config=None,
            server_header=False,
            ssl_certfile=certificate or None,
            ssl_keyfile=key or None,
        )
        config.load()
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)
        self._listener: socket.socket | None = None
        self._ticks: asyncio.Task[None] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; valid after start()."""
        return self._address

    async def start(self) -> None:
        """Listen and begin to serve. Raises OSError if the address is taken."""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        listener = socket.create_server(self._address, family=family, backlog=BACKLOG)
        listener.setblocking(False)
        self._listener = listener
        self._address = listener.getsockname()[:2]
        await self._server.startup(sockets=[listener])
        self._ticks = asyncio.get_running_loop().create_task(self._server.main_loop(), name="http server")

    async def stop(self) -> None:
        """Finish the requests under way, then close."""
        if self._ticks is None:
            return
        self._server.should_exit = True
        ticks, self._ticks = self._ticks, None
        await ticks
        await self._server.shutdown(sockets=[self._listener] if self._listener else None)
