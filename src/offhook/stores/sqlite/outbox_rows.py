"""Outbox rows as they are written: with the journal entry or document they tell of, in one transaction."""

from collections.abc import Iterable
from typing import Any, Final

import apsw

from offhook.delivery.model import OutboxRow

ADD: Final = """
INSERT OR IGNORE INTO webhook_outbox (hook_id, lane, webhook_id, account_id, event, created_at, payload)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
OPEN_LANE: Final = """
INSERT INTO webhook_lanes (hook_id, lane, next_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING
"""


def write_rows(connection: apsw.Connection, rows: Iterable[OutboxRow]) -> None:
    """Add rows; a lane that was empty is due at once."""
    for row in rows:
        connection.execute(ADD, row_values(row))
        connection.execute(OPEN_LANE, (row.hook_id, row.lane, row.created_at))


def row_values(row: OutboxRow) -> tuple[Any, ...]:
    """Return the values that ADD takes."""
    return (row.hook_id, row.lane, row.webhook_id, row.account_id, row.event, row.created_at, row.payload)
