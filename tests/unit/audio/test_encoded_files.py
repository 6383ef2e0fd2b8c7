"""Files as people have them, made by the usual programs: each becomes the same 8 kHz sound."""

import io
import math
import struct
import subprocess
import sys
import wave
from itertools import pairwise
from pathlib import Path

import pytest

TONE_HZ = 550.0
SECONDS = 2
ENCODERS = {
    "mp3": ("lame", "--quiet", "-b", "64", "{wav}", "{out}"),
    "variable.mp3": ("lame", "--quiet", "-V", "5", "--tt", "A title", "{wav}", "{out}"),
    "ogg": ("oggenc", "-Q", "{wav}", "-o", "{out}"),
    "flac": ("flac", "-s", "-f", "{wav}", "-o", "{out}"),
    "opus": ("opusenc", "--quiet", "{wav}", "{out}"),
}


def encoded(kind: str, folder: Path) -> bytes:
    source, target = folder / "tone.wav", folder / f"tone.{kind}"
    with wave.open(str(source), "wb") as file:
        file.setparams((2, 2, 44_100, 0, "NONE", ""))
        samples = (int(9_000 * math.sin(2 * math.pi * TONE_HZ * n / 44_100)) for n in range(44_100 * SECONDS))
        file.writeframes(b"".join(struct.pack("<hh", sample, sample) for sample in samples))
    words = {"wav": str(source), "out": str(target)}
    subprocess.run([word.format_map(words) for word in ENCODERS[kind]], check=True, timeout=60)
    return target.read_bytes()


def decoded(content: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "offhook.audio.decoder"], input=content, capture_output=True, timeout=60
    )


def frequency_of(content: bytes) -> float:
    """Return how often the sound crosses zero upwards in a second, in its middle."""
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8_000, 1, 2)
        assert file.getnframes() / 8_000 == pytest.approx(SECONDS, abs=0.2)
        samples = struct.unpack(f"<{file.getnframes()}h", file.readframes(file.getnframes()))[4_000:12_000]
    return sum(1 for before, after in pairwise(samples) if before < 0 <= after)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.needs(ENCODERS[kind][0]))
        for kind in ("mp3", "variable.mp3", "ogg", "flac")
    ],
)
def test_a_real_file_becomes_its_sound(kind: str, tmp_path: Path) -> None:
    done = decoded(encoded(kind, tmp_path))
    assert done.returncode == 0, done.stderr
    assert frequency_of(done.stdout) == pytest.approx(TONE_HZ, abs=5)


@pytest.mark.needs("opusenc")
def test_opus_is_refused_with_advice(tmp_path: Path) -> None:
    done = decoded(encoded("opus", tmp_path))
    assert done.returncode != 0
    assert b"Ogg Opus is not read: use Ogg Vorbis" in done.stderr


@pytest.mark.needs("oggenc")
def test_half_a_file_gives_what_is_there_or_is_refused(tmp_path: Path) -> None:
    whole = encoded("ogg", tmp_path)
    done = decoded(whole[: len(whole) // 2])
    assert done.returncode in (0, 2), done.stderr
