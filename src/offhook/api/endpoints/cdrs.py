"""Call detail records: legs, interactions, one leg, sums; JSON and CSV (kazoo-behaviour 9)."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from offhook.api.cdr_rows import CsvStream, cdr_row
from offhook.api.csv_rows import wants_csv
from offhook.api.envelope import Header, Reply
from offhook.api.errors import field_fault, plain
from offhook.api.lists import listing_reply, page_of, time_range
from offhook.api.request import Request
from offhook.api.routing import Route
from offhook.api.row_filters import filled, row_filter
from offhook.api.services import ApiServices
from offhook.app.ports import CdrTotals, Listing, Page, RowFilter, TimeRange
from offhook.directory.model import Json

from .collections import ACCOUNT_ITEM

UTC_OFFSET_MAX_S: Final = 86_400

CSV_PAGE: Final = 500
"""Rows of a CSV list that are in memory at once, about half a megabyte."""

FILE_NAME: Final = re.compile(r"[^A-Za-z0-9._ -]")
FILE_NAME_MAX: Final = 100


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

    async def summary(self, request: Request) -> Reply:
        """GET …/summary: seconds by direction, realm and class of number, and what they come to."""
        between = time_range(request, self._services.clock.epoch())
        owner_id = await self._owner_id(request)
        found = await self._services.store.cdrs.summary(request.account_id, between, owner_id=owner_id)
        return Reply(data=summary_of(found))

    # --- lists --------------------------------------------------------------------------------------

    async def _listing(self, request: Request, *, one_per_interaction: bool) -> Reply:
        offset_s = _utc_offset(request)
        between = time_range(request, self._services.clock.epoch())
        page = page_of(request)
        pages = _Pages(
            self._services,
            request.account_id,
            between,
            owner_id=await self._owner_id(request),
            one_per_interaction=one_per_interaction,
            only=row_filter(request),
        )
        if wants_csv(request):
            return await self._csv(request, page, pages, offset_s)
        found = await pages.filled(page)
        rows = [cdr_row(document, offset_s) for document in found.items]
        reply = listing_reply(request, Listing(items=rows, next_key=found.next_key), page)
        reply.is_chunked = True
        return reply

    async def _csv(self, request: Request, page: Page, pages: "_Pages", offset_s: int) -> Reply:
        """Return all rows of the range, or of one page if `page_size` is given; 204 if there are none."""
        is_one_page = "page_size" in request.query
        if not is_one_page:
            page = msgspec.structs.replace(page, size=CSV_PAGE)
        first = await pages.filled(page)
        if not first.items and not first.next_key:
            return Reply(status=204, body=b"", content_type="text/csv")
        headers = [_disposition(request)]
        if is_one_page and first.next_key:
            headers.append((b"next-start-key", first.next_key.encode("ascii")))
            first = Listing(items=first.items)
        stream = CsvStream(
            first,
            lambda key: pages.filled(msgspec.structs.replace(page, start_key=key)),
            lambda document: cdr_row(document, offset_s),
        )
        return Reply(body=b"", stream=stream.send, content_type="text/csv", headers=tuple(headers))

    async def _owner_id(self, request: Request) -> str:
        """Return the user of the path, or an empty string. Raises UnknownDocument."""
        owner_id = request.arguments.get("id", "")
        if owner_id:
            await self._services.documents.read(request.account_id, owner_id, type="user")
        return owner_id

    def routes(self) -> list[Route]:
        """Return the routes of CDRs."""
        routes = [
            Route(f"{base}/cdrs{tail}", {"GET": handler})
            for base in (ACCOUNT_ITEM, f"{ACCOUNT_ITEM}/users/{{id}}")
            for tail, handler in (
                ("", self.index),
                ("/interaction", self.interactions),
                ("/summary", self.summary),
            )
        ]
        return [
            *routes,
            Route(f"{ACCOUNT_ITEM}/cdrs/{{cdr_id}}", {"GET": self.read}),
            Route(f"{ACCOUNT_ITEM}/cdrs/legs/{{cdr_id}}", {"GET": self.legs}),
        ]


class _Pages:
    """The pages of one list."""

    def __init__(
        self,
        services: ApiServices,
        account_id: str,
        between: TimeRange,
        *,
        owner_id: str,
        one_per_interaction: bool,
        only: RowFilter | None,
    ) -> None:
        self._cdrs = services.store.cdrs
        self._account_id = account_id
        self._between = between
        self._owner_id = owner_id
        self._one_per_interaction = one_per_interaction
        self._only = only

    async def filled(self, page: Page) -> Listing:
        """Return a full page although filters leave gaps."""
        return await filled(page, self._read)

    async def _read(self, page: Page) -> Listing:
        return await self._cdrs.list(
            self._account_id,
            self._between,
            page,
            owner_id=self._owner_id,
            one_per_interaction=self._one_per_interaction,
            only=self._only,
        )


def summary_of(summary: Sequence[CdrTotals]) -> Json:
    """Return KAZOO's sums of seconds over carriers, and beside them what all legs come to.

    KAZOO: `{"outbound": {realm: {class of number: {"total": billed seconds}}}}`. Right also over several
    months (ODDITY-37).
    """
    carriers: dict[str, Json] = {"inbound": {}, "outbound": {}}
    outcomes: dict[str, int] = {}
    for total in summary:
        outcomes[total.outcome] = outcomes.get(total.outcome, 0) + total.legs
        if total.by_carrier:
            classes = carriers.setdefault(total.direction, {}).setdefault(total.realm, {})
            sums = classes.setdefault(total.classifier, {"total": 0})
            sums["total"] += total.billing_s
    return {
        **carriers,
        "totals": {
            "legs": _sum(summary, "legs"),
            "duration_seconds": _sum(summary, "duration_s"),
            "billing_seconds": _sum(summary, "billing_s"),
            "legs_by_outcome": outcomes,
        },
    }


def _sum(summary: Sequence[CdrTotals], name: str) -> int:
    return sum(int(getattr(total, name)) for total in summary)


def _disposition(request: Request) -> Header:
    """Return the name a browser saves the list under (`file_name`, `X-File-Name`)."""
    wanted = request.query.get("file_name") or request.headers.get("x-file-name") or "cdrs.csv"
    name = FILE_NAME.sub("_", wanted)[:FILE_NAME_MAX]
    return (b"content-disposition", f'attachment; filename="{name}"'.encode("ascii"))


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
