"""The recorder makes files in a child process, removes captures after, and lets a stop wait for both."""

import asyncio
from pathlib import Path

import pytest

from offhook.calls.events import RecordingMade
from offhook.engines.embedded.recorder import Recorder
from tests.unit.audio.test_recording import BEGIN, capture

pytestmark = pytest.mark.slow  # real processes


def given_capture(folder: Path, content: bytes) -> Path:
    path = folder / "s1=second.a.rtp"
    path.write_bytes(content)
    return path


def test_a_recording_is_made_and_its_captures_are_removed(tmp_path: Path) -> None:
    async def scenario() -> None:
        made: list[RecordingMade] = []
        recorder = Recorder(tmp_path / "made", made.append)
        path = given_capture(tmp_path, capture(600, 0.2))
        recorder.make("r1", BEGIN, BEGIN + 0.2, [path])
        recorder.make("r2", BEGIN, BEGIN + 0.1, [path])
        recorder.forget([path])
        await recorder.stop()
        assert [event.recording_id for event in made] == ["r1", "r2"]
        sizes = [Path(event.path).stat().st_size for event in made]
        assert sizes == pytest.approx([44 + 3_200, 44 + 1_600], abs=8)
        assert not path.exists()

    asyncio.run(scenario())


def test_a_capture_that_is_missing_is_a_lost_recording(tmp_path: Path) -> None:
    async def scenario() -> None:
        made: list[RecordingMade] = []
        recorder = Recorder(tmp_path / "made", made.append)
        recorder.make("r1", BEGIN, BEGIN + 1, [tmp_path / "nothing.rtp"])
        await recorder.stop()
        assert made == [RecordingMade("r1", "")]

    asyncio.run(scenario())


def test_a_stop_waits_for_captures_that_are_on_the_way(tmp_path: Path) -> None:
    async def scenario() -> None:
        made: list[RecordingMade] = []
        recorder = Recorder(tmp_path / "made", made.append)
        path = given_capture(tmp_path, capture(600, 0.1))
        recorder.expect("session")

        def arrive() -> None:
            recorder.make("r1", BEGIN, BEGIN + 0.1, [path])
            recorder.arrived("session")

        asyncio.get_running_loop().call_later(0.05, arrive)
        await recorder.stop()
        assert [event.recording_id for event in made] == ["r1"]

    asyncio.run(scenario())
