"""What RTPProxy captured becomes one WAV file: in time, mixed, whatever is missing or broken."""

import struct
import tracemalloc
import wave
from array import array
from pathlib import Path

import pytest

from offhook.audio.g711 import PCMA, PCMU, encode
from offhook.audio.hearing import Ear
from offhook.audio.recording import SECONDS_MAX, main, mix, packets, place
from offhook.audio.synthesis import sine

BEGIN = 1_700_000_000.0
FILE_HEADER = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)


def rtp(number: int, payload: bytes, payload_type: int = PCMU, timestamp: int | None = None) -> bytes:
    stamp = 160 * number if timestamp is None else timestamp
    return struct.pack("!BBHII", 0x80, payload_type, number & 0xFFFF, stamp & 0xFFFFFFFF, 7) + payload


def record(at: float, packet: bytes, *, is_6: bool = False) -> bytes:
    ethernet = bytes(12) + (b"\x86\xdd" if is_6 else b"\x08\x00")
    frame = ethernet + bytes(40 if is_6 else 20) + bytes(8) + packet
    return struct.pack("<IIII", int(at), round((at % 1) * 1e6), len(frame), len(frame)) + frame


def capture(tone_hz: float, seconds: float, *, begin: float = BEGIN, payload_type: int = PCMU) -> bytes:
    sound = encode(sine(tone_hz, seconds), payload_type)
    pieces = [sound[start : start + 160] for start in range(0, len(sound) - 159, 160)]
    records = [
        record(begin + 0.02 * number, rtp(number, piece, payload_type)) for number, piece in enumerate(pieces)
    ]
    return FILE_HEADER + b"".join(records)


def heard(path: Path, *tones: float) -> list[float]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8_000)
        samples = memoryview(file.readframes(file.getnframes())).cast("h")
    ear = Ear(tones)
    ear.listen(samples)  # type: ignore[arg-type]
    return [ear.heard(tone) for tone in tones]


def make(folder: Path, end: float, *captures: bytes) -> Path:
    names = []
    for number, content in enumerate(captures):
        names.append(folder / f"s=second.{number}.rtp")
        names[-1].write_bytes(content)
    main([str(folder / "made.wav"), repr(BEGIN), repr(end), *map(str, names)])
    return folder / "made.wav"


@pytest.mark.parametrize("payload_type", [PCMU, PCMA])
def test_both_voices_are_in_it(tmp_path: Path, payload_type: int) -> None:
    first, second = capture(600, 1.0, payload_type=payload_type), capture(1000, 1.0)
    [low, high] = heard(make(tmp_path, BEGIN + 1, first, second), 600, 1000)
    assert min(low, high) > 0.9


def test_a_voice_that_comes_late_stands_late_and_is_cut_at_the_end(tmp_path: Path) -> None:
    late = capture(600, 1.0, begin=BEGIN + 1.0)
    made = make(tmp_path, BEGIN + 1.5, late, FILE_HEADER)
    [low] = heard(made, 600)
    assert low == pytest.approx(0.5, abs=0.06)
    with wave.open(str(made)) as file:
        assert file.getnframes() == 12_000
        assert not any(file.readframes(7_000))


def test_a_lost_packet_leaves_a_gap_and_moves_nothing() -> None:
    piece = encode([8_000] * 160, PCMU)
    found = [record(BEGIN + 0.02 * number, rtp(number, piece)) for number in (0, 2)]
    track = place(packets(FILE_HEADER + b"".join(found)), BEGIN, 480)
    assert [bool(track[index]) for index in (0, 200, 320)] == [True, False, True]


def test_jitter_of_arrival_does_not_move_what_a_clock_counts() -> None:
    piece = encode([8_000] * 160, PCMU)
    found = record(BEGIN, rtp(0, piece)) + record(BEGIN + 0.05, rtp(1, piece))
    track = place(packets(FILE_HEADER + found), BEGIN, 480)
    assert [bool(track[index]) for index in (159, 160, 319, 320)] == [True, True, True, False]


def test_a_source_with_another_clock_stands_where_it_arrives() -> None:
    piece = encode([8_000] * 160, PCMU)
    found = record(BEGIN, rtp(0, piece)) + record(BEGIN + 0.04, rtp(1, piece, timestamp=4_000_000_000))
    track = place(packets(FILE_HEADER + found), BEGIN, 480)
    assert [bool(track[index]) for index in (0, 200, 330)] == [True, False, True]


def test_what_is_no_voice_is_left_out() -> None:
    key = record(BEGIN, rtp(0, b"\x05\x80\x00\xa0", 101))
    short = record(BEGIN, b"\x80")
    assert list(packets(FILE_HEADER + key + short)) == []


def test_a_capture_of_ipv6_is_read() -> None:
    assert len(list(packets(FILE_HEADER + record(BEGIN, rtp(0, b"\xff" * 160), is_6=True)))) == 1


def test_a_capture_that_was_cut_off_gives_what_is_whole() -> None:
    whole = capture(600, 0.1)
    assert len(list(packets(whole[:-50]))) in (4, 5)
    assert list(packets(b"")) == []


def test_loud_voices_are_cut_off_not_turned_over() -> None:
    assert list(mix([array("h", [30_000, -30_000]), array("h", [30_000, -30_000])])) == [32_767, -32_767]


def test_mixing_takes_little_more_room_than_the_samples() -> None:
    tracks = [array("h", [1_000 + number]) * 160_000 for number in range(2)]
    tracemalloc.start()
    try:
        mixed = mix(tracks)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert set(mixed) == {2_001}
    assert most < 1_000_000  # as a list of numbers: 6 MB


def test_a_capture_of_which_nothing_was_written_is_silence(tmp_path: Path) -> None:
    with wave.open(str(make(tmp_path, BEGIN + 1, b"", capture(600, 0.1)))) as file:
        assert file.getnframes() == 8_000


def test_a_recording_is_bounded(tmp_path: Path) -> None:
    made = make(tmp_path, BEGIN + SECONDS_MAX * 10, FILE_HEADER)
    with wave.open(str(made)) as file:
        assert file.getnframes() == SECONDS_MAX * 8_000
