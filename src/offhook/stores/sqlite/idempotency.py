"""Idempotency keys: which call each of them placed, and what its client was told."""

from typing import Any, Final

import apsw

from offhook.app.errors import KeyClaimed
from offhook.app.ports import IdempotencyClaim

from .writer import Writer

DROPPED_PER_CLAIM: Final = 20
"""Expired claims that each new one removes: the table shrinks faster than it grows, in microseconds."""

CLAIM: Final = """
INSERT INTO idempotency (id, fingerprint, call_id, is_answered, answer, expires_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING RETURNING number
"""
DROP_EXPIRED: Final = """
DELETE FROM idempotency WHERE number IN (
    SELECT number FROM idempotency WHERE expires_at <= ? ORDER BY expires_at LIMIT ?
)
"""
DROP_IF_EXPIRED: Final = "DELETE FROM idempotency WHERE id = ? AND expires_at <= ?"
FIND: Final = """
SELECT id, fingerprint, call_id, is_answered, answer, expires_at FROM idempotency
WHERE id = ? AND expires_at > ?
"""
ANSWER: Final = "UPDATE idempotency SET answer = ?, is_answered = 1 WHERE id = ?"


class SqliteIdempotency:
    """The Idempotency port."""

    def __init__(self, writer: Writer, reader: apsw.Connection) -> None:
        self._writer = writer
        self._reader = reader

    async def find(self, claim_id: str, now: float) -> IdempotencyClaim | None:
        """Return the claim unless it has expired."""
        row = self._reader.execute(FIND, (claim_id, now)).fetchone()
        return None if row is None else _claim(row)

    async def answer(self, claim_id: str, answer: bytes) -> None:
        """Store durably what the client is about to be told."""

        def write(connection: apsw.Connection) -> None:
            connection.execute(ANSWER, (answer, claim_id))

        await self._writer.run(write)


def write_claim(connection: apsw.Connection, claim: IdempotencyClaim, now: float) -> None:
    """Write a claim in the transaction that accepts its call. Raises KeyClaimed."""
    connection.execute(DROP_IF_EXPIRED, (claim.id, now))
    connection.execute(DROP_EXPIRED, (now, DROPPED_PER_CLAIM))
    row = (claim.id, claim.fingerprint, claim.call_id, claim.is_answered, claim.answer, claim.expires_at)
    if connection.execute(CLAIM, row).get is None:
        raise KeyClaimed(claim.id)


def _claim(row: tuple[Any, ...]) -> IdempotencyClaim:
    return IdempotencyClaim(
        id=row[0],
        fingerprint=row[1],
        call_id=row[2],
        is_answered=bool(row[3]),
        answer=row[4],
        expires_at=row[5],
    )
