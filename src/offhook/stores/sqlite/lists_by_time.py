"""History and CDRs: lists by time, in pages that neither skip nor repeat while rows are added."""

import base64
import binascii
import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final

import apsw
import msgspec

from offhook.app.errors import BadPageKey
from offhook.app.ports import CdrTotals, Json, Listing, Page, RowFilter, TimeRange

from .documents import Listings

SCAN_MAX: Final = 20_000
"""Rows looked at for one page of a filtered list: about 0.2 s in a thread; then a short page goes out."""

TIME_DIGITS: Final = range(1, 13)
"""Gregorian seconds in place of a key have eleven digits; a key of ours has 22 characters."""

HISTORY: Final = "SELECT timestamp, number, data FROM history WHERE account_id = ? AND button_id = ?"
CDRS: Final = "SELECT timestamp, number, data FROM cdrs WHERE account_id = ?"
OF_OWNER: Final = " AND owner_id = ? AND owner_id <> ''"
ONE_PER_INTERACTION: Final = """
 AND number = (SELECT min(other.number) FROM cdrs other
    WHERE other.account_id = cdrs.account_id AND other.interaction_id = cdrs.interaction_id)
"""
NEWEST_FIRST: Final = """
 AND timestamp BETWEEN ? AND ? AND (timestamp, number) < (?, ?) AND (timestamp, number) >= (?, ?)
 ORDER BY timestamp DESC, number DESC LIMIT ?
"""
OLDEST_FIRST: Final = """
 AND timestamp BETWEEN ? AND ? AND (timestamp, number) > (?, ?) AND (timestamp, number) <= (?, ?)
 ORDER BY timestamp, number LIMIT ?
"""
CDR: Final = "SELECT data FROM cdrs WHERE account_id = ? AND id = ? ORDER BY number DESC LIMIT 1"
LEGS: Final = "SELECT data FROM cdrs WHERE account_id = ? AND interaction_id = ? ORDER BY number LIMIT 1000"

TOTALS: Final = """
SELECT class, count(*), sum(duration_s), sum(billing_s) FROM cdrs WHERE account_id = ?{of_owner}
    AND timestamp BETWEEN ? AND ? GROUP BY class ORDER BY class
"""

_KEY: Final = struct.Struct(">qq")
_LAST: Final = 2**62
_decode = msgspec.json.Decoder(Json).decode

Place = tuple[int, int]
"""Timestamp and number of a row: its place in the list."""


class SqliteHistory:
    """The History port."""

    def __init__(self, listings: Listings[Any]) -> None:
        self._listings = listings

    async def list(
        self,
        account_id: str,
        button_id: str,
        between: TimeRange,
        page: Page,
        *,
        only: RowFilter | None = None,
    ) -> Listing:
        """Return history items by their timestamp."""
        select = _Select(HISTORY, (account_id, button_id), between, page, only)
        found: Listing = await self._listings(select.run)
        return found


class SqliteCdrs:
    """The Cdrs port."""

    def __init__(self, reader: apsw.Connection, listings: Listings[Any]) -> None:
        self._reader = reader
        self._listings = listings

    async def list(
        self,
        account_id: str,
        between: TimeRange,
        page: Page,
        *,
        owner_id: str = "",
        one_per_interaction: bool = False,
        only: RowFilter | None = None,
    ) -> Listing:
        """Return legs by timestamp; of a user; the first of each interaction; those that `only` wants."""
        sql = CDRS
        bindings: tuple[str, ...] = (account_id,)
        if owner_id:
            sql, bindings = sql + OF_OWNER, (account_id, owner_id)
        if one_per_interaction:
            sql += ONE_PER_INTERACTION
        found: Listing = await self._listings(_Select(sql, bindings, between, page, only).run)
        return found

    async def get(self, account_id: str, cdr_id: str) -> Json | None:
        """Return one leg document by its `YYYYMM-…` id."""
        row = self._reader.execute(CDR, (account_id, cdr_id)).fetchone()
        return None if row is None else _decode(row[0])

    async def legs(self, account_id: str, interaction_id: str) -> Sequence[Json]:
        """Return all legs of an interaction, in the order they ended."""
        return [_decode(data) for (data,) in self._reader.execute(LEGS, (account_id, interaction_id))]

    async def summary(
        self, account_id: str, between: TimeRange, *, owner_id: str = ""
    ) -> Sequence[CdrTotals]:
        """Return sums over the legs of a range. SQLite adds; the interpreter is free meanwhile."""
        whose = (account_id, owner_id) if owner_id else (account_id,)
        bindings = (*whose, between.from_gregorian_s, between.to_gregorian_s)
        of_owner = OF_OWNER if owner_id else ""

        def read(connection: apsw.Connection) -> list[CdrTotals]:
            return [_totals(*row) for row in connection.execute(TOTALS.format(of_owner=of_owner), bindings)]

        found: Sequence[CdrTotals] = await self._listings(read)
        return found


