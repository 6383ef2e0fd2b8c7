"""History and CDRs as tables."""

from typing import Any

from rich.console import Console
from rich.table import Table

Json = dict[str, Any]


def print_records(console: Console, history: list[Json], cdrs: list[Json]) -> None:
    """Print what `/history` and `/cdrs` answered."""
    console.print("[bold]7.[/] What is kept of it, in history and CDRs:\n")
    table = Table("contact", "result", "outcome", "by", "cause", "joined", title="history of the button")
    for item in history:
        table.add_row(
            item["contact"], item["result"], item["outcome"], item["by"], item["hangup_cause"],
            item["times"].get("bridged", "")[11:19],
        )  # fmt: skip
    console.print(table)
    table = Table("from", "to", "lasted", "talked", "cause", "outcome", title="CDRs, one for each leg")
    for cdr in reversed(cdrs):
        table.add_row(
            _user(cdr["from"]), _user(cdr["to"]), f"{cdr['duration_seconds']} s",
            f"{cdr['billing_seconds']} s", cdr["hangup_cause"], cdr["outcome"],
        )  # fmt: skip
    console.print(table)


def _user(address: str) -> str:
    return address.partition("@")[0]
