"""History and CDRs: lists by time, in pages that neither skip nor repeat while rows are added."""

import base64
import binascii
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import apsw
import msgspec

from offhook.app.errors import BadPageKey
from offhook.app.ports import Json, Listing, Page, TimeRange

from .documents import Listings

SCAN_MAX: Final = 20_000
"""Rows looked at for one page of a filtered list: about 0.2 s in a thread; then a short page goes out."""

HISTORY: Final = "SELECT timestamp, number, data FROM history WHERE account_id = ? AND button_id = ?"
CDRS: Final = "SELECT timestamp, number, data FROM cdrs WHERE account_id = ?"
OF_OWNER: Final = " AND owner_id = ? AND owner_id <> ''"
ONE_PER_INTERACTION: Final = """
 AND number = (SELECT min(other.number) FROM cdrs other
    WHERE other.account_id = cdrs.account_id AND other.interaction_id = cdrs.interaction_id)
"""
NEWEST_FIRST: Final = """
 AND timestamp BETWEEN ? AND ? AND (timestamp, number) < (?, ?) ORDER BY timestamp DESC, number DESC LIMIT ?
"""
OLDEST_FIRST: Final = """
 AND timestamp BETWEEN ? AND ? AND (timestamp, number) > (?, ?) ORDER BY timestamp, number LIMIT ?
"""
CDR: Final = "SELECT data FROM cdrs WHERE account_id = ? AND id = ? ORDER BY number DESC LIMIT 1"
LEGS: Final = "SELECT data FROM cdrs WHERE account_id = ? AND interaction_id = ? ORDER BY number LIMIT 1000"

_KEY: Final = struct.Struct(">qq")
_LAST: Final = 2**62
_decode = msgspec.json.Decoder(Json).decode


class SqliteHistory:
    """The History port."""

    def __init__(self, listings: Listings[Any]) -> None:
        self._listings = listings

    async def list(self, account_id: str, button_id: str, between: TimeRange, page: Page) -> Listing:
        """Return history items by their timestamp."""
        select = _Select(HISTORY, (account_id, button_id), between, page)
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
        keep: Callable[[Json], bool] | None = None,
    ) -> Listing:
        """Return legs by timestamp; of a user; the first of each interaction; those that `keep` accepts."""
        sql = CDRS
        bindings: tuple[str, ...] = (account_id,)
        if owner_id:
            sql, bindings = sql + OF_OWNER, (account_id, owner_id)
        if one_per_interaction:
            sql += ONE_PER_INTERACTION
        found: Listing = await self._listings(_Select(sql, bindings, between, page, keep=keep).run)
        return found

    async def get(self, account_id: str, cdr_id: str) -> Json | None:
        """Return one leg document by its `YYYYMM-…` id."""
        row = self._reader.execute(CDR, (account_id, cdr_id)).fetchone()
        return None if row is None else _decode(row[0])

    async def legs(self, account_id: str, interaction_id: str) -> Sequence[Json]:
        """Return all legs of an interaction, in the order they ended."""
        return [_decode(data) for (data,) in self._reader.execute(LEGS, (account_id, interaction_id))]


class _Select:
    """One page: a range of the index by (timestamp, number), from the place the key names."""

    def __init__(
        self,
        sql: str,
        bindings: tuple[str, ...],
        between: TimeRange,
        page: Page,
        *,
        keep: Callable[[Json], bool] | None = None,
    ) -> None:
        self._size = page.size
        self._keep = keep
        self._sql = sql + (OLDEST_FIRST if page.ascending else NEWEST_FIRST)
        limit = page.size + 1 if keep is None else SCAN_MAX
        start = _decode_key(page.start_key) if page.start_key else _end(page)
        earliest, latest = between.from_gregorian_s, between.to_gregorian_s
        if page.ascending:
            earliest = max(earliest, start[0])
        else:
            latest = min(latest, start[0])  # the index is entered here, however deep the page
        self._bindings = (*bindings, earliest, latest, *start, limit)

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
            place, looked_at = _encode_key(timestamp, number), looked_at + 1
        return Listing(items=items, next_key=place if looked_at == SCAN_MAX else "")


def _end(page: Page) -> tuple[int, int]:
    return (-_LAST, -_LAST) if page.ascending else (_LAST, _LAST)


def _encode_key(timestamp: int, number: int) -> str:
    return base64.urlsafe_b64encode(_KEY.pack(timestamp, number)).decode().rstrip("=")


def _decode_key(key: str) -> tuple[int, int]:
    try:
        timestamp, number = _KEY.unpack(base64.urlsafe_b64decode(key.encode("ascii") + b"=="))
    except (binascii.Error, struct.error, UnicodeEncodeError) as error:
        raise BadPageKey(key) from error
    return timestamp, number
