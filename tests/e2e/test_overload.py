"""A rush of calls beyond what a node can bear: each is taken and ends right, or is refused.

The node gets a quarter of a core for the rush: so no machine is too fast for it.
The big one is `python -m benchmarks.overload`.
"""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.load import given_far_ends
from benchmarks.peers.offhook import Offhook
from benchmarks.peers.system import usage

HOLD_S = 0.5
CONNECTIONS = 300
"""Callers that do not wait for one another: enough to keep any machine's event loop busy."""
RUSH_MAX_S = 30.0
REFUSED_ENOUGH = 50
GROWTH_MAX_MIB = 300
BACK_BOUND_S = 90.0
END_BOUND_S = 120.0
NUMBER = 1_000_001


@asynccontextmanager
async def given_node(folder: Path) -> AsyncIterator[tuple[Offhook, dict[str, list]]]:  # type: ignore[type-arg]
    """Yield a server with two phones; what these saw is in the dictionary after it."""
    seen: dict[str, list] = {}  # type: ignore[type-arg]
    async with (
        given_far_ends(HOLD_S) as far_ends,
        Offhook(folder, far_ends.plan, media="direct", connections=CONNECTIONS) as node,
    ):
        yield node, seen
        await asyncio.sleep(1.0)  # a BYE may be on its way
        seen.update(far_ends.end())


async def ask(node: Offhook, number: int) -> tuple[int, bytes]:
    """Ask for a call; return status and body."""
    path = f"{node._connect}?contact=%2B1555{number:07d}"
    return await node._http.request("GET", path, node._headers())


async def outcomes(node: Offhook) -> dict[str, int]:
    """Return how many calls have ended, by outcome."""
    _, body = await node._http.request("GET", "/metrics", node._headers())
    lines = [line for line in body.decode().splitlines() if line.startswith("offhook_calls_ended_total{")]
    counts = {line.split('"')[1]: int(float(line.split()[-1])) for line in lines}
    return {outcome: count for outcome, count in counts.items() if count}


def refused(answers: list[tuple[int, bytes]]) -> int:
    return sum(status == 503 for status, _ in answers)


@asynccontextmanager
async def starved(process: int) -> AsyncIterator[None]:
    """Let a process run for a quarter of the time, as on a machine that has no more for it."""

    async def starve() -> None:
        while True:
            os.kill(process, signal.SIGSTOP)
            await asyncio.sleep(0.15)
            os.kill(process, signal.SIGCONT)
            await asyncio.sleep(0.05)

    starving = asyncio.create_task(starve())
    try:
        yield
    finally:
        starving.cancel()
        os.kill(process, signal.SIGCONT)


async def rush(node: Offhook) -> list[tuple[int, bytes]]:
    """Let every caller ask again and again, until enough were refused."""
    answers: list[tuple[int, bytes]] = []
    deadline = asyncio.get_running_loop().time() + RUSH_MAX_S

    async def caller() -> None:
        while refused(answers) < REFUSED_ENOUGH and asyncio.get_running_loop().time() < deadline:
            answers.append(await ask(node, NUMBER + len(answers)))

    async with asyncio.TaskGroup() as callers:
        for _ in range(CONNECTIONS):
            callers.create_task(caller())
    return answers


async def until(condition, bound_s: float) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(bound_s):
        while not await condition():
            await asyncio.sleep(0.5)


def test_a_rush_is_taken_or_refused_and_every_taken_call_ends_right() -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with given_node(Path(folder)) as (node, seen):
                before = usage(node.processes).kib
                async with starved(node.processes[0]):
                    answers = await rush(node)
                grown = (usage(node.processes).kib - before) / 1024

                async def is_back() -> bool:
                    few = [await ask(node, NUMBER + 100_000) for _ in range(5)]
                    answers.extend(few)
                    return all(status == 202 for status, _ in few)

                async def is_idle() -> bool:
                    return await node.live() == 0

                await until(is_back, BACK_BOUND_S)
                await until(is_idle, END_BOUND_S)
                taken = sum(status == 202 for status, _ in answers)
                ended = await outcomes(node)
            assert {status for status, _ in answers} == {202, 503}
            assert refused(answers) >= REFUSED_ENOUGH
            assert ended == {"connected": taken}
            assert all(is_over for *_, is_over in (*seen["first"], *seen["second"]))
            assert grown < GROWTH_MAX_MIB

    asyncio.run(run())
