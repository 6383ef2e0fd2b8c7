"""`offhook conform`: the kit's rows as a table or as JSON."""

import json
import sys
from typing import Final

from rich.console import Console
from rich.table import Table

from offhook.client import ApiRefused, ApiUnreachable
from offhook.conformance import Row, run_kit

SEEN_OK: Final = 24
"""Characters that are shown of an answer as expected: the status, and how it begins."""

LOG_WIDTH: Final = 160
"""Columns of the table in a file: most rows take one line."""


def run_conform(target: str, api_key: str, *, as_json: bool) -> int:
    """Run the kit; return 0 if every row is green, 1 if one is not, 2 if there was no login."""
    progress = Console(stderr=True, highlight=False)
    counted = 0

    def show(row: Row) -> None:
        nonlocal counted
        counted += 1
        if progress.is_terminal:
            progress.print(f"\r{counted} {'ok  ' if row.ok else 'RED '} {row.feature}", markup=False)

    try:
        rows = run_kit(target, api_key, show=show)
    except (ApiUnreachable, ApiRefused, ValueError) as error:
        print(f"offhook conform: {error}", file=sys.stderr)
        return 2
    red = sum(not row.ok for row in rows)
    if as_json:
        print(json.dumps([_object(row) for row in rows], indent=1))
    else:
        _print_table(rows)
        print(f"{len(rows) - red} of {len(rows)} as expected")
    return 1 if red else 0


def _object(row: Row) -> dict[str, object]:
    return {"feature": row.feature, "expected": row.expected, "seen": row.seen, "ok": row.ok}


def _print_table(rows: list[Row]) -> None:
    """Print a line for each row; what was seen stands in full only where it is not what was expected."""
    table = Table("", "feature", "expected", "seen", box=None, pad_edge=False)
    for row in rows:
        mark = "[green]ok[/green]" if row.ok else "[bold red]RED[/bold red]"
        seen = f"{row.seen[:SEEN_OK]}…" if row.ok and len(row.seen) > SEEN_OK else row.seen
        table.add_row(mark, *(cell.replace("[", r"\[") for cell in (row.feature, row.expected, seen)))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=LOG_WIDTH)
    console.print(table)
