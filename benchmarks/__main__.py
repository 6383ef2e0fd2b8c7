"""All benchmarks, one after the other, each in a process of its own; then a comparison with the last results.

Run: make bench, or python -m benchmarks [--keep] [name ...]
--keep writes the figures to benchmarks/results.json, and draws docs/images/performance-*.{png,svg} of them.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from . import comparison
from .report import RESULTS_VARIABLE, Row, kept

NAMES: Final = (
    "sip_codec", "sip_core", "media_relay", "store", "events", "lists", "planning", "api", "registrations",
    "engines", "standing", "overload",
)  # fmt: skip
"""From the smallest part to the whole. `soak` takes an hour and is run by name."""


def main() -> int:
    """Print the tables; return 1 if a benchmark failed, or a call has become dearer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="make these the results to compare with")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(NAMES)}, soak; all but soak")
    words = parser.parse_args()
    machine = comparison.speed_of_machine()
    with tempfile.TemporaryDirectory() as folder:
        results = {}
        for name in words.names or NAMES:
            rows = _run(name, Path(folder) / name)
            if rows is None:
                return 1
            results[name] = rows
    if words.keep:
        comparison.keep(results, machine)
        return 0
    return comparison.compare(results, machine)


def _run(name: str, rows: Path) -> list[Row] | None:
    """Run one; return its rows, or None if it failed."""
    print(f"\n== {name}: {_first_line_of(name)}", flush=True)
    environment = {**os.environ, RESULTS_VARIABLE: str(rows)}
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], env=environment, check=False)
    return kept(rows) if done.returncode == 0 else None


def _first_line_of(name: str) -> str:
    spec = importlib.util.find_spec(f"benchmarks.{name}")
    if spec is None or spec.origin is None:
        raise SystemExit(f"no benchmark is called {name}; there are {', '.join(NAMES)}, soak")
    with Path(spec.origin).open(encoding="utf-8") as source:
        return source.readline().strip().strip('"')


if __name__ == "__main__":
    sys.exit(main())
