"""The media of a call: what each party is offered, and nothing once the call is over."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from offhook.calls.model import MediaMode
from offhook.engines.embedded.call_media import CallMedia, MediaIncompatible
from offhook.engines.embedded.relay import RelayPort, RelaySide
from offhook.sip.sdp import audio_target
from offhook.system import SystemClock
from tests.simulation.virtual_relay import SilentLibrary
from tests.unit.sip.peers import SDP


class SlowRelay:
    """Opens a port when `go_on` is set."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.open: set[str] = set()

    async def open_leg(self, session_id: str, side: RelaySide) -> None:
        await self.go_on.wait()
        self.open.add(session_id)

    def close(self, session_id: str) -> None:
        self.open.discard(session_id)


@pytest.mark.parametrize("closed_first", [True, False])
def test_a_phone_that_changes_its_session_as_the_call_ends_leaves_no_port_open(closed_first: bool) -> None:
    async def scenario() -> None:
        relay = SlowRelay()
        media = CallMedia(relay, SilentLibrary(), "5e55" * 6, MediaMode.PROCESS, clock=SystemClock())  # type: ignore[arg-type]
        if closed_first:
            media.close()
        changing = asyncio.create_task(media.take_new_offer(RelaySide.FIRST, SDP))
        await asyncio.sleep(0)
        media.close()
        relay.go_on.set()
        with pytest.raises(MediaIncompatible):
            await changing
        assert relay.open == set()

    asyncio.run(scenario())


class OpenRelay:
    """Has a port for each side, and remembers whom it would send to."""

    def __init__(self) -> None:
        self.targets: dict[RelaySide, tuple[str, int, tuple[int, ...]]] = {}

    async def open_leg(self, session_id: str, side: RelaySide) -> RelayPort:
        return RelayPort("192.0.2.9", 4000 if side is RelaySide.FIRST else 4002)

    def connect_leg(
        self, session_id: str, side: RelaySide, host: str, port: int, payload_types: Sequence[int]
    ) -> None:
        self.targets[side] = (host, port, tuple(payload_types))


def session(formats: str, *lines: str, port: int = 6000) -> bytes:
    """Return what a phone says: its formats, and attribute lines."""
    text = [f"m=audio {port} RTP/AVP {formats}", *[f"a={line}" for line in lines]]
    return "\r\n".join(
        ["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", *text, ""]
    ).encode()


def given_media() -> tuple[CallMedia, OpenRelay]:
    relay = OpenRelay()
    media = CallMedia(relay, SilentLibrary(), "5e55" * 6, MediaMode.PROCESS, clock=SystemClock())  # type: ignore[arg-type]
    return media, relay


@pytest.mark.parametrize(
    ("answered", "offered"),
    [
        (session("0 101", "rtpmap:101 telephone-event/8000"), 101),
        (session("0 96", "rtpmap:96 telephone-event/8000"), 96),  # the relay passes it on as it is
        (session("0"), None),  # whoever cannot hear keys must not be sent them
    ],
)
def test_the_second_party_is_offered_keys_as_the_first_takes_them(
    answered: bytes, offered: int | None
) -> None:
    async def scenario() -> None:
        media, _ = given_media()
        offer = await media.offer(RelaySide.FIRST, ())
        assert audio_target(offer).event_type == 101
        media.take_answer(RelaySide.FIRST, offer, answered)
        assert audio_target(await media.offer(RelaySide.SECOND, ())).event_type == offered

    asyncio.run(scenario())


def test_a_changed_session_is_answered_with_what_the_other_party_takes() -> None:
    async def scenario() -> None:
        media, relay = given_media()
        for side, formats in ((RelaySide.FIRST, "0 8"), (RelaySide.SECOND, "8")):
            media.take_answer(side, await media.offer(side, ()), session(formats))
        assert media.must_narrow(RelaySide.FIRST)
        answer = await media.take_new_offer(RelaySide.FIRST, session("0 8", "sendonly", port=7000))
        assert b"m=audio 4000 RTP/AVP 8\r\n" in answer
        assert b"a=recvonly" in answer
        assert relay.targets[RelaySide.FIRST][:2] == ("192.0.2.1", 7000)
        assert not media.must_narrow(RelaySide.FIRST)
        with pytest.raises(MediaIncompatible):
            await media.take_new_offer(RelaySide.FIRST, session("0"))
        asked = await media.offer_of(RelaySide.SECOND, session("0"))
        assert audio_target(asked).codec_names == ("PCMU",)

    asyncio.run(scenario())


def test_who_asks_for_an_offer_gets_what_the_other_party_takes() -> None:
    async def scenario() -> None:
        media, relay = given_media()
        for side, formats in ((RelaySide.FIRST, "0 8"), (RelaySide.SECOND, "8")):
            media.take_answer(side, await media.offer(side, ()), session(formats))
        assert b"m=audio 4000 RTP/AVP 8\r\n" in await media.take_new_offer(RelaySide.FIRST, b"")
        media.take_late_answer(RelaySide.FIRST, session("8", port=7000))
        assert relay.targets[RelaySide.FIRST] == ("192.0.2.1", 7000, (8,))
        media.take_late_answer(RelaySide.FIRST, b"nonsense")
        assert relay.targets[RelaySide.FIRST] == ("192.0.2.1", 7000, (8,))

    asyncio.run(scenario())


class Captures:
    """A relay that is lost under a call, and a recorder that notes what it is to make."""

    def __init__(self) -> None:
        self.made: list[tuple[float, float]] = []
        self.awaited: set[str] = set()

    def record(self, session_id: str, done: Callable[[Sequence[Path]], None]) -> None:
        self.die = done

    def close(self, session_id: str) -> None:
        """It has no such session any more."""

    def make(self, recording_id: str, begin: float, end: float, captures: Sequence[Path]) -> None:
        self.made.append((begin, end))

    def forget(self, captures: Sequence[Path]) -> None:
        """They are not there."""

    def expect(self, session_id: str) -> None:
        self.awaited.add(session_id)

    def arrived(self, session_id: str) -> None:
        self.awaited.discard(session_id)


def test_a_recording_ends_with_the_relay_that_dies() -> None:
    relay = Captures()
    media = CallMedia(relay, SilentLibrary(), "5e55" * 6, MediaMode.PROCESS, clock=SystemClock())  # type: ignore[arg-type]
    media.recorder = relay  # type: ignore[assignment]
    media.start_recording("r1")
    relay.die([])
    media.close()
    [(begin, end)] = relay.made
    assert end >= begin
    assert not relay.awaited
