"""Each outcome reads the same in every place that tells it, waiting requests among them (design 2.3)."""

import asyncio
from typing import Any

import pytest

from offhook.api import waiting
from offhook.app.errors import StorageLost

from .node import ApiNode, TestAccount, settle

KEYS = ("outcome", "party", "side", "by", "hangup_cause", "sip_code", "sip_reason", "times")

REFUSALS = [
    ("busy", "USER_BUSY", 486),
    ("busy", "USER_BUSY", 600),
    ("rejected", "CALL_REJECTED", 603),
    ("rejected", "CALL_REJECTED", 403),
    ("no_answer", "NO_USER_RESPONSE", 480),
    ("no_answer", "RECOVERY_ON_TIMER_EXPIRE", 408),
    ("unreachable", "UNALLOCATED_NUMBER", 404),
    ("unreachable", "NUMBER_CHANGED", 410),
    ("unreachable", "NO_ROUTE_DESTINATION", 604),
    ("unreachable", "INVALID_NUMBER_FORMAT", 484),
    ("failed", "NORMAL_TEMPORARY_FAILURE", 503),
    ("failed", "INCOMPATIBLE_DESTINATION", 488),
    ("failed", "CALL_REJECTED", 401),
    ("failed", "RECOVERY_ON_TIMER_EXPIRE", 504),
]
"""What a phone says, and what it comes to: a row of the matrix each."""


def words(item: dict[str, Any]) -> dict[str, Any]:
    return {key: item[key] for key in KEYS}


def assert_same_everywhere(
    node: ApiNode, acme: TestAccount, call_id: str, *, legs_that_lost: int = 0
) -> dict[str, Any]:
    """Compare call, history, CDRs (full, list) and timeline; return the words."""
    call = node.get(f"{acme.base}/calls/{call_id}").data
    assert call["state"] == "ended"
    told = words(call)
    if call["kind"] == "clicktocall":
        [item] = node.get(
            f"{acme.base}/clicktocall/{call['authorizing_id']}/history?filter_call_id={call_id}"
        ).data
        assert words(item) == told
        assert item["result"] == ("success" if told["outcome"] == "connected" else "error")
        assert item.get("cause") == (None if told["outcome"] == "connected" else told["hangup_cause"])
    rows = [r for r in node.get(f"{acme.base}/cdrs").data if r["interaction_id"] == call["interaction_id"]]
    full = node.get(f"{acme.base}/cdrs/legs/{call['interaction_id']}").data
    assert len(rows) == len(full) == max(len(call["legs"]), 1)
    for item in [*rows, *full]:
        assert words(item) | {"hangup_cause": ""} == told | {"hangup_cause": ""}
    others = [item for item in full if item["hangup_cause"] != told["hangup_cause"]]
    assert len(others) == legs_that_lost, "a leg has a cause of its own only if it lost a race"
    ended = node.get(f"{acme.base}/calls/{call_id}/timeline").data[-1]
    assert {key: ended[key] for key in KEYS[:-1]} == {key: told[key] for key in KEYS[:-1]}
    assert ended["at"] == told["times"]["ended"]
    return told


@pytest.mark.parametrize(("outcome", "cause", "code"), REFUSALS)
def test_first_party_that_refuses(
    node: ApiNode, acme: TestAccount, outcome: str, cause: str, code: int
) -> None:
    device = acme.given_phone("dev1", "1001")
    acme.given_phone("dev2", "1002")
    node.phones.refusing["dev1"] = (cause, code)
    button = f"{acme.base}/clicktocall/{acme.given_button()}"
    waited = node.post(f"{button}/connect", {"contact": "1002", "blocking": True})
    assert (waited.status, waited.data["result"], waited.data["cause"]) == (200, "error", cause)
    told = assert_same_everywhere(node, acme, waited.data["call_id"])
    assert words(waited.data) == told
    assert (told["outcome"], told["party"], told["by"], told["sip_code"]) == (
        outcome,
        "first",
        "extension",
        code,
    )

    failed = node.post(f"{acme.base}/devices/{device}/quickcall/1002")
    assert (failed.status, failed.json["message"]) == (500, "quickcall initiation failed")
    assert failed.data["error_message"] == cause
    assert b"password" not in failed.body
    told = assert_same_everywhere(node, acme, failed.data["call_id"])
    assert (told["outcome"], told["party"], told["by"]) == (outcome, "first", "extension")


