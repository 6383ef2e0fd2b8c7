"""Preparing what can be played: tones, silence, music, WAV files of all rates, and what cannot be."""

import asyncio
import math
import os
import wave
from array import array
from pathlib import Path

import pytest

from offhook.audio.g711 import PCMA, PCMU, decode
from offhook.audio.hearing import Ear
from offhook.engines.embedded import media_library
from offhook.engines.embedded.media_library import MediaLibrary, MediaUnknown
from offhook.engines.embedded.relay import PreparedMedia


@pytest.fixture
def stored(tmp_path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    return folder


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


def prepare(stored: Path, cache: Path, *media: str) -> list[PreparedMedia]:
    async def scenario():
        library = MediaLibrary(stored, cache)
        return await asyncio.gather(*[library.prepare(text) for text in media])

    return asyncio.run(scenario())


def sound_of(cache: Path, media: PreparedMedia, payload_type: int) -> "array[int]":
    return decode((cache / f"{media.name}.{payload_type}").read_bytes(), payload_type)


def given_wave(path: Path, *, rate: int, channels: int, hz: float, seconds: float = 0.5) -> None:
    count = int(rate * seconds)
    mono = [int(8000 * math.sin(2 * math.pi * hz * index / rate)) for index in range(count)]
    frames = array("h", [sample for sample in mono for _ in range(channels)])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(frames.tobytes())


@pytest.mark.parametrize("payload_type", [PCMU, PCMA])
def test_a_tone_is_made_in_both_codecs(stored, cache, payload_type):
    [media] = prepare(stored, cache, "%(400,200,440,480)")
    ear = Ear([440, 480])
    ear.listen(sound_of(cache, media, payload_type))
    assert ear.heard(440) == ear.heard(480) == pytest.approx(0.4, abs=0.06)
    assert ear.silent_seconds == pytest.approx(0.2, abs=0.06)


def test_files_are_whole_packets(stored, cache):
    for media in prepare(stored, cache, "%(33,0,440)", "silence_stream://25", "us", "offhook-music"):
        assert (cache / f"{media.name}.{PCMU}").stat().st_size % 160 == 0


def test_names_need_no_quoting_and_are_the_same_next_time(stored, cache):
    first = prepare(stored, cache, "us", "%(2000,4000,440,480)", "de", "offhook-music")
    assert all(media.name.isalnum() for media in first)
    assert first[0] == first[1] != first[2]
    before = sorted((path.name, path.stat().st_mtime_ns) for path in cache.iterdir())
    assert prepare(stored, cache, "us", "us", "de", "offhook-music")[0] == first[0]
    assert sorted((path.name, path.stat().st_mtime_ns) for path in cache.iterdir()) == before


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_a_stored_file_is_resampled(stored, cache, rate, channels):
    given_wave(stored / "welcome.wav", rate=rate, channels=channels, hz=600)
    [media] = prepare(stored, cache, "welcome")
    ear = Ear([600, 580, 620])
    ear.listen(sound_of(cache, media, PCMA))
    assert ear.heard(600) == pytest.approx(0.5, abs=0.06)
    assert ear.heard(580) == ear.heard(620) == 0.0


def test_a_file_that_changed_is_prepared_anew(stored, cache):
    async def scenario():
        library = MediaLibrary(stored, cache)
        given_wave(stored / "welcome.wav", rate=8_000, channels=1, hz=600)
        before = await library.prepare("welcome")
        given_wave(stored / "welcome.wav", rate=8_000, channels=1, hz=800)
        os.utime(stored / "welcome.wav", (1, 1))
        after = await library.prepare("welcome")
        assert after != before
        ear = Ear([600, 800])
        ear.listen(sound_of(cache, after, PCMU))
        assert ear.heard(800) > 0.4 > ear.heard(600)

    asyncio.run(scenario())


def test_long_files_are_cut(stored, cache, monkeypatch):
    monkeypatch.setattr(media_library, "MAX_SECONDS", 1)
    given_wave(stored / "endless.wav", rate=8_000, channels=1, hz=600, seconds=3)
    [media] = prepare(stored, cache, "endless")
    assert (cache / f"{media.name}.{PCMU}").stat().st_size == 8_000


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "no readable WAV file"),
    (b"RIFF rubbish", "no readable WAV file"),
    (b"ID3\x04\x00" + bytes(4000), "no readable WAV file"),
])  # fmt: skip
def test_files_that_are_no_wav_are_refused(stored, cache, content, reason):
    (stored / "broken.wav").write_bytes(content)
    with pytest.raises(MediaUnknown, match=reason):
        prepare(stored, cache, "broken")
    assert list(cache.iterdir()) == []


def test_other_rates_and_widths_are_refused(stored, cache):
    given_wave(stored / "odd.wav", rate=11_025, channels=1, hz=600)
    with pytest.raises(MediaUnknown, match="11025 Hz"):
        prepare(stored, cache, "odd")
    with wave.open(str(stored / "bytes.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8_000)
        file.writeframes(bytes(800))
    with pytest.raises(MediaUnknown, match="16-bit"):
        prepare(stored, cache, "bytes")


def test_huge_files_are_not_read(stored, cache, monkeypatch):
    monkeypatch.setattr(media_library, "MAX_FILE_BYTES", 1000)
    given_wave(stored / "huge.wav", rate=8_000, channels=1, hz=600)
    with pytest.raises(MediaUnknown, match="larger"):
        prepare(stored, cache, "huge")


@pytest.mark.parametrize("media", ["nobody-knows", "../../etc/passwd", "%(1,2", "", "a\nb"])
def test_what_is_not_there_is_unknown(stored, cache, media):
    with pytest.raises(MediaUnknown):
        prepare(stored, cache, media)


def test_the_cache_is_bounded(stored, cache, monkeypatch):
    monkeypatch.setattr(media_library, "MAX_CACHED", 3)
    cache.mkdir()
    for number in range(40):
        (cache / f"left{number}.0").write_bytes(b"x")

    async def scenario():
        library = MediaLibrary(stored, cache)
        for hz in range(400, 410):
            await library.prepare(f"%(20,0,{hz})")
        return await library.prepare("%(20,0,409)")

    last = asyncio.run(scenario())
    files = list(cache.iterdir())
    assert len(files) <= 4 * 3 + 2
    assert cache / f"{last.name}.{PCMU}" in files
    assert [path for path in files if "-" in path.name] == []
