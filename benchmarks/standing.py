"""Whether a call costs the same beside 10, 1,000 and 10,000 standing ones, and what these weigh.

Run: python -m benchmarks.standing [standing ...]
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from .load import Load, Measured, given_far_ends, offer, stand, warm_up
from .peers.offhook import Offhook
from .peers.system import usage
from .report import Row, show

STANDING = (10, 1_000, 10_000)
SET_UP_PER_SECOND = 150.0
SETTLED_S = 35.0
"""Past 64*T1: no transaction of the set-up is left."""
BESIDE = Load(calls=300, per_second=60.0, hold_s=1.0)


async def measure(counts: tuple[int, ...]) -> AsyncIterator[Row]:
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            beside, kib = await _beside(Path(folder), count)
        yield Row(f"call beside {count:,} standing ones: CPU", beside.cpu_ms, "ms")
        yield Row(f"call beside {count:,} standing ones: joined", 100 * beside.joined / beside.offered, "%")
        if count >= 100:
            yield Row(f"memory per call, {count:,} standing", kib / count, "KiB")


async def _beside(folder: Path, count: int) -> tuple[Measured, float]:
    """Return what calls cost beside standing ones, and the KiB of these."""
    async with (
        given_far_ends(BESIDE.hold_s) as far_ends,
        Offhook(folder, far_ends.plan, media="direct") as system,
    ):
        await warm_up(system)
        empty = usage(system.processes)
        await stand(system, count, SET_UP_PER_SECOND)
        await asyncio.sleep(SETTLED_S)
        full = usage(system.processes)
        return await offer(system, BESIDE, far_ends, standing=count), full.kib - empty.kib


async def _show(counts: tuple[int, ...]) -> None:
    async for row in measure(counts):
        show([row])


def main() -> None:
    asyncio.run(_show(tuple(map(int, sys.argv[1:])) or STANDING))


if __name__ == "__main__":
    main()
