"""Making sound: tone scripts, comfort noise, and the built-in music, as 16-bit samples at 8 kHz."""

import math
import random
from array import array
from collections.abc import Sequence
from typing import Final

from .g711 import SAMPLE_RATE
from .tones import Silence, Tone, ToneScript

PACKET_SAMPLES: Final = 160
"""20 ms. What is played in a loop is a whole number of packets, or its last part would be lost."""
FULL_SCALE: Final = 32_767
RAMP_SAMPLES: Final = 40
"""5 ms at each end of a tone that stops: without it one hears a click."""

MUSIC_BEAT_MS: Final = 300
MUSIC_NOTE_MS: Final = 1_500
MUSIC_LEVEL: Final = 0.16
"""Of full scale for one note; up to five sound together."""


def tone_samples(script: ToneScript) -> "array[int]":
    """Return the samples of a script, once round."""
    samples: array[int] = array("h")
    for tone in script.tones:
        samples.extend(_sound(tone))
        samples.extend(_rest(tone.off_ms))
    return whole_packets(samples)


def silence_samples(silence: Silence) -> "array[int]":
    """Return silence, or comfort noise of the asked level (the same each time)."""
    if silence.noise_divisor == 0:
        return whole_packets(_rest(silence.duration_ms))
    peak = max(FULL_SCALE // silence.noise_divisor, 1)
    noise = random.Random(silence.noise_divisor)
    count = silence.duration_ms * SAMPLE_RATE // 1000
    return whole_packets(array("h", [noise.randint(-peak, peak) for _ in range(count)]))


def whole_packets(samples: "array[int]") -> "array[int]":
    """Return the samples, with silence added up to a whole number of 20 ms packets, at least one."""
    missing = -len(samples) % PACKET_SAMPLES or (0 if samples else PACKET_SAMPLES)
    return samples + array("h", [0]) * missing


def music_samples() -> "array[int]":
    """Return the built-in music: four broken chords like a slow music box, made to be repeated."""
    chords = ((48, 60, 64, 67, 71), (45, 57, 60, 64, 67), (41, 57, 60, 65, 69), (43, 59, 62, 67, 69))
    pattern = (0, 1, 2, 3, 4, 3, 2, 1)
    beat = MUSIC_BEAT_MS * SAMPLE_RATE // 1000
    mix = [0.0] * (beat * len(pattern) * len(chords))
    for bar, chord in enumerate(chords):
        for step, voice in enumerate(pattern):
            start = (bar * len(pattern) + step) * beat
            _add_note(mix, start, chord[voice])
    return whole_packets(array("h", [int(max(-1.0, min(1.0, value)) * FULL_SCALE) for value in mix]))


def _add_note(mix: list[float], start: int, midi_note: int) -> None:
    """Add a plucked note; its end runs round to the beginning, so that the loop has no seam."""
    step = 2 * math.pi * 440.0 * 2 ** ((midi_note - 69) / 12) / SAMPLE_RATE
    count = MUSIC_NOTE_MS * SAMPLE_RATE // 1000
    sin, exp, size = math.sin, math.exp, len(mix)
    for index in range(count):
        attack = min(index / 80, 1.0) * (1 - index / count)
        envelope = MUSIC_LEVEL * attack * exp(-3.0 * index / count)
        angle = step * index
        mix[(start + index) % size] += envelope * (sin(angle) + 0.35 * sin(2 * angle))


def _sound(tone: Tone) -> "array[int]":
    count = tone.on_ms * SAMPLE_RATE // 1000
    if not tone.frequencies:
        return array("h", bytes(2 * count))
    amplitude = FULL_SCALE * 10 ** (tone.level_db / 20)
    steps = [2 * math.pi * frequency / SAMPLE_RATE for frequency in tone.frequencies]
    sin = math.sin
    values = [amplitude * sum([sin(step * index) for step in steps]) for index in range(count)]
    if tone.off_ms:
        _ramp(values)
    return array("h", [int(max(-FULL_SCALE, min(FULL_SCALE, value))) for value in values])


def _ramp(values: list[float]) -> None:
    length = min(RAMP_SAMPLES, len(values) // 2)
    for index in range(length):
        values[index] *= index / length
        values[-1 - index] *= index / length


def _rest(duration_ms: int) -> "array[int]":
    return array("h", bytes(2 * (duration_ms * SAMPLE_RATE // 1000)))


def sine(frequency_hz: float, seconds: float, level_db: float = -10.0) -> "array[int]":
    """Return a sine, for test calls. If whole waves fit into it, it repeats without a click."""
    return _sound(Tone(round(seconds * 1000), 0, (frequency_hz,), level_db))


def peak(samples: Sequence[int]) -> int:
    """Return the largest magnitude."""
    return max(map(abs, samples), default=0)
