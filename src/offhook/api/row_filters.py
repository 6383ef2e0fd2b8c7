"""Filters of history and CDRs, where one document is wanted of a million (kazoo-behaviour 12.3)."""

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from offhook.app.ports import Json, Listing, Page, RowFilter

from .filters import has_filters, tests_of, wanted_texts
from .request import Request

ALTERNATIVES_MAX: Final = 50
"""Pieces of JSON to look for at once; a longer list of values is looked at document by document."""

REFILLS_MAX: Final = 50
"""Short pages a filter may leave behind before the answer goes out as it is, with a next_start_key."""

CALL_IDS: Final = frozenset(("filter_call_id", "filter_other_leg_call_id"))
"""KAZOO takes these with the month in front, as it stands in the id of a CDR."""

_MONTH: Final = re.compile(r"\d{6}-(?=.)")


def row_filter(request: Request) -> RowFilter | None:
    """Return the request's filters, or None if there are none."""
    if not has_filters(request):
        return None
    query = {
        name: _MONTH.sub("", value, count=1) if name in CALL_IDS and _MONTH.match(value) else value
        for name, value in request.query.items()
    }
    tests = tests_of(query)
    return RowFilter(
        keep=lambda document: all(test(document) for test in tests), needles=tuple(_needles(query))
    )


async def filled(page: Page, read: Callable[[Page], Awaitable[Listing]]) -> Listing:
    """Return a full page although a filter leaves gaps; read takes what is still missing."""
    items: list[Json] = []
    key = page.start_key
    for _ in range(REFILLS_MAX):
        part = await read(msgspec.structs.replace(page, size=page.size - len(items), start_key=key))
        items += part.items
        key = part.next_key
        if not key or len(items) >= page.size:
            break
    return Listing(items=items, next_key=key)


def _needles(query: Mapping[str, str]) -> Iterator[tuple[bytes, ...]]:
    """Yield what the JSON of a wanted document must contain."""
    for name, value in query.items():
        if name.startswith("filter_") and not name.startswith("filter_not_"):
            pieces = _pieces(wanted_texts(value))
            if pieces:
                yield pieces
        elif name in ("has_key", "has_value"):
            for part in value.split("."):
                yield (msgspec.json.encode(part),)


def _pieces(texts: Iterable[str]) -> tuple[bytes, ...]:
    """Return how texts stand in JSON, without quotes, for they may be numbers; empty if that is not sure."""
    pieces = tuple(msgspec.json.encode(text)[1:-1] for text in texts)
    if len(pieces) > ALTERNATIVES_MAX or not all(_is_sure(text) for text in texts):
        return ()
    return pieces


def _is_sure(text: str) -> bool:
    """Tell whether a value that reads so has these characters in JSON: 1e-7 may not, nor has nothing."""
    if not text:
        return False
    try:
        float(text)
    except ValueError:
        return True
    return not set(text.lower()) & set("enai")
