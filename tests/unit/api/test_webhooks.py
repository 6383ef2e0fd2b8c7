"""Webhook documents, hooks of calls and documents, attempts, redelivery, stopping and starting again."""

import asyncio
import base64
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest
from standardwebhooks import Webhook

from offhook.delivery import PreparedRequest, Reception

from .node import ApiNode, TestAccount

URI = "https://receiver.example.com/hook"


def given_hook(acme: TestAccount, **data: Any) -> dict[str, Any]:
    body = {"name": "My hook", "uri": URI, "hook": "all", "format": "json"} | data
    answer = acme.node.put(f"{acme.base}/webhooks", body)
    assert answer.status == 201, answer.body
    return dict(answer.data)


def received(node: ApiNode, count: int, *, within_s: float = 5.0) -> list[PreparedRequest]:
    """Return what receivers got, once it is as much."""

    async def wait() -> None:
        async with asyncio.timeout(within_s):
            while len(node.receivers.requests) < count:
                await asyncio.sleep(0.005)

    node.run(wait())
    assert len(node.receivers.requests) == count
    return node.receivers.requests


def settle(node: ApiNode, seconds: float = 0.1) -> None:
    node.run(asyncio.sleep(seconds))


def events(requests: list[PreparedRequest]) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in requests]


def given_call(acme: TestAccount, **options: Any) -> str:
    button = acme.given_button(**options)
    return str(acme.node.get(f"{acme.base}/clicktocall/{button}/connect?contact=1002").data["call_id"])


def given_finished_call(acme: TestAccount) -> str:
    """Return the id of a call that was joined, if the phones answered, and hung up by the API."""
    call_id = given_call(acme)
    settle(acme.node, 0.03)
    acme.node.delete(f"{acme.base}/calls/{call_id}")
    return call_id


def signature(hook: dict[str, Any], request: PreparedRequest) -> str:
    """Return what Standard Webhooks' own library signs."""
    at = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
    return Webhook(hook["signing_secret"]).sign(request.headers["webhook-id"], at, request.body.decode())


# --- documents --------------------------------------------------------------------------------------


def test_a_new_webhook_shows_its_secret_once(node: ApiNode, acme: TestAccount) -> None:
    hook = given_hook(acme, format="form-data")
    assert len(base64.b64decode(hook["signing_secret"].removeprefix("whsec_"))) == 24
    defaults = {
        "http_verb": "post", "format": "form-data", "retries": 2, "enabled": True,
        "include_internal_legs": True,
    }  # fmt: skip
    assert {key: hook[key] for key in defaults} == defaults
    path = f"{acme.base}/webhooks/{hook['id']}"
    assert "signing_secret" not in node.get(path).data
    assert "signing_secret" not in node.patch(path, {"name": "Other"}).data
    rotated = node.patch(path, {"rotate_secret": True}).data
    assert rotated["signing_secret"] != hook["signing_secret"]
    assert "rotate_secret" not in rotated
    assert node.get(f"{acme.base}/webhooks").data == [
        {"id": hook["id"], "hook": "all", "name": "Other", "uri": URI, "enabled": True}
    ]


def test_a_patch_merges_deeply_and_null_removes(node: ApiNode, acme: TestAccount) -> None:
    hook = given_hook(acme, custom_data={"a": {"b": 1, "c": 2}})
    path = f"{acme.base}/webhooks/{hook['id']}"
    assert node.patch(path, {"custom_data": {"a": {"b": None, "d": 3}}}).data["custom_data"] == {
        "a": {"c": 2, "d": 3}
    }


