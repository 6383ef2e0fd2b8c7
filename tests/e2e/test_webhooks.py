"""Webhooks of a real server to real receivers: in order, signed, whatever dies, never to inside addresses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import FarEnd
from .harness import Account, KazooClient, Server
from .harness.far_ends import ANSWERS
from .harness.ports import free_port
from .harness.receiver import RECEIVER_HOST, Receiver, assert_whole
from .harness.waiting import wait_for

ALLOW = {"OFFHOOK_WEBHOOK_ALLOW": f"{RECEIVER_HOST}/32"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("webhooks"), **ALLOW) as running:
        yield running


def given_hook(account: Account, uri: str, **more: Any) -> dict[str, Any]:
    document = {"name": "Receiver", "uri": uri, "hook": "all", "format": "json", **more}
    return dict(account.client.request("PUT", account.path("webhooks"), document).expect(201).data)


def attempts(account: Account, hook: dict[str, Any]) -> list[dict[str, Any]]:
    return list(account.get("webhooks", hook["id"], "attempts"))


def given_silent_button(account: Account) -> str:
    """Return a button whose extension has no phone: its calls end at once."""
    account.create_extension("1001", account.create_phone("nobody", "secret-enough"))
    return account.create_button("1001")


@pytest.mark.needs("sipp")
def test_a_call_is_told_in_order_and_ends_as_everywhere(account: Account, far_end: FarEnd) -> None:
    first, second = far_end(ANSWERS), far_end(ANSWERS)
    account.create_extension("1001", account.create_static_phone("phone1001", first.uri))
    account.create_extension("1002", account.create_static_phone("phone1002", second.uri))
    button = account.create_button("1001")
    with Receiver() as receiver:
        hook = given_hook(account, receiver.uri)
        call_id = account.connect(button, "1002")
        account.wait_for_time(call_id, "bridged")
        account.hang_up(call_id)
        call = account.wait_for_outcome(call_id)
        events = receiver.wait_for_outcome(call_id)
        assert_whole(events)
        assert [event["hook_event"].removeprefix("channel_") for event in events] == [
            "create", "answer", "create", "answer", "bridge", "bridge", "destroy", "destroy",
        ]  # fmt: skip
        for key in ("outcome", "party", "side", "by", "hangup_cause", "sip_code", "sip_reason", "times"):
            assert events[-1][key] == call[key], key
        receiver.assert_signed(hook["signing_secret"])
        assert {received.headers["x-hook-id"] for received in receiver.received} == {hook["id"]}


def test_a_dead_and_a_slow_receiver_delay_nobody(account: Account) -> None:
    button = given_silent_button(account)
    with Receiver() as healthy, Receiver(delay_s=3.0) as slow:
        dead = given_hook(account, f"http://{RECEIVER_HOST}:{free_port()}/", retries=0)
        given_hook(account, slow.uri)
        given_hook(account, healthy.uri)
        calls = [account.connect(button, "1002") for _ in range(10)]
        for call_id in calls:
            assert_whole(healthy.wait_for_outcome(call_id, timeout_s=2.0))
        assert len(slow.received) < len(calls)
        stopped = wait_for(
            lambda: shown if not (shown := account.get("webhooks", dead["id"]))["enabled"] else None,
            timeout_s=5,
            what="the dead receiver to be given up",
        )
    assert stopped["disable_reason"] == "too many failed attempts"
    assert {attempt["client_error"] for attempt in attempts(account, dead)} == {"econnrefused"}


def test_a_receiver_that_comes_back_gets_everything(account: Account) -> None:
    button = given_silent_button(account)
    with Receiver() as receiver:
        hook = given_hook(account, receiver.uri)
        receiver.go_away()
        call_id = account.connect(button, "1002")
        wait_for(lambda: attempts(account, hook), timeout_s=5, what="a failed attempt")
        receiver.come_back()
        assert_whole(receiver.wait_for_outcome(call_id))


def test_410_and_retry_after(account: Account) -> None:
    button = given_silent_button(account)
    with Receiver(410) as gone, Receiver(429, 200, headers={"Retry-After": "2"}) as busy:
        gone_hook = given_hook(account, gone.uri)
        given_hook(account, busy.uri, hook="channel_destroy")
        call_id = account.connect(button, "1002")
        wait_for(
            lambda: not account.get("webhooks", gone_hook["id"])["enabled"], timeout_s=5, what="410 to count"
        )
        until_then = len(gone.received)  # another event of the call may have been on its way
        account.connect(button, "1002")
        busy.wait_for_outcome(call_id)
        wait_for(lambda: len(busy.received) == 3, timeout_s=5, what="both calls")
        refused = busy.received[0]
        [again] = [
            each for each in busy.received[1:] if each.headers["webhook-id"] == refused.headers["webhook-id"]
        ]
        assert min(each.at for each in busy.received[1:]) - refused.at >= 1.9
        assert again.body == refused.body
        assert len(gone.received) == until_then <= 2


def test_a_redirect_is_not_followed_and_an_event_is_redelivered_by_hand(account: Account) -> None:
    button = given_silent_button(account)
    with Receiver() as elsewhere, Receiver(302, 200, headers={"Location": elsewhere.uri}) as receiver:
        hook = given_hook(account, receiver.uri)
        account.connect(button, "1002")
        [attempt] = wait_for(lambda: attempts(account, hook), timeout_s=5, what="the refused attempt")
        assert (attempt["resp_status_code"], attempt["retries_left"]) == ("302", "retries exceeded")
        path = account.path("webhooks", hook["id"], "attempts", attempt["id"], "redeliver")
        account.client.request("POST", path).expect(202)
        wait_for(lambda: len(receiver.received) == 2, timeout_s=5, what="the event to come again")
        first, second = receiver.received
        assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
        assert elsewhere.received == []


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.0.0.3", "[::1]", "10.0.0.1", "169.254.169.254"]
)
def test_no_webhook_is_made_for_an_inside_address(account: Account, host: str) -> None:
    document = {"name": "x", "uri": f"http://{host}/", "hook": "all"}
    answer = account.client.request("PUT", account.path("webhooks"), document).expect(400)
    assert answer.data["uri"]["error"]["message"] == "invalid client URL"


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1"])
def test_a_name_that_leads_inside_is_found_out_when_it_is_used(account: Account, host: str) -> None:
    button = given_silent_button(account)
    hook = given_hook(account, f"http://{host}:{account.client.port}/", retries=0)
    account.connect(button, "1002")
    found = wait_for(lambda: attempts(account, hook), timeout_s=5, what="the refused attempt")
    assert found[-1]["client_error"] in (
        "forbidden_address",
        "bad_uri",
    )  # some the HTTP client itself refuses


@pytest.mark.needs("sipp")
def test_kill_9_loses_no_event_and_tells_no_second_outcome(tmp_path: Path, far_end: FarEnd) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    server = Server(folder, **ALLOW)
    server.start()
    try:
        client = KazooClient(server.host, server.http_port)
        client.login(server.api_key)
        account = client.create_account("Acme", "acme.test")
        with Receiver() as receiver:
            assert_nothing_is_lost_while_the_receiver_is_away(server, account, receiver, far_end)
    finally:
        server.kill()


def assert_nothing_is_lost_while_the_receiver_is_away(
    server: Server, account: Account, receiver: Receiver, far_end: FarEnd
) -> None:
    first, second = far_end(ANSWERS, calls=1), far_end(ANSWERS, calls=1)
    account.create_extension("1003", account.create_static_phone("phone1003", first.uri))
    account.create_extension("1004", account.create_static_phone("phone1004", second.uri))
    unanswered = given_silent_button(account)
    given_hook(account, receiver.uri, retries=4)
    over = [account.connect(unanswered, "1004") for _ in range(3)]
    for call_id in over:
        receiver.wait_for_outcome(call_id)
    standing = account.connect(account.create_button("1003"), "1004")
    account.wait_for_time(standing, "bridged")
    receiver.go_away()
    unheard = account.connect(unanswered, "1004")
    account.wait_for_outcome(unheard)
    server.kill()
    receiver.come_back()
    server.start()
    account.client.login(server.api_key)
    for call_id in (unheard, standing):
        events = receiver.wait_for_outcome(call_id, timeout_s=20)
        assert_whole(events)
        assert events[-1]["outcome"] == account.wait_for_outcome(call_id)["outcome"]
    assert receiver.events_of(standing)[-1]["outcome"] == "platform_error"
    outcomes = {
        (event["origin_call_id"], event["outcome"])
        for received in receiver.received
        if (event := received.event).get("final")
    }
    assert len(outcomes) == len(over) + 2
