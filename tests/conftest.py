"""What every test shares: tests that need a missing program are skipped by name and counted at the end."""

import os
import shutil
from collections import Counter, defaultdict

import pytest

from .peers import asterisk

REQUIRE_TOOLS = "REQUIRE_TEST_TOOLS"
"""Set by .ci/run: there a missing program is a failure."""

FOUND_BY = {"asterisk": asterisk.is_here}
"""Programs that are no part of the machine but lie in a folder of their own."""

OPTIONAL = frozenset(FOUND_BY)
"""They come from a suite that is always on the move: what cannot be had today is no fault of ours."""

_lacking: defaultdict[str, Counter[str]] = defaultdict(Counter)
"""Missing program → test file → how many of its tests were skipped."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip each test whose `needs` marker names a program that is not installed."""
    required = bool(os.environ.get(REQUIRE_TOOLS))
    for item in items:
        missing = [name for name in _missing_programs(item) if name in OPTIONAL or not required]
        if missing:
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail where skipping is not allowed."""
    missing = _missing_programs(item)
    if missing:
        pytest.fail(f"{', '.join(missing)} must be installed when {REQUIRE_TOOLS} is set", pytrace=False)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count what was skipped for lack of a program."""
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    if reason.startswith("Skipped: needs "):
        for program in reason.removeprefix("Skipped: needs ").split(", "):
            _lacking[program][report.location[0]] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in the last lines how many tests were skipped, in which files and for lack of which program."""
    if not _lacking:
        return
    terminalreporter.section("not tested here")
    for program, files in sorted(_lacking.items()):
        terminalreporter.write_line(f"{files.total()} tests skipped for lack of {program}:")
        for file, count in sorted(files.items()):
            terminalreporter.write_line(f"    {count:3} in {file}")


def _missing_programs(item: pytest.Item) -> list[str]:
    needed = {program for mark in item.iter_markers("needs") for program in mark.args}
    return sorted(program for program in needed if not _is_here(program))


def _is_here(program: str) -> bool:
    found_by = FOUND_BY.get(program)
    return found_by() if found_by is not None else shutil.which(program) is not None
