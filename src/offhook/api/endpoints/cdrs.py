"""Call detail records: legs, interactions, one leg; JSON and CSV (kazoo-behaviour 9)."""

import csv
import io
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from offhook.api.envelope import Reply
from offhook.api.errors import field_fault, plain
from offhook.api.lists import filters, has_filters, listing_reply, page_of, time_range
from offhook.api.request import Request
from offhook.api.routing import Route
from offhook.api.services import ApiServices
from offhook.app.ports import Listing, Page, RowFilter, TimeRange
from offhook.directory.model import Json
from offhook.kernel import GREGORIAN_OFFSET_S

from .collections import ACCOUNT_ITEM

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

UTC_OFFSET_MAX_S: Final = 86_400

REFILLS_MAX: Final = 50
"""Short pages a filter may leave behind before the answer goes out as it is, with a next_start_key."""


class CdrEndpoints:
    """`/cdrs` of an account or of one of its users."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services

    async def index(self, request: Request) -> Reply:
        """GET: legs, newest first."""
        return await self._listing(request, one_per_interaction=False)

    async def interactions(self, request: Request) -> Reply:
        """GET …/interaction: one leg per interaction."""
        return await self._listing(request, one_per_interaction=True)

    async def read(self, request: Request) -> Reply:
        """GET …/{cdr id}: the full document."""
        found = await self._services.store.cdrs.get(request.account_id, request.arguments["cdr_id"])
        if found is None:
            raise plain(404, "could not find cdr with supplied id")
        return Reply(data=found)

    async def legs(self, request: Request) -> Reply:
        """GET …/legs/{cdr or interaction id}: the full documents of one interaction."""
        id = request.arguments["cdr_id"]
        one = await self._services.store.cdrs.get(request.account_id, id)
        interaction_id = str(one.get("interaction_id", "")) if one is not None else id
        found = await self._services.store.cdrs.legs(request.account_id, interaction_id)
        if not found:
            raise plain(404, "could not find legs for supplied id")
        return Reply(data=list(found), is_list=True)

    # --- lists --------------------------------------------------------------------------------------

    async def _listing(self, request: Request, *, one_per_interaction: bool) -> Reply:
        offset_s = _utc_offset(request)
        between = time_range(request, self._services.clock.epoch())
        page = page_of(request)
        keep = _keep(request)
        owner_id = request.arguments.get("id", "")
        if owner_id:
            await self._services.documents.read(request.account_id, owner_id, type="user")
        found = await self._filled(request, between, page, owner_id, keep, one_per_interaction)
        rows = [cdr_row(document, offset_s) for document in found.items]
        if wants_csv(request):
            return csv_reply(rows)
        return listing_reply(request, Listing(items=rows, next_key=found.next_key), page)

    async def _filled(
        self,
        request: Request,
        between: TimeRange,
        page: Page,
        owner_id: str,
        keep: Callable[[Json], bool] | None,
        one_per_interaction: bool,
    ) -> Listing:
        """Return a full page although filters leave gaps."""
        items: list[Json] = []
        key = page.start_key
        for _ in range(REFILLS_MAX):
            part = await self._services.store.cdrs.list(
                request.account_id,
                between,
                Page(size=page.size - len(items), start_key=key, ascending=page.ascending),
                owner_id=owner_id,
                one_per_interaction=one_per_interaction,
                only=RowFilter(keep=keep) if keep is not None else None,
            )
            items += part.items
            key = part.next_key
            if not key or len(items) >= page.size:
                break
        return Listing(items=items, next_key=key)

    def routes(self) -> list[Route]:
        """Return the routes of CDRs."""
        routes = [
            Route(f"{base}/cdrs{tail}", {"GET": handler})
            for base in (ACCOUNT_ITEM, f"{ACCOUNT_ITEM}/users/{{id}}")
            for tail, handler in (("", self.index), ("/interaction", self.interactions))
        ]
        return [
            *routes,
            Route(f"{ACCOUNT_ITEM}/cdrs/{{cdr_id}}", {"GET": self.read}),
            Route(f"{ACCOUNT_ITEM}/cdrs/legs/{{cdr_id}}", {"GET": self.legs}),
        ]


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


def wants_csv(request: Request) -> bool:
    """Tell whether the client asks for CSV."""
    accept = request.text_value("accept") or request.headers.get("accept", "")
    return accept == "csv" or "text/csv" in accept


def csv_reply(rows: Iterable[Json]) -> Reply:
    """Return rows as RFC 4180 text with a header; 204 if there are none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS + OUTCOME_COLUMNS[:-1])
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 (count is read after the loop)
        writer.writerow([_cell(row.get(name, "")) for name in COLUMNS + OUTCOME_COLUMNS[:-1]])
    if not count:
        return Reply(status=204, body=b"", content_type="text/csv")
    return Reply(body=text.getvalue().encode("utf-8", "replace"), content_type="text/csv")


def _cell(value: Any) -> str:
    if isinstance(value, (list, dict)):
        return ""
    return str(value)


def _keep(request: Request) -> Callable[[Json], bool] | None:
    if not has_filters(request):
        return None
    test = filters(request, with_times=False)
    return lambda document: test(document, 0.0, 0.0)


def _integer(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _utc_offset(request: Request) -> int:
    text = request.query.get("utc_offset")
    if text is None:
        return 0
    try:
        offset_s = int(text[:10])
    except ValueError:
        offset_s = UTC_OFFSET_MAX_S + 1
    if abs(offset_s) > UTC_OFFSET_MAX_S:
        raise field_fault(
            "utc_offset", "type", "utc_offset must be a number", target="integer", value=text[:40]
        )
    return offset_s
