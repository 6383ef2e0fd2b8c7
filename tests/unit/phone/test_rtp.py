"""Reading RTP as it comes from the network: RFC 3550 headers, repeats, rubbish."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.audio.g711 import PCMA, PCMU, encode
from offhook.audio.synthesis import sine
from offhook.phone.rtp import MAX_RECORDED_SAMPLES, RtpStream

TONE = encode(sine(500, 0.02), PCMU)


def packet(sequence: int, payload: bytes = TONE, *, payload_type: int = PCMU, first: int = 0x80) -> bytes:
    return struct.pack("!BBHII", first, payload_type, sequence & 0xFFFF, 0, 1) + payload


def test_a_packet_is_heard_and_recorded():
    stream = RtpStream([500])
    for sequence in range(65_530, 65_550):
        stream.receive(packet(sequence))
    assert stream.packets_received == 20
    assert len(stream.recorded) == 20 * 160
    assert stream.ear.heard(500) == pytest.approx(0.4)


def test_header_parts_that_are_not_sound_are_left_out():
    stream = RtpStream()
    stream.receive(packet(1, b"\0" * 8 + TONE, first=0x82))  # two contributing sources
    stream.receive(packet(2, b"\xbe\xde\0\1abcd" + TONE, first=0x90))  # a header extension of one word
    stream.receive(packet(3, TONE + b"\0\0\0\4", first=0xA0))  # four bytes of padding
    stream.receive(packet(4, payload_type=0x80 | PCMU))  # the marker bit
    assert stream.packets_received == 4
    assert stream.recorded == stream.recorded[:160] * 4


def test_repeats_and_latecomers_are_dropped():
    stream = RtpStream()
    for sequence in (10, 11, 11, 10, 13, 12, 14):
        stream.receive(packet(sequence))
    assert stream.packets_received == 4


def test_a_new_source_may_start_anywhere():
    stream = RtpStream()
    for sequence in (60_000, 60_001, 5, 6):
        stream.receive(packet(sequence))
    assert stream.packets_received == 4


def test_dtmf_and_other_codecs_are_counted_not_heard():
    stream = RtpStream()
    stream.receive(packet(1, payload_type=101))
    stream.receive(packet(2, payload_type=18))
    stream.receive(packet(3, payload_type=PCMA))
    assert (stream.packets_refused, stream.packets_received) == (2, 1)


def test_the_recording_is_bounded(monkeypatch):
    monkeypatch.setattr("offhook.phone.rtp.MAX_RECORDED_SAMPLES", 320)
    stream = RtpStream()
    for sequence in range(10):
        stream.receive(packet(sequence))
    assert stream.packets_received == 10
    assert len(stream.recorded) == 320 < MAX_RECORDED_SAMPLES


@given(st.binary(max_size=64))
def test_rubbish_never_raises(data):
    stream = RtpStream([440])
    stream.receive(data)
    assert stream.packets_received + stream.packets_refused == 1
