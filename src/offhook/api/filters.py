"""Filters of lists: they look at the stored document, not at what the list shows (kazoo-behaviour 12.3)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from offhook.directory.model import Json
from offhook.kernel import gregorian_s

from .errors import field_fault
from .request import Request

Keep = Callable[[Json, float, float], bool]
"""Takes the stored JSON, created and modified times (Unix seconds); tells whether it stays in the list."""

SECONDS_DIGITS_MAX: Final = 12
"""Gregorian seconds have eleven."""

_WORDS: Final = ("filter_", "has_key", "key_missing", "has_value", "value_missing", "missing_value")
_TIMES: Final = ("created_from", "created_to", "modified_from", "modified_to")


def has_filters(request: Request) -> bool:
    """Tell whether any filter but those of times is given."""
    return any(name.startswith(_WORDS) for name in request.query)


def filters(request: Request, *, with_times: bool = True) -> Keep:
    """Return the conjunction of the request's filters. Raises ApiError 400 for times that are no numbers."""
    tests = tests_of(request.query)
    ranges = _ranges(request) if with_times else []

    def keep(data: Json, created_at: float, modified_at: float) -> bool:
        for name, bound in ranges:
            at = gregorian_s(created_at if name.startswith("created") else modified_at)
            if at < bound if name.endswith("from") else at > bound:
                return False
        return all(test(data) for test in tests)

    return keep


def document_filters(request: Request) -> Keep | None:
    """Return the request's filters, or None if there are none. Raises as `filters` does."""
    if has_filters(request) or any(request.query.get(name) for name in _TIMES):
        return filters(request)
    return None


def seconds_of(request: Request, name: str) -> int | None:
    """Return a parameter in Gregorian seconds, None without it. Raises ApiError 400."""
    text = request.query.get(name)
    if text is None or text == "":
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > SECONDS_DIGITS_MAX:
        raise field_fault(
            name, "type", "Value did not match type(s): integer", target="integer", value=text[:40]
        )
    return int(text)


def _ranges(request: Request) -> list[tuple[str, int]]:
    bounds = [(name, seconds_of(request, name)) for name in _TIMES]
    return [(name, bound) for name, bound in bounds if bound is not None]


def tests_of(query: Mapping[str, str]) -> list[Callable[[Json], bool]]:
    """Return the tests that parameters stand for; all must hold. Others than filters are left out."""
    return [test for name, value in query.items() if (test := _test(name, value)) is not None]


def _test(name: str, value: str) -> Callable[[Json], bool] | None:
    if name.startswith("filter_not_"):
        path, wanted = name[11:].split("."), wanted_texts(value)
        return lambda data: not _equals(_at(data, path), wanted)
    if name.startswith("filter_"):
        path, wanted = name[7:].split("."), wanted_texts(value)
        return lambda data: _equals(_at(data, path), wanted)
    path = value.split(".")
    if name == "has_key":
        return lambda data: _at(data, path) is not _MISSING
    if name == "key_missing":
        return lambda data: _at(data, path) is _MISSING
    if name == "has_value":
        return lambda data: not _is_empty(_at(data, path))
    if name in ("value_missing", "missing_value"):
        return lambda data: _is_empty(_at(data, path))
    return None


_MISSING: Final = object()


def _at(data: Any, path: list[str]) -> Any:
    for name in path:
        if not isinstance(data, dict) or name not in data:
            return _MISSING
        data = data[name]
    return data


def _is_empty(value: Any) -> bool:
    return value is _MISSING or value is None or value in ("", [], {})


def wanted_texts(value: str) -> frozenset[str]:
    """Return the texts a value may equal: itself, or the items of a JSON list."""
    if value.startswith("["):
        try:
            items = msgspec.json.decode(value)
        except (ValueError, msgspec.MsgspecError, RecursionError):
            return frozenset({value})
        return frozenset(_text(item) for item in items if not isinstance(item, dict | list))
    return frozenset({value, value[1:-1]} if len(value) > 1 and value[0] == value[-1] == '"' else {value})


def _equals(found: Any, wanted: frozenset[str]) -> bool:
    if isinstance(found, dict | list):
        return False
    return _text("" if found is _MISSING or found is None else found) in wanted


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
