"""Child process that turns an uploaded file (WAV, MP3, Ogg Vorbis, FLAC) into a WAV file of 8 kHz mono.

Reads standard input, writes standard output. It exists because decoders are C code that is fed by strangers:
a crash or an endless loop ends this process and nothing else.
"""

import io
import resource
import sys
import wave
from array import array
from typing import BinaryIO, Final

import miniaudio

SAMPLE_RATE: Final = 8_000
SECONDS_MAX: Final = 600
"""What the library plays of a file; the rest is cut."""

BLOCK_FRAMES: Final = SAMPLE_RATE

CPU_S: Final = 20
"""Ten minutes of MP3 take about two."""

MEMORY_BYTES: Final = 1 << 30
"""Address space; the decoder needs some 100 MB."""

OPUS_HEAD: Final = b"OpusHead"
OGG_HEAD_BYTES: Final = 512
"""An Ogg file names its codec in the first packet of its first page (RFC 7845 section 5.1)."""

UNREADABLE: Final = 2
"""Exit status: this is no audio file we can read."""


def decode(content: bytes) -> bytes:
    """Return the WAV file. Raises miniaudio.DecodeError."""
    if content.startswith(b"OggS") and OPUS_HEAD in content[:OGG_HEAD_BYTES]:
        raise miniaudio.DecodeError("Ogg Opus is not read: use Ogg Vorbis, MP3, FLAC or WAV")
    samples: array[int] = array("h")
    blocks = miniaudio.stream_memory(
        content,
        output_format=miniaudio.SampleFormat.SIGNED16,
        nchannels=1,
        sample_rate=SAMPLE_RATE,
        frames_to_read=BLOCK_FRAMES,
    )
    for block in blocks:
        samples.extend(block)
        if len(samples) >= SECONDS_MAX * SAMPLE_RATE:
            break
    if not samples:
        raise miniaudio.DecodeError("no samples")
    return _wav(samples)


def _wav(samples: "array[int]") -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return out.getvalue()


def main(source: BinaryIO, target: BinaryIO) -> int:
    """Decode within bounds of time and memory; return the exit status."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    try:
        result = decode(source.read())
    except (miniaudio.MiniaudioError, MemoryError) as error:
        print(str(error)[:200], file=sys.stderr)
        return UNREADABLE
    target.write(result)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer, sys.stdout.buffer))
