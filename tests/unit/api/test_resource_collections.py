"""Several carriers in one request: all are stored, or none."""

import pytest

from .node import ApiNode, TestAccount

GOOD = {"name": "A", "gateways": [{"server": "a.example.com"}]}


def test_many_are_made_and_changed_at_once(node: ApiNode, acme: TestAccount) -> None:
    path = f"{acme.base}/resources"
    made = node.put(f"{path}/collection", [GOOD, GOOD | {"name": "B"}])
    assert made.status == 201, made.body
    ids = list(made.data["successes"])
    assert {item["name"] for item in node.get(path).data} == {"A", "B"}
    changed = node.post(f"{path}/collection", [{"id": id, "weight_cost": 7} for id in ids])
    assert changed.status == 200, changed.body
    assert [node.get(f"{path}/{id}").data["weight_cost"] for id in ids] == [7, 7]
    assert [node.get(f"{path}/{id}").data["gateways"][0]["server"] for id in ids] == ["a.example.com"] * 2


def test_a_fault_in_one_keeps_all_from_being_made(node: ApiNode, acme: TestAccount) -> None:
    path = f"{acme.base}/resources"
    refused = node.put(f"{path}/collection", [GOOD, {"name": "B"}])
    assert (refused.status, refused.data) == (
        400,
        {"errors": {"1": {"gateways": {"required": {
            "message": "Field is required but missing", "value": "gateways"}}}}},
    )  # fmt: skip
    assert node.get(path).data == []


def test_one_that_is_unknown_keeps_all_from_being_changed(node: ApiNode, acme: TestAccount) -> None:
    path = f"{acme.base}/resources"
    id = acme.created("resources", GOOD)
    nobody = "f" * 32
    refused = node.patch(f"{path}/collection", [{"id": id, "name": "C"}, {"id": nobody, "name": "D"}])
    assert (refused.status, refused.data) == (400, {"errors": {nobody: "resource does not exist"}})
    assert node.get(f"{path}/{id}").data["name"] == "A"
    twice = node.patch(f"{path}/collection", [{"id": id, "name": "C"}, {"id": id, "name": "D"}])
    assert (twice.status, list(twice.data["data"])) == (400, ["uniqueItems"])


@pytest.mark.parametrize("data", [{}, [], [1], [GOOD] * 101])
def test_what_is_no_list_of_resources_is_refused(node: ApiNode, acme: TestAccount, data: object) -> None:
    assert node.put(f"{acme.base}/resources/collection", data).status == 400


def test_those_of_the_installation_are_the_masters(node: ApiNode, acme: TestAccount) -> None:
    made = node.put("/v2/resources/collection", [GOOD])
    assert made.status == 201, made.body
    assert node.get("/v2/resources").data[0]["name"] == "A"
    assert node.put("/v2/resources/collection", [GOOD], token=acme.token()).status == 403


# --- addresses that calls come from -------------------------------------------------------------------

TRUSTED = GOOD | {"inbound": {"addresses": ["192.0.2.0/28"]}}


def test_only_the_master_account_adds_addresses_that_calls_come_from(
    node: ApiNode, acme: TestAccount
) -> None:
    path, token = f"{acme.base}/resources", acme.token()
    mine = acme.created("resources", GOOD | {"inbound": {"username": "in", "password": "trunk-secret"}})
    trusted = acme.created("resources", TRUSTED)
    more = TRUSTED | {"inbound": {"addresses": ["192.0.2.0/28", "198.51.100.1"]}}
    refused = [
        node.put(path, TRUSTED, token=token),
        node.post(f"{path}/{mine}", TRUSTED, token=token),
        node.patch(f"{path}/{mine}", {"inbound": {"addresses": ["192.0.2.1"]}}, token=token),
        node.post(f"{path}/{trusted}", more, token=token),
    ]
    assert [answer.status for answer in refused] == [400] * 4
    assert [list(answer.data) for answer in refused] == [["inbound.addresses"]] * 4
    assert "inbound.username" in refused[0].data["inbound.addresses"]["forbidden"]["message"]
    assert node.get(f"{path}/{mine}").data["inbound"].keys() == {"username", "password"}
    assert len(node.get(path).data) == 2


def test_nor_does_anybody_else_add_them_to_several_at_once(node: ApiNode, acme: TestAccount) -> None:
    path, token = f"{acme.base}/resources", acme.token()
    id = acme.created("resources", GOOD)
    made = node.put(f"{path}/collection", [GOOD, TRUSTED], token=token)
    assert (made.status, list(made.data["errors"])) == (400, ["1"])
    assert list(made.data["errors"]["1"]) == ["inbound.addresses"]
    changed = node.patch(f"{path}/collection", [{"id": id, "inbound": TRUSTED["inbound"]}], token=token)
    assert (changed.status, list(changed.data["errors"])) == (400, [id])
    assert [item["id"] for item in node.get(path).data] == [id]
    assert node.put(f"{path}/collection", [TRUSTED]).status == 201


def test_addresses_that_the_master_has_added_stay_when_others_change_the_rest(
    node: ApiNode, acme: TestAccount
) -> None:
    path, token = f"{acme.base}/resources", acme.token()
    id = acme.created("resources", TRUSTED)
    assert node.patch(f"{path}/{id}", {"weight_cost": 7}, token=token).status == 200
    assert node.post(f"{path}/{id}", TRUSTED | {"name": "B"}, token=token).status == 200
    assert node.patch(f"{path}/collection", [{"id": id, "name": "C"}], token=token).status == 200
    shown = node.get(f"{path}/{id}").data
    assert (shown["name"], shown["inbound"]["addresses"]) == ("C", ["192.0.2.0/28"])
