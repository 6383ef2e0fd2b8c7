"""What can be played: tones made on demand, stored WAV files, and the built-in music, as relay files.

Everything becomes `{name}.0` and `{name}.8` (G.711, no header) in the cache folder, which is the relay's
media folder. Names are digests of what made them, so that files outlive a restart and never go stale.
"""

import asyncio
import hashlib
import os
import time
import wave
from array import array
from collections import OrderedDict
from itertools import accumulate, pairwise
from pathlib import Path
from typing import ClassVar, Final

from offhook.audio.g711 import PCMA, PCMU, SAMPLE_RATE, encode
from offhook.audio.synthesis import music_samples, silence_samples, tone_samples, whole_packets
from offhook.audio.tones import (
    MediaSource,
    Silence,
    StoredMedia,
    ToneScript,
    ToneSyntaxError,
    parse_media,
)

from .relay import MediaError, PreparedMedia

BUILT_IN_MUSIC: Final = "offhook-music"
SYNTHESIS_VERSION: Final = "1"
"""Part of every name: raise it when the same source is to sound differently."""

MAX_SECONDS: Final = 600
"""Of a stored file; ten minutes are 9.6 MB in the cache. Longer ones are cut, and start again."""
MAX_FILE_BYTES: Final = 256 << 20
"""Ten minutes at 48 kHz stereo are 115 MB; nobody needs more, and reading it takes seconds."""
MAX_CACHED: Final = 256
"""Different things to play at one time on one node; the least recently used goes first."""
SAMPLE_RATES: Final = (8_000, 16_000, 44_100, 48_000)


class MediaUnknown(MediaError):
    """There is no such media id, its file is no WAV file we can read, or the text is no tone script."""

    code: ClassVar[str] = "media-unknown"

    def __init__(self, media_id: str, *, reason: str) -> None:
        super().__init__(media_id, reason)
        self.media_id = media_id
        self.reason = reason

    def __str__(self) -> str:
        return f"media {self.media_id}: {self.reason}"


class MediaLibrary:
    """Prepares media for a relay. `stored` holds `{media_id}.wav`; `cache` is the relay's media folder."""

    def __init__(self, stored: Path, cache: Path) -> None:
        self._stored = stored
        self._cache = cache
        self._prepared: OrderedDict[str, PreparedMedia] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    async def prepare(self, media: str) -> PreparedMedia:
        """Return what `media` stands for, ready to play; the first time it is made, in a thread.

        `media` is as parse_media takes it. Raises MediaUnknown.
        """
        try:
            source = parse_media(media)
        except ToneSyntaxError as error:
            raise MediaUnknown(media, reason=str(error)) from error
        key = await self._key(source)
        if key not in self._prepared:
            async with self._one_at_a_time:
                if key not in self._prepared:
                    self._remember(key, await asyncio.to_thread(self._make, source, key))
        self._prepared.move_to_end(key)
        return self._prepared[key]

    async def _key(self, source: MediaSource) -> str:
        if not isinstance(source, StoredMedia) or source.media_id == BUILT_IN_MUSIC:
            return _digest(repr(source))
        return await asyncio.to_thread(self._file_key, source.media_id)

    def _file_key(self, media_id: str) -> str:
        try:
            status = self._path(media_id).stat()
        except OSError:
            raise MediaUnknown(media_id, reason="there is no such file") from None
        if status.st_size > MAX_FILE_BYTES:
            raise MediaUnknown(media_id, reason=f"the file is larger than {MAX_FILE_BYTES >> 20} MB")
        return _digest(f"{media_id} {status.st_mtime_ns} {status.st_size}")

    def _path(self, media_id: str) -> Path:
        return self._stored / f"{media_id}.wav"

    def _remember(self, key: str, media: PreparedMedia) -> None:
        self._prepared[key] = media
        while len(self._prepared) > MAX_CACHED:
            _, oldest = self._prepared.popitem(last=False)
            for path in self._files(oldest.name):
                path.unlink(missing_ok=True)  # whoever plays it keeps it open until done

    def _files(self, name: str) -> list[Path]:
        return [self._cache / f"{name}.{payload_type}" for payload_type in (PCMU, PCMA)]

    def _make(self, source: MediaSource, key: str) -> PreparedMedia:
        self._cache.mkdir(parents=True, exist_ok=True)
        if not all(path.exists() for path in self._files(key)):
            samples = self._samples(source)
            for payload_type, path in zip((PCMU, PCMA), self._files(key), strict=True):
                _write(path, encode(samples, payload_type))
        self._trim()
        return PreparedMedia(key)

    def _samples(self, source: MediaSource) -> "array[int]":
        if isinstance(source, ToneScript):
            return tone_samples(source)
        if isinstance(source, Silence):
            return silence_samples(source)
        if source.media_id == BUILT_IN_MUSIC:
            return music_samples()
        return read_wave(self._path(source.media_id), source.media_id)

    def _trim(self) -> None:
        """Drop what earlier runs left, beyond twice what this one may hold."""
        files = [path for path in self._cache.iterdir() if path.suffix in (f".{PCMU}", f".{PCMA}")]
        ours = {media.name for media in self._prepared.values()}
        surplus = len(files) - 4 * MAX_CACHED
        if surplus > 0:
            strangers = [path for path in files if path.stem not in ours]
            for path in sorted(strangers, key=lambda path: path.stat().st_mtime)[:surplus]:
                path.unlink(missing_ok=True)


