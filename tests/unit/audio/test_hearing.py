"""What is synthesised is what is heard."""

from array import array

import pytest

from offhook.audio.g711 import PCMA, PCMU, decode, encode
from offhook.audio.hearing import Ear
from offhook.audio.synthesis import (
    PACKET_SAMPLES,
    music_samples,
    peak,
    silence_samples,
    sine,
    tone_samples,
    whole_packets,
)
from offhook.audio.tones import Silence, parse_tones


@pytest.mark.parametrize("payload_type", [PCMU, PCMA])
def test_us_ringback_is_heard_for_two_of_six_seconds(payload_type):
    ear = Ear([400, 425, 440, 450, 480])
    ear.listen(decode(encode(tone_samples(parse_tones("%(2000,4000,440,480)")), payload_type), payload_type))
    assert ear.heard(440) == pytest.approx(2.0, abs=0.06)
    assert ear.heard(480) == pytest.approx(2.0, abs=0.06)
    assert ear.heard(400) == ear.heard(425) == 0.0
    assert ear.silent_seconds == pytest.approx(4.0, abs=0.06)


def test_packets_of_any_length_add_up():
    ear = Ear([700])
    samples = sine(700, 1.0)
    while samples:
        ear.listen(samples[:77])
        samples = samples[77:]
    assert ear.heard(700) == pytest.approx(1.0)


def test_neighbours_are_told_apart():
    ear = Ear([420, 440, 460])
    ear.listen(sine(440, 1.0))
    assert (ear.heard(420), ear.heard(440), ear.heard(460)) == (0.0, pytest.approx(1.0), 0.0)


def test_level_is_as_asked():
    assert peak(tone_samples(parse_tones("v=-20;%(100,0,1000)"))) == pytest.approx(3277, rel=0.01)


def test_loud_chords_do_not_wrap():
    samples = tone_samples(parse_tones("v=0;%(100,0,400,401,402,403)"))
    assert peak(samples) == 32_767


def test_comfort_noise_is_silence_to_the_ear_and_always_the_same():
    noise = silence_samples(Silence(1000, 1400))
    assert noise == silence_samples(Silence(1000, 1400))
    assert 0 < peak(noise) <= 23
    ear = Ear([440])
    ear.listen(noise)
    assert ear.silent_seconds == pytest.approx(1.0)


@pytest.mark.parametrize(("given", "packets"), [(0, 1), (1, 1), (160, 1), (161, 2)])
def test_loops_are_whole_packets(given, packets):
    assert len(whole_packets(array("h", bytes(2 * given)))) == packets * PACKET_SAMPLES


def test_music_fills_its_loop():
    samples = music_samples()
    assert len(samples) / 8000 == pytest.approx(9.6)
    assert 6_000 < peak(samples) < 32_767
    assert len(samples) % PACKET_SAMPLES == 0
