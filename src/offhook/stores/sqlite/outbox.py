"""The outbox of webhooks: rows in lanes, the times at which lanes are due, and attempts."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Sequence
from typing import Any, Final

import apsw
import msgspec

from offhook.app.errors import BadPageKey
from offhook.app.outbox import Due, DueLane, NumberedRow, StoredAttempt
from offhook.app.ports import Json, Listing, Page, TimeRange
from offhook.delivery.model import OutboxRow

from .documents import Listings
from .outbox_rows import ADD, row_values
from .writer import Writer

HURRY_LANE: Final = """
INSERT INTO webhook_lanes (hook_id, lane, next_at) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET next_at = min(next_at, excluded.next_at)
"""
WAITING: Final = "SELECT hook_id, count(*) FROM webhook_outbox GROUP BY hook_id"
DUE: Final = """
SELECT lane, attempts FROM webhook_lanes WHERE hook_id = ? AND next_at <= ? ORDER BY next_at LIMIT ?
"""
LATER: Final = """
SELECT lane, next_at FROM webhook_lanes WHERE hook_id = ? AND next_at > ? ORDER BY next_at LIMIT ?
"""
ROWS: Final = """
SELECT number, webhook_id, account_id, event, created_at, payload FROM webhook_outbox
WHERE hook_id = ? AND lane = ? ORDER BY number LIMIT ?
"""
DELIVERED: Final = "DELETE FROM webhook_outbox WHERE hook_id = ? AND lane = ? AND number <= ?"
IS_EMPTY: Final = """
SELECT NOT EXISTS (SELECT 1 FROM webhook_outbox WHERE hook_id = ? AND lane = ?)
"""
CLOSE_LANE: Final = "DELETE FROM webhook_lanes WHERE hook_id = ? AND lane = ?"
SCHEDULE: Final = "UPDATE webhook_lanes SET attempts = ?, next_at = ? WHERE hook_id = ? AND lane = ?"
WAKE: Final = "UPDATE webhook_lanes SET next_at = ? WHERE hook_id = ? AND next_at > ?"
FORGET_ROWS: Final = "DELETE FROM webhook_outbox WHERE hook_id = ?"
FORGET_LANES: Final = "DELETE FROM webhook_lanes WHERE hook_id = ?"
OLDEST: Final = "SELECT number, created_at FROM webhook_outbox ORDER BY number LIMIT ?"
DROP: Final = "DELETE FROM webhook_outbox WHERE number = ?"

NOTE: Final = """
INSERT INTO webhook_attempts
    (account_id, hook_id, id, timestamp, data, lane, webhook_id, event, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
FORGET_ATTEMPTS: Final = """
DELETE FROM webhook_attempts WHERE hook_id = ?1 AND number <=
    (SELECT number FROM webhook_attempts WHERE hook_id = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)
"""
OF_ACCOUNT: Final = "SELECT number, data FROM webhook_attempts WHERE account_id = ?"
OF_HOOK: Final = OF_ACCOUNT + " AND hook_id = ?"
NEWEST_FIRST: Final = " AND timestamp BETWEEN ? AND ? AND number < ? ORDER BY number DESC LIMIT ?"
OLDEST_FIRST: Final = " AND timestamp BETWEEN ? AND ? AND number > ? ORDER BY number LIMIT ?"
ATTEMPT: Final = """
SELECT data, lane, webhook_id, event, payload FROM webhook_attempts
WHERE hook_id = ? AND id = ? AND account_id = ?
"""

DROPPED_AT_ONCE: Final = 200
"""Old rows per transaction: a few milliseconds."""

LAST: Final = 2**62
"""Above every number."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Json).decode


class SqliteOutbox:
    """The Outbox port. What is to be sent next is read by the writer: after all that was queued."""

    def __init__(self, writer: Writer, reader: apsw.Connection, listings: Listings[Any]) -> None:
        self._writer = writer
        self._reader = reader
        self._listings = listings

    def add(self, rows: Sequence[OutboxRow], *, at: float) -> None:
        """Queue rows that tell of something stored before, and try their lanes at once."""

        def write(connection: apsw.Connection) -> None:
            for row in rows:
                connection.execute(ADD, row_values(row))
                connection.execute(HURRY_LANE, (row.hook_id, row.lane, at))

        self._writer.post(write)

    async def waiting(self) -> dict[str, int]:
        """Return how many rows wait, by hook."""
        found: dict[str, int] = await self._listings(lambda connection: dict(connection.execute(WAITING)))
        return found

    async def due(self, hook_id: str, now: float, *, busy: frozenset[str], lanes: int, rows: int) -> Due:
        """Return what the hook has to do now, and when next."""

        def read(connection: apsw.Connection) -> Due:
            found: list[Any] = connection.execute(DUE, (hook_id, now, lanes + len(busy) + 1)).fetchall()
            free = [(lane, attempts) for lane, attempts in found if lane not in busy]
            if len(free) > lanes:  # more is due than is wanted
                return Due(lanes=_with_rows(connection, hook_id, free[:lanes], rows), next_at=now)
            later: list[Any] = connection.execute(LATER, (hook_id, now, len(busy) + 1)).fetchall()
            next_at = next((at for lane, at in later if lane not in busy), None)
            return Due(lanes=_with_rows(connection, hook_id, free, rows), next_at=next_at)

        return await self._writer.run(read, urgent=False)

    def advance(self, hook_id: str, lane: str, through: int, now: float) -> None:
        """Queue the end of the lane's rows up to a number."""

        def write(connection: apsw.Connection) -> None:
            connection.execute(DELIVERED, (hook_id, lane, through))
            if connection.execute(IS_EMPTY, (hook_id, lane)).get:
                connection.execute(CLOSE_LANE, (hook_id, lane))
            else:
                connection.execute(SCHEDULE, (0, now, hook_id, lane))

        self._writer.post(write)

    def postpone(self, hook_id: str, lane: str, attempts: int, next_at: float) -> None:
        """Queue when the lane's first row is to be tried again."""

        def write(connection: apsw.Connection) -> None:
            connection.execute(SCHEDULE, (attempts, next_at, hook_id, lane))

        self._writer.post(write)

    def wake(self, hook_ids: Collection[str], now: float) -> None:
        """Queue that everything of these hooks is due now."""

        def write(connection: apsw.Connection) -> None:
            connection.executemany(WAKE, [(now, hook_id, now) for hook_id in hook_ids])

        self._writer.post(write)

    def forget(self, hook_id: str) -> None:
        """Queue the end of everything that waits for a hook."""

        def write(connection: apsw.Connection) -> None:
            connection.execute(FORGET_ROWS, (hook_id,))
            connection.execute(FORGET_LANES, (hook_id,))

        self._writer.post(write)

    async def drop_older(self, before: float) -> int:
        """Give up the oldest rows if they are older; their lanes close when they are looked at."""

        def write(connection: apsw.Connection) -> int:
            oldest: list[Any] = connection.execute(OLDEST, (DROPPED_AT_ONCE,)).fetchall()
            old = [(number,) for number, created_at in oldest if created_at < before]
            connection.executemany(DROP, old)
            return len(old)

        return await self._writer.run(write, urgent=False)

    # --- attempts -----------------------------------------------------------------------------------

    def note_attempt(self, attempt: StoredAttempt, *, kept: int) -> None:
        """Queue an attempt; of its hook's earlier ones only the latest are kept."""
        row, data = attempt.row, attempt.data
        place = (row.account_id, row.hook_id, data["id"], data["timestamp"], _encode(data))
        values = (*place, row.lane, row.webhook_id, row.event, row.payload)

        def write(connection: apsw.Connection) -> None:
            connection.execute(NOTE, values)
            connection.execute(FORGET_ATTEMPTS, (row.hook_id, kept))

        self._writer.post(write)

    async def attempts(self, account_id: str, hook_id: str, between: TimeRange, page: Page) -> Listing:
        """Return the attempts of a hook, or of the account."""
        sql, place = (OF_HOOK, (account_id, hook_id)) if hook_id else (OF_ACCOUNT, (account_id,))
        sql += OLDEST_FIRST if page.ascending else NEWEST_FIRST
        start = _place_of(page)
        bindings = (*place, between.from_gregorian_s, between.to_gregorian_s, start, page.size + 1)

        def read(connection: apsw.Connection) -> Listing:
            rows: list[Any] = connection.execute(sql, bindings).fetchall()
            shown = rows[: page.size]
            next_key = _key_of(shown[-1][0]) if len(rows) > page.size else ""
            return Listing(items=[_decode(data) for _, data in shown], next_key=next_key)

        found: Listing = await self._listings(read)
        return found

    async def attempt(self, account_id: str, hook_id: str, attempt_id: str) -> StoredAttempt | None:
        """Return one attempt of a hook."""
        found = self._reader.execute(ATTEMPT, (hook_id, attempt_id, account_id)).fetchone()
        if found is None:
            return None
        data, lane, webhook_id, event, payload = found
        row = OutboxRow(
            hook_id=hook_id,
            account_id=account_id,
            lane=lane,
            webhook_id=webhook_id,
            event=event,
            created_at=0.0,
            payload=payload,
        )
        return StoredAttempt(data=_decode(data), row=row)


def _key_of(number: int) -> str:
    return urlsafe_b64encode(number.to_bytes(8, "big")).decode().rstrip("=")


def _place_of(page: Page) -> int:
    """Return the number of the row before the page. Raises BadPageKey."""
    if not page.start_key:
        return 0 if page.ascending else LAST
    try:
        number = int.from_bytes(urlsafe_b64decode(page.start_key.encode("ascii") + b"="), "big")
    except ValueError:
        number = -1
    if not 0 <= number < LAST or _key_of(number) != page.start_key:
        raise BadPageKey(page.start_key)
    return number


def _with_rows(
    connection: apsw.Connection, hook_id: str, lanes: list[tuple[str, int]], limit: int
) -> list[DueLane]:
    """Return the lanes with their rows; one that has none is closed."""
    found = []
    for lane, attempts in lanes:
        rows = [_row(hook_id, lane, values) for values in connection.execute(ROWS, (hook_id, lane, limit))]
        if rows:
            found.append(DueLane(lane=lane, attempts=attempts, rows=rows))
        else:
            connection.execute(CLOSE_LANE, (hook_id, lane))
    return found


def _row(hook_id: str, lane: str, values: tuple[Any, ...]) -> NumberedRow:
    number, webhook_id, account_id, event, created_at, payload = values
    return NumberedRow(
        number,
        OutboxRow(
            hook_id=hook_id,
            account_id=account_id,
            lane=lane,
            webhook_id=webhook_id,
            event=event,
            created_at=created_at,
            payload=payload,
        ),
    )
