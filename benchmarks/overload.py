"""Five times the calls that a node can bear: what is taken must end right, the rest is refused at once.

A real `offhook serve` without relay, two phones in a process of their own, calls offered at a rate whatever
the answers are. First some callers ask one after the other, which tells what the node bears here and now;
half of that is offered, then five times as much, then half again until nothing is refused.

Run: python -m benchmarks.overload [seconds] [calls_per_second]
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from .load import FIRST_NUMBER, FarEnds, all_ended, given_far_ends, warm_up
from .peers.offhook import Offhook
from .peers.system import PlacingFailed, usage
from .report import Row, show

SECONDS = 20.0
TIMES = 5.0
HOLD_S = 2.0
CONNECTIONS = 2_000
"""Callers that do not wait for one another."""
MEASURED_S, MEASURED_CALLERS = 6.0, 8
CALM_S = 3.0
"""Without a refusal for so long the node is back."""
BACK_BOUND_S = 60.0


class Answer(NamedTuple):
    """One request for a call."""

    at: float
    took_ms: float
    call_id: str
    """Empty if it was refused."""


class Callers:
    """Places calls at a rate; remembers the answers."""

    def __init__(self, system: Offhook) -> None:
        self._system = system
        self._next = FIRST_NUMBER
        self.answers: list[Answer] = []

    async def offer(self, seconds: float, per_second: float) -> list[Answer]:
        """Offer calls for some time; return their answers."""
        began, before = time.monotonic(), len(self.answers)
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(seconds * per_second)):
                await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
                tasks.create_task(self.place())
        return self.answers[before:]

    async def place(self) -> None:
        """Ask for a call."""
        self._next += 1
        at = time.monotonic()
        try:
            call_id = await self._system.place(self._next)
        except PlacingFailed as failure:
            if not str(failure).startswith("503 "):
                raise
            call_id = ""
        self.answers.append(Answer(at, (time.monotonic() - at) * 1000, call_id))


async def measure(seconds: float, per_second: float | None) -> list[Row]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        async with given_far_ends(HOLD_S) as far_ends:
            system = Offhook(Path(folder), far_ends.plan, media="direct", connections=CONNECTIONS)
            async with system:
                await warm_up(system)
                callers = Callers(system)
                bearable = per_second or await _bearable(system, callers)
                calm = await callers.offer(5.0, bearable / 2)
                quiet_kib = usage(system.processes).kib
                rush, late_s = await _rush(system, callers, seconds, bearable * TIMES)
                rush_kib = usage(system.processes).kib
                back_s = await _until_calm(callers, bearable / 2)
                await all_ended(system)
                right = await system.metric('offhook_calls_ended_total{outcome="connected"} ')
            grown_mib = (rush_kib - quiet_kib) / 1024
            return [
                *_rows(bearable, calm, rush, grown_mib, back_s, right, callers, far_ends),
                Row("standing delay of the event loop in the rush, median", 1000 * median(late_s), "ms"),
            ]


async def _rush(
    system: Offhook, callers: Callers, seconds: float, per_second: float
) -> tuple[list[Answer], list[float]]:
    """Offer too much; return the answers, and how late the server's loop was, once in a second."""
    late_s = []
    offering = asyncio.create_task(callers.offer(seconds, per_second))
    while not offering.done():
        late_s.append(await system.metric("offhook_loop_late_seconds "))
        await asyncio.sleep(1.0)
    return await offering, late_s


async def _bearable(system: Offhook, callers: Callers) -> float:
    """Return how many calls per second callers place of whom each waits for the answer to its last."""
    taken, end = len(callers.answers), time.monotonic() + MEASURED_S

    async def ask() -> None:
        while time.monotonic() < end:
            await callers.place()

    await asyncio.gather(*[ask() for _ in range(MEASURED_CALLERS)])
    await all_ended(system)
    return (len(callers.answers) - taken) / MEASURED_S


async def _until_calm(callers: Callers, per_second: float) -> float:
    """Offer what is bearable until nothing is refused; return when the last refusal was, in seconds."""
    began = last_refusal = time.monotonic()
    while time.monotonic() - last_refusal < CALM_S and time.monotonic() - began < BACK_BOUND_S:
        for answer in await callers.offer(0.5, per_second):
            last_refusal = last_refusal if answer.call_id else time.monotonic()
    return last_refusal - began


def _rows(
    bearable: float,
    calm: list[Answer],
    rush: list[Answer],
    grown_mib: float,
    back_s: float,
    right: float,
    callers: Callers,
    far_ends: FarEnds,
) -> list[Row]:
    seen = far_ends.end()
    accepted = [answer for answer in callers.answers if answer.call_id]
    refused = [answer.took_ms for answer in rush if not answer.call_id]
    taken = [answer.took_ms for answer in rush if answer.call_id]
    over = sum(acknowledged > 0 and is_over for _, _, _, acknowledged, is_over in seen["second"])
    began = [answer.at for answer in rush]
    seconds = max(began) - min(began)
    warm = 40
    return [
        Row(f"bearable: taken from {MEASURED_CALLERS} patient callers", bearable, "calls/s"),
        Row("half of that: answered, p99", _p99([answer.took_ms for answer in calm]), "ms"),
        Row(f"{TIMES:g} times that: offered", len(rush) / seconds, "calls/s"),
        Row("taken", len(taken) / seconds, "calls/s"),
        Row("taken: answered, p50", median(taken), "ms"),
        Row("taken: answered, p99", _p99(taken), "ms"),
        Row("refused", 100 * len(refused) / len(rush), "%"),
        Row("refused: answered, p50", median(refused or [0.0]), "ms"),
        Row("refused: answered, p99", _p99(refused), "ms"),
        Row("accepted calls that ended joined", 100 * right / (len(accepted) + warm), "%"),
        Row("calls that both phones saw end", 100 * over / (len(accepted) + warm), "%"),
        Row("memory grown", grown_mib, "MiB"),
        Row("last refusal after the rush", back_s, "s"),
    ]


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98] if len(values) > 1 else 0.0


def main() -> None:
    numbers = [float(word) for word in sys.argv[1:]]
    seconds = numbers[0] if numbers else SECONDS
    show(asyncio.run(measure(seconds, numbers[1] if len(numbers) > 1 else None)))


if __name__ == "__main__":
    main()
