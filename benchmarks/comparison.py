"""Today's figures beside the last committed ones, and charts of them.

Machines differ, and one is not always equally fast: each run also times a fixed piece of Python, and costs
are compared in units of that.
"""

import importlib.util
import json
import time
from pathlib import Path
from typing import Final

from .report import Row

RESULTS: Final = Path(__file__).with_name("results.json")
DEARER_MAX: Final = 1.25
"""A cost that has grown more fails the run."""
ROUNDS: Final = 5

Results = dict[str, list[Row]]


def speed_of_machine() -> float:
    """Return the CPU milliseconds of a fixed piece of Python, the best of some rounds."""
    return min(_round() for _ in range(ROUNDS))


def _round() -> float:
    began = time.process_time()
    words: dict[str, int] = {}
    for number in range(60_000):
        word = f"{number % 997}:{number & 7}"
        words[word] = words.get(word, 0) + len(word.partition(":")[2])
    return (time.process_time() - began) * 1000


def keep(results: Results, machine: float) -> None:
    """Make these the results to compare with; those of benchmarks that were not run stay. Draw the charts."""
    kept = json.loads(RESULTS.read_text("utf-8"))["results"] if RESULTS.exists() else {}
    for name, rows in results.items():
        kept[name] = {row.what: [round(row.value, 3), row.unit, round(machine, 3)] for row in rows}
    text = json.dumps({"results": kept}, indent=2, ensure_ascii=False)
    RESULTS.write_text(text + "\n", "utf-8")
    print(f"\nkept in {RESULTS.name}")
    if importlib.util.find_spec("matplotlib") is None:
        print("no charts: matplotlib is not installed (pip install matplotlib)")
        return
    from .charts import draw

    draw(kept)


def compare(results: Results, machine: float) -> int:
    """Print what became dearer or cheaper; return 1 if a cost grew by more than a quarter."""
    if not RESULTS.exists():
        return 0
    kept = json.loads(RESULTS.read_text("utf-8"))["results"]
    failed = 0
    print(f"\n== CPU against the last committed results (this machine: {machine:.1f} ms for the fixed piece)")
    for name, rows in results.items():
        for row in rows:
            before = kept.get(name, {}).get(row.what)
            if before is None or not row.is_cost or not before[0]:
                continue
            factor = row.value / machine / (before[0] / before[2])
            is_dearer = factor > DEARER_MAX
            failed += is_dearer
            mark = "DEARER" if is_dearer else "cheaper" if factor < 1 / DEARER_MAX else ""
            print(f"{row.what:<66} {factor:>6.2f} times {mark}")
    if failed:
        print(f"{failed} costs have grown by more than {DEARER_MAX - 1:.0%}")
    return 1 if failed else 0
