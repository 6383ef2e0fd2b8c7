"""Two people with a tone each, and a relay between them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from offhook.audio.g711 import PCMA, PCMU, encode
from offhook.audio.synthesis import sine
from offhook.engines.embedded.relay import MediaError, PreparedMedia, RelaySide
from offhook.engines.embedded.rtp_io import RtpIoRelay
from offhook.phone.rtp import RtpStream

ANNA_HZ, BERT_HZ, CARL_HZ, RINGBACK_HZ = 500.0, 700.0, 900.0, 1100.0
EVERYTHING = (ANNA_HZ, BERT_HZ, CARL_HZ, RINGBACK_HZ)
HEARD_S = 0.2
"""Enough windows to be sure, little enough to keep the suite short."""
FIRST, SECOND = RelaySide.FIRST, RelaySide.SECOND
LOOPBACK = "127.0.0.1"


class TestedRelay(RtpIoRelay):
    """A relay that keeps what it reports."""

    __test__ = False

    def __init__(self, folder: Path, ports: tuple[int, int]) -> None:
        super().__init__(folder, ports=ports)
        self.reports: list[tuple[str, MediaError]] = []

    async def forget_all(self) -> None:
        """Let the process drop every session without telling us."""
        await self._ask("X")

    def sockets(self) -> int:
        """Return how many sockets the relay process holds."""
        entries = Path(f"/proc/{self.process_id}/fd").iterdir()
        return sum(_target(entry).startswith("socket:") for entry in entries)


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except FileNotFoundError:  # closed since it was listed
        return ""


@asynccontextmanager
async def given_relay(folder: Path, ports: tuple[int, int] = (30_000, 30_999)) -> AsyncIterator[TestedRelay]:
    relay = TestedRelay(folder, ports)
    await relay.start(lambda session_id, error: relay.reports.append((session_id, error)))
    try:
        yield relay
    finally:
        await relay.stop()


@contextmanager
def given_people(*tones_hz: float) -> Iterator[list["Person"]]:
    people = [Person(tone_hz) for tone_hz in tones_hz]
    try:
        yield people
    finally:
        for person in people:
            person.stream.close()


class Person:
    """Sends one tone, and tells the others' apart."""

    def __init__(self, tone_hz: float) -> None:
        self.tone_hz = tone_hz
        self.stream = RtpStream(EVERYTHING)
        self.port = 0

    def speak(self, to_port: int, payload_type: int = PCMU) -> None:
        """Send the tone to a port of the relay."""
        if not self.port:
            self.port = self.stream.open(LOOPBACK)
        self.stream.start((LOOPBACK, to_port), payload_type, sine(self.tone_hz, 1.0))

    async def answer(
        self, relay: RtpIoRelay, session_id: str, side: RelaySide, payload_type: int = PCMU
    ) -> None:
        """Speak, and let the relay know the port as an SDP answer would."""
        port = await relay.open_leg(session_id, side)
        self.speak(port.port, payload_type)
        relay.connect_leg(session_id, side, LOOPBACK, self.port, [payload_type, 101])

    def expect(self, relay: RtpIoRelay, session_id: str, side: RelaySide) -> None:
        """Let the relay know the port of a side that is open, and be mute."""
        if not self.port:
            self.port = self.stream.open(LOOPBACK)
        relay.connect_leg(session_id, side, LOOPBACK, self.port, [PCMU, 101])

    def hears(self, tone_hz: float) -> bool:
        return self.stream.ear.heard(tone_hz) >= HEARD_S

    def forget(self) -> None:
        self.stream.ear = type(self.stream.ear)(EVERYTHING)


async def listening(*people: Person, seconds: float = 0.45) -> None:
    """Let what is under way arrive, then hear anew for a while."""
    await asyncio.sleep(0.06)
    for person in people:
        person.forget()
    await asyncio.sleep(seconds)


def given_ringback(folder: Path, name: str = "ringback") -> PreparedMedia:
    samples = sine(RINGBACK_HZ, 1.0)
    for payload_type in (PCMU, PCMA):
        (folder / f"{name}.{payload_type}").write_bytes(encode(samples, payload_type))
    return PreparedMedia(name)
