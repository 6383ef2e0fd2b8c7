"""Requests for calls are refused unread while there is no room; everything else passes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from offhook.api import connections
from offhook.api.server import HttpServer
from offhook.api.shedding import Shedding, is_call
from offhook.system import SystemClock, SystemRandom

BUTTON = f"/v2/accounts/{'a' * 32}/clicktocall/{'b' * 32}"
DEVICE = f"/v2/accounts/{'a' * 32}/devices/{'b' * 32}"


@pytest.mark.parametrize(
    ("method", "url", "expected"),
    [
        ("GET", f"{BUTTON}/connect?contact=%2B15551234567", True),
        ("POST", f"{BUTTON}/connect/", True),
        ("GET", f"{DEVICE}/quickcall/1002", True),
        ("GET", f"{BUTTON}/connect?contact=1&dry_run=true", False),
        ("GET", f"{BUTTON}/history", False),
        ("OPTIONS", f"{BUTTON}/connect", False),
        ("DELETE", f"/v2/accounts/{'a' * 32}/calls/c", False),
        ("GET", "/metrics", False),
    ],
)
def test_calls_are_known_by_their_path(method: str, url: str, expected: bool) -> None:
    assert is_call(method.encode(), url.encode()) is expected


async def says_ok(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


class Door:
    """A server with an application that says 200, and a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def request(self, method: str, path: str, body: bytes = b"", headers: str = "") -> int:
        """Send a request; keep its answer."""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        self.writer.write(head.encode() + body)
        return await self.answer()

    async def answer(self) -> int:
        """Read one answer; return its status."""
        async with asyncio.timeout(20):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            lines = [line.split(": ", 1) for line in head.split("\r\n")[1:] if line]
            self.headers = {name.lower(): value for name, value in lines}
            self.body = await self.reader.readexactly(int(self.headers["content-length"]))
        return int(head.split()[1])


@asynccontextmanager
async def given_door(room: list[bool]) -> AsyncIterator[tuple[Door, CollectorRegistry]]:
    """Run a server whose node has room, or has not."""
    registry = CollectorRegistry()
    services = SimpleNamespace(metrics=registry, clock=SystemClock(), random=SystemRandom(), node="node")
    overload = SimpleNamespace(has_room=lambda now: room[0])
    shedding = Shedding(services, overload)  # type: ignore[arg-type]
    server = HttpServer(says_ok, "127.0.0.1", 0, refusal=shedding.refusal)
    await server.start()
    reader, writer = await asyncio.open_connection(*server.address)
    try:
        yield Door(reader, writer), registry
    finally:
        writer.close()
        await server.stop()


def test_a_call_is_refused_with_the_time_to_come_again() -> None:
    async def run() -> None:
        async with given_door([False]) as (door, registry):
            assert await door.request("GET", f"{BUTTON}/connect?contact=1") == 503
            assert door.headers["retry-after"] == "2"
            assert door.headers["access-control-allow-origin"] == "*"
            envelope = json.loads(door.body)
            assert (envelope["error"], envelope["message"]) == ("503", "overloaded")
            assert envelope["status"] == "error"
            assert len(envelope["request_id"]) == 32
            assert door.headers["x-request-id"] == envelope["request_id"]
            assert registry.get_sample_value("offhook_calls_shed_total") == 1

    asyncio.run(run())


def test_a_connection_goes_on_after_a_refusal() -> None:
    async def run() -> None:
        room = [False]
        async with given_door(room) as (door, _):
            assert await door.request("POST", f"{DEVICE}/quickcall/1002", b'{"data": {}}' * 100) == 503
            first = json.loads(door.body)["request_id"]
            assert await door.request("GET", f"{BUTTON}/history") == 200
            assert await door.request("GET", f"{BUTTON}/connect?contact=1") == 503
            assert json.loads(door.body)["request_id"] != first
            room[0] = True
            assert await door.request("GET", f"{BUTTON}/connect?contact=1") == 200

    asyncio.run(run())


def test_pipelined_requests_are_answered_in_order() -> None:
    async def run() -> None:
        async with given_door([False]) as (door, _):
            paths = (f"{BUTTON}/connect", "/healthz", f"{BUTTON}/connect", "/healthz")
            door.writer.write(b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths))
            statuses = [await door.answer() for _ in paths]
            assert statuses in ([503, 200, 503, 200], [503, 200, 200, 200])  # the third waits for the second

    asyncio.run(run())


def test_who_wants_no_further_request_is_closed() -> None:
    async def run() -> None:
        async with given_door([False]) as (door, _):
            assert await door.request("GET", f"{BUTTON}/connect", headers="Connection: close\r\n") == 503
            async with asyncio.timeout(20):
                assert await door.reader.read() == b""

    asyncio.run(run())


def test_who_says_nothing_or_drips_is_cut_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_REQUEST_S", 0.3)
    monkeypatch.setattr(connections, "WHOLE_REQUEST_S", 0.3)

    async def run() -> None:
        async with given_door([True]) as (door, _):
            address = door.writer.get_extra_info("peername")
            assert await door.request("GET", "/healthz") == 200
            silent, dripping = [await asyncio.open_connection(*address) for _ in range(2)]
            dripping[1].write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n12")
            async with asyncio.timeout(20):
                for reader, writer in (silent, dripping):
                    with contextlib.suppress(ConnectionResetError):
                        while await reader.read(100):
                            continue
                    writer.close()
            assert await door.request("GET", "/healthz") == 200

    asyncio.run(run())
