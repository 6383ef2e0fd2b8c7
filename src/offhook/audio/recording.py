"""Child process that makes a WAV file (8 kHz, mono) of what RTPProxy recorded of a call's two directions.

Arguments: target, Unix seconds of the beginning and of the end, then the captures (pcap, one a direction).
It exists because an hour of sound takes seconds of CPU time, which calls must not wait for.
"""

import struct
import sys
import wave
from array import array
from collections.abc import Iterator, Sequence
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final, NamedTuple

from .g711 import PCMA, PCMU, SAMPLE_RATE, decode

SECONDS_MAX: Final = 3_600
"""Of one recording: 58 MB."""
FILE_HEADER_BYTES: Final = 24
PACKET_HEADER: Final = struct.Struct("<IIII")
"""Seconds, microseconds, bytes kept, bytes on the wire."""
ENVELOPE_BYTES: Final = 14 + 20 + 8
"""Ethernet, IPv4 and UDP, as RTPProxy writes them before each packet; IPv6 has twenty more."""
RTP_HEADER_BYTES: Final = 12
JUMP_SAMPLES: Final = SAMPLE_RATE // 2
"""A clock that is off by more than this is another clock (a new source, a pause): arrival counts then."""
LIMIT: Final = 32_767
BLOCK_SAMPLES: Final = 8_192
"""Mixed at a time: as Python numbers they take twenty times their room, an hour of them a gigabyte."""
Capture = bytes | mmap


class Packet(NamedTuple):
    """One RTP packet of G.711."""

    at: float
    """Unix seconds of its arrival."""
    timestamp: int
    payload_type: int
    payload: bytes


def packets(capture: Capture) -> Iterator[Packet]:
    """Yield the G.711 packets of a capture in order; what is cut off or something else is left out."""
    position = FILE_HEADER_BYTES
    while position + PACKET_HEADER.size <= len(capture):
        seconds, micros, kept, _ = PACKET_HEADER.unpack_from(capture, position)
        position += PACKET_HEADER.size
        frame, position = capture[position : position + kept], position + kept
        envelope = ENVELOPE_BYTES + (20 if frame[12:14] == b"\x86\xdd" else 0)
        rtp = frame[envelope:]
        if len(rtp) > RTP_HEADER_BYTES and rtp[1] & 0x7F in (PCMU, PCMA):
            start = RTP_HEADER_BYTES + 4 * (rtp[0] & 0x0F)
            timestamp = int.from_bytes(rtp[4:8], "big")
            yield Packet(seconds + micros / 1e6, timestamp, rtp[1] & 0x7F, rtp[start:])


def place(found: Iterator[Packet], begin: float, count: int) -> "array[int]":
    """Return one direction as `count` samples from `begin`, silent where nothing came."""
    track = array("h", [0]) * count
    last: Packet | None = None
    offset = 0
    for packet in found:
        by_arrival = int((packet.at - begin) * SAMPLE_RATE)
        if last is not None:
            offset += _signed(packet.timestamp - last.timestamp)
        if last is None or abs(offset - by_arrival) > JUMP_SAMPLES:
            offset = by_arrival
        last = packet
        samples = decode(packet.payload, packet.payload_type)
        if offset >= 0 and offset + len(samples) <= count:
            track[offset : offset + len(samples)] = samples
    return track


def _signed(difference: int) -> int:
    return (difference + 2**31) % 2**32 - 2**31


def mix(tracks: Sequence["array[int]"]) -> "array[int]":
    """Return the sum of the directions, cut off where it is too loud; it takes the room of the first."""
    if len(tracks) < 2:
        return tracks[0] if tracks else array("h")
    mixed = tracks[0]
    for start in range(0, len(mixed), BLOCK_SAMPLES):
        block = slice(start, start + BLOCK_SAMPLES)
        together = zip(*(track[block] for track in tracks), strict=True)
        mixed[block] = array("h", [max(-LIMIT, min(LIMIT, sum(samples))) for samples in together])
    return mixed


def make_wav(target: Path, begin: float, end: float, captures: Sequence[Capture]) -> None:
    """Write the WAV file."""
    count = int(min(max(end - begin, 0.0), SECONDS_MAX) * SAMPLE_RATE)
    mixed = mix([place(packets(capture), begin, count) for capture in captures])
    with wave.open(str(target), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(mixed)


def _mapped(path: Path) -> Capture:
    """Return what a file holds, read as it is looked at; of an empty one nothing can be mapped."""
    with path.open("rb") as file:
        return mmap(file.fileno(), 0, access=ACCESS_READ) if path.stat().st_size else b""


def main(arguments: Sequence[str]) -> None:
    """Make the file that the arguments say."""
    target, begin, end, *captures = arguments
    make_wav(Path(target), float(begin), float(end), [_mapped(Path(name)) for name in captures])


if __name__ == "__main__":
    main(sys.argv[1:])
