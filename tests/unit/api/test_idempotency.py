"""Idempotency-Key on connect and quickcall: one click, one call, whatever is sent again (design 2.2)."""

import asyncio
from pathlib import Path

import pytest

from offhook.api import ApiSettings

from .node import Answer, ApiNode, TestAccount, settle

KEY = {"Idempotency-Key": "0b8f0f0e-4d6a"}
DAY_S = 86_400.0
PATIENCE_S = 30.0


@pytest.fixture
def button(acme: TestAccount) -> str:
    acme.given_two_phones()
    return f"{acme.base}/clicktocall/{acme.given_button()}"


def same_answer(first: Answer, again: Answer) -> bool:
    assert again.headers.get("idempotent-replayed") == "true"
    return (first.status, first.data, first.headers.get("location"), first.json.get("revision")) == (
        again.status, again.data, again.headers.get("location"), again.json.get("revision"),
    )  # fmt: skip


def calls_of(node: ApiNode) -> set[str]:
    return {command.call_id for command in node.phones.dialed}


def test_the_same_click_gets_the_first_answer_again(node: ApiNode, button: str) -> None:
    first = node.post(f"{button}/connect", {"contact": "1002"}, headers=KEY)
    assert (first.status, "idempotent-replayed" in first.headers) == (202, False)
    again = node.post(f"{button}/connect", {"contact": "1002"}, headers=KEY)
    assert same_answer(first, again)
    assert len(calls_of(node)) == 1
    other = node.post(f"{button}/connect", {"contact": "1002"}, headers={"Idempotency-Key": "other"})
    assert other.data["call_id"] != first.data["call_id"]


