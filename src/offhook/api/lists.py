"""Lists: pages by opaque key, month ranges, projections (kazoo-behaviour 12)."""

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from offhook.app.documents import DocumentService
from offhook.app.ports import DocumentRange, Listing, Mark, Page, TimeRange
from offhook.directory.model import Document, Json
from offhook.kernel import gregorian_s

from .csv_rows import rows_as_csv, wants_csv
from .envelope import Reply
from .errors import field_fault, plain
from .filters import document_filters, filters, has_filters, seconds_of
from .request import Request

__all__ = [
    "ListOf",
    "document_list",
    "filters",
    "has_filters",
    "listing_reply",
    "page_of",
    "plain_list",
    "time_range",
    "whole_list",
]

PAGE_SIZE_DEFAULT: Final = 50
PAGE_SIZE_MAX: Final = 1_000
"""A page of CDRs of this size is about 1 MB."""

UNPAGED_MAX: Final = 10_000
"""`paginate=false` gives at most this many, else 416 as KAZOO: more blocks the loop and fits no browser."""

SLICES_MAX: Final = 50
"""Slices of 1,000 rows that a filter looks through for one page; then the page goes out as it is, with a
next_start_key."""

FIELDS_MAX: Final = 100
"""Names in `fields`; no document has so many."""

RANGE_MAX_S: Final = 2_682_000
"""KAZOO's 31 days and an hour."""

KEY_MAX: Final = 2_000
"""Characters of a start_key; ours have at most about 800."""

_LAST: Final = "\U0010ffff"
"""Sorts behind every text."""


@dataclass(frozen=True, slots=True)
class ListOf:
    """Which ordered list is wanted (directory.ordering)."""

    kind: str
    scope: str


def page_of(request: Request) -> Page:
    """Return which page is wanted. Raises ApiError 400."""
    size = request.query.get("page_size", "")
    if request.query.get("paginate") == "false":
        count = UNPAGED_MAX
    elif not size:
        count = PAGE_SIZE_DEFAULT
    elif not size.isdecimal() or not size.isascii() or int(size[:9]) < 1:
        raise field_fault("page_size", "minimum", "page size must be at least 1", target=1, value=size[:20])
    else:
        count = min(int(size[:9]), PAGE_SIZE_MAX)
    return Page(
        size=count,
        start_key=request.query.get("start_key", ""),
        end_key=request.query.get("end_key", ""),
        ascending=is_ascending(request),
    )


def is_ascending(request: Request) -> bool:
    """Tell the wanted order of a list by time; by default descending, newest first."""
    ascending = request.query.get("ascending")
    if ascending is not None:
        return ascending != "false"
    return request.query.get("descending") == "false"


def listing_reply(request: Request, listing: Listing, page: Page) -> Reply:
    """Return a reply of a list by time."""
    return _paged(request, listing.items, page, listing.next_key)


async def document_list(
    request: Request,
    documents: DocumentService,
    wanted: ListOf,
    summary: Callable[[Document], Json],
    *,
    keep: Callable[[Document], bool] | None = None,
    complete: Callable[[list[Json]], Awaitable[None]] | None = None,
) -> Reply:
    """Return a page of summaries, filtered, by name and id (KAZOO: by random id, descending).

    complete adds to the items of the page what summary cannot know.
    The page key names the first row of the page, so that rows that come or go never shift the others.
    Raises ApiError 400.
    """
    page = page_of(request)
    backwards = request.query.get("ascending") == "false" or request.query.get("descending") == "true"
    rows, following = await _rows(
        documents, _range(request, wanted, page, backwards=backwards), _chosen(request, keep)
    )
    items = [summary(document) for _, document in rows]
    if complete is not None:
        await complete(items)
    return _paged(request, items, page, _encode_key(following) if following else "")


def _chosen(request: Request, keep: Callable[[Document], bool] | None) -> Callable[[Document], bool] | None:
    """Return what both the endpoint and the request's filters let through; None: everything."""
    wanted = document_filters(request)
    if wanted is None:
        return keep

    def both(document: Document) -> bool:
        is_wanted = wanted(document.data, document.created_at, document.modified_at)
        return is_wanted and (keep is None or keep(document))

    return both


