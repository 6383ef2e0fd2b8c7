"""G.711, against the table in ITU-T G.711 and against the C implementation where Python still has it."""

import importlib.util
import sys
import warnings
from array import array

import pytest

from offhook.audio.g711 import PCMA, PCMU, decode, encode

EVERY_SAMPLE = array("h", range(-32_768, 32_768))


def test_known_octets():
    # G.711 tables 1a to 2b: the largest values, zero, and the ends of a segment
    assert encode([0, 32_124, -32_124], PCMU) == b"\xff\x80\x00"
    assert encode([8, 32_256, -32_256], PCMA) == b"\xd5\xaa\x2a"


@pytest.mark.parametrize("payload_type", [PCMU, PCMA])
def test_octets_survive_a_round(payload_type):
    octets = bytes(range(256))
    again = encode(decode(octets, payload_type), payload_type)
    changed = [octet for octet in octets if again[octet] != octet]
    assert changed == ([0x7F] if payload_type == PCMU else [])  # µ-law has two zeros


@pytest.mark.parametrize("payload_type", [PCMU, PCMA])
def test_error_stays_within_half_a_step(payload_type):
    heard = decode(encode(EVERY_SAMPLE, payload_type), payload_type)
    worst = max(abs(a - b) / (abs(a) + 256) for a, b in zip(EVERY_SAMPLE, heard, strict=True))
    assert worst < 1 / 30


def test_unknown_payload_type_is_refused():
    with pytest.raises(KeyError):
        encode([0], 18)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="audioop left Python in 3.13")
def test_same_as_audioop_for_every_sample_and_octet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        spec = importlib.util.find_spec("audioop")
        assert spec is not None
        import audioop
    pcm = EVERY_SAMPLE.tobytes()
    octets = bytes(range(256))
    assert encode(EVERY_SAMPLE, PCMU) == audioop.lin2ulaw(pcm, 2)
    assert encode(EVERY_SAMPLE, PCMA) == audioop.lin2alaw(pcm, 2)
    assert decode(octets, PCMU).tobytes() == audioop.ulaw2lin(octets, 2)
    assert decode(octets, PCMA).tobytes() == audioop.alaw2lin(octets, 2)
