"""Oddities of KAZOO behind switches: each is off at first, and does what it says when it is on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from offhook.api import ApiSettings
from offhook.app.quirks import QUIRKS

from .node import ApiNode, TestAccount, settle

Start = Callable[[str], TestAccount]


@pytest.fixture
def given(tmp_path: Path) -> Iterator[Start]:
    """Start a node with a quirk (or none), and return an account with two phones on it."""
    nodes: list[ApiNode] = []

    def start(quirk: str) -> TestAccount:
        folder = tmp_path / str(len(nodes))
        folder.mkdir()
        settings = ApiSettings(rate_bucket=0, quirks=frozenset({quirk} - {""}))
        nodes.append(ApiNode(folder, settings=settings))
        acme = nodes[-1].given_account()
        acme.given_two_phones()
        return acme

    yield start
    for node in nodes:
        node.stop()


@pytest.mark.parametrize(("quirk", "status"), [("", 202), ("accepted_is_200", 200)])
def test_accepted_is_200(given: Start, quirk: str, status: int) -> None:
    acme = given(quirk)
    path = f"{acme.base}/clicktocall/{acme.given_button()}/connect?contact=1002"
    assert acme.node.get(path).status == status


@pytest.mark.parametrize(("quirk", "status"), [("", 400), ("whitelist_is_searched", 202)])
def test_whitelist_is_searched(given: Start, quirk: str, status: int) -> None:
    acme = given(quirk)
    path = f"{acme.base}/clicktocall/{acme.given_button(whitelist=['^10'])}/connect"
    assert acme.node.get(f"{path}?contact=1002").status == status
    assert acme.node.get(f"{path}?contact=2110").status == 400
    assert acme.node.get(f"{acme.base}/clicktocall/{acme.given_button(whitelist=['^100.$'])}/connect"
                         "?contact=1002").status == 202  # fmt: skip


@pytest.mark.parametrize("quirk", ["", "put_takes_id"])
def test_put_takes_id(given: Start, quirk: str) -> None:
    acme, id = given(quirk), "ab" * 16
    answer = acme.node.put(f"{acme.base}/clicktocall", {"name": "b", "extension": "1", "id": id})
    assert (answer.data["id"] == id) == (quirk == "put_takes_id")
    again = acme.node.put(f"{acme.base}/clicktocall", {"name": "b", "extension": "1", "id": id})
    assert again.status == (409 if quirk else 201)
    other = acme.node.put(f"{acme.base}/clicktocall", {"name": "b", "extension": "1", "id": "../x"})
    assert other.status == (400 if quirk else 201)


@pytest.mark.parametrize("noun", ["users", "media"])
def test_no_two_accounts_share_an_id_that_names_a_file(given: Start, noun: str) -> None:
    acme, data = given("put_takes_id"), {"first_name": "J", "last_name": "D", "name": "n", "id": "ab" * 16}
    other = acme.node.given_account("Other")
    assert acme.node.put(f"{acme.base}/{noun}", data).status == 201
    answer = acme.node.put(f"{other.base}/{noun}", data)
    assert (answer.status, list(answer.data)) == (400, ["id"])
    assert acme.node.delete(f"{acme.base}/{noun}/{'ab' * 16}").status == 200
    assert acme.node.put(f"{other.base}/{noun}", data).status == 201


@pytest.mark.parametrize(("quirk", "result"), [("", "error"), ("cancel_is_success", "success")])
def test_cancel_is_success(given: Start, quirk: str, result: str) -> None:
    acme = given(quirk)
    node = acme.node
    node.phones.silent.add("dev1")
    button = f"{acme.base}/clicktocall/{acme.given_button()}"
    call = node.get(f"{button}/connect?contact=1002").data["call_id"]
    settle(node)
    node.delete(f"{acme.base}/calls/{call}")
    settle(node)
    [item] = node.get(f"{button}/history").data
    assert (item["result"], "cause" in item, item["outcome"]) == (result, result == "error", "canceled")


@pytest.mark.parametrize(("quirk", "status"), [("", 429), ("throttle_is_ignored", 202)])
def test_throttle_is_ignored(given: Start, quirk: str, status: int) -> None:
    acme = given(quirk)
    path = f"{acme.base}/clicktocall/{acme.given_button(throttle=1)}/connect?contact=1002"
    assert [acme.node.get(path).status for _ in range(2)] == [202, status]


@pytest.mark.parametrize(
    ("quirk", "custom_data"), [("", {"a": "1", "b": "2"}), ("webhook_patch_is_shallow", {"b": "2"})]
)
def test_webhook_patch_is_shallow(given: Start, quirk: str, custom_data: dict[str, str]) -> None:
    acme = given(quirk)
    hook = {"name": "w", "uri": "https://example.com/x", "hook": "channel_destroy", "custom_data": {"a": "1"}}
    path = f"{acme.base}/webhooks/{acme.created('webhooks', hook)}"
    assert acme.node.patch(path, {"custom_data": {"b": "2"}}).data["custom_data"] == custom_data
    assert acme.node.get(path).data["name"] == "w"


def test_every_quirk_is_tried_here() -> None:
    assert {name.removeprefix("test_") for name in globals()} >= QUIRKS
