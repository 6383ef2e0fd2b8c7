"""G.711: 16-bit samples to PCMU and PCMA and back, by table (ITU-T G.711; audioop left Python in 3.13)."""

from array import array
from collections.abc import Iterable
from functools import cache
from typing import Final

PCMU: Final = 0
PCMA: Final = 8
SAMPLE_RATE: Final = 8_000
SILENCE: Final = {PCMU: b"\xff", PCMA: b"\xd5"}
"""The octet of a zero sample, by payload type."""

_BIAS: Final = 33  # µ-law adds it to a 14-bit magnitude, so that every segment begins at a power of two
_CLIP: Final = 8_191


def encode(samples: Iterable[int], payload_type: int) -> bytes:
    """Return one octet per 16-bit sample. Payload type 0 is PCMU, 8 is PCMA; others raise KeyError."""
    table, shift, mask = _encoders()[payload_type]
    return bytes([table[sample >> shift & mask] for sample in samples])


def decode(payload: bytes, payload_type: int) -> "array[int]":
    """Return one 16-bit sample per octet. Payload type 0 is PCMU, 8 is PCMA; others raise KeyError."""
    table = _decoders()[payload_type]
    return array("h", [table[octet] for octet in payload])


@cache
def _encoders() -> dict[int, tuple[bytes, int, int]]:
    """Table, shift and mask by payload type: µ-law looks at 14 bits of a sample, A-law at 13."""
    mu_law = bytes([_mu_law(_signed(index, 14)) for index in range(1 << 14)])
    a_law = bytes([_a_law(_signed(index, 13)) for index in range(1 << 13)])
    return {PCMU: (mu_law, 2, 0x3FFF), PCMA: (a_law, 3, 0x1FFF)}


@cache
def _decoders() -> dict[int, tuple[int, ...]]:
    octets = range(256)
    return {
        PCMU: tuple([_mu_law_sample(octet) for octet in octets]),
        PCMA: tuple([_a_law_sample(octet) for octet in octets]),
    }


def _signed(index: int, bits: int) -> int:
    return index - (1 << bits) if index >> (bits - 1) else index


def _mu_law(sample: int) -> int:
    mask = 0xFF if sample >= 0 else 0x7F
    magnitude = min(abs(sample), _CLIP) + _BIAS
    segment = min(magnitude.bit_length() - 6, 7)
    if magnitude > 0x1FFF:
        return 0x7F ^ mask
    return (segment << 4 | magnitude >> (segment + 1) & 0x0F) ^ mask


def _a_law(sample: int) -> int:
    mask = 0xD5 if sample >= 0 else 0x55
    magnitude = sample if sample >= 0 else -sample - 1
    segment = max(magnitude.bit_length() - 5, 0)
    if segment == 0:
        return magnitude >> 1 & 0x0F ^ mask
    return (segment << 4 | magnitude >> segment & 0x0F) ^ mask


def _mu_law_sample(octet: int) -> int:
    octet = ~octet & 0xFF
    magnitude = ((((octet & 0x0F) << 1) + _BIAS) << (octet >> 4 & 7)) - _BIAS
    return (-magnitude if octet & 0x80 else magnitude) << 2


def _a_law_sample(octet: int) -> int:
    octet ^= 0x55
    segment = octet >> 4 & 7
    magnitude = (octet & 0x0F) << 1 | 1
    if segment:
        magnitude = (magnitude | 0x20) << (segment - 1)
    return (magnitude if octet & 0x80 else -magnitude) << 3
