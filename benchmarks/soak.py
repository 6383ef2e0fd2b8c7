"""Calls for a long time: memory, sockets and counters must stay flat, and nothing may be left at the end.

Run: python -m benchmarks.soak [minutes] [per_second]   (60 minutes, 20 calls per second; a line each minute)
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from .far_ends import HOST
from .load import FarEnds, all_ended, warm_up
from .peers.offhook import Offhook
from .peers.system import PlacingFailed, usage
from .report import Row, show

MINUTES = 60.0
PER_SECOND = 20.0
HOLD_S = 3.0
GROWTH_MAX = 0.05
"""Of the memory between the second third of the time and the last."""
NUMBERS = 900_000


class Sample(NamedTuple):
    minute: float
    kib: float
    files: int
    live: int
    cpu_s: float


async def soak(minutes: float, per_second: float) -> bool:
    """Return whether it stayed flat and ended clean."""
    with tempfile.TemporaryDirectory() as folder:
        far_ends = FarEnds(HOLD_S)
        async with Offhook(Path(folder), far_ends.plan) as system:
            await warm_up(system)
            samples, counts = await _run(system, minutes, per_second)
            await all_ended(system)
            await asyncio.sleep(35.0)  # past 64*T1
            left = {name: await system.metric(name) for name in ("offhook_calls_live ",)}
            files = _files(system)
        far_ends.end()
    thirds = len(samples) // 3
    before = mean(sample.kib for sample in samples[thirds : 2 * thirds])
    after = mean(sample.kib for sample in samples[2 * thirds :])
    growth = after / before - 1
    show(
        [
            Row("soak: calls placed", counts[0], "calls"),
            Row("soak: calls refused", counts[1], "calls"),
            Row("soak: CPU per call", (samples[-1].cpu_s - samples[0].cpu_s) * 1000 / counts[0], "ms"),
            Row("soak: growth of memory, last third against the second", 100 * growth, "%"),
            Row("soak: files open at the end, more than at the start", files - samples[0].files, "files"),
            Row("soak: calls left", sum(left.values()), "calls"),
        ]
    )
    return growth < GROWTH_MAX and not any(left.values()) and files <= samples[0].files + 5


async def _run(system: Offhook, minutes: float, per_second: float) -> tuple[list[Sample], tuple[int, int]]:
    began = time.monotonic()
    samples = [await _sample(system, began)]
    placed, refused = 0, []
    tasks: set[asyncio.Task[None]] = set()
    while (passed := time.monotonic() - began) < minutes * 60:
        await asyncio.sleep(max(0.0, placed / per_second - passed))
        task = asyncio.create_task(_place(system, 1_000_000 + placed % NUMBERS, refused))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        placed += 1
        if passed >= 60 * len(samples):
            samples.append(await _sample(system, began))
            now = samples[-1]
            print(
                f"  {now.minute:5.1f} min: {now.kib / 1024:7.1f} MiB, {now.files} files, {now.live} live, "
                f"{placed} placed",
                flush=True,
            )
    await asyncio.gather(*tasks)
    samples.append(await _sample(system, began))
    return samples, (placed, len(refused))


async def _place(system: Offhook, number: int, refused: list[int]) -> None:
    try:
        await system.place(number)
    except PlacingFailed:
        refused.append(number)


async def _sample(system: Offhook, began: float) -> Sample:
    used = usage(system.processes)
    minute = (time.monotonic() - began) / 60
    return Sample(minute, used.kib, _files(system), await system.live(), used.cpu_s)


def _files(system: Offhook) -> int:
    [process] = system.processes
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def main() -> int:
    numbers = [float(word) for word in sys.argv[1:]]
    minutes = numbers[0] if numbers else MINUTES
    print(f"{minutes:g} minutes at {(numbers[1:] or [PER_SECOND])[0]:g} calls/s against {HOST}", flush=True)
    return 0 if asyncio.run(soak(minutes, (numbers[1:] or [PER_SECOND])[0])) else 1


if __name__ == "__main__":
    sys.exit(main())
