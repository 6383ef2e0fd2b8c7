"""Paging and filters (kazoo-behaviour 12)."""

from offhook.kernel import gregorian_s

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


def test_filtered_pages_are_full_and_the_last_has_no_key(node: ApiNode, acme: TestAccount) -> None:
    given_buttons(acme, 7)
    first = node.get(f"{acme.base}/clicktocall?filter_team=blue&page_size=2").json
    assert [item["name"] for item in first["data"]] == ["b00", "b02"]
    key = first["next_start_key"]
    rest = node.get(f"{acme.base}/clicktocall?filter_team=blue&page_size=2&start_key={key}").json
    assert [item["name"] for item in rest["data"]] == ["b04", "b06"]
    assert "next_start_key" not in rest


def test_names_serve_as_keys(node: ApiNode, acme: TestAccount) -> None:
    given_buttons(acme, 6)
    names = lambda query: [i["name"] for i in node.get(f"{acme.base}/clicktocall?{query}").data]  # noqa: E731
    assert names("start_key=b02") == ["b02", "b03", "b04", "b05"]
    assert names("start_key=b02&end_key=b03") == ["b02", "b03"]
    assert names("start_key=B03&ascending=false") == ["b03", "b02", "b01", "b00"]
    assert names("start_key=b03&end_key=b02&ascending=false") == ["b03", "b02"]
    assert names("start_key=%ED%A0%80") == []
    key = node.get(f"{acme.base}/clicktocall?page_size=4").json["next_start_key"]
    assert names(f"end_key={key}&start_key=b03") == ["b03", "b04"]


def test_fields_leave_only_what_is_asked_for(node: ApiNode, acme: TestAccount) -> None:
    button = acme.given_button(name="b", secret="s")
    assert node.get(f"{acme.base}/clicktocall?fields=name,secret").data == [{"id": button, "name": "b"}]
    assert node.get(f"{acme.base}/clicktocall?fields=").data[0]["extension"] == "1001"


def test_lists_in_memory_are_filtered_too(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    names = lambda query: [i["username"] for i in node.get(f"{acme.base}/registrations?{query}").data]  # noqa: E731
    assert sorted(names("")) == ["dev1", "dev2"]
    assert names("filter_username=dev2") == ["dev2"]
    assert node.get(f"{acme.base}/registrations?fields=username&filter_username=dev1").data == [
        {"username": "dev1"}
    ]


def test_any_list_as_csv(node: ApiNode, acme: TestAccount) -> None:
    button = acme.given_button(name='say "hi", all')
    answer = node.get(f"{acme.base}/clicktocall", headers={"accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv"
    assert answer.body.decode() == f'id,name,extension\r\n{button},"say ""hi"", all",1001\r\n'
    assert node.get(f"{acme.base}/clicktocall?accept=csv&filter_name=x").status == 204


def test_devices_of_a_user_include_those_it_is_hot_desked_into(node: ApiNode, acme: TestAccount) -> None:
    user = acme.created("users", {"first_name": "Jane", "last_name": "Doe"})
    own = acme.created("devices", {"name": "b own", "owner_id": user})
    hot = acme.created("devices", {"name": "a hot", "hotdesk": {"users": {user: {}}}})
    acme.created("devices", {"name": "other"})
    found = node.get(f"{acme.base}/users/{user}/devices").data
    assert [(item["id"], item["hotdesked"]) for item in found] == [(hot, True), (own, False)]


def test_status_names_registered_devices_of_the_account(node: ApiNode, acme: TestAccount) -> None:
    device = acme.given_phone("dev1", "1001")
    acme.created("devices", {"name": "absent", "sip": {"username": "absent"}})
    assert node.get(f"{acme.base}/devices/status").data == [{"device_id": device, "registered": True}]


def test_a_new_realm_takes_the_devices_along_or_nothing(node: ApiNode, acme: TestAccount) -> None:
    device = acme.given_phone("dev1", "1001")
    assert node.patch(acme.base, {"realm": "new.example.com"}).status == 200
    find = node.store.documents.find
    [found] = node.run(find("sip_username", "dev1", scope="new.example.com"))
    assert found.id == device
    assert node.run(find("sip_username", "dev1", scope=acme.realm)) == []
    other = node.given_account("Other")
    node.put(
        f"{other.base}/devices", {"name": "n", "sip": {"username": "dev1", "realm": "taken.example.com"}}
    )
    refused = node.patch(acme.base, {"realm": "taken.example.com"})
    assert (refused.status, list(refused.data)) == (400, ["sip.username"])
    assert node.get(acme.base).data["realm"] == "new.example.com"
    [found] = node.run(find("sip_username", "dev1", scope="new.example.com"))
    assert found.id == device


def test_lists_of_the_tree(node: ApiNode, acme: TestAccount) -> None:
    ids = {name: node.given_account(name, below=acme.id).id for name in ("b", "a", "c")}
    names = lambda path: [i["name"] for i in node.get(path).data]  # noqa: E731
    assert names(f"{acme.base}/children") == ["a", "b", "c"]
    assert names(f"{acme.base}/children?page_size=2&ascending=false") == ["c", "b"]
    assert names(f"/v2/accounts/{ids['b']}/siblings") == ["a", "c"]
    assert names(f"/v2/accounts/{node.master}/descendants?filter_name=b") == ["b"]


def test_filters_by_time(node: ApiNode, acme: TestAccount) -> None:
    acme.given_button(name="old")
    node.clock.ahead_s += 1_000
    later = acme.given_button(name="new")
    at = gregorian_s(node.run(_now(node)))
    path = f"{acme.base}/clicktocall"

    def names(query: str) -> list[str]:
        return [item["name"] for item in node.get(f"{path}?{query}").data]

    assert names(f"created_from={at - 500}") == ["new"]
    assert names(f"created_to={at - 500}") == ["old"]
    node.clock.ahead_s += 1_000
    node.patch(f"{path}/{later}", {"timeout": 9})
    assert names(f"modified_from={at + 500}") == ["new"]
    assert names(f"modified_to={at + 500}&created_from={at - 5_000}") == ["old"]


async def _now(node: ApiNode) -> float:
    return node.clock.epoch()