def is_known(text: str, stored: Path) -> bool:
    """Tell whether a media text can be played: a country code, tone or stream, or a file that is there."""
    try:
        source = parse_media(text)
    except ToneSyntaxError:
        return False
    if not isinstance(source, StoredMedia) or source.media_id == BUILT_IN_MUSIC:
        return True
    return (stored / f"{source.media_id}.wav").exists()


def read_wave(path: Path, media_id: str) -> "array[int]":
    """Return a WAV file as 8 kHz mono, cut to whole packets. Raises MediaUnknown."""
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2 or file.getnchannels() not in (1, 2):
                raise MediaUnknown(media_id, reason="only 16-bit mono or stereo is played")
            if file.getframerate() not in SAMPLE_RATES:
                raise MediaUnknown(media_id, reason=f"{file.getframerate()} Hz is not one of {SAMPLE_RATES}")
            return _read_blocks(file)
    except (OSError, EOFError, wave.Error) as error:
        raise MediaUnknown(media_id, reason=f"no readable WAV file ({error})") from error


def _read_blocks(file: wave.Wave_read) -> "array[int]":
    """Read and resample second by second, giving way to the event loop's thread in between."""
    samples: array[int] = array("h")
    rate = file.getframerate()
    for _ in range(MAX_SECONDS):
        block: array[int] = array("h")
        data = file.readframes(rate)
        block.frombytes(data[: len(data) - len(data) % (2 * file.getnchannels())])
        if not block:
            break
        samples.extend(_resample(_mono(block, file.getnchannels()), rate))
        time.sleep(0)
    if not samples:
        raise EOFError("no samples")
    return whole_packets(samples)


def _mono(block: "array[int]", channels: int) -> "array[int]":
    if channels == 1:
        return block
    return array("h", [(left + right) >> 1 for left, right in zip(block[::2], block[1::2], strict=True)])


def _resample(block: "array[int]", rate: int) -> "array[int]":
    """Return a block at 8 kHz: each sample is the mean of those it stands for (which also filters)."""
    if rate == SAMPLE_RATE:
        return block
    sums = [0, *accumulate(block)]
    count = len(block) * SAMPLE_RATE // rate
    edges = [index * rate // SAMPLE_RATE for index in range(count + 1)]
    means = [(sums[end] - sums[begin]) // (end - begin) for begin, end in pairwise(edges)]
    return array("h", means)


def _digest(text: str) -> str:
    return hashlib.sha256(f"{SYNTHESIS_VERSION} {text}".encode()).hexdigest()[:32]


def _write(path: Path, data: bytes) -> None:
    """Write so that a half-written file is never found under its name."""
    unfinished = path.with_suffix(f"{path.suffix}-{os.getpid()}")
    unfinished.write_bytes(data)
    unfinished.replace(path)
