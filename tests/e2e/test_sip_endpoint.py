"""Two endpoints over real sockets on loopback: UDP, TCP, fallback, keep-alive, limits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from offhook.engines.embedded.transports import SipEndpoint
from offhook.sip.commands import InviteRequest
from offhook.sip.config import UserAgentConfig
from offhook.sip.events import (
    AckReceived,
    DialogEnded,
    InviteAnswered,
    RequestReceived,
    SipEvent,
)
from offhook.sip.flows import Flow
from offhook.sip.user_agent import UserAgentCore
from offhook.system import SystemClock, SystemRandom

Event = TypeVar("Event")
HOST = "127.0.0.1"


class Peer:
    """An endpoint that remembers its events and answers every INVITE at once."""

    def __init__(self, *, rate: float = 0.0, answers: bool = True) -> None:
        core = UserAgentCore(UserAgentConfig(advertised={"udp": (HOST, 0), "tcp": (HOST, 0)}), SystemRandom())
        self.events: list[SipEvent] = []
        self.answers = answers
        self.traced: list[tuple[str, bytes, Flow]] = []
        self.lost: list[Flow] = []
        self.clock = SystemClock()
        self.endpoint = SipEndpoint(
            core,
            clock=self.clock,
            on_event=self.take,
            on_flow_lost=self.lost.append,
            host=HOST,
            port=0,
            rate_per_address=rate,
            trace=lambda way, data, flow, now: self.traced.append((way, data, flow)),
        )

    def take(self, event: SipEvent) -> None:
        self.events.append(event)
        core, now = self.endpoint.core, self.clock.monotonic()
        if isinstance(event, RequestReceived) and self.answers:
            core.respond(event.transaction, 200, body=b"v=0\r\n", now=now)
        if isinstance(event, InviteAnswered):
            core.send_ack(event.dialog, b"", now)

    def call(self, peer: "Peer", *, transport: str = "udp", body: bytes = b"v=0\r\n") -> None:
        flow = self.endpoint.flow_to(transport, peer.endpoint.address)
        host, port = peer.endpoint.address
        self.endpoint.core.invite(
            InviteRequest(
                request_uri=f"sip:peer@{host}:{port}",
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
async def two_peers(**options: float) -> AsyncIterator[tuple[Peer, Peer]]:
    ours, theirs = Peer(), Peer(**options)
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
