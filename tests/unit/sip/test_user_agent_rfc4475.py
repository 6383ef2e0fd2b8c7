"""The torture messages of RFC 4475 through the whole core: answered or dropped, no crash, nothing left."""

from pathlib import Path

import pytest

from .peers import Wire

MESSAGES = sorted((Path(__file__).parents[2] / "data" / "rfc4475").glob("*.dat"))


def test_all_are_there() -> None:
    assert len(MESSAGES) == 49


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_torture_message(path: Path) -> None:
    wire = Wire()
    wire.receive(path.read_bytes())
    wire.receive(path.read_bytes())
    wire.wait(1_000)
    assert wire.core.is_idle
    assert wire.core.timer_count == 0
