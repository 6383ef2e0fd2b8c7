"""The same two-leg call through offhook, and through Asterisk and FreeSWITCH where they are reachable.

Each system gets the same load in turn, several times; figures are medians. CPU is that of the system's own
processes, from the kernel's accounting. No RTP flows.

Run: python -m benchmarks.engines --help
"""

import argparse
import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from .load import FarEnds, Load, Measured, given_far_ends, offer, warm_up
from .peers import System, asterisk, freeswitch
from .peers.offhook import Offhook
from .report import Row, show

Build = Callable[[Path, FarEnds], System]

OURS = "offhook"
SUSTAINED_STEP = 1.25
SUSTAINED_S = 6.0
FAILED_MAX = 0.01
P99_MAX_MS = 1_000.0


def systems(only: str = "") -> dict[str, Build]:
    """Return what can be measured here, by name."""
    found: dict[str, Build] = {
        "offhook": lambda folder, far: Offhook(folder, far.plan, media="direct"),
        "offhook with relay": lambda folder, far: Offhook(folder, far.plan),
        "offhook, 2 workers": lambda folder, far: Offhook(folder, far.plan, media="direct", workers=2),
    }
    if asterisk.is_here():
        found["Asterisk by AMI"] = lambda folder, far: asterisk.AsteriskByAmi(folder, far.plan)
        found["Asterisk by ARI"] = lambda folder, far: asterisk.AsteriskByAri(folder, far.plan)
    if freeswitch.is_here():
        found["FreeSWITCH by ESL"] = lambda folder, far: freeswitch.FreeswitchByEsl(far.plan)
    return {name: build for name, build in found.items() if only.lower() in name.lower()}


async def measure(build: Build, load: Load) -> Measured:
    """Return one run of a system that was started for it, after a warm-up."""
    with tempfile.TemporaryDirectory() as folder:
        async with given_far_ends(load.hold_s) as far_ends, build(Path(folder), far_ends) as system:
            await warm_up(system)
            return await offer(system, load, far_ends)


async def sustained(build: Build, start: float) -> float:
    """Return the highest rate at which fewer than 1 % of calls fail and p99 to bridged is under a second."""
    rate, best = start, 0.0
    while True:
        run = await measure(build, Load(round(rate * SUSTAINED_S), rate, 5.0))
        if run.failed_share > FAILED_MAX or run.to_bridged_p99_ms > P99_MAX_MS:
            return best
        best, rate = rate, rate * SUSTAINED_STEP


def middle(runs: list[Measured]) -> Measured:
    """Return the median of each figure."""
    return Measured(*(type(values[0])(median(values)) for values in zip(*runs, strict=True)))


def rows(name: str, run: Measured) -> list[Row]:
    """Return the figures of a system."""
    return [
        Row(f"{name}: CPU per call", run.cpu_ms, "ms"),
        Row(f"{name}: memory per standing call", run.kib_per_call, "KiB"),
        Row(f"{name}: request to first INVITE, p50", run.to_invite_p50_ms, "ms"),
        Row(f"{name}: request to first INVITE, p99", run.to_invite_p99_ms, "ms"),
        Row(f"{name}: request to both joined, p50", run.to_bridged_p50_ms, "ms"),
        Row(f"{name}: request to both joined, p99", run.to_bridged_p99_ms, "ms"),
        Row(f"{name}: calls joined", 100 * run.joined / run.offered, "%"),
    ]


async def run(load: Load, runs: int, only: str = "") -> dict[str, Measured]:
    """Measure each system in turn, several times; print the table and return the medians."""
    taken: dict[str, list[Measured]] = {name: [] for name in systems(only)}
    for turn in range(1, runs + 1):
        for name, build in systems(only).items():
            taken[name].append(await measure(build, load))
            print(f"  run {turn} of {runs}: {name}: {taken[name][-1].cpu_ms:.2f} ms", flush=True)
    figures = {name: middle(each) for name, each in taken.items()}
    print(f"{load.calls} calls at {load.per_second:g}/s, held {load.hold_s:g} s; medians of {runs} runs")
    for name, figure in figures.items():
        show(rows(name, figure))
    ours = figures.get(OURS)
    peers = {name: figure for name, figure in figures.items() if not name.startswith(OURS)}
    if ours is not None:
        show(
            Row(f"{name} against {OURS}", peer.cpu_ms / ours.cpu_ms, "times") for name, peer in peers.items()
        )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--rate", type=float, default=80.0, help="calls per second")
    parser.add_argument("--hold", type=float, default=5.0, help="seconds that the parties talk")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="systems whose name contains this")
    parser.add_argument("--sustained", action="store_true", help="also look for the highest rate of each")
    words = parser.parse_args()
    if not asterisk.is_here():
        print("Asterisk is not here; `make bench-peers` puts Debian's into .peers (65 MB, installs nothing)")
    asyncio.run(run(Load(words.calls, words.rate, words.hold), words.runs, words.only))
    if words.sustained:
        for name, build in systems(words.only).items():
            show([Row(f"{name}: sustained", asyncio.run(sustained(build, 100.0)), "calls/s")])


if __name__ == "__main__":
    main()
