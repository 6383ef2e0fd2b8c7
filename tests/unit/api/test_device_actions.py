"""What phones are told outside calls, and who is logged in at them."""

import pytest

from offhook.app.ports import PhoneNotice

from .node import ApiNode, TestAccount


def test_sync_tells_the_phone_to_fetch_its_configuration(node: ApiNode, acme: TestAccount) -> None:
    device = acme.given_phone("dev1", "1001")
    answer = node.post(f"{acme.base}/devices/{device}/sync")
    assert (answer.status, answer.data) == (202, "sync request sent")
    assert node.registered.told == [("sip:dev1@10.0.0.5:5062", PhoneNotice(event="check-sync"))]


@pytest.mark.parametrize("is_nested", [True, False])
def test_notify_takes_kazoos_form_and_its_documents_form(
    node: ApiNode, acme: TestAccount, is_nested: bool
) -> None:
    device = acme.given_phone("dev1", "1001")
    told = {"event": "check-sync;reboot=true", "body": {"content_type": "text/plain", "data": "now"}}
    data = {"action": "notify", "data": told} if is_nested else {"action": "notify", **told}
    answer = node.put(f"{acme.base}/devices/{device}", data)
    assert (answer.status, answer.data) == (202, "NOTIFY sent")
    [(_, notice)] = node.registered.told
    assert notice == PhoneNotice(event="check-sync;reboot=true", content_type="text/plain", body=b"now")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"action": "notify", "data": {}}, "event"),
        ({"action": "notify", "data": {"event": "x\r\nVia: y"}}, "event"),
        ({"action": "notify", "data": {"event": "x", "body": {"data": "y"}}}, "body.content_type"),
        ({"action": "notify", "data": {"event": "x", "body": {"data": "y" * 1001, "content_type": "a/b"}}},
         "body.data"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused(
    node: ApiNode, acme: TestAccount, data: dict[str, object], field: str
) -> None:
    device = acme.given_phone("dev1", "1001")
    answer = node.put(f"{acme.base}/devices/{device}", data)
    assert (answer.status, list(answer.data)) == (400, [field])
    assert node.registered.told == []


def test_nothing_is_said_to_be_sent_to_a_phone_that_is_not_there(node: ApiNode, acme: TestAccount) -> None:
    device = acme.created("devices", {"name": "Absent", "sip": {"username": "absent"}})
    for answer in (
        node.post(f"{acme.base}/devices/{device}/sync"),
        node.put(f"{acme.base}/devices/{device}", {"action": "notify", "data": {"event": "check-sync"}}),
    ):
        assert (answer.status, answer.data) == (400, "the device is not registered")
    assert node.put(f"{acme.base}/devices/{device}", {}).json["message"] == "action required"
    assert node.put(f"{acme.base}/devices/{device}", {"action": "dance"}).json["message"] == "invalid action"


def test_the_master_counts_the_phones_of_all(node: ApiNode, acme: TestAccount) -> None:
    acme.given_phone("dev1", "1001")
    node.given_account("Other").given_phone("dev1", "1001")
    assert node.get("/v2/registrations/count").data == {"count": 2}
    assert node.get(f"{acme.base}/registrations/count").data == {"count": 1}
    assert node.get("/v2/registrations/count", token=acme.token()).status == 403


def test_hotdesks_are_read_from_both_ends(node: ApiNode, acme: TestAccount) -> None:
    jane = acme.created("users", {"first_name": "Jane", "last_name": "Doe"})
    jim = acme.created("users", {"first_name": "Jim", "last_name": "Doe"})
    desk = acme.created("devices", {"name": "Desk", "hotdesk": {"users": {jane: {}}}})
    acme.created("devices", {"name": "Hall", "owner_id": jane})
    item = {"id": desk, "device_id": desk, "device_name": "Desk"}
    assert node.get(f"{acme.base}/users/{jane}/hotdesks").data == [item]
    assert node.get(f"{acme.base}/users/{jim}/hotdesks").data == []
    assert node.get(f"{acme.base}/hotdesks").data == [item]
    [user] = node.get(f"{acme.base}/devices/{desk}/hotdesks").data
    assert (user["id"], user["first_name"]) == (jane, "Jane")
    assert node.get(f"{acme.base}/users/{desk}/hotdesks").status == 404
