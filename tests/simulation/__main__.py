"""Runs worlds: `python -m tests.simulation --calls 100000`, or one again: `--seed N`."""

import argparse
import gc
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter

import structlog

from .ladder import Ladder
from .scenario import CALLS, SCENARIOS, scenario_named
from .virtual_time import WorldBroken
from .world import World, take_log

OUTCOMES = (
    "connected",
    "busy",
    "no_answer",
    "rejected",
    "unreachable",
    "canceled",
    "failed",
    "platform_error",
)


def main() -> int:
    arguments = _arguments()
    structlog.configure(
        processors=[take_log],
        wrapper_class=structlog.make_filtering_bound_logger(30),
        cache_logger_on_first_use=True,
    )
    if arguments.seed is not None:
        return replay(arguments.seed, arguments.scenario, silent=arguments.silent)
    return run_many(_tasks(arguments), arguments.processes)


def _tasks(arguments: argparse.Namespace) -> list[tuple[int, str]]:
    """Return (seed, name of a scenario) of as many worlds as it takes."""
    worlds = -(-arguments.calls // CALLS)
    seeds = range(arguments.first, arguments.first + worlds)
    return [(seed, arguments.scenario or SCENARIOS[seed % len(SCENARIOS)].name) for seed in seeds]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000, help="how many calls (default: 10,000)")
    parser.add_argument("--seed", type=int, help="run this one world and print its ladder if it breaks")
    parser.add_argument("--first", type=int, default=0, help="first seed of many (default: 0)")
    parser.add_argument(
        "--scenario", choices=[scenario.name for scenario in SCENARIOS], help="only this kind"
    )
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--silent", action="store_true", help="with --seed: no ladder, one line")
    return parser.parse_args()


def run_many(tasks: list[tuple[int, str]], processes: int) -> int:
    """Run them all; print totals; return 1 if a world broke."""
    started, total, broken = time.monotonic(), Counter[str](), []
    with multiprocessing.Pool(processes, initializer=_collect_seldom) as pool:
        for task, statistics, fault in pool.imap_unordered(run_world, tasks, chunksize=4):
            total += statistics
            if total["worlds"] % PROGRESS == 0:
                print(f"{total['worlds']} of {len(tasks)} worlds hold", file=sys.stderr, flush=True)
            if fault:
                broken.append(task)
                print(f"seed {task[0]} [{task[1]}] {fault}", flush=True)
    seconds = time.monotonic() - started
    report(total, seconds, processes)
    for seed, scenario in broken[:20]:
        print(f'replay: python -m tests.simulation --seed {seed} --scenario "{scenario}"')
    return 1 if broken else 0


PROGRESS = 500
"""Worlds between two lines that say how far it is."""

WORLDS_PER_COLLECTION = 16
"""A world leaves 5 MB of cycles; looking for them all the time costs a fifth of the run."""


def _collect_seldom() -> None:
    gc.freeze()
    gc.disable()


def report(total: Counter[str], seconds: float, processes: int) -> None:
    """Print what happened."""
    calls = total["accepted"] + total["refused"]
    print(f"{total['worlds']} worlds, {calls} requests, {total['accepted']} calls accepted, "
          f"{total['refused']} refused, {total['crashes']} crashes, {total['restarts']} restarts, "
          f"{total['packets']} packets; "
          f"the outcome of {total['foretold']} was foretold")  # fmt: skip
    print("outcomes: " + ", ".join(f"{total[name]} {name}" for name in OUTCOMES))
    print(f"{seconds:.1f} s in {processes} processes: {calls / seconds:.0f} calls/s")


def run_world(task: tuple[int, str]) -> tuple[tuple[int, str], Counter[str], str]:
    """Return (seed and scenario, what happened, what is broken)."""
    seed, scenario = task
    if seed % WORLDS_PER_COLLECTION == 0:
        gc.collect()
    world = World(seed, scenario=scenario_named(scenario))
    try:
        return task, world.run(), ""
    except WorldBroken as broken:
        return task, world.statistics, f"at {world.agenda.now:.3f} s: {broken}"
    except Exception:
        return task, world.statistics, f"at {world.agenda.now:.3f} s: {traceback.format_exc(limit=-6)}"


def replay(seed: int, scenario: str | None, *, silent: bool) -> int:
    """Run one world; when it breaks, print the ladder and the journal of the call."""
    ladder = Ladder()
    world = World(seed, scenario=scenario_named(scenario) if scenario else None, ladder=ladder)
    try:
        statistics = world.run()
    except WorldBroken as broken:
        print(f"seed {seed} [{world.scenario.name}] at {world.agenda.now:.3f} s: {broken}")
        if not silent:
            _show(world, ladder, broken.call_id)
        return 1
    except Exception:
        print(
            f"seed {seed} [{world.scenario.name}] at {world.agenda.now:.3f} s:",
            traceback.format_exc(limit=-6),
        )
        return 1
    print(f"seed {seed} [{world.scenario.name}] holds: {dict(statistics)}")
    return 0


def _show(world: World, ladder: Ladder, call_id: str) -> None:
    record = world.records.get(call_id)
    if record is None:
        print(*ladder.of(set())[-50:], sep="\n")
        return
    for far_end in record.cast.all:
        print(f"{far_end.address[0]:<14} {far_end.leg_id}  {far_end.script}")
    print(*ladder.of({far_end.address[0] for far_end in record.cast.all}), sep="\n")
    stored = world.disk.calls.get(call_id)
    for entry in stored.entries if stored is not None else ():
        print(f"{entry.at - 1_764_000_000.0:10.3f}  #{entry.sequence} {entry.fact.decode()}")


if __name__ == "__main__":
    sys.exit(main())
