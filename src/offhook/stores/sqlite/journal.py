"""The journal of calls, and in the same transaction what is projected from it: history and CDRs."""

from collections.abc import Sequence
from typing import Any, Final

import apsw
import msgspec

from offhook.app.errors import AlreadyFinal, CallIdTaken
from offhook.app.ports import IdempotencyClaim, JournalEntry, Json, StoredCall
from offhook.calls.model import CallPlan
from offhook.delivery.model import OutboxRow

from .documents import Listings
from .idempotency import write_claim
from .lists_by_time import cdr_class
from .outbox_rows import write_rows
from .writer import Writer, probe

ACCEPT: Final = """
INSERT INTO calls (call_id, account_id, authorizing_id, accepted_at, plan) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (call_id) DO NOTHING RETURNING number
"""
STATE: Final = "SELECT number, is_final FROM calls WHERE call_id = ?"
APPEND: Final = "INSERT INTO journal (call_number, sequence, at, fact) VALUES (?, ?, ?, ?)"
FINISH: Final = "INSERT INTO journal (call_number, sequence, at, fact, is_final) VALUES (?, ?, ?, ?, 1)"
CLOSE: Final = "UPDATE calls SET is_final = 1 WHERE number = ? AND is_final = 0"
ADD_HISTORY: Final = """
INSERT INTO history (account_id, button_id, timestamp, data)
SELECT account_id, authorizing_id, ?, ? FROM calls WHERE number = ?
"""
ADD_CDR: Final = """
INSERT INTO cdrs (account_id, id, timestamp, interaction_id, owner_id, class, duration_s, billing_s, data)
SELECT account_id, ?, ?, ?, ?, ?, ?, ?, ? FROM calls WHERE number = ?
"""
OPEN_CALLS: Final = "SELECT plan, accepted_at, is_final FROM calls WHERE is_final = 0 ORDER BY number"
CALL: Final = "SELECT plan, accepted_at, is_final FROM calls WHERE call_id = ? AND account_id = ?"
ENTRIES: Final = """
SELECT sequence, at, fact FROM journal
WHERE call_number = (SELECT number FROM calls WHERE call_id = ?) ORDER BY sequence
"""

_encode = msgspec.json.Encoder().encode
_decode_plan = msgspec.json.Decoder(CallPlan).decode


class SqliteJournal:
    """The Journal port."""

    def __init__(self, writer: Writer, reader: apsw.Connection, listings: Listings[Any]) -> None:
        self._writer = writer
        self._reader = reader
        self._listings = listings
        self._numbers: dict[str, int] = {}
        """Of the calls that are live, so that an entry needs no look-up."""

    async def accept(
        self, plan: CallPlan, accepted_at: float, *, claim: IdempotencyClaim | None = None
    ) -> None:
        """Store the call as open, and its claim with it; return when both are durable."""
        row = (plan.call_id, plan.account_id, plan.authorizing_id, accepted_at, _encode(plan))

        def write(connection: apsw.Connection) -> int:
            if claim is not None:
                write_claim(connection, claim, accepted_at)
            number: int | None = connection.execute(ACCEPT, row).get
            if number is None:
                raise CallIdTaken(plan.call_id)
            return number

        self._numbers[plan.call_id] = await self._writer.run(write)

    def append(
        self, call_id: str, sequence: int, at: float, fact: bytes, *, outbox: Sequence[OutboxRow] = ()
    ) -> None:
        """Queue an entry for the next group commit."""

        def write(connection: apsw.Connection) -> None:
            number = self._numbers.get(call_id)
            if number is None:
                number = self._numbers[call_id] = self._look_up(connection, call_id)
            connection.execute(APPEND, (number, sequence, at, fact))
            write_rows(connection, outbox)

        self._writer.post(write)

    async def durable(self) -> None:
        """Return once every append before it is on the disk, also those that were committed unflushed."""
        await self._writer.run(probe, urgent=False)

    async def finish(
        self,
        call_id: str,
        sequence: int,
        at: float,
        fact: bytes,
        history: Json | None,
        cdrs: Sequence[Json],
        *,
        outbox: Sequence[OutboxRow] = (),
    ) -> None:
        """Store the final entry, its history item, its CDRs and its outbox in one durable transaction."""
        legs = [_cdr_row(cdr) for cdr in cdrs]

        def write(connection: apsw.Connection) -> None:
            number = self._numbers.pop(call_id, 0) or self._look_up(connection, call_id)
            connection.execute(CLOSE, (number,))
            if not connection.changes():
                raise AlreadyFinal(call_id)
            connection.execute(FINISH, (number, sequence, at, fact))
            if history is not None:
                connection.execute(ADD_HISTORY, (history["timestamp"], _encode(history), number))
            connection.executemany(ADD_CDR, [(*leg, number) for leg in legs])
            write_rows(connection, outbox)

        await self._writer.run(write, urgent=False)

    def _look_up(self, connection: apsw.Connection, call_id: str) -> int:
        """Return the number of an open call: one of the process before, or whose client left."""
        number, is_final = connection.execute(STATE, (call_id,)).get or (None, False)
        if number is None:
            raise LookupError(f"no call {call_id}")
        if is_final:
            raise AlreadyFinal(call_id)
        return int(number)

    async def open_calls(self) -> Sequence[StoredCall]:
        """Return calls without a final entry, oldest first."""
        found: Sequence[StoredCall] = await self._listings(
            lambda connection: [_call(row) for row in connection.execute(OPEN_CALLS)]
        )
        return found

    async def call(self, account_id: str, call_id: str) -> StoredCall | None:
        """Return a call of the account, open or final."""
        row = self._reader.execute(CALL, (call_id, account_id)).fetchone()
        return None if row is None else _call(row)

    async def entries(self, call_id: str) -> Sequence[JournalEntry]:
        """Return what is known of a call, in order."""
        rows = self._reader.execute(ENTRIES, (call_id,))
        return [JournalEntry(sequence=sequence, at=at, fact=fact) for sequence, at, fact in rows]


def _call(row: tuple[Any, ...]) -> StoredCall:
    return StoredCall(plan=_decode_plan(row[0]), accepted_at=row[1], is_final=bool(row[2]))


def _cdr_row(cdr: Json) -> tuple[str, int, str, str, str, int, int, bytes]:
    owner_id = cdr.get("custom_channel_vars", {}).get("owner_id", "")
    place = (cdr["id"], cdr["timestamp"], cdr.get("interaction_id", ""), owner_id)
    return (
        *place,
        cdr_class(cdr),
        cdr.get("duration_seconds", 0),
        cdr.get("billing_seconds", 0),
        _encode(cdr),
    )
