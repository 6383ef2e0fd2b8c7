"""Calls offered to a system at a rate: what they cost, how long they took, how many were joined."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median, quantiles
from typing import NamedTuple

from .peers import Plan, System
from .peers.connections import free_port
from .peers.system import PlacingFailed, usage

HOST = "127.0.0.1"
FIRST_NUMBER = 1_000_001
"""Dialled numbers count from here; those of the warm-up are higher."""
STANDING_FROM = 9_000_000
"""Calls to these numbers stand until the far ends are ended."""
WARM_UP_FROM = 5_000_000
SETTLE_S = 1.0
END_BOUND_S = 60.0


class Load(NamedTuple):
    """What to offer."""

    calls: int
    per_second: float
    hold_s: float
    """From the second party's ACK to its BYE."""


class Measured(NamedTuple):
    """What came of it. Times are milliseconds; memory is KiB."""

    offered: int
    joined: int
    """Both far ends were acknowledged and saw their call end."""
    cpu_ms: float
    """Of the system, per offered call."""
    kib_per_call: float
    """Of those that stood when all had been offered."""
    standing: int
    to_invite_p50_ms: float
    to_invite_p99_ms: float
    to_bridged_p50_ms: float
    """To the second party's ACK."""
    to_bridged_p99_ms: float

    @property
    def failed_share(self) -> float:
        """Of all calls."""
        return 1 - self.joined / self.offered


class _Asked(NamedTuple):
    number: int
    at: float


class FarEnds:
    """The process of the two phones."""

    def __init__(self, hold_s: float) -> None:
        self.plan = Plan(HOST, free_port(), free_port())
        ports = (str(self.plan.first_port), str(self.plan.second_port))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.far_ends", *ports, str(hold_s), str(STANDING_FROM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def end(self) -> dict[str, list[list]]:
        """End it; return what each phone saw."""
        seen, _ = self._process.communicate(b"", timeout=60)
        return json.loads(seen)


@asynccontextmanager
async def given_far_ends(hold_s: float) -> AsyncIterator[FarEnds]:
    """Run the two phones."""
    far_ends = FarEnds(hold_s)
    try:
        yield far_ends
    finally:
        if far_ends._process.poll() is None:
            far_ends._process.kill()
            far_ends._process.wait()


async def warm_up(system: System, calls: int = 40, per_second: float = 40.0) -> None:
    """Place some calls and wait for their end: imports, first allocations, caches."""
    for number in range(calls):
        await system.place(WARM_UP_FROM + number)
        await asyncio.sleep(1 / per_second)
    await all_ended(system)


async def stand(system: System, calls: int, per_second: float) -> None:
    """Place calls that stand until the far ends are ended."""
    for number in range(calls):
        await system.place(STANDING_FROM + number)
        await asyncio.sleep(1 / per_second)


async def offer(system: System, load: Load, far_ends: FarEnds, *, standing: int = 0) -> Measured:
    """Offer the calls, wait until no others than the standing ones are left, and end the far ends."""
    before = usage(system.processes)
    asked: dict[str, _Asked] = {}
    began = time.monotonic()
    placing = []
    for number in range(load.calls):
        await asyncio.sleep(max(0.0, began + number / load.per_second - time.monotonic()))
        placing.append(asyncio.create_task(_place(system, FIRST_NUMBER + number, asked)))
    await asyncio.gather(*placing)
    await asyncio.sleep(min(SETTLE_S, load.hold_s / 2))
    stand = min(load.calls, round(load.hold_s * load.per_second))
    stood = usage(system.processes)
    await all_ended(system, but=standing)
    after = usage(system.processes)
    seen = far_ends.end()
    return _measured(load, asked, seen, stand, (after.cpu_s - before.cpu_s, stood.kib - before.kib))


async def _place(system: System, number: int, asked: dict[str, _Asked]) -> None:
    at = time.monotonic()
    with contextlib.suppress(PlacingFailed):
        asked[await system.place(number)] = _Asked(number, at)


async def all_ended(system: System, *, but: int = 0) -> None:
    """Wait until the calls are over, or the bound is."""
    deadline = time.monotonic() + END_BOUND_S
    while await system.live() > but and time.monotonic() < deadline:
        await asyncio.sleep(0.5)


def _measured(
    load: Load,
    asked: dict[str, _Asked],
    seen: dict[str, list[list]],
    standing: int,
    used: tuple[float, float],
) -> Measured:
    """Match calls by what the first phone saw: its Call-ID, or the user that was dialled."""
    to_invite, to_bridged = [], []
    second = {int(user[-7:]): (acknowledged, over) for _, user, _, acknowledged, over in seen["second"]}
    for call_id, user, invited, acknowledged, over in seen["first"]:
        call = asked.get(call_id) or asked.get(user)
        if call is None:
            continue
        to_invite.append((invited - call.at) * 1000)
        bridged, other_is_over = second.get(call.number, (0.0, False))
        if acknowledged and bridged and over and other_is_over:
            to_bridged.append((bridged - call.at) * 1000)
    cpu_s, kib = used
    return Measured(
        offered=load.calls,
        joined=len(to_bridged),
        cpu_ms=cpu_s * 1000 / load.calls,
        kib_per_call=kib / max(standing, 1),
        standing=standing,
        to_invite_p50_ms=median(to_invite or [0.0]),
        to_invite_p99_ms=_p99(to_invite),
        to_bridged_p50_ms=median(to_bridged or [0.0]),
        to_bridged_p99_ms=_p99(to_bridged),
    )


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98] if len(values) > 1 else 0.0