async def _rows(
    documents: DocumentService, wanted: DocumentRange, keep: Callable[[Document], bool] | None
) -> tuple[list[tuple[Mark, Document]], Mark | None]:
    """Return the rows of a page, and the first of the next. With a filter one more is read."""
    if keep is None:
        found = await documents.slice(wanted)
        return found.rows, found.next
    rows: list[tuple[Mark, Document]] = []
    start = wanted.start
    for _ in range(SLICES_MAX):
        missing = wanted.limit + 1 - len(rows)
        part = msgspec.structs.replace(wanted, start=start, limit=missing)
        found = await documents.slice(part, keep=keep)
        rows += found.rows
        start = found.next
        if len(rows) > wanted.limit:
            return rows[: wanted.limit], rows[wanted.limit][0]
        if start is None:
            break
    return rows, start


def _range(request: Request, wanted: ListOf, page: Page, *, backwards: bool) -> DocumentRange:
    end_key = request.query.get("end_key", "")
    return DocumentRange(
        kind=wanted.kind,
        scope=wanted.scope,
        start=_mark(page.start_key, is_upper=backwards) if page.start_key else None,
        end=_mark(end_key, is_upper=not backwards) if end_key else None,
        backwards=backwards,
        limit=page.size,
    )


def whole_list(request: Request, items: Sequence[Json]) -> Reply:
    """Return a reply of a list that is in memory as a whole and has no pages; filters look at its items."""
    keep = document_filters(request) if has_filters(request) else None
    kept = items if keep is None else [item for item in items if keep(item, 0.0, 0.0)]
    return _listed(request, list(kept), None)


def plain_list(items: Sequence[object]) -> Reply:
    """Return a reply of a short list that has no pages and no filters."""
    return Reply(data=list(items), is_list=True)


def _paged(request: Request, items: list[Json], page: Page, next_key: str) -> Reply:
    paging: Json = {}
    if request.query.get("paginate") == "false":
        if next_key:
            raise plain(416, "range not satisfiable", UNPAGED_MAX)
    else:
        paging["page_size"] = len(items)
        if page.start_key:
            paging["start_key"] = page.start_key
        if next_key:
            paging["next_start_key"] = next_key
    return _listed(request, items, paging)


def _listed(request: Request, items: list[Json], paging: Json | None) -> Reply:
    items = _projected(items, request.query)
    if wants_csv(request):
        return rows_as_csv(items)
    return Reply(data=items, is_list=True, paging=paging)


def _projected(items: list[Json], query: Mapping[str, str]) -> list[Json]:
    """Leave only the `fields` asked for, and the id. They are those the list shows, no others."""
    names = query.get("fields")
    if not names:
        return items
    wanted = {"id", *(name.strip() for name in names.split(",", FIELDS_MAX)[:FIELDS_MAX])}
    return [{name: value for name, value in item.items() if name in wanted} for item in items]


def _encode_key(mark: Mark) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(mark)).decode("ascii").rstrip("=")


def _mark(key: str, *, is_upper: bool) -> Mark:
    """Return the place a key names. A text that is none of our keys is a name, as in KAZOO."""
    key = key[:KEY_MAX]
    try:
        raw = base64.b64decode(key + "=" * (-len(key) % 4), altchars=b"-_", validate=True)
        mark: Mark = msgspec.json.decode(raw, type=Mark)
        "".join(mark).encode()  # no half characters: the store could not look for them
    except (ValueError, msgspec.MsgspecError):
        return (key.lower(), _LAST if is_upper else "", "")
    return mark


# --- time ranges ------------------------------------------------------------------------------------


def time_range(request: Request, now: float) -> TimeRange:
    """Return the wanted range in Gregorian seconds; the last 31 days by default. Raises ApiError 400."""
    upper = seconds_of(request, "created_to")
    lower = seconds_of(request, "created_from")
    if upper is None:
        upper = gregorian_s(now) if lower is None else max(lower, min(gregorian_s(now), lower + RANGE_MAX_S))
    if lower is None:
        lower = upper - RANGE_MAX_S
    if upper < lower:
        raise field_fault("created_from", "date_range",
                          f"created_to {upper} is prior to created_from {lower}", cause=lower)  # fmt: skip
    if upper - lower > RANGE_MAX_S:
        text = f"created_to {upper} is more than {RANGE_MAX_S} seconds from created_from {lower}"
        raise field_fault("created_from", "date_range", text, cause=lower)
    return TimeRange(from_gregorian_s=lower, to_gregorian_s=upper)