@pytest.mark.parametrize(("outcome", "cause", "code"), REFUSALS)
def test_second_party_that_refuses(
    node: ApiNode, acme: TestAccount, outcome: str, cause: str, code: int
) -> None:
    """The request is told that the step it promises went well; the call's own words tell the rest."""
    acme.given_two_phones()
    node.phones.refusing["dev2"] = (cause, code)
    button = f"{acme.base}/clicktocall/{acme.given_button()}"
    waited = node.post(f"{button}/connect", {"contact": "1002", "blocking": True})
    settle(node)
    told = assert_same_everywhere(node, acme, waited.data["call_id"])
    assert (told["outcome"], told["party"], told["side"], told["by"]) == (
        outcome,
        "second",
        "contact",
        "contact",
    )
    assert waited.status == 200
    assert waited.data["result"] == "success" if "outcome" not in waited.data else words(waited.data) == told


def test_joined_and_hung_up(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    button = f"{acme.base}/clicktocall/{acme.given_button()}"
    waited = node.post(f"{button}/connect", {"contact": "1002", "blocking": True})
    settle(node)
    node.delete(f"{acme.base}/calls/{waited.data['call_id']}")
    settle(node)
    told = assert_same_everywhere(node, acme, waited.data["call_id"])
    assert (told["outcome"], told["party"], told["by"], told["hangup_cause"]) == (
        "connected", "", "api", "NORMAL_CLEARING",
    )  # fmt: skip
    assert list(told["times"]) == [
        "accepted", "first_ringing", "first_answered", "second_ringing", "bridged", "ended",
    ]  # fmt: skip


def test_a_leg_that_lost_the_race_keeps_its_own_cause(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    node.registered.add("dev1", acme.realm, host="10.0.0.9")  # a second contact of the same phone
    call_id = node.get(f"{acme.base}/clicktocall/{acme.given_button()}/connect?contact=1002").data["call_id"]
    settle(node)
    node.delete(f"{acme.base}/calls/{call_id}")
    settle(node)
    told = assert_same_everywhere(node, acme, call_id, legs_that_lost=1)
    assert told["outcome"] == "connected"
    causes = {leg["hangup_cause"] for leg in node.get(f"{acme.base}/calls/{call_id}").data["legs"]}
    assert causes == {"NORMAL_CLEARING", "LOSE_RACE"}


def test_a_phone_that_rings_in_vain(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    node.phones.silent.add("dev1")
    button = f"{acme.base}/clicktocall/{acme.given_button(timeout=1)}"
    waited = node.post(f"{button}/connect", {"contact": "1002", "blocking": True})
    told = assert_same_everywhere(node, acme, waited.data["call_id"])
    assert words(waited.data) == told
    assert (told["outcome"], told["by"], told["hangup_cause"]) == ("no_answer", "policy", "NO_ANSWER")
    assert list(told["times"]) == ["accepted", "first_ringing", "ended"]


def test_nobody_to_ring(node: ApiNode, acme: TestAccount) -> None:
    device = acme.created("devices", {"name": "Desk", "sip": {"username": "dev1"}})
    waited = node.post(
        f"{acme.base}/clicktocall/{acme.given_button(extension='1999')}/connect",
        {"contact": "1002", "blocking": True},
    )
    told = assert_same_everywhere(node, acme, waited.data["call_id"])
    assert words(waited.data) == told
    assert (told["outcome"], told["party"], told["by"]) == ("unreachable", "first", "platform")
    failed = node.post(f"{acme.base}/devices/{device}/quickcall/1002")
    told = assert_same_everywhere(node, acme, failed.data["call_id"])
    assert (failed.status, failed.data["error_message"]) == (500, told["hangup_cause"])


@pytest.mark.parametrize("kind", ["connect", "quickcall"])
def test_a_client_that_leaves_ends_the_call(node: ApiNode, acme: TestAccount, kind: str) -> None:
    device = acme.given_phone("dev1", "1001")
    node.phones.silent.add("dev1")
    path = {
        "connect": f"{acme.base}/clicktocall/{acme.given_button()}/connect?blocking=true&contact=1002",
        "quickcall": f"{acme.base}/devices/{device}/quickcall/1002",
    }[kind]

    async def ask_and_leave() -> None:
        leaves = asyncio.Event()
        asyncio.get_running_loop().call_later(0.1, leaves.set)
        assert (await node.asking("POST", path, leaves=leaves)).status == 0

    node.run(ask_and_leave())
    settle(node)
    told = assert_same_everywhere(node, acme, node.phones.dialed[0].call_id)
    assert (told["outcome"], told["by"], told["hangup_cause"]) == ("canceled", "api", "ORIGINATOR_CANCEL")


@pytest.mark.parametrize("kind", ["connect", "quickcall"])
def test_a_call_that_is_ended_while_a_request_waits(node: ApiNode, acme: TestAccount, kind: str) -> None:
    device = acme.given_phone("dev1", "1001")
    node.phones.silent.add("dev1")
    path = {
        "connect": f"{acme.base}/clicktocall/{acme.given_button()}/connect?blocking=true&contact=1002",
        "quickcall": f"{acme.base}/devices/{device}/quickcall/1002",
    }[kind]

    async def wait_while_somebody_ends_it() -> Any:
        waiting = asyncio.ensure_future(node.asking("POST", path))
        await asyncio.sleep(0.1)
        await node.asking("DELETE", f"{acme.base}/calls/{node.phones.dialed[0].call_id}")
        return await waiting

    answer = node.run(wait_while_somebody_ends_it())
    told = assert_same_everywhere(node, acme, node.phones.dialed[0].call_id)
    assert told["outcome"] == "canceled"
    if kind == "connect":
        assert (answer.status, words(answer.data)) == (200, told)
    else:
        assert (answer.status, answer.data["error_message"]) == (500, "ORIGINATOR_CANCEL")


@pytest.mark.parametrize("margin_s", [waiting.MARGIN_S, -0.9])
def test_a_client_told_of_a_failure_has_no_call_left(
    node: ApiNode, acme: TestAccount, monkeypatch: pytest.MonkeyPatch, margin_s: float
) -> None:
    """Also if the wait ran out before the machine gives up: then the call is ended before the answer."""
    monkeypatch.setattr(waiting, "MARGIN_S", margin_s)
    acme.given_two_phones()
    node.phones.silent.add("dev1")
    button = f"{acme.base}/clicktocall/{acme.given_button(timeout=1)}"
    waited = node.post(f"{button}/connect", {"contact": "1002", "blocking": True})
    assert waited.data["result"] == "error"
    assert node.get(f"{acme.base}/channels").data == []
    assert node.calls.count() == 0
    assert words(waited.data) == assert_same_everywhere(node, acme, waited.data["call_id"])


def test_a_disk_that_stays_full_is_told_in_time(
    node: ApiNode, acme: TestAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "ENDED_BOUND_S", 0.2)
    acme.given_two_phones()
    node.phones.refusing["dev1"] = ("USER_BUSY", 486)
    finish, is_full = node.store.journal.finish, True

    async def full_at_first(*arguments: Any, **options: Any) -> None:
        if is_full:
            raise StorageLost("disk full")
        await finish(*arguments, **options)

    monkeypatch.setattr(node.store.journal, "finish", full_at_first)
    monkeypatch.setattr(waiting, "MARGIN_S", -29.9)
    button = f"{acme.base}/clicktocall/{acme.given_button()}"
    waited = node.post(f"{button}/connect", {"contact": "1002", "blocking": True})
    assert (waited.status, waited.json["message"]) == (503, "datastore_fault")
    is_full = False
    call_id = node.phones.dialed[0].call_id
    node.run(asyncio.sleep(1.2))
    assert assert_same_everywhere(node, acme, call_id)["outcome"] == "busy"
