"""Rows of figures: shown as a table, kept for the comparison with the last committed result."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

RESULTS_VARIABLE: Final = "OFFHOOK_BENCHMARK_RESULTS"
"""File that rows are added to, one JSON object on each line; set by `python -m benchmarks`."""


class Row(NamedTuple):
    """A line of the table."""

    what: str
    value: float
    unit: str

    @property
    def is_cost(self) -> bool:
        """Tell whether it is CPU time: what must not grow, and does not depend on who else is busy."""
        return "CPU" in self.unit or "CPU" in self.what


def show(rows: Iterable[Row]) -> None:
    """Print rows as they come, and keep them if a file is named."""
    named = os.environ.get(RESULTS_VARIABLE)
    for row in rows:
        print(f"{row.what:<66} {row.value:>11,.2f} {row.unit}", flush=True)
        if named:
            with Path(named).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def kept(path: Path) -> list[Row]:
    """Return the rows of a file."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [Row(*json.loads(line)) for line in lines]
