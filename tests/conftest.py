"""What every test shares: programs that may be missing are skipped by name and counted at the end."""

import os
import shutil
from collections import Counter

import pytest

REQUIRE_TOOLS = "REQUIRE_TEST_TOOLS"
"""Set by .ci/run: there a missing program is a failure."""

_lacking: Counter[str] = Counter()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose `needs` marker names a program that is not installed."""
    needed = [program for mark in item.iter_markers("needs") for program in mark.args]
    missing = sorted({program for program in needed if shutil.which(program) is None})
    if not missing:
        return
    if os.environ.get(REQUIRE_TOOLS):
        pytest.fail(f"{', '.join(missing)} must be installed when {REQUIRE_TOOLS} is set", pytrace=False)
    _lacking.update(missing)
    pytest.skip(f"needs {', '.join(missing)}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in the last lines how many tests were skipped, and for lack of which program."""
    if not _lacking:
        return
    terminalreporter.section("not tested here")
    for program, count in sorted(_lacking.items()):
        terminalreporter.write_line(f"{count} tests skipped for lack of {program}")
