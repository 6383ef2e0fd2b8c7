"""Two endpoints over real sockets on loopback: UDP, TCP, fallback, keep-alive, limits."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from offhook.engines.embedded.rate_limit import AddressRateLimit
from offhook.engines.embedded.transports import SipEndpoint
from offhook.sip.commands import InviteRequest
from offhook.sip.config import UserAgentConfig
from offhook.sip.events import (
    AckReceived,
    DialogEnded,
    EndCause,
    InviteAnswered,
    InviteEnded,
    RequestReceived,
    SipEvent,
)
from offhook.sip.flows import Flow
from offhook.sip.transaction_layer import bracketed
from offhook.sip.user_agent import UserAgentCore
from offhook.system import SystemClock, SystemRandom

Event = TypeVar("Event")
HOST = "127.0.0.1"


class Peer:
    """An endpoint that remembers its events and answers every INVITE at once."""

    def __init__(self, *, rate: float = 0.0, host: str = HOST) -> None:
        core = UserAgentCore(UserAgentConfig(advertised={"udp": (host, 0), "tcp": (host, 0)}), SystemRandom())
        self.events: list[SipEvent] = []
        self.traced: list[tuple[str, bytes, Flow]] = []
        self.lost: list[Flow] = []
        self.clock = SystemClock()
        limit = AddressRateLimit(rate)
        self.endpoint = SipEndpoint(
            core,
            clock=self.clock,
            on_event=self.take,
            on_flow_lost=self.lost.append,
            host=host,
            port=0,
            admits=lambda data, flow, now: limit.admits(flow.remote[0], now),
            trace=lambda way, data, flow, now: self.traced.append((way, data, flow)),
        )

    def take(self, event: SipEvent) -> None:
        self.events.append(event)
        core, now = self.endpoint.core, self.clock.monotonic()
        if isinstance(event, RequestReceived):
            core.respond(event.transaction, 200, body=b"v=0\r\n", now=now)
        if isinstance(event, InviteAnswered):
            core.send_ack(event.dialog, b"", now)

    def call(self, peer: "Peer", *, transport: str = "udp", body: bytes = b"v=0\r\n") -> None:
        flow = self.endpoint.flow_to(transport, peer.endpoint.address)
        host, port = peer.endpoint.address
        self.endpoint.core.invite(
            InviteRequest(
                request_uri=f"sip:peer@{bracketed(host)}:{port}",
                from_="<sip:us@example.com>",
                to="<sip:peer@example.com>",
                flow=flow,
                body=body,
            ),
            self.clock.monotonic(),
        )
        self.endpoint.flush()

    def bye(self) -> None:
        dialog = self.one(InviteAnswered).dialog
        self.endpoint.core.bye(dialog, self.clock.monotonic())
        self.endpoint.flush()

    def one(self, kind: type[Event]) -> Event:
        return next(event for event in self.events if isinstance(event, kind))

    def has(self, kind: type[SipEvent]) -> bool:
        return any(isinstance(event, kind) for event in self.events)


@asynccontextmanager
async def two_peers(*, rate: float = 0.0, host: str = HOST) -> AsyncIterator[tuple[Peer, Peer]]:
    ours, theirs = Peer(host=host), Peer(rate=rate, host=host)
    await theirs.endpoint.stop()
    await ours.endpoint.start()
    await theirs.endpoint.start()
    try:
        yield ours, theirs
    finally:
        await ours.endpoint.stop()
        await theirs.endpoint.stop()
        await ours.endpoint.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_call_over(transport: str) -> None:
    async def run() -> None:
        async with two_peers() as (ours, theirs):
            ours.call(theirs, transport=transport)
            await until(lambda: theirs.has(AckReceived))
            ours.bye()
            await until(lambda: ours.has(DialogEnded) and theirs.has(DialogEnded))
            assert {flow.transport for _, _, flow in ours.traced} == {transport}
            assert [way for way, _, _ in ours.traced][:3] == ["out", "in", "in"]

    asyncio.run(run())


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_call_over_ipv6(transport: str) -> None:
    if not has_ipv6():
        pytest.skip("no IPv6 on loopback")

    async def run() -> None:
        async with two_peers(host="::1") as (ours, theirs):
            ours.call(theirs, transport=transport)
            await until(lambda: theirs.has(AckReceived))
            ours.bye()
            await until(lambda: theirs.has(DialogEnded))
            assert b"Via: SIP/2.0/%b [::1]:" % transport.upper().encode() in ours.traced[0][1]

    asyncio.run(run())


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_a_long_invite_goes_over_tcp_by_itself() -> None:
    async def run() -> None:
        async with two_peers() as (ours, theirs):
            ours.call(theirs, body=b"x" * 1_400)
            await until(lambda: theirs.has(AckReceived))
            assert theirs.one(RequestReceived).transaction.source.transport == "tcp"
            assert len(theirs.one(RequestReceived).request.body) == 1_400

    asyncio.run(run())


def test_a_long_invite_to_a_peer_without_tcp_comes_back_to_udp() -> None:
    async def run() -> None:
        async with two_peers() as (ours, theirs):
            await theirs.endpoint._tcp.stop()  # as a peer that has only UDP
            ours.call(theirs, body=b"x" * 1_400)
            await until(lambda: theirs.has(AckReceived))
            assert theirs.one(RequestReceived).transaction.source.transport == "udp"

    asyncio.run(run())


def test_nobody_listens_on_tcp() -> None:
    async def run() -> None:
        async with two_peers() as (ours, theirs):
            await theirs.endpoint.stop()
            ours.call(theirs, transport="tcp")
            await until(lambda: ours.has(InviteEnded))
            ended = ours.one(InviteEnded)
            assert (ended.status, ended.cause) == (503, EndCause.TRANSPORT)

    asyncio.run(run())


def test_a_connection_that_is_lost_is_told_with_its_name() -> None:
    async def run() -> None:
        async with two_peers() as (ours, theirs):
            ours.call(theirs, transport="tcp")
            await until(lambda: theirs.has(AckReceived))
            source = theirs.one(RequestReceived).transaction.source
            assert theirs.endpoint.flow(source.id) == source
            await ours.endpoint.stop()
            await until(lambda: bool(theirs.lost))
            assert theirs.lost == [source]
            assert theirs.endpoint.flow(source.id) is None

    asyncio.run(run())


def test_one_connection_carries_both_directions_and_is_used_again() -> None:
    async def run() -> None:
        async with two_peers() as (ours, theirs):
            for _ in range(3):
                ours.call(theirs, transport="tcp")
            await until(lambda: sum(isinstance(event, AckReceived) for event in theirs.events) == 3)
            assert len({flow for way, _, flow in theirs.traced if way == "in"}) == 1
            dialog = theirs.one(AckReceived).dialog
            theirs.endpoint.core.bye(dialog, theirs.clock.monotonic())
            theirs.endpoint.flush()
            await until(lambda: ours.has(DialogEnded))
            assert len({flow for way, _, flow in ours.traced if way == "in"}) == 1

    asyncio.run(run())


def test_keep_alive_pings_are_answered_and_split_messages_joined() -> None:
    async def run() -> None:
        async with two_peers() as (_, theirs):
            reader, writer = await asyncio.open_connection(*theirs.endpoint.address)
            writer.write(b"\r\n\r\n")
            assert await reader.readexactly(2) == b"\r\n"
            options = options_message()
            for at in range(0, len(options), 50):
                writer.write(options[at : at + 50])
                await writer.drain()
                await asyncio.sleep(0)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"SIP/2.0 200 ")
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await reader.read() == b""
            writer.close()

    asyncio.run(run())


def test_a_flood_from_one_address_is_cut() -> None:
    async def run() -> None:
        async with two_peers(rate=20) as (_, theirs):
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=theirs.endpoint.address
            )
            for number in range(200):
                transport.sendto(options_message(number))
            await asyncio.sleep(0.2)
            transport.close()
            assert 20 <= theirs.endpoint.core.statistics["messages_received"] <= 30

    asyncio.run(run())


def test_garbage_does_no_harm() -> None:
    async def run() -> None:
        async with two_peers() as (ours, theirs):
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=theirs.endpoint.address
            )
            for garbage in (
                b"\x00" * 2_000,
                b"INVITE",
                b"SIP/2.0 200 OK\r\n\r\n",
                b"\r\n\r\n",
                b"x" * 65_000,
            ):
                transport.sendto(garbage)
            transport.close()
            ours.call(theirs)
            await until(lambda: theirs.has(AckReceived))
            assert theirs.endpoint.core.dialog_count == 1

    asyncio.run(run())


def test_a_callback_that_fails_keeps_nobody_else_from_their_events() -> None:
    async def run() -> None:
        async with two_peers() as (ours, theirs):
            taken = theirs.take

            def fail_first(event: SipEvent) -> None:
                theirs.endpoint.on_event = taken
                raise RuntimeError("a bug of the engine")

            theirs.endpoint.on_event = fail_first
            ours.call(theirs)
            ours.call(theirs)
            await until(lambda: theirs.has(AckReceived))
            assert theirs.endpoint.on_event == taken

    asyncio.run(run())


def options_message(number: int = 0) -> bytes:
    lines = [
        "OPTIONS sip:us@example.com SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKoptions{number};rport",
        "Max-Forwards: 70",
        "From: <sip:them@example.com>;tag=1",
        "To: <sip:us@example.com>",
        f"Call-ID: options-{number}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()
