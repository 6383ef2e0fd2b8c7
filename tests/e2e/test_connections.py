"""Peers that take nothing, at our HTTP and websocket connections over real sockets."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from offhook.api import connections
from offhook.api.server import HttpServer

App = Callable[[Any, Any, Any], Awaitable[None]]

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PING = b"\x89\xfd\x00\x00\x00\x00" + b"x" * 125
"""Masked with zeros, as large as a ping may be."""
BOUND_S = 10.0


def served(app: App, talk: Callable[[socket.socket], Awaitable[None]]) -> None:
    """Serve one client that has hardly room to receive; the server must be able to stop afterwards."""

    async def scenario() -> None:
        server = HttpServer(app, "127.0.0.1", 0)
        await server.start()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, server.address)
            async with asyncio.timeout(BOUND_S):
                await talk(client)
                await server.stop()

    asyncio.run(scenario())


async def until_reset(client: socket.socket) -> None:
    """Read what is still there, then return once the connection is gone."""
    loop = asyncio.get_running_loop()
    try:
        while await loop.sock_recv(client, 65_536):
            pass
    except ConnectionError:
        return


def test_a_stalled_answer_can_be_aborted() -> None:
    aborted = asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            async with asyncio.timeout(0.3):
                while True:
                    await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        except TimeoutError:
            scope["extensions"]["offhook.abort"]()
            while (await receive())["type"] != "http.disconnect":
                pass
            aborted.set()

    async def talk(client: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(client, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await aborted.wait()
        await until_reset(client)

    served(endless, talk)
    assert aborted.is_set()


def test_a_request_that_has_begun_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_REQUEST_S", 0.3)
    answers: list[bytes] = []

    async def says_ok(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def talk(client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, b"GET / HT")
        await asyncio.sleep(0.6)
        await loop.sock_sendall(client, b"TP/1.1\r\nHost: x\r\n\r\n")
        answers.append(await loop.sock_recv(client, 65_536))

    served(says_ok, talk)
    assert answers[0].startswith(b"HTTP/1.1 204")


def websocket_app(work: Callable[[Any, Any], Awaitable[None]]) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await work(receive, send)

    return app


def test_a_stalled_websocket_is_closed_without_waiting_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LINGER_S", 0.2)
    closed = asyncio.Event()

    async def flood(receive: Any, send: Any) -> None:
        try:
            async with asyncio.timeout(0.3):
                while True:
                    await send({"type": "websocket.send", "text": "x" * 65_536})
        except TimeoutError:
            await send({"type": "websocket.close", "code": 1013, "reason": "too slow"})
        closed.set()

    async def talk(client: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(client, HANDSHAKE)
        await closed.wait()
        await asyncio.sleep(0.4)
        await until_reset(client)

    served(websocket_app(flood), talk)
    assert closed.is_set()


async def ping_for_ever(client: socket.socket) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(client, PING * 500)


def test_who_sends_pings_and_takes_no_pongs_is_cut() -> None:
    async def listen(receive: Any, send: Any) -> None:
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async def talk(client: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(client, HANDSHAKE)
        with pytest.raises(ConnectionError):
            await ping_for_ever(client)

    served(websocket_app(listen), talk)
