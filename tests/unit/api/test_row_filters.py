"""Filters of lists by time: what SQLite looks for first never hides a wanted document."""

from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.api.request import Request
from offhook.api.row_filters import row_filter
from offhook.app.ports import RowFilter

NAMES = st.sampled_from(["a", "b", "cost", "filter"])
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip
DOCUMENTS = st.dictionaries(NAMES, SCALARS | st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=2)))


def filter_of(query: str) -> RowFilter | None:
    scope = {"method": "GET", "headers": [], "path": "/v2/x", "query_string": query.encode()}
    request = Request(scope, request_id="r", trusted_proxies=frozenset())
    request.take_query()
    return row_filter(request)


def may_find(only: RowFilter, document: Any) -> bool:
    data = msgspec.json.encode(document)
    return all(any(needle in data for needle in group) for group in only.needles)


@given(DOCUMENTS, st.sampled_from(["filter_", "filter_not_"]), NAMES, SCALARS)
def test_no_wanted_document_is_hidden(document: Any, word: str, name: str, value: object) -> None:
    for path, found in [(name, document.get(name)), (f"a.{name}", value), (name, value)]:
        text = (
            {True: "true", False: "false"}.get(found, str(found)) if isinstance(found, bool) else str(found)
        )
        for written in (text, f'"{text}"', msgspec.json.encode([found, "x"]).decode()):
            only = filter_of(f"{word}{quote(path)}={quote(written)}")
            assert only is not None
            assert not only.keep(document) or may_find(only, document)


@given(DOCUMENTS, st.sampled_from(["has_key", "key_missing", "has_value", "value_missing"]), NAMES, NAMES)
def test_keys_are_found_too(document: Any, word: str, name: str, below: str) -> None:
    for path in (name, f"{name}.{below}"):
        only = filter_of(f"{word}={path}")
        assert only is not None
        assert not only.keep(document) or may_find(only, document)


@pytest.mark.parametrize(
    ("query", "needles"),
    [
        ("filter_custom_application_vars.order=77", ((b"77",),)),
        ('filter_outcome=["busy","failed"]', ((b"busy", b"failed"),)),
        ("filter_a=x%22y&filter_b=z", ((b'x\\"y',), (b"z",))),
        ("has_key=a.b", ((b'"a"',), (b'"b"',))),
        ("filter_not_a=x", ()),
        ("filter_a=", ()),
        ("filter_a=1e-7", ()),
        ("key_missing=a", ()),
    ],
)
def test_what_is_looked_for(query: str, needles: tuple[tuple[bytes, ...], ...]) -> None:
    only = filter_of(query)
    assert only is not None
    assert tuple(tuple(sorted(group)) for group in only.needles) == needles


def test_call_ids_may_have_the_month_in_front() -> None:
    for query in ("filter_call_id=c2c-1", "filter_call_id=202403-c2c-1", "filter_other_leg_call_id=202403-b"):
        only = filter_of(query)
        assert only is not None
        assert only.keep({"call_id": "c2c-1", "other_leg_call_id": "b"})


def test_without_filters_there_is_none() -> None:
    assert filter_of("page_size=3&created_from=1") is None
