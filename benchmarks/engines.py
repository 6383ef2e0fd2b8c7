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

from .load import FarEnds, Load, Measured, given_far_ends, offer
from .peers import System, asterisk, freeswitch
from .peers.offhook import Offhook

Build = Callable[[Path, FarEnds], System]

WARM_UP = Load(calls=40, per_second=40, hold_s=0.5)
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
            for number in range(WARM_UP.calls):
                await system.place(9_000_000 + number)
                await asyncio.sleep(1 / WARM_UP.per_second)
            while await system.live():
                await asyncio.sleep(0.2)
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


def show(name: str, run: Measured, least: float) -> str:
    """Return a line of the table."""
    return (
        f"{name:<22} {run.joined:>6}/{run.offered:<6} {run.cpu_ms:>8.2f} {run.cpu_ms / least:>7.1f} "
        f"{run.kib_per_call:>9.1f} {run.to_invite_p50_ms:>8.1f} {run.to_invite_p99_ms:>8.1f} "
        f"{run.to_bridged_p50_ms:>8.1f} {run.to_bridged_p99_ms:>8.1f}"
    )


HEAD = (
    f"{'system':<22} {'joined':>13} {'CPU ms':>8} {'ratio':>7} {'KiB/call':>9} {'INVITE':>8} {'p99':>8} "
    f"{'bridged':>8} {'p99 ms':>8}"
)


async def run(load: Load, runs: int, only: str = "") -> dict[str, Measured]:
    """Measure each system in turn, several times; print the table and return the medians."""
    taken: dict[str, list[Measured]] = {name: [] for name in systems(only)}
    for turn in range(1, runs + 1):
        for name, build in systems(only).items():
            taken[name].append(await measure(build, load))
            print(f"  run {turn} of {runs}: {name}: {taken[name][-1].cpu_ms:.2f} ms", flush=True)
    figures = {name: middle(each) for name, each in taken.items()}
    least = min(figure.cpu_ms for figure in figures.values())
    print(f"{load.calls} calls at {load.per_second:g}/s, held {load.hold_s:g} s; medians of {runs}")
    print(HEAD)
    for name, figure in figures.items():
        print(show(name, figure, least))
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
    asyncio.run(run(Load(words.calls, words.rate, words.hold), words.runs, words.only))
    if words.sustained:
        for name, build in systems(words.only).items():
            print(f"{name:<22} sustains {asyncio.run(sustained(build, 100.0)):.0f} calls/s", flush=True)


if __name__ == "__main__":
    main()
