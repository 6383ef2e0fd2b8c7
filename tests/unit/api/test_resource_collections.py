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
