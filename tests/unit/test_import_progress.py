"""An import in the background says now and then how far it is."""

import pytest

from offhook.cli import transfer
from offhook.cli.transfer import _Milestones


def test_a_line_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr(transfer.time, "monotonic", lambda: now)
    told = _Milestones(1_000)
    for second in range(40):
        now = 100.0 + second
        told(b"x" * 25)
    assert capsys.readouterr().err.splitlines() == ["importing: 27 %", "importing: 52 %", "importing: 77 %"]


def test_an_empty_file_divides_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    _Milestones(0)(b"")
    assert capsys.readouterr().err == ""
