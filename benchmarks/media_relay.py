"""What media costs: microseconds of CPU per session, ours and the relay process's, and per packet.

Run: python -m benchmarks.media_relay
"""

import asyncio
import os
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from offhook.audio.g711 import PCMU, encode
from offhook.audio.synthesis import sine
from offhook.engines.embedded.media_library import MediaLibrary
from offhook.engines.embedded.relay import PreparedMedia, RelaySide
from offhook.engines.embedded.rtp_io import RtpIoRelay

from .report import Row, show

SESSIONS = 1_000
CALLS = 100
SECONDS = 5.0
PACKET_S = 0.02
FIRST, SECOND = RelaySide.FIRST, RelaySide.SECOND
LOOPBACK = "127.0.0.1"


class Meter:
    """CPU seconds of this process and of the relay."""

    def __init__(self, relay: RtpIoRelay) -> None:
        self._stat = Path(f"/proc/{relay.process_id}/stat")
        self._ours = time.process_time()
        self._theirs = self._relay_s()

    def ours_us(self, per: int) -> float:
        return (time.process_time() - self._ours) / per * 1e6

    def relay_us(self, per: int) -> float:
        return (self._relay_s() - self._theirs) / per * 1e6

    def _relay_s(self) -> float:
        fields = self._stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure() -> list[Row]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    return asyncio.run(_measure())


async def _measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        relay = RtpIoRelay(Path(folder), ports=(20_000, 29_999))
        await relay.start(lambda session_id, error: print(f"{session_id}: {error}"))
        try:
            ringback = await MediaLibrary(Path(folder), Path(folder)).prepare("us")
            rows = await _whole_sessions(relay, ringback)
            rows += await _steps(relay)
            rows += await _playing(relay, ringback)
            return rows + await _relaying(relay)
        finally:
            await relay.stop()


async def _whole_sessions(relay: RtpIoRelay, ringback: PreparedMedia) -> list[Row]:
    """Everything a call asks of the relay, no packets."""

    async def session(session_id: str) -> None:
        await relay.open_leg(session_id, FIRST)
        relay.connect_leg(session_id, FIRST, LOOPBACK, 9, [PCMU, 101])
        relay.play(session_id, FIRST, ringback)
        await relay.open_leg(session_id, SECOND)
        relay.connect_leg(session_id, SECOND, LOOPBACK, 9, [PCMU, 101])
        relay.join(session_id)
        relay.close(session_id)

    meter = Meter(relay)
    for start in range(0, SESSIONS, 10):
        await asyncio.gather(*[session(f"whole {start + number}") for number in range(10)])
    await _settled(relay)
    return [
        Row("media: session, our side", meter.ours_us(SESSIONS), "µs CPU"),
        Row("media: session, relay process", meter.relay_us(SESSIONS), "µs CPU"),
    ]


async def _steps(relay: RtpIoRelay) -> list[Row]:
    """Both sides' cost of each step, over as many sessions as fit."""
    ids = [f"step {number}" for number in range(SESSIONS)]
    steps: list[tuple[str, Callable[[str], object]]] = [
        ("connect a side", lambda name: relay.connect_leg(name, FIRST, LOOPBACK, 9, [PCMU])),
        ("start a player", lambda name: relay.silence(name, FIRST)),  # a mute one: no packets
        ("join", relay.join),
        ("close", relay.close),
    ]
    meter = Meter(relay)
    for name in ids:
        await relay.open_leg(name, FIRST)
    rows = [Row("media: open one by one, both", meter.ours_us(SESSIONS) + meter.relay_us(SESSIONS), "µs CPU")]
    meter = Meter(relay)
    await asyncio.sleep(1.0)
    rows.append(Row("media: session held shut for a second", meter.relay_us(SESSIONS), "µs CPU"))
    for what, step in steps:
        meter = Meter(relay)
        for name in ids:
            step(name)
        await _settled(relay)
        both = meter.ours_us(SESSIONS) + meter.relay_us(SESSIONS)
        rows.append(Row(f"media: {what}, both", both, "µs CPU"))
    return rows


async def _playing(relay: RtpIoRelay, ringback: PreparedMedia) -> list[Row]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind((LOOPBACK, 0))
        for number in range(CALLS):
            await relay.open_leg(f"play {number}", FIRST)
            relay.connect_leg(f"play {number}", FIRST, LOOPBACK, listener.getsockname()[1], [PCMU])
            relay.play(f"play {number}", FIRST, ringback)
        meter = Meter(relay)
        await asyncio.sleep(SECONDS)
        packets = int(CALLS * SECONDS / PACKET_S)
        row = Row("media: played packet, relay process", meter.relay_us(packets), "µs CPU")
    for number in range(CALLS):
        relay.close(f"play {number}")
    return [row]


async def _relaying(relay: RtpIoRelay) -> list[Row]:
    """Packets both ways through joined sessions, at the pace of speech."""
    payload = encode(sine(440, PACKET_S), PCMU)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as party:
        party.bind((LOOPBACK, 0))
        party.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        party.setblocking(False)
        ports: list[int] = []
        for number in range(CALLS):
            for side in RelaySide:
                ports.append((await relay.open_leg(f"relay {number}", side)).port)
                relay.connect_leg(f"relay {number}", side, LOOPBACK, party.getsockname()[1], [PCMU])
            relay.join(f"relay {number}")
        await _settled(relay)
        meter = Meter(relay)
        sent, received = await _speak(party, ports, payload)
        cost = meter.relay_us(sent)
    for number in range(CALLS):
        relay.close(f"relay {number}")
    return [
        Row("media: relayed packet, relay process", cost, "µs CPU"),
        Row("media: relayed packets lost", 100 * (1 - received / sent), "%"),
        Row("media: calls one core relays", 1e6 / (2 / PACKET_S * cost), "calls"),
    ]


async def _speak(party: socket.socket, ports: list[int], payload: bytes) -> tuple[int, int]:
    """Send to every port each 20 ms; return how many packets went out and came back."""
    sent = received = 0
    began = time.monotonic()
    for turn in range(int(SECONDS / PACKET_S)):
        for number, port in enumerate(ports):
            header = struct.pack("!BBHII", 0x80, PCMU, turn, turn * 160, number)
            party.sendto(header + payload, (LOOPBACK, port))
            sent += 1
        received += _drain(party)
        await asyncio.sleep(max(0.0, began + (turn + 1) * PACKET_S - time.monotonic()))
    await asyncio.sleep(0.2)
    return sent, received + _drain(party)


def _drain(party: socket.socket) -> int:
    count = 0
    while True:
        try:
            party.recv(2048)
        except BlockingIOError:
            return count
        count += 1


async def _settled(relay: RtpIoRelay) -> None:
    """Wait until every command has had its reply: one more session, asked for and answered."""
    await relay.open_leg("settled", FIRST)
    relay.close("settled")


def main() -> None:
    show(measure())


if __name__ == "__main__":
    main()
