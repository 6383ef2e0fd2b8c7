"""All benchmarks, one after the other, each in a process of its own.

Run: make bench, or python -m benchmarks [name ...]
"""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

NAMES: Final = ("sip_codec", "sip_core", "media_relay", "store", "lists", "planning", "api", "calls")
"""From the smallest part to the whole."""
NEEDS: Final = {"calls": "sipp"}
"""Programs that a benchmark runs and that may be missing."""


def main() -> int:
    """Print the tables; return how many benchmarks failed."""
    names = sys.argv[1:] or NAMES
    return sum(not _run(name) for name in names)


def _run(name: str) -> bool:
    print(f"\n== {name}: {_first_line_of(name)}", flush=True)
    program = NEEDS.get(name)
    if program and shutil.which(program) is None:
        print(f"left out: {program} is not installed")
        return True
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False)
    return done.returncode == 0


def _first_line_of(name: str) -> str:
    spec = importlib.util.find_spec(f"benchmarks.{name}")
    if spec is None or spec.origin is None:
        raise SystemExit(f"no benchmark is called {name}; there are {', '.join(NAMES)}")
    with Path(spec.origin).open(encoding="utf-8") as source:
        return source.readline().strip().strip('"')


if __name__ == "__main__":
    sys.exit(main())