class _Select:
    """One page: a range of the index by (timestamp, number), from the place the key names."""

    def __init__(
        self,
        sql: str,
        bindings: tuple[str, ...],
        between: TimeRange,
        page: Page,
        only: RowFilter | None = None,
    ) -> None:
        self._size = page.size
        self._keep = only.keep if only is not None else None
        start = _place(page.start_key, page, is_start=True)
        end = _place(page.end_key, page, is_start=False)
        earliest, latest = between.from_gregorian_s, between.to_gregorian_s
        if page.ascending:
            earliest, latest = max(earliest, start[0]), min(latest, end[0])
        else:  # the index is entered here, however deep the page
            earliest, latest = max(earliest, end[0]), min(latest, start[0])
        needles = only.needles if only is not None else ()
        self._sql = sql + _containing(needles) + (OLDEST_FIRST if page.ascending else NEWEST_FIRST)
        wanted = tuple(needle for group in needles for needle in group)
        limit = page.size + 1 if only is None else SCAN_MAX
        self._bindings = (*bindings, *wanted, earliest, latest, *start, *end, limit)

    def run(self, connection: apsw.Connection) -> Listing:
        """Read it; the key of a page is the place of the last row it looked at."""
        return self._collect(connection.execute(self._sql, self._bindings))

    def _collect(self, rows: Iterable[tuple[int, int, bytes]]) -> Listing:
        items: list[Json] = []
        place, looked_at = "", 0
        for timestamp, number, data in rows:
            if len(items) == self._size:
                return Listing(items=items, next_key=place)
            item = _decode(data)
            if self._keep is None or self._keep(item):
                items.append(item)
            place, looked_at = _encode_key((timestamp, number)), looked_at + 1
        return Listing(items=items, next_key=place if looked_at == SCAN_MAX else "")


def _containing(needles: tuple[tuple[bytes, ...], ...]) -> str:
    """Return the condition that a document holds a piece of each tuple."""
    return "".join(f" AND ({' OR '.join(['instr(data, ?) > 0'] * len(group))})" for group in needles)


def cdr_class(cdr: Json) -> str:
    """Return what the legs of one line of a summary share: `outbound did_us 1 busy trunk.example.com`."""
    by_carrier = int(bool(cdr.get("custom_channel_vars", {}).get("resource_id")))
    realm = cdr.get("to", "").rpartition("@")[2]
    words = (cdr.get("call_direction", ""), cdr.get("did_classifier", "unknown"))
    return f"{words[0]} {words[1]} {by_carrier} {cdr.get('outcome', '')} {realm}"


def _totals(kind: str, legs: int, duration_s: int, billing_s: int) -> CdrTotals:
    direction, classifier, by_carrier, outcome, realm = kind.split(" ", 4)
    return CdrTotals(
        direction=direction,
        realm=realm,
        classifier=classifier,
        by_carrier=by_carrier == "1",
        outcome=outcome,
        legs=legs,
        duration_s=duration_s,
        billing_s=billing_s,
    )


# --- keys -------------------------------------------------------------------------------------------


def _place(key: str, page: Page, *, is_start: bool) -> Place:
    """Return the place a key names: the start is left out of the page, the end belongs to it."""
    from_above = is_start != page.ascending  # this end of the page is its newest
    if not key:
        return (_LAST, _LAST) if from_above else (-_LAST, -_LAST)
    if len(key) in TIME_DIGITS and key.isascii() and key.isdecimal():
        return (int(key), _LAST if from_above else -_LAST)
    return _decode_key(key)


def _encode_key(place: Place) -> str:
    return base64.urlsafe_b64encode(_KEY.pack(*place)).decode().rstrip("=")


def _decode_key(key: str) -> Place:
    try:
        timestamp, number = _KEY.unpack(base64.urlsafe_b64decode(key.encode("ascii") + b"=="))
    except (binascii.Error, struct.error, UnicodeEncodeError) as error:
        raise BadPageKey(key) from error
    return timestamp, number
