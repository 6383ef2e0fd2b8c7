"""Lists: opaque page keys, filters on the stored document, month ranges (kazoo-behaviour 12)."""

import base64
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from offhook.app.ports import Listing, Page, TimeRange
from offhook.directory.model import Document, Json
from offhook.kernel import gregorian_s

from .envelope import Reply
from .errors import field_fault, plain
from .request import Request

PAGE_SIZE_DEFAULT: Final = 50
PAGE_SIZE_MAX: Final = 1_000
"""A page of CDRs of this size is about 1 MB."""

UNPAGED_MAX: Final = 10_000
"""`paginate=false` gives at most this many, else 416 as KAZOO: more blocks the loop and fits no browser."""

RANGE_MAX_S: Final = 2_682_000
"""KAZOO's 31 days and an hour."""

Keep = Callable[[Json, float, float], bool]
"""Takes the stored JSON, created and modified times (Unix seconds); tells whether it stays in the list."""

_FILTER_WORDS: Final = ("filter_", "has_key", "key_missing", "has_value", "value_missing", "missing_value")
_TIME_FILTERS: Final = ("created_from", "created_to", "modified_from", "modified_to")


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
    return Page(size=count, start_key=request.query.get("start_key", ""), ascending=is_ascending(request))


def is_ascending(request: Request) -> bool:
    """Tell the wanted order; by default descending, newest first."""
    ascending = request.query.get("ascending")
    if ascending is not None:
        return ascending != "false"
    return request.query.get("descending") == "false"


def listing_reply(request: Request, listing: Listing, page: Page) -> Reply:
    """Return a reply of a list by time."""
    return _paged(request, listing.items, page, listing.next_key)


def document_list(
    request: Request,
    documents: Iterable[Document],
    summary: Callable[[Document], Json],
    sort_key: Callable[[Document], str],
) -> Reply:
    """Return a page of summaries, filtered, by sort key and id (KAZOO: by random id, descending).

    The page key names the first row of the page, so that rows that come or go never shift the others.
    """
    page = page_of(request)
    keep = filters(request)
    backwards = request.query.get("ascending") == "false" or request.query.get("descending") == "true"
    rows = sorted(
        (sort_key(document), document.id, index, document)
        for index, document in enumerate(documents)
        if keep(document.data, document.created_at, document.modified_at)
    )
    if backwards:
        rows.reverse()
    if page.start_key:
        mark = _decode_key(page.start_key)
        rows = [row for row in rows if (row[:2] <= mark if backwards else row[:2] >= mark)]
    items = [summary(row[3]) for row in rows[: page.size]]
    following = rows[page.size : page.size + 1]
    return _paged(request, items, page, _encode_key(*following[0][:2]) if following else "")


def plain_list(items: Sequence[Any]) -> Reply:
    """Return a reply of a short list that has no pages."""
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
    return Reply(data=items, is_list=True, paging=paging)


def _encode_key(label: str, document_id: str) -> str:
    raw = msgspec.json.encode((label, document_id))
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def _decode_key(key: str) -> tuple[str, str]:
    try:
        raw = base64.urlsafe_b64decode(key[:2_000] + "=" * (-len(key) % 4))
        return msgspec.json.decode(raw, type=tuple[str, str])
    except (ValueError, msgspec.MsgspecError):
        raise field_fault("start_key", "invalid", "start_key does not name a page", value=key[:100]) from None


# --- time ranges ------------------------------------------------------------------------------------


def time_range(request: Request, now: float) -> TimeRange:
    """Return the wanted range in Gregorian seconds; the last 31 days by default. Raises ApiError 400."""
    upper = _seconds(request, "created_to")
    lower = _seconds(request, "created_from")
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


def _seconds(request: Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None or text == "":
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise field_fault(
            name, "type", "Value did not match type(s): integer", target="integer", value=text[:40]
        )
    return int(text)


# --- filters ----------------------------------------------------------------------------------------


def has_filters(request: Request) -> bool:
    """Tell whether any filter but those of times is given."""
    return any(name.startswith(_FILTER_WORDS) for name in request.query)


def filters(request: Request, *, with_times: bool = True) -> Keep:
    """Return the conjunction of the request's filters. Raises ApiError 400 for times that are no numbers."""
    tests = [test for name, value in request.query.items() if (test := _test(name, value)) is not None]
    bounds = [(name, _seconds(request, name)) for name in _TIME_FILTERS] if with_times else []
    ranges = [(name, bound) for name, bound in bounds if bound is not None]

    def keep(data: Json, created_at: float, modified_at: float) -> bool:
        for name, bound in ranges:
            at = gregorian_s(created_at if name.startswith("created") else modified_at)
            if at < bound if name.endswith("from") else at > bound:
                return False
        return all(test(data) for test in tests)

    return keep


def _test(name: str, value: str) -> Callable[[Json], bool] | None:
    if name.startswith("filter_not_"):
        path, wanted = name[11:].split("."), _wanted(value)
        return lambda data: not _equals(_at(data, path), wanted)
    if name.startswith("filter_"):
        path, wanted = name[7:].split("."), _wanted(value)
        return lambda data: _equals(_at(data, path), wanted)
    path = value.split(".")
    if name == "has_key":
        return lambda data: _at(data, path) is not _MISSING
    if name == "key_missing":
        return lambda data: _at(data, path) is _MISSING
    if name == "has_value":
        return lambda data: _at(data, path) not in (_MISSING, None, "", [], {})
    if name in ("value_missing", "missing_value"):
        return lambda data: _at(data, path) in (_MISSING, None, "", [], {})
    return None


_MISSING: Final = object()


def _at(data: Any, path: list[str]) -> Any:
    for name in path:
        if not isinstance(data, dict) or name not in data:
            return _MISSING
        data = data[name]
    return data


def _wanted(value: str) -> frozenset[str]:
    """Return the texts a value may equal: itself, or the items of a JSON list."""
    if value.startswith("["):
        try:
            items = msgspec.json.decode(value)
        except (ValueError, msgspec.MsgspecError, RecursionError):
            return frozenset({value})
        return frozenset(_text(item) for item in items)
    return frozenset({value, value[1:-1]} if len(value) > 1 and value[0] == value[-1] == '"' else {value})


def _equals(found: Any, wanted: frozenset[str]) -> bool:
    return _text("" if found is _MISSING else found) in wanted


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return "\0"  # lists and objects never match
    return str(value)
