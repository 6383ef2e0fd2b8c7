"""Requests that wait for the outcome: the answer tells what history and CDRs tell."""

import http.client
import json

import pytest

from .conftest import FarEnd
from .harness import Account, Answer
from .harness.far_ends import ANSWERS, BUSY, RINGS_FOR_EVER, answers_and_hangs_up

pytestmark = pytest.mark.needs("sipp")


def connect_and_wait(account: Account, button: str, contact: str) -> Answer:
    path = account.path("clicktocall", button, "connect")
    return account.client.request("POST", path, {"contact": contact, "blocking": True})


def create_static_extension(account: Account, number: str, uri: str) -> str:
    device_id = account.create_static_phone(f"phone{number}", uri)
    account.create_extension(number, device_id)
    return device_id


def test_waiting_connect_answers_with_the_history_item(far_end: FarEnd, account: Account) -> None:
    first = far_end(ANSWERS)
    create_static_extension(account, "1001", first.uri)
    button = account.create_button("1001")
    item = connect_and_wait(account, button, "1002").expect(200).data
    assert (item["result"], item["cause"]) == ("error", "NO_ROUTE_DESTINATION")
    assert account.history(button, item["call_id"]) == [item]
    first.assert_clean()


def test_waiting_connect_tells_busy(far_end: FarEnd, account: Account) -> None:
    busy = far_end(BUSY)
    create_static_extension(account, "1001", busy.uri)
    item = connect_and_wait(account, account.create_button("1001"), "1002").expect(200).data
    assert (item["result"], item["outcome"], item["cause"]) == ("error", "busy", "USER_BUSY")
    busy.assert_clean()


def test_waiting_quickcall_tells_busy(far_end: FarEnd, account: Account) -> None:
    busy = far_end(BUSY)
    device_id = create_static_extension(account, "1001", busy.uri)
    answer = account.quickcall(device_id, "1002", method="POST").expect(500)
    assert answer.envelope["message"] == "quickcall initiation failed"
    assert answer.data["error_message"] == "USER_BUSY"
    assert "password" not in json.dumps(answer.envelope)
    busy.assert_clean()


def test_waiting_quickcall_of_an_absent_phone(account: Account) -> None:
    device_id = account.create_phone("absent", "not-there-now")
    answer = account.quickcall(device_id, "1002", method="POST").expect(500)
    assert answer.data["error_message"] == "USER_NOT_REGISTERED"


def test_requester_who_leaves_ends_the_call(far_end: FarEnd, account: Account) -> None:
    ringing = far_end(RINGS_FOR_EVER)
    create_static_extension(account, "1001", ringing.uri)
    button = account.create_button("1001", timeout=20)
    client = account.client
    connection = http.client.HTTPConnection(client.host, client.port, timeout=5)
    body = json.dumps({"data": {"contact": "1002", "blocking": True}})
    headers = {"x-auth-token": client.token, "content-type": "application/json"}
    connection.request("POST", account.path("clicktocall", button, "connect"), body, headers)
    ringing.wait_received("INVITE")
    connection.close()
    ringing.assert_clean(timeout_s=5)


def test_waiting_connect_ends_with_the_talk_or_before(far_end: FarEnd, account: Account) -> None:
    first, second = far_end(answers_and_hangs_up(400)), far_end(ANSWERS)
    create_static_extension(account, "1001", first.uri)
    create_static_extension(account, "1002", second.uri)
    item = connect_and_wait(account, account.create_button("1001"), "1002").expect(200).data
    assert item["result"] == "success"
    assert account.wait_for_outcome(item["call_id"])["outcome"] == "connected"
    first.assert_clean()
    second.assert_clean()
