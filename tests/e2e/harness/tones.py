"""Telling tones apart, and the G.711 that carries them; written apart from the product's own, to check it."""

import math
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Final

RATE_HZ: Final = 8000
WINDOW: Final = RATE_HZ // 2
"""Half a second: long enough to tell 440 Hz from 480, short enough to notice a change."""
WHISPER: Final = 100
"""Mean amplitude, of 32767, below which there is no tone."""


def encode_ulaw(sample: int) -> int:
    """Return the G.711 mu-law octet of a 16-bit sample (ITU-T G.711, table 2a)."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32_635) + 132
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | (magnitude >> (exponent + 3)) & 0x0F) & 0xFF


def decode_ulaw(octet: int) -> int:
    """Return the 16-bit sample of a G.711 mu-law octet."""
    octet = ~octet & 0xFF
    magnitude = (((octet & 0x0F) << 3) + 132 << (octet >> 4 & 0x07)) - 132
    return -magnitude if octet & 0x80 else magnitude


def sine(frequency_hz: float, first: int, count: int) -> list[int]:
    """Return samples `first` to `first + count` of a tone."""
    step = 2 * math.pi * frequency_hz / RATE_HZ
    return [int(8000 * math.sin(step * n)) for n in range(first, first + count)]


def share_of(frequency_hz: float, samples: Sequence[int]) -> float:
    """Return how much of the energy of 8 kHz samples lies at a frequency, from 0 to 1 (Goertzel)."""
    energy = sum(sample * sample for sample in samples)
    if energy <= len(samples) * WHISPER**2:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * frequency_hz / RATE_HZ)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    power = last * last + before * before - coefficient * last * before
    return 2 * power / (len(samples) * energy)


def is_tone(frequency_hz: float, samples: Sequence[int]) -> bool:
    """Tell whether the samples are mostly that tone."""
    return share_of(frequency_hz, samples) > 0.7


def contains_tone(frequency_hz: float, samples: Sequence[int]) -> bool:
    """Tell whether some half second of the samples is that tone."""
    starts = range(0, len(samples) - WINDOW + 1, WINDOW // 2)
    return any(is_tone(frequency_hz, samples[start : start + WINDOW]) for start in starts)


def write_wav(path: Path, frequency_hz: float, *, seconds: int) -> None:
    """Write a mono 8 kHz file with the tone."""
    samples = sine(frequency_hz, 0, RATE_HZ * seconds)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))


def read_wav(path: Path) -> list[int]:
    """Return the samples of a mono 16-bit file, also of one whose header was not finished."""
    octets = path.read_bytes()[44:]
    return [int.from_bytes(octets[n : n + 2], "little", signed=True) for n in range(0, len(octets) - 1, 2)]
