"""Paging and filters (kazoo-behaviour 12)."""

from .node import ApiNode, TestAccount


def given_buttons(acme: TestAccount, count: int) -> None:
    for number in range(count):
        acme.given_button(name=f"b{number:02}", team="red" if number % 2 else "blue")


def test_pages_hold_every_row_once(node: ApiNode, acme: TestAccount) -> None:
    given_buttons(acme, 7)
    seen: list[str] = []
    query = "page_size=3"
    while True:
        page = node.get(f"{acme.base}/clicktocall?{query}").json
        seen += [item["name"] for item in page["data"]]
        assert page["page_size"] == len(page["data"])
        if "next_start_key" not in page:
            break
        query = f"page_size=3&start_key={page['next_start_key']}"
    assert seen == [f"b{number:02}" for number in range(7)]


def test_pages_hold_while_others_write(node: ApiNode, acme: TestAccount) -> None:
    given_buttons(acme, 6)
    first = node.get(f"{acme.base}/clicktocall?page_size=3").json
    acme.given_button(name="a-early")
    for item in (first["data"][0], node.get(f"{acme.base}/clicktocall").data[4]):
        node.delete(f"{acme.base}/clicktocall/{item['id']}")
    rest = node.get(f"{acme.base}/clicktocall?start_key={first['next_start_key']}").json
    assert rest["start_key"] == first["next_start_key"]
    assert [item["name"] for item in rest["data"]] == ["b04", "b05"]  # b03, the mark, was deleted


def test_order_and_paginate_false(node: ApiNode, acme: TestAccount) -> None:
    given_buttons(acme, 3)
    names = lambda query: [i["name"] for i in node.get(f"{acme.base}/clicktocall?{query}").data]  # noqa: E731
    assert names("") == ["b00", "b01", "b02"]
    assert names("ascending=false") == ["b02", "b01", "b00"]
    assert names("descending=true&page_size=2") == ["b02", "b01"]
    whole = node.get(f"{acme.base}/clicktocall?paginate=false").json
    assert len(whole["data"]) == 3
    assert not {"page_size", "start_key", "next_start_key"} & set(whole)


def test_filters_look_at_the_whole_document(node: ApiNode, acme: TestAccount) -> None:
    given_buttons(acme, 4)
    acme.given_button(name="odd", media={"ignore_early_media": True}, empty="")
    names = lambda query: [i["name"] for i in node.get(f"{acme.base}/clicktocall?{query}").data]  # noqa: E731
    assert names("filter_team=red") == ["b01", "b03"]
    assert names('filter_team=["red","green"]') == ["b01", "b03"]
    assert names("filter_not_team=red") == ["b00", "b02", "odd"]
    assert names("has_key=media.ignore_early_media") == ["odd"]
    assert names("key_missing=team") == ["odd"]
    assert names("has_value=empty") == []
    assert names("value_missing=team") == ["odd"]
    assert names("missing_value=team") == ["odd"]
    assert names("filter_media.ignore_early_media=true") == ["odd"]
    assert names("filter_media=true") == []
    assert names("filter_team=red&page_size=1") == ["b01"]
    assert names("created_from=63000000000&filter_team=blue") == ["b00", "b02"]
    assert names("created_to=63000000000") == []
    assert names("modified_from=99000000000") == []