@pytest.mark.parametrize(
    ("data", "field", "code"),
    [
        ({"uri": "ftp://receiver.example.com/"}, "uri", "error"),
        ({"uri": "receiver.example.com"}, "uri", "error"),
        ({"uri": "http://"}, "uri", "error"),
        ({"uri": "http://localhost/x"}, "uri", "error"),
        ({"uri": "http://LOCALHOST.:80/x"}, "uri", "error"),
        ({"uri": "http://127.0.0.1:8080/"}, "uri", "error"),
        ({"uri": "http://0.0.0.0/"}, "uri", "error"), ({"uri": "http://[::1]/"}, "uri", "error"),
        ({"uri": "http://[::ffff:10.0.0.1]/"}, "uri", "error"),
        ({"uri": "http://169.254.169.254/x"}, "uri", "error"),
        ({"uri": "http://r.example.com:99999/"}, "uri", "error"),
        ({"uri": "http://r.example.com/ä"}, "uri", "error"),
        ({"uri": "http://r.example.com/\r\nX: y"}, "uri", "error"),
        ({"uri": 7}, "uri", "type"),
        ({"hook": "callflow"}, "hook", "enum"), ({"retries": 5}, "retries", "maximum"),
        ({"http_verb": "delete"}, "http_verb", "enum"), ({"format": "xml"}, "format", "enum"),
        ({"hook": "object"}, "custom_data.type", "required"),
        ({"hook": "object", "custom_data": {"type": "user"}}, "custom_data.action", "required"),
        ({"hook": "object", "custom_data": {"type": "fax", "action": "all"}}, "custom_data.type", "enum"),
        ({"hook": "object", "custom_data": {"type": [], "action": "all"}}, "custom_data.type", "enum"),
        ({"custom_data": "text"}, "custom_data", "type"),
        ({"custom_data": {"x": "y" * 20_000}}, "custom_data", "maxLength"),
        ({"name": None}, "name", "required"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    node: ApiNode, acme: TestAccount, data: dict[str, Any], field: str, code: str
) -> None:
    answer = node.put(f"{acme.base}/webhooks", {"name": "x", "uri": URI, "hook": "all"} | data)
    assert answer.status == 400, answer.body
    assert code in answer.data[field], answer.data


def test_what_there_is_to_ask_for_needs_no_token(node: ApiNode) -> None:
    available = {item["id"]: item for item in node.get("/v2/webhooks", token="").data}
    assert set(available) == {
        "channel_create", "channel_answer", "channel_bridge", "channel_hold", "channel_unhold",
        "channel_destroy", "object", "all",
    }  # fmt: skip
    assert "doc_created" in available["object"]["modifiers"]["action"]["items"]
    names = node.get("/v2/webhooks/samples", token="").data
    assert "webhooks_channel_destroy" in names
    for name in names:
        assert node.get(f"/v2/webhooks/samples/{name}", token="").data, name
    last = node.get("/v2/webhooks/samples/webhooks_channel_destroy", token="").data[-1]
    assert (last["final"], last["outcome"], last["hangup_code"]) == (True, "connected", "sip:200")
    assert node.get("/v2/webhooks/samples/nonsense", token="").status == 404


# --- events -----------------------------------------------------------------------------------------


def test_a_call_is_told_in_order_signed_with_one_final(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    hook = given_hook(acme)
    settle(node)
    node.receivers.requests.clear()
    call_id = given_finished_call(acme)
    requests = [r for r in received(node, 9) if json.loads(r.body).get("hook_event")]  # 1 is of the button
    told = events(requests)
    assert [event["sequence"] for event in told] == list(range(1, 9))
    assert [event["final"] for event in told] == [False] * 7 + [True]
    assert [event["hook_event"] for event in told] == [
        "channel_create", "channel_answer", "channel_create", "channel_answer", "channel_bridge",
        "channel_bridge", "channel_destroy", "channel_destroy",
    ]  # fmt: skip
    assert (told[-1]["outcome"], told[-1]["by"]) == ("connected", "api")
    assert all(event["origin_call_id"] == call_id and event["account_id"] == acme.id for event in told)
    for request in requests:
        assert request.headers["webhook-signature"] == signature(hook, request)
        assert request.headers["x-hook-id"] == hook["id"]
    assert len({request.headers["webhook-id"] for request in requests}) == 8


def test_the_outcome_reads_the_same_as_in_the_call(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    node.phones.refusing["dev2"] = ("USER_BUSY", 486)
    given_hook(acme, hook="channel_destroy")
    call_id = given_call(acme)
    told = events(received(node, 2))[-1]
    call = node.get(f"{acme.base}/calls/{call_id}").data
    keys = ("outcome", "party", "side", "by", "hangup_cause", "sip_code", "sip_reason", "times")
    assert {key: told[key] for key in keys} == {key: call[key] for key in keys}
    assert told["outcome"] == "busy"


def test_a_hook_gets_only_what_it_asks_for(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    given_hook(acme, hook="channel_answer", format="form-data", http_verb="put")
    given_finished_call(acme)
    requests = received(node, 2)
    assert {dict(parse_qsl(request.body.decode()))["hook_event"] for request in requests} == {
        "channel_answer"
    }
    assert {request.method for request in requests} == {"PUT"}


def test_internal_legs_can_be_left_out(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    given_hook(acme, include_internal_legs=False)
    settle(node)
    node.receivers.requests.clear()
    given_finished_call(acme)
    told = [event for event in events(received(node, 2)) if "hook_event" in event]
    assert [(event["hook_event"], event["final"]) for event in told] == [("channel_destroy", True)]


def test_nothing_is_told_without_hooks_or_of_other_accounts(node: ApiNode, acme: TestAccount) -> None:
    other = node.given_account("Other")
    given_hook(other)
    settle(node)
    node.receivers.requests.clear()
    acme.given_two_phones()
    given_finished_call(acme)
    settle(node)
    assert node.receivers.requests == []


def test_a_hook_above_hears_of_accounts_below_also_of_later_ones(node: ApiNode, acme: TestAccount) -> None:
    given_hook(acme, hook="channel_destroy", include_subaccounts=True)
    below = node.given_account("Below", below=acme.id)
    deeper = node.given_account("Deeper", below=below.id)
    deeper.given_two_phones()
    given_finished_call(deeper)
    assert {event["account_id"] for event in events(received(node, 2))} == {deeper.id}
    assert node.receivers.requests[0].headers["x-account-id"] == acme.id


def test_changes_of_documents(node: ApiNode, acme: TestAccount) -> None:
    given_hook(acme, hook="object", custom_data={"type": "device", "action": "all"})
    device = acme.created("devices", {"name": "Desk"})
    acme.created("users", {"first_name": "Jane", "last_name": "Doe"})
    node.patch(f"{acme.base}/devices/{device}", {"name": "Desk 2"})
    node.delete(f"{acme.base}/devices/{device}")
    told = events(received(node, 3))
    assert [event["action"] for event in told] == ["doc_created", "doc_edited", "doc_deleted"]
    assert all((event["id"], event["type"]) == (device, "device") for event in told)


def test_a_deleted_or_disabled_hook_is_told_nothing(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    path = f"{acme.base}/webhooks"
    node.delete(f"{path}/{given_hook(acme, hook='channel_create')['id']}")
    node.patch(f"{path}/{given_hook(acme, hook='channel_create')['id']}", {"enabled": False})
    given_finished_call(acme)
    settle(node)
    assert node.receivers.requests == []


# --- failures ---------------------------------------------------------------------------------------


def attempts(acme: TestAccount, hook_id: str = "") -> list[dict[str, Any]]:
    path = f"{acme.base}/webhooks/{hook_id}/attempts" if hook_id else f"{acme.base}/webhooks/attempts"
    answer = acme.node.get(path)
    assert answer.status == 200, answer.body
    return list(answer.data)


def test_a_failure_is_tried_again_under_its_id_and_listed(
    node: ApiNode, acme: TestAccount, monkeypatch
) -> None:
    monkeypatch.setattr("offhook.delivery.policy.FAST_WAIT_S", 0.02)
    hook = given_hook(acme, hook="object", custom_data={"type": "device", "action": "all"})
    node.receivers.answers[URI] = ["econnrefused", Reception(status=500, body="oops"), Reception(status=204)]
    acme.created("devices", {"name": "Desk"})
    first, second, third = received(node, 3)
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == third.headers["webhook-id"]
    settle(node)
    later, earlier = attempts(acme, hook["id"])
    assert (earlier["try"], earlier["client_error"], earlier["reason"]) == (
        1, "econnrefused", "kazoo http client error",
    )  # fmt: skip
    assert (later["try"], later["resp_status_code"], later["resp_body"], later["retries_left"]) == (
        2,
        "500",
        "oops",
        10,
    )
    assert later["req_headers"]["x-hook-id"] == hook["id"]
    assert attempts(acme) == [later, earlier]


def test_successes_are_listed_if_the_hook_says_so(node: ApiNode, acme: TestAccount) -> None:
    wanted = {"type": "device", "action": "all"}
    hook = given_hook(acme, hook="object", custom_data=wanted, log_successful_attempts=True)
    acme.created("devices", {"name": "Desk"})
    received(node, 1)
    settle(node)
    [attempt] = attempts(acme, hook["id"])
    assert attempt["result"] == "success"
    answer = node.post(f"{acme.base}/webhooks/{hook['id']}/attempts/{attempt['id']}/redeliver")
    assert (answer.status, answer.data["event_id"]) == (202, attempt["event_id"])
    first, again = received(node, 2)
    assert (first.body, first.headers["webhook-id"]) == (again.body, again.headers["webhook-id"])
    assert node.post(f"{acme.base}/webhooks/{hook['id']}/attempts/nonsense/redeliver").status == 404


def test_later_events_of_a_call_wait_for_the_one_that_failed(
    node: ApiNode, acme: TestAccount, monkeypatch
) -> None:
    monkeypatch.setattr("offhook.delivery.policy.FAST_WAIT_S", 0.05)
    acme.given_two_phones()
    given_hook(acme, hook="channel_destroy")
    node.receivers.answers[URI] = [Reception(status=503), Reception(status=200)]
    given_finished_call(acme)
    told = events(received(node, 3))
    assert [event["sequence"] for event in told] == [7, 7, 8]


def test_a_refused_event_does_not_hold_up_the_next(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    given_hook(acme, hook="channel_destroy")
    node.receivers.answers[URI] = [Reception(status=400), Reception(status=200)]
    given_finished_call(acme)
    assert [event["sequence"] for event in events(received(node, 2))] == [7, 8]
    settle(node)
    [attempt] = attempts(acme)
    assert attempt["retries_left"] == "retries exceeded"


def test_a_receiver_that_is_gone_is_left_alone(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    hook = given_hook(acme, hook="channel_create")
    node.receivers.answers[URI] = [Reception(status=410)]
    given_finished_call(acme)
    received(node, 1)
    settle(node)
    shown = node.get(f"{acme.base}/webhooks/{hook['id']}").data
    assert (shown["enabled"], shown["disable_reason"]) == (False, "the receiver is gone (410)")
    given_finished_call(acme)
    settle(node)
    assert len(node.receivers.requests) == 1


def test_a_receiver_gets_the_peace_it_asks_for(node: ApiNode, acme: TestAccount) -> None:
    hook = given_hook(acme, hook="object", custom_data={"type": "device", "action": "all"})
    node.receivers.answers[URI] = [
        Reception(status=429, headers={"retry-after": "30"}),
        Reception(status=200),
    ]
    acme.created("devices", {"name": "Desk"})
    received(node, 1)
    acme.created("devices", {"name": "Other"})
    settle(node, 0.2)
    assert len(node.receivers.requests) == 1
    [attempt] = attempts(acme, hook["id"])
    assert 29 <= attempt["next_attempt"] - attempt["timestamp"] <= 31


def given_stopped_hook(node: ApiNode, acme: TestAccount, monkeypatch) -> str:
    """Return the id of a hook that failed six times in a minute; three events wait for it."""
    monkeypatch.setattr("offhook.delivery.policy.FAST_WAIT_S", 0.01)
    hook = given_hook(acme, hook="object", custom_data={"type": "device", "action": "doc_created"})
    node.receivers.answers[URI] = ["timeout"]
    for name in ("a", "b", "c"):
        acme.created("devices", {"name": name})
    path = f"{acme.base}/webhooks/{hook['id']}"

    async def wait() -> None:
        async with asyncio.timeout(5):
            while (await node.asking("GET", path)).data["enabled"]:
                await asyncio.sleep(0.01)

    node.run(wait())
    settle(node)
    assert node.get(path).data["disable_reason"] == "too many failed attempts"
    [item] = node.get(f"{acme.base}/webhooks").data
    assert (item["enabled"], item["disable_reason"]) == (False, "too many failed attempts")
    node.receivers.requests.clear()
    node.receivers.answers[URI] = [Reception(status=200)]
    return str(hook["id"])


def test_a_stopped_hook_goes_on_where_it_was_when_it_is_enabled(
    node: ApiNode, acme: TestAccount, monkeypatch
) -> None:
    hook = given_stopped_hook(node, acme, monkeypatch)
    acme.created("devices", {"name": "while it was stopped"})
    settle(node)
    assert node.receivers.requests == []
    shown = node.patch(f"{acme.base}/webhooks/{hook}", {"enabled": True}).data
    assert "disable_reason" not in shown
    received(node, 4)


def test_re_enabling_all_of_an_account_or_below(node: ApiNode, acme: TestAccount, monkeypatch) -> None:
    given_stopped_hook(node, acme, monkeypatch)
    assert "required" in node.patch(f"{acme.base}/webhooks", {}).data["re-enable"]
    assert "enum" in node.patch(f"{acme.base}/webhooks", {"re-enable": False}).data["re-enable"]
    assert node.patch(f"{acme.base}/descendants/webhooks", {"re-enable": True}).status == 200
    settle(node)
    assert node.receivers.requests == []
    answer = node.patch(f"/v2/accounts/{node.master}/descendants/webhooks", {"re-enable": True})
    assert (answer.status, answer.data) == (200, "hooks updated")
    received(node, 3)


def test_a_slow_receiver_delays_no_other_and_no_call(node: ApiNode, acme: TestAccount, monkeypatch) -> None:
    acme.given_two_phones()
    slow = "https://slow.example.com/"
    given_hook(acme, hook="channel_destroy", uri=slow)
    given_hook(acme, hook="channel_destroy")
    take = node.receivers.send

    async def send(request: PreparedRequest) -> Reception:
        if request.uri == slow:
            await asyncio.sleep(60)
        return await take(request)

    monkeypatch.setattr(node.receivers, "send", send)
    for _ in range(12):
        given_finished_call(acme)
    assert len(received(node, 24)) == 24


def test_attempts_are_paged(node: ApiNode, acme: TestAccount) -> None:
    hook = given_hook(acme, hook="object", custom_data={"type": "device", "action": "all"})
    node.receivers.answers[URI] = [Reception(status=400)]
    for name in ("a", "b", "c"):
        acme.created("devices", {"name": name})
    received(node, 3)
    settle(node)
    path = f"{acme.base}/webhooks/{hook['id']}/attempts"
    page = node.get(f"{path}?page_size=2").json
    rest = node.get(f"{path}?page_size=2&start_key={page['next_start_key']}").json
    assert [len(page["data"]), len(rest["data"])] == [2, 1]
    assert node.get(f"{path}?start_key=nonsense!").status == 400
    assert node.get(f"{acme.base}/webhooks/{'0' * 32}/attempts").status == 404


def test_hold_is_told_and_leaves_no_gap(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    given_hook(acme)
    settle(node)
    node.receivers.requests.clear()
    call_id = given_call(acme)
    settle(node)
    [leg, _] = node.get(f"{acme.base}/channels").data
    for module in ("hold", "unhold"):
        answer = node.put(f"{acme.base}/channels/{leg['uuid']}", {"module": module})
        assert answer.status == 201, answer.body
    settle(node)
    node.delete(f"{acme.base}/calls/{call_id}")
    told = [event for event in events(received(node, 11)) if "hook_event" in event]
    assert [event["sequence"] for event in told] == list(range(1, 11))
    assert [event["hook_event"] for event in told][6:8] == ["channel_hold", "channel_unhold"]


def test_a_clock_that_is_set_back_delays_no_event(
    node: ApiNode, acme: TestAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.receivers.answers[URI] = [Reception(status=503), Reception(status=200)]
    acme.given_two_phones()
    given_hook(acme, hook="channel_destroy")
    given_finished_call(acme)
    received(node, 1)
    settle(node)
    epoch = node.clock.epoch
    monkeypatch.setattr(node.clock, "epoch", lambda: epoch() - 3_600.0)
    told = events(received(node, 3, within_s=30))
    assert told[0] == told[1]
    assert told[-1]["final"]
