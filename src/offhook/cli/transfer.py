"""`offhook export` and `offhook import`: files, progress, and what is said at the end."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import apsw
import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from offhook.app.errors import StoreError
from offhook.app.transfer import LINE_MAX_BYTES, Importer, Line, Report, lines
from offhook.bootstrap import REALM_SUFFIX
from offhook.settings import Settings
from offhook.stores.sqlite.exclusive import own_database
from offhook.stores.sqlite.transfer import SqliteSource, SqliteTarget
from offhook.system import SystemClock, SystemRandom

SHOWN_MAX: Final = 20
"""Refusals that are printed; a report file has them all."""

MILESTONE_S: Final = 10.0
"""Between two lines that say how far an import is."""

_FAULTS: Final = (OSError, StoreError, apsw.Error)


def run_export(settings: Settings, output: Path | None) -> int:
    """Write all there is to a file or to standard output; return the exit status."""
    try:
        with SqliteSource(settings.sqlite_path) as source, _opened(output) as file:
            count = 0
            for line in lines(source):
                file.write(line)
                count += 1
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 (nobody reads on: exit would complain)
        return 1
    except _FAULTS as error:
        print(f"offhook export: {error}", file=sys.stderr)
        return 1
    print(f"{count} records exported", file=sys.stderr)
    return 0


@contextlib.contextmanager
def _opened(output: Path | None) -> Iterator[BinaryIO]:
    """Open a file that only its owner reads (it holds secrets); it gets its name when it is whole."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    unfinished = output.with_name(f"{output.name}.unfinished")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(output)


def run_import(settings: Settings, file: Path, *, report_to: Path | None, overwrite: bool) -> int:
    """Take over what a file holds; return 0 if nothing was refused, else 1."""
    path = settings.sqlite_path
    try:
        size = file.stat().st_size
        path.parent.mkdir(parents=True, exist_ok=True)
        with own_database(path), SqliteTarget(path) as target, _progress(size) as seen:
            importer = Importer(
                target,
                clock=SystemClock(),
                random=SystemRandom(),
                realm_suffix=REALM_SUFFIX,
                overwrite=overwrite,
            )
            report = asyncio.run(importer.run(lambda: _lines(file), progress=seen))
        if report_to is not None:
            _write_report(report, report_to)
    except _FAULTS as error:
        print(f"offhook import: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("offhook import: stopped; run it again to go on", file=sys.stderr)
        return 1
    _tell(report)
    return 0 if report.is_complete else 1


def _lines(path: Path) -> Iterator[Line]:
    """Yield the lines; of one that is too long only so much that its reader sees that it is."""
    with path.open("rb") as file:
        number = 0
        while text := file.readline(LINE_MAX_BYTES + 2):
            number += 1
            rest = text
            while rest and not rest.endswith(b"\n"):
                rest = file.readline(LINE_MAX_BYTES)
            yield Line(number, text)


@contextlib.contextmanager
def _progress(size: int) -> Iterator[Callable[[bytes], None]]:
    """Show how far it is: a bar on a terminal, a line now and then in a log. The file is read twice."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Milestones(2 * size)
        return
    columns = (TextColumn("importing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("import", total=2 * size)

        def seen(text: bytes) -> None:
            shown.advance(task, len(text))

        yield seen


class _Milestones:
    """Prints how much of the work is done, every few seconds."""

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = max(1, total_bytes)
        self._seen_bytes = 0
        self._next_at = time.monotonic() + MILESTONE_S

    def __call__(self, text: bytes) -> None:
        """Count what was read."""
        self._seen_bytes += len(text)
        now = time.monotonic()
        if now >= self._next_at:
            self._next_at = now + MILESTONE_S
            print(f"importing: {self._seen_bytes * 100 // self._total_bytes} %", file=sys.stderr, flush=True)


def _write_report(report: Report, path: Path) -> None:
    with path.open("wb") as file:
        for refused in report.refused:
            file.write(msgspec.json.encode(refused._asdict()) + b"\n")


def _tell(report: Report) -> None:
    """Print what became of it."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    table = Table("type", "taken", "there already", "newer here", box=None)
    for type in sorted(report.taken.keys() | report.unchanged.keys() | report.newer.keys()):
        counts = (report.taken[type], report.unchanged[type], report.newer[type])
        table.add_row(type, *(str(count) for count in counts))
    console.print(table)
    if report.deleted:
        console.print(f"{report.deleted} deleted documents left out")
    if report.fields_left:
        names = ", ".join(f"{name} ({count})" for name, count in report.fields_left.most_common(SHOWN_MAX))
        console.print(f"private fields left behind: {names}", markup=False)
    for refused in report.refused[:SHOWN_MAX]:
        console.print(f"not taken: line {refused.line}, {refused.id}: {refused.reason}", markup=False)
    if report.refused_count:
        console.print(f"{report.refused_count} not taken; --report FILE writes all of them with the reasons")
