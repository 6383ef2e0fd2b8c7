"""A CDR as lists and CSV show it (kazoo-behaviour 9.2)."""

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from offhook.app.ports import Listing
from offhook.directory.model import Json
from offhook.kernel import GREGORIAN_OFFSET_S

from .waiting import until_gone

_log = structlog.get_logger("offhook.api")

COLUMNS: Final = (
    "id", "call_id", "caller_id_number", "caller_id_name", "callee_id_number", "callee_id_name",
    "duration_seconds", "billing_seconds", "timestamp", "hangup_cause", "other_leg_call_id", "owner_id", "to",
    "from", "direction", "request", "authorizing_id", "cost", "dialed_number", "calling_from", "datetime",
    "unix_timestamp", "unix_timestamp_micro", "rfc_1036", "iso_8601", "iso_8601_combined", "call_type",
    "rate", "rate_name", "bridge_id", "recording_url", "media_recordings", "media_server", "call_priority",
    "interaction_id",
)  # fmt: skip

OUTCOME_COLUMNS: Final = ("outcome", "party", "side", "by", "sip_code", "sip_reason", "times")
"""Ours, after KAZOO's."""

CSV_COLUMNS: Final = COLUMNS + OUTCOME_COLUMNS[:-1]

STALL_S: Final = 30.0
"""A reader that takes nothing for so long is cut: each holds a page in memory."""

Fetch = Callable[[str], Awaitable[Listing]]
"""Takes a key; returns the page after it."""


def cdr_row(document: Json, utc_offset_s: int = 0) -> Json:
    """Return a leg as lists show it: KAZOO's columns, empty text for what is missing, then the outcome."""
    duration_s = _integer(document.get("duration_seconds"))
    start_gregorian_s = _integer(document.get("timestamp")) - duration_s
    start = datetime.fromtimestamp(max(0, start_gregorian_s - GREGORIAN_OFFSET_S), UTC)
    local = datetime.fromtimestamp(start.timestamp() + utc_offset_s, UTC)
    variables = document.get("custom_channel_vars")
    channel: Json = variables if isinstance(variables, dict) else {}
    to, origin = str(document.get("to", "")), str(document.get("from", ""))
    made: Json = {
        "duration_seconds": duration_s,
        "billing_seconds": _integer(document.get("billing_seconds")),
        "timestamp": str(start_gregorian_s),
        "direction": document.get("call_direction", ""),
        "owner_id": channel.get("owner_id", ""),
        "authorizing_id": channel.get("authorizing_id", ""),
        "bridge_id": channel.get("bridge_id", ""),
        "cost": "0",
        "rate": "0.0",
        "dialed_number": to.partition("@")[0],
        "calling_from": origin.partition("@")[0],
        "datetime": local.strftime("%Y-%m-%d %H:%M:%S"),
        "unix_timestamp": str(int(start.timestamp())),
        "unix_timestamp_micro": f"{start.timestamp():.6f}",
        "rfc_1036": start.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        "iso_8601": start.strftime("%Y-%m-%d"),
        "iso_8601_combined": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "media_recordings": [],
    }
    row: Json = {name: made[name] if name in made else document.get(name, "") for name in COLUMNS}
    row.update((name, document[name]) for name in OUTCOME_COLUMNS if name in document)
    return row


def csv_lines(rows: Iterable[Json], *, header: bool) -> bytes:
    """Return rows as RFC 4180 text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if header:
        writer.writerow(CSV_COLUMNS)
    writer.writerows([_cell(row.get(name, "")) for name in CSV_COLUMNS] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


class CsvStream:
    """Sends a list of any length, one page in memory at a time."""

    def __init__(self, first: Listing, fetch: Fetch, row: Callable[[Json], Json]) -> None:
        self._page = first
        self._fetch = fetch
        self._row = row

    async def send(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the body. The connection is cut if the reader stalls, or a page cannot be read."""
        gone = asyncio.ensure_future(until_gone(receive))
        try:
            await self._send_pages(send, gone)
        except Exception as error:  # the outermost frame of an answer whose headers are out
            _log.error("a CSV list is cut", path=scope.get("path"), reason=repr(error))
            abort = scope.get("extensions", {}).get("offhook.abort")
            if abort is not None:
                abort()
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    async def _send_pages(self, send: Any, gone: asyncio.Future[None]) -> None:
        page, header = self._page, True
        while not gone.done():
            lines = csv_lines(map(self._row, page.items), header=header)
            more = bool(page.next_key)
            async with asyncio.timeout(STALL_S):
                await send({"type": "http.response.body", "body": lines, "more_body": more})
            if not more:
                return
            page, header = await self._fetch(page.next_key), False


def _cell(value: Any) -> str:
    return "" if isinstance(value, list | dict) else str(value)


def _integer(value: Any) -> int:
    return value if isinstance(value, int) else 0
