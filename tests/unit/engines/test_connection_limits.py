"""Connections of one address are bounded, and slow ones are closed."""

import asyncio
import socket

import pytest

from offhook.engines.embedded import connection_limits, tcp_connections
from offhook.engines.embedded.connection_limits import FIRST_MESSAGE_S, PARTIAL_S, ConnectionLimits
from offhook.engines.embedded.tcp_connections import TcpConnections
from offhook.sip import Flow

PEER = "203.0.113.66"
WHOLE = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n"


def test_an_address_has_so_many_and_gets_back_what_it_closes() -> None:
    limits = ConnectionLimits(2)
    assert [limits.opens(PEER) for _ in range(3)] == [True, True, False]
    assert limits.opens("203.0.113.67")
    limits.closed(PEER)
    assert limits.opens(PEER)
    assert limits.counts["connections_per_address"] == 1


def test_nothing_is_kept_of_an_address_that_left() -> None:
    limits = ConnectionLimits(2)
    for number in range(100):
        limits.opens(f"203.0.113.{number}")
        limits.closed(f"203.0.113.{number}")
    assert not limits._open


@pytest.mark.parametrize(
    ("partial_since", "has_spoken", "now", "is_slow"),
    [
        (0.0, False, 100.0 + FIRST_MESSAGE_S, False),
        (0.0, False, 100.1 + FIRST_MESSAGE_S, True),
        (0.0, True, 1_000.0, False),
        (200.0, True, 200.0 + PARTIAL_S, False),
        (200.0, True, 200.1 + PARTIAL_S, True),
    ],
)
def test_who_says_nothing_or_drips_is_too_slow(
    partial_since: float, has_spoken: bool, now: float, is_slow: bool
) -> None:
    limits = ConnectionLimits()
    found = limits.is_too_slow(opened_at=100.0, partial_since=partial_since, has_spoken=has_spoken, now=now)
    assert found is is_slow
    assert limits.counts["slow_connection"] == is_slow


def test_dripping_connections_are_closed_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_connections, "IDLE_CHECK_S", 0.05)
    monkeypatch.setattr(connection_limits, "PARTIAL_S", 0.3)
    monkeypatch.setattr(connection_limits, "FIRST_MESSAGE_S", 0.3)

    async def is_closed(reader: asyncio.StreamReader) -> bool:
        try:
            return await reader.read(1) == b""
        except ConnectionResetError:
            return True

    async def run() -> None:
        heard: list[bytes] = []
        lost: list[Flow] = []
        limits = ConnectionLimits()
        connections = TcpConnections(
            on_message=lambda data, flow: heard.append(data), on_lost=lost.append, limits=limits
        )
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        await connections.start(listener)
        address = listener.getsockname()
        silent, dripping, good = [await asyncio.open_connection(*address) for _ in range(3)]
        good[1].write(WHOLE)
        dripping[1].write(WHOLE + WHOLE[:10])
        async with asyncio.timeout(20):
            assert await is_closed(silent[0])
            assert await is_closed(dripping[0])
        good[1].write(WHOLE)
        async with asyncio.timeout(20):
            while len(heard) < 3:
                await asyncio.sleep(0.01)
        assert limits.counts["slow_connection"] == 2
        assert len(connections) == 1
        for _, writer in (silent, dripping, good):
            writer.close()
        await connections.stop()

    asyncio.run(run())
