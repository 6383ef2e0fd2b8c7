"""Telling which frequencies are heard, and for how long (Goertzel's algorithm, ITU-T Q.24 style)."""

import math
from array import array
from collections.abc import Sequence
from typing import Final

from .g711 import SAMPLE_RATE

WINDOW_SAMPLES: Final = 400
"""50 ms: bins are 20 Hz wide, so 420 and 440 Hz are told apart, and a cadence is measured to 50 ms."""
MIN_SHARE: Final = 0.2
"""Of a window's energy that a frequency needs to count as heard: two tones of a ringback have half each."""
MIN_RMS: Final = 100.0
"""-50 dB of full scale: below is silence and comfort noise."""


class Ear:
    """Listens to samples and counts how long each frequency of interest was heard."""

    def __init__(self, frequencies_hz: Sequence[float]) -> None:
        self.seconds: dict[float, float] = dict.fromkeys(frequencies_hz, 0.0)
        self.silent_seconds = 0.0
        self._coefficients = [(hz, 2 * math.cos(2 * math.pi * hz / SAMPLE_RATE)) for hz in frequencies_hz]
        self._pending: array[int] = array("h")

    def listen(self, samples: "array[int]") -> list[float]:
        """Take in samples of any length; return the frequencies heard in the windows they complete."""
        self._pending.extend(samples)
        heard: list[float] = []
        while len(self._pending) >= WINDOW_SAMPLES:
            heard += self._window(self._pending[:WINDOW_SAMPLES])
            del self._pending[:WINDOW_SAMPLES]
        return heard

    def heard(self, frequency_hz: float) -> float:
        """Return for how many seconds a frequency of interest was heard. Raises KeyError for others."""
        return self.seconds[frequency_hz]

    def _window(self, samples: "array[int]") -> list[float]:
        energy = sum([sample * sample for sample in samples])
        if energy < MIN_RMS * MIN_RMS * WINDOW_SAMPLES:
            self.silent_seconds += WINDOW_SAMPLES / SAMPLE_RATE
            return []
        heard = [
            hz for hz, coefficient in self._coefficients if share(samples, coefficient, energy) > MIN_SHARE
        ]
        for hz in heard:
            self.seconds[hz] += WINDOW_SAMPLES / SAMPLE_RATE
        return heard


def share(samples: Sequence[int], coefficient: float, energy: float) -> float:
    """Return which part of a window's energy lies at a frequency; `coefficient` is 2 cos(2 π f / rate)."""
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    power = last * last + before * before - coefficient * last * before
    return 2 * power / (len(samples) * energy)
