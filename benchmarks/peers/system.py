"""What a benchmark asks of a system, and what it reads of its processes."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the far ends are."""

    host: str
    first_port: int
    """The phone that is rung first."""
    second_port: int
    """The gateway or phone that is rung second."""


class System(Protocol):
    """A system under load. Entering it starts it (and logs in); leaving it ends it."""

    name: str

    async def __aenter__(self) -> "System": ...

    async def __aexit__(self, *error: object) -> None: ...

    @property
    def processes(self) -> Sequence[int]:
        """Process ids whose CPU and memory count."""
        ...

    async def place(self, number: int) -> str:
        """Ask for one call: ring the first phone, then dial `number`. Return once it is accepted.

        Returns what the first phone sees as Call-ID or dialled user; raises PlacingFailed if refused.
        """
        ...

    async def live(self) -> int:
        """Return how many calls it holds now."""
        ...


class PlacingFailed(Exception):
    """The system refused a call."""


Started = AbstractAsyncContextManager[System]


class Usage(NamedTuple):
    """What processes used until now."""

    cpu_s: float
    kib: float
    """Resident, shared pages counted once."""


def usage(processes: Iterable[int]) -> Usage:
    """Return the CPU time and memory of processes and their children."""
    everybody = {child for process in processes for child in _family(process)}
    return Usage(sum(map(_cpu_s, everybody)), sum(map(_kib, everybody)))


def _family(process: int) -> set[int]:
    found = {process}
    for task in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that ended meanwhile
            for child in (task / "children").read_text().split():
                found |= _family(int(child))
    return found


def _cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _kib(process: int) -> float:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("Pss:")))