def test_without_a_key_each_click_is_a_call(node: ApiNode, button: str) -> None:
    for _ in range(2):
        assert "idempotent-replayed" not in node.post(f"{button}/connect", {"contact": "1002"}).headers
    assert len(calls_of(node)) == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_twenty_at_once_place_one_call(node: ApiNode, button: str, method: str) -> None:
    async def click_many() -> list[Answer]:
        path = f"{button}/connect?contact=1002"
        return await asyncio.gather(*(node.asking(method, path, headers=KEY) for _ in range(20)))

    answers = node.run(click_many())
    assert [answer.status for answer in answers] == [202] * 20
    assert len({answer.data["call_id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 19
    settle(node)
    assert len(calls_of(node)) == 1
    assert len(node.get(f"{button}/history").data) == 1


@pytest.mark.parametrize(
    ("method", "path", "data"),
    [
        ("POST", "/connect", {"contact": "1003"}),
        ("POST", "/connect", {"contact": "1002", "custom_application_vars": {"a": "b"}}),
        ("POST", "/connect?order=7", {"contact": "1002"}),
        ("GET", "/connect?contact=1002", None),
    ],
)
def test_another_request_with_the_key_is_refused(
    node: ApiNode, button: str, method: str, path: str, data: dict[str, object] | None
) -> None:
    node.post(f"{button}/connect", {"contact": "1002"}, headers=KEY)
    refused = node.ask(method, button + path, data, headers=KEY)
    assert (refused.status, refused.json["message"]) == (422, "idempotency_key_reused")
    assert len(calls_of(node)) == 1


def test_a_renewed_token_makes_no_other_request(node: ApiNode, button: str, acme: TestAccount) -> None:
    path = f"{button}/connect?contact=1002&auth_token="
    first = node.get(path + acme.token(), token="", headers=KEY)
    node.clock.ahead_s += 2.0  # a token made in the same second would be the same
    again = node.get(path + acme.token(), token="", headers=KEY)
    assert same_answer(first, again)


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "umläut"])
def test_a_bad_key_is_told(node: ApiNode, button: str, key: str) -> None:
    answer = node.post(f"{button}/connect", {"contact": "1002"}, headers={"Idempotency-Key": key})
    assert (answer.status, list(answer.data)) == (400, ["idempotency-key"])
    assert node.phones.dialed == []


@pytest.mark.parametrize("key", ["x", "y" * 255, "with space", '"quoted"'])
def test_good_keys(node: ApiNode, button: str, key: str) -> None:
    for replayed in (False, True):
        answer = node.post(f"{button}/connect", {"contact": "1002"}, headers={"Idempotency-Key": key})
        assert (answer.status, "idempotent-replayed" in answer.headers) == (202, replayed)


def test_a_key_belongs_to_endpoint_and_caller(node: ApiNode, acme: TestAccount, button: str) -> None:
    other_button = f"{acme.base}/clicktocall/{acme.given_button(auth_required=False)}"
    device = node.get(f"{acme.base}/devices").data[0]["id"]
    ids = {
        node.post(f"{button}/connect", {"contact": "1002"}, headers=KEY).data["call_id"],
        node.post(f"{other_button}/connect", {"contact": "1002"}, headers=KEY).data["call_id"],
        node.post(f"{button}/connect", {"contact": "1002"}, headers=KEY, token=acme.token()).data["call_id"],
        node.post(f"{acme.base}/devices/{device}/quickcall/1002", headers=KEY).data["call_id"],
    }
    for address in ("192.0.2.8", "192.0.2.9"):
        node.address = address
        visited = node.post(f"{other_button}/connect", {"contact": "1002"}, headers=KEY, token="")
        ids.add(visited.data["call_id"])
    assert len(ids) == 6


def test_a_visitor_gets_the_same_call_token_again(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    path = f"{acme.base}/clicktocall/{acme.given_button(auth_required=False)}/connect?contact=1002"
    first = node.get(path, token="", headers=KEY)
    node.clock.ahead_s += 5.0
    assert same_answer(first, node.get(path, token="", headers=KEY))
    assert first.data["call_token"]


def test_a_refused_request_takes_no_key(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    button = f"{acme.base}/clicktocall/{acme.given_button(whitelist=['1002'], throttle=1)}"
    assert node.post(f"{button}/connect", {"contact": "1003"}, headers=KEY).status == 400
    assert node.post(f"{button}/connect", {"contact": "1002"}, headers=KEY).status == 202
    assert node.post(f"{button}/connect", {"contact": "1002"}, headers={"Idempotency-Key": "b"}).status == 429
    again = node.post(f"{button}/connect", {"contact": "1002"}, headers=KEY)
    assert (again.status, "idempotent-replayed" in again.headers) == (202, True)  # a replay is no invocation


def test_a_dry_run_takes_no_key(node: ApiNode, button: str) -> None:
    for _ in range(2):
        dry = node.post(f"{button}/connect", {"contact": "1002", "dry_run": True}, headers=KEY)
        assert (dry.status, "idempotent-replayed" in dry.headers) == (200, False)
    assert node.post(f"{button}/connect", {"contact": "1002"}, headers=KEY).status == 202


def test_a_key_is_forgotten_after_a_day(node: ApiNode, button: str) -> None:
    first = node.post(f"{button}/connect", {"contact": "1002"}, headers=KEY)
    node.clock.ahead_s += DAY_S - 60
    node.token = node.api_token("5" * 64)
    assert same_answer(first, node.post(f"{button}/connect", {"contact": "1002"}, headers=KEY))
    node.clock.ahead_s += 61
    later = node.post(f"{button}/connect", {"contact": "1002"}, headers=KEY)
    assert (later.status, "idempotent-replayed" in later.headers) == (202, False)
    assert later.data["call_id"] != first.data["call_id"]


def test_a_key_survives_a_restart(tmp_path: Path) -> None:
    before = ApiNode(tmp_path)
    acme = before.given_account()
    acme.given_two_phones()
    path = f"{acme.base}/clicktocall/{acme.given_button()}/connect?contact=1002"
    first = before.get(path, headers=KEY)
    before.stop()
    after = ApiNode(tmp_path)
    try:
        assert same_answer(first, after.get(path, headers=KEY))
        assert after.phones.dialed == []
    finally:
        after.stop()


# --- requests that wait -----------------------------------------------------------------------------


def test_a_blocking_answer_is_repeated_as_it_was(node: ApiNode, button: str) -> None:
    wanted = {"contact": "1002", "blocking": True}
    first = node.post(f"{button}/connect", wanted, headers=KEY)
    assert (first.status, first.data["result"]) == (200, "success")
    node.delete(f"{button.partition('/clicktocall')[0]}/calls/{first.data['call_id']}")
    settle(node)
    assert same_answer(first, node.post(f"{button}/connect", wanted, headers=KEY))


def test_a_failed_quickcall_is_repeated_as_it_was(node: ApiNode, acme: TestAccount) -> None:
    device = acme.given_phone("dev1", "1001")
    node.phones.refusing["dev1"] = ("USER_BUSY", 486)
    path = f"{acme.base}/devices/{device}/quickcall/1002"
    first = node.post(path, headers=KEY)
    again = node.post(path, headers=KEY)
    assert (first.status, first.json["message"]) == (500, "quickcall initiation failed")
    assert same_answer(first, again)
    assert again.json["message"] == first.json["message"]
    assert len(calls_of(node)) == 1


def test_while_the_first_waits_the_second_is_told_to_wait(node: ApiNode, button: str) -> None:
    node.phones.silent.add("dev1")
    wanted = {"contact": "1002", "blocking": True}

    async def click_many() -> list[Answer]:
        tasks = [
            asyncio.ensure_future(node.asking("POST", f"{button}/connect", wanted, headers=KEY))
            for _ in range(20)
        ]
        async with asyncio.timeout(PATIENCE_S):
            waiting = set(tasks)
            while len(waiting) > 1 or not node.phones.dialed:
                _, waiting = await asyncio.wait(tasks, timeout=0.01)
            node.phones.report_answer("dev1")
            first = waiting.pop()
            return [task.result() for task in tasks if task is not first] + [await first]

    *others, first = node.run(click_many())
    assert [answer.status for answer in others] == [409] * 19
    assert {answer.json["message"] for answer in others} == {"request_in_progress"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in others)
    assert (first.status, first.data["result"]) == (200, "success")
    assert len(calls_of(node)) == 1
    assert same_answer(first, node.post(f"{button}/connect", wanted, headers=KEY))


def test_a_client_that_left_learns_later_how_its_call_ended(node: ApiNode, button: str) -> None:
    node.phones.silent.add("dev1")
    wanted = {"contact": "1002", "blocking": True}

    async def click_and_leave() -> Answer:
        leaves = asyncio.Event()
        asyncio.get_running_loop().call_later(0.1, leaves.set)
        return await node.asking("POST", f"{button}/connect", wanted, headers=KEY, leaves=leaves)

    assert node.run(click_and_leave()).status == 0
    settle(node)
    again = node.post(f"{button}/connect", wanted, headers=KEY)
    assert (again.status, again.data["result"], again.data["outcome"]) == (200, "error", "canceled")
    assert again.headers["idempotent-replayed"] == "true"
    assert len(calls_of(node)) == 1


def test_after_a_crash_a_blocking_request_is_answered_from_its_call(tmp_path: Path) -> None:
    before = ApiNode(tmp_path, settings=ApiSettings(rate_bucket=0))
    acme = before.given_account()
    acme.given_two_phones()
    before.phones.silent.add("dev1")
    path = f"{acme.base}/clicktocall/{acme.given_button()}/connect"
    wanted = {"contact": "1002", "blocking": True}

    async def click_and_crash() -> None:
        task = asyncio.ensure_future(before.asking("POST", path, wanted, headers=KEY))
        async with asyncio.timeout(PATIENCE_S):
            while not before.phones.dialed:
                await asyncio.sleep(0.005)
        task.cancel()
        await before.crash()

    before.run(click_and_crash())
    before.runner.close()
    after = ApiNode(tmp_path)
    try:
        settle(after)
        again = after.post(path, wanted, headers=KEY)
        assert (again.status, again.data["outcome"]) == (200, "platform_error")
        assert again.headers["idempotent-replayed"] == "true"
        assert calls_of(after) == set()
    finally:
        after.stop()


def test_browsers_may_send_the_key_and_read_the_mark(node: ApiNode, button: str) -> None:
    headers = {"origin": "https://shop.example.com", "access-control-request-method": "POST"}
    answer = node.ask("OPTIONS", f"{button}/connect", headers=headers)
    assert "idempotency-key" in answer.headers["access-control-allow-headers"]
    assert "idempotent-replayed" in answer.headers["access-control-expose-headers"]
