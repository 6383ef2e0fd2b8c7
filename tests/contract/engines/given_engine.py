"""A real engine on real sockets, far ends that are real soft phones, and the words to speak about both."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from offhook.app.ports import Engine
from offhook.calls.commands import (
    ConfirmLeg,
    DialLeg,
    EndLostLeg,
    HangUpLeg,
    HangUpSurplus,
    JoinLegs,
    PlayToLeg,
)
from offhook.calls.events import LegAnswered, LegEnded, LegEvent, SurplusAnswered
from offhook.calls.model import EndpointKind, EndpointPlan, MediaMode
from offhook.engines.embedded import EmbeddedEngine
from offhook.engines.embedded.call_media import CallMediaFactory
from offhook.engines.embedded.identities import LegIdentities
from offhook.engines.embedded.media_library import MediaLibrary
from offhook.engines.embedded.resolver import Resolver
from offhook.engines.embedded.rtp_io import RtpIoRelay
from offhook.engines.embedded.trace import SipTrace
from offhook.engines.embedded.transports import SipEndpoint
from offhook.phone import PhoneSettings, SoftPhone
from offhook.sip.config import UserAgentConfig
from offhook.sip.events import SipEvent
from offhook.sip.user_agent import UserAgentCore
from offhook.system import SystemClock, SystemRandom
from tests.e2e.harness.ports import free_block, give_back
from tests.unit.calls.calls_language import two_party_plan

HOST: Final = "127.0.0.1"
MEDIA_PORTS: Final = 64
PATIENCE_S: Final = 25.0
"""A leg that was never dialled is cancelled under two numbers, each tried for five seconds."""
CALL_ID: Final = "c2c-contract"


class NoInbound:
    """This suite is about legs we dial: what else comes in stays unanswered."""

    def take(self, event: SipEvent) -> None:
        """Leave it."""


class Reports:
    """What the engine said, in order."""

    def __init__(self) -> None:
        self.events: list[LegEvent] = []
        self._news = asyncio.Event()

    def __call__(self, event: LegEvent) -> None:
        self.events.append(event)
        self._news.set()

    def of(self, kind: type, leg_id: str = "") -> list[Any]:
        found = [event for event in self.events if isinstance(event, kind)]
        return [event for event in found if not leg_id or event.leg_id == leg_id]

    async def wait_for(self, kind: type, leg_id: str = "", *, within_s: float = PATIENCE_S) -> Any:
        """Return the first such report; TimeoutError if it does not come."""
        async with asyncio.timeout(within_s):
            while not (found := self.of(kind, leg_id)):
                self._news.clear()
                await self._news.wait()
        return found[0]


def endpoint_of(leg_id: str, uri: str) -> EndpointPlan:
    return EndpointPlan(
        leg_id=leg_id,
        kind=EndpointKind.DEVICE,
        request_uri=uri,
        to_uri="sip:phone@contract.test",
        from_uri="sip:1002@contract.test",
        caller_id_name="Contract",
        caller_id_number="1002",
    )


class Legs:
    """An engine and the legs it is given."""

    def __init__(self, engine: Engine, reports: Reports) -> None:
        self.engine = engine
        self.reports = reports
        engine.open_call(two_party_plan(call_id=CALL_ID))

    def dial(self, leg_id: str, uri: str, *, after: str = "", media: MediaMode = MediaMode.PROCESS) -> None:
        self.engine.perform(DialLeg(CALL_ID, endpoint_of(leg_id, uri), media, after))

    def end_lost(self, leg_id: str, uri: str, dialog: str = "") -> None:
        self.engine.perform(EndLostLeg(CALL_ID, endpoint_of(leg_id, uri), "CRASH", dialog))

    def hang_up(self, leg_id: str, cause: str = "NORMAL_CLEARING") -> None:
        self.engine.perform(HangUpLeg(leg_id, cause))

    def play(self, leg_id: str, media: str) -> None:
        self.engine.perform(PlayToLeg(leg_id, media))

    def join(self, first: str, second: str) -> None:
        self.engine.perform(JoinLegs(first, second))

    async def over(self, leg_id: str) -> LegEnded:
        ended: LegEnded = await self.reports.wait_for(LegEnded, leg_id)
        return ended


@contextmanager
def given_media_ports() -> Iterator[tuple[int, int]]:
    """Lend the first and last of some free ports."""
    first = free_block(MEDIA_PORTS)
    try:
        yield first, first + MEDIA_PORTS - 1
    finally:
        give_back(range(first, first + MEDIA_PORTS))


def build_embedded(
    folder: Path, media: tuple[int, int], port: int = 0
) -> tuple[EmbeddedEngine, SipEndpoint, RtpIoRelay]:
    """Return the embedded engine with a relay on the media ports, first and last."""
    clock, random = SystemClock(), SystemRandom()
    core = UserAgentCore(
        UserAgentConfig(holds_surplus=True, advertised={"udp": (HOST, port), "tcp": (HOST, port)}), random
    )
    endpoint = SipEndpoint(core, clock=clock, on_event=lambda event: None, host=HOST, port=port)
    relay = RtpIoRelay(folder, bind_address=HOST, ports=media)
    engine = EmbeddedEngine(
        endpoint=endpoint,
        media=CallMediaFactory(relay, MediaLibrary(folder / "media", folder), clock=clock),
        inbound=NoInbound(),  # type: ignore[arg-type]
        resolver=Resolver(),
        trace=SipTrace(),
        clock=clock,
        random=random,
        identities=LegIdentities("a secret"),
    )
    return engine, endpoint, relay


def confirming(engine: Engine, reports: Reports) -> Callable[[LegEvent], None]:
    """Return what takes the reports of an engine, with a journal that has every answer at once."""

    def report(event: LegEvent) -> None:
        reports(event)
        if isinstance(event, LegAnswered):
            engine.perform(ConfirmLeg(event.leg_id))
        elif isinstance(event, SurplusAnswered):
            engine.perform(HangUpSurplus(event.leg_id, event.dialog))

    return report


GivenLegs = Callable[..., AbstractAsyncContextManager[Legs]]


@asynccontextmanager
async def given_embedded_legs(folder: Path, port: int = 0) -> AsyncIterator[Legs]:
    """Run an engine, the journal has every answer at once; afterwards no leg may be left in it."""
    with given_media_ports() as media:
        engine, endpoint, relay = build_embedded(folder, media, port)
        reports = Reports()
        await engine.start(confirming(engine, reports))
        try:
            yield Legs(engine, reports)
            assert engine.count() == 0, "a leg is left"
            assert len(relay) == 0, "a media session is left"
            assert endpoint.core.dialog_count == 0, "a dialog is left"
        finally:
            await engine.stop()


@asynccontextmanager
async def given_phone(**settings: Any) -> AsyncIterator[tuple[SoftPhone, str]]:
    """Run a soft phone that nobody registers; yield it and the URI it is reached at."""
    phone = SoftPhone(
        PhoneSettings(
            username="phone", password="unused", realm="contract.test", server=(HOST, 9), **settings
        ),
        clock=SystemClock(),
        random=SystemRandom(),
        on_event=lambda event: None,
    )
    await phone.start()
    try:
        yield phone, f"sip:phone@{HOST}:{phone.address[1]}"
    finally:
        await phone.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Return once it holds; TimeoutError if it does not in time."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def given_dead_engine(folder: Path, port: int) -> AsyncIterator[Legs]:
    """Run an engine that dies without a word at the end, and whose journal is slow: it confirms nothing."""
    folder.mkdir()
    with given_media_ports() as media:
        engine, endpoint, relay = build_embedded(folder, media, port)
        reports = Reports()
        await engine.start(reports)
        try:
            yield Legs(engine, reports)
        finally:
            await endpoint.stop()
            await relay.stop()
