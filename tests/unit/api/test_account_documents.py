"""Limits, numbers, schemas, and what may not change (kazoo-behaviour 7.3, 7.7, 7.8)."""

import asyncio

import pytest

from offhook.app.account_calls import AccountCalls, AccountUsage, refuse_beyond
from offhook.app.errors import CallLimitReached, NoCredit
from offhook.calls.model import CallPlan, EndpointKind, EndpointPlan, PartyPlan, RingStep, Side

from .node import ApiNode, TestAccount

# --- limits -----------------------------------------------------------------------------------------


def test_limits_are_always_there(node: ApiNode, acme: TestAccount) -> None:
    path = f"{acme.base}/limits"
    assert node.get(path).data == {"id": "limits", "allow_prepay": True, "authz_resource_types": []}
    stored = node.post(path, {"calls": "5", "outbound_trunks": 2})
    assert (stored.status, stored.data["calls"]) == (200, 5)
    assert node.post(path, {"twoway_trunks": 1}).data == {
        "id": "limits", "twoway_trunks": 1, "allow_prepay": True, "authz_resource_types": [],
    }  # fmt: skip
    assert list(node.post(path, {"inbound_trunks": -1}).data["inbound_trunks"]) == ["minimum"]
    assert node.put(path, {}).status == 405


def test_only_those_above_set_limits(node: ApiNode, acme: TestAccount) -> None:
    child = node.given_account("Child", below=acme.id)
    path = f"{child.base}/limits"
    assert node.post(path, {"calls": 1}, token=child.token()).status == 403
    assert node.post(path, {"calls": 1}, token=acme.token()).status == 403
    node.put(f"{acme.base}/reseller")
    assert node.post(path, {"calls": 1}, token=acme.token()).status == 200
    assert node.get(path, token=child.token()).data["calls"] == 1
    assert node.post(f"{acme.base}/limits", {"calls": 1}, token=acme.token()).status == 403


def test_calls_beyond_the_limit_are_refused_and_dry_runs_say_so(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    connect = f"{acme.base}/clicktocall/{acme.given_button()}/connect?contact=1002"
    node.post(f"{acme.base}/limits", {"calls": 1})
    assert node.get(f"{connect}&dry_run=true").data["limits"] == {
        "calls": 1, "calls_in_use": 0, "trunks_in_use": 0,
    }  # fmt: skip
    first = node.get(connect)
    assert first.status == 202
    refused = node.get(connect)
    assert (refused.status, refused.json["message"]) == (429, "too_many_requests")
    assert "retry-after" in refused.headers
    dry = node.get(f"{connect}&dry_run=true").data
    assert dry["limits"]["calls_in_use"] == 1
    assert "1 calls" in dry["would_be_refused"]
    assert len(node.get(f"{acme.base}/channels").data) > 0
    node.delete(f"{acme.base}/calls/{first.data['call_id']}")
    for _ in range(100):
        if not node.get(f"{connect}&dry_run=true").data["limits"]["calls_in_use"]:
            break
        node.run(asyncio.sleep(0.01))
    assert node.get(connect).status == 202


def test_parties_outside_take_trunks(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    acme.created(
        "resources", {"name": "T", "gateways": [{"server": "gw.example"}], "rules": ["^\\+1(\\d{10})$"]}
    )
    flow = {"module": "resources", "data": {}, "children": {}}
    acme.created("callflows", {"numbers": ["no_match"], "flow": flow})
    connect = f"{acme.base}/clicktocall/{acme.given_button()}/connect?contact="
    node.post(f"{acme.base}/limits", {"outbound_trunks": 0})
    refused = node.get(f"{connect}+14158867900")
    assert (refused.status, refused.json["message"]) == (402, "no_credit")
    assert node.get(f"{connect}1002").status == 202
    node.post(f"{acme.base}/limits", {"outbound_trunks": 0, "burst_trunks": 1})
    assert node.get(f"{connect}+14158867900").status == 202
    assert node.get(f"{connect}+14158867900").status == 402


def given_plan(call_id: str, *, outside: int) -> CallPlan:
    endpoint = EndpointPlan(leg_id="l", kind=EndpointKind.GATEWAY, endpoint_id="g", request_uri="sip:a@b",
                            to_uri="sip:a@b", from_uri="sip:c@d")  # fmt: skip
    parties = [
        PartyPlan(side=side, number="1", steps=(RingStep(endpoints=(endpoint,), timeout_s=5),) if out else ())
        for side, out in ((Side.EXTENSION, outside > 1), (Side.CONTACT, outside > 0))
    ]
    return CallPlan(call_id=call_id, account_id="a", kind="clicktocall", authorizing_id="b",
                    authorizing_type="clicktocall", interaction_id="i", first=parties[0],
                    second=parties[1], contact="1")  # fmt: skip


def test_usage_counts_each_call_once() -> None:
    calls = AccountCalls()
    plans = [given_plan(f"c{outside}", outside=outside) for outside in (0, 1, 2)]
    for plan in [*plans, *plans]:
        calls.add(plan)
    assert calls.usage("a") == AccountUsage(calls=3, resource_calls=2, trunks=3)
    assert calls.of("a") == ("c0", "c1", "c2")
    for plan in [*plans, *plans]:
        calls.remove(plan)
    assert (calls.usage("a"), calls.of("a")) == (AccountUsage(), ())


@pytest.mark.parametrize(
    ("limits", "usage", "outside", "error"),
    [
        ({}, AccountUsage(calls=900, trunks=900), 2, None),
        ({"calls": -1}, AccountUsage(calls=900), 0, None),
        ({"calls": 0}, AccountUsage(), 0, CallLimitReached),
        ({"resource_consuming_calls": 1}, AccountUsage(calls=1, resource_calls=1, trunks=1), 0, None),
        (
            {"resource_consuming_calls": 1},
            AccountUsage(calls=1, resource_calls=1, trunks=1),
            1,
            CallLimitReached,
        ),
        ({"twoway_trunks": 1, "outbound_trunks": 1}, AccountUsage(), 2, None),
        ({"twoway_trunks": 1, "outbound_trunks": 0}, AccountUsage(), 2, NoCredit),
        ({"inbound_trunks": 0}, AccountUsage(), 2, None),
    ],
)
def test_what_limits_refuse(limits, usage, outside, error) -> None:  # type: ignore[no-untyped-def]
    plan = given_plan("c", outside=outside)
    if error is None:
        refuse_beyond(limits, usage, plan)
    else:
        with pytest.raises(error):
            refuse_beyond(limits, usage, plan)


# --- numbers ----------------------------------------------------------------------------------------


def test_numbers_belong_to_one_account(node: ApiNode, acme: TestAccount) -> None:
    path = f"{acme.base}/phone_numbers"
    added = node.put(f"{path}/%2B14158867900", {"cnam": {"display_name": "Acme"}})
    assert (added.status, added.data["id"]) == (201, "+14158867900")
    assert (added.data["_read_only"]["state"], added.data["_read_only"]["features"]) == (
        "in_service",
        ["cnam"],
    )
    flow = {"module": "hangup", "data": {}, "children": {}}
    acme.created("callflows", {"numbers": ["+14158867900"], "flow": flow})
    listed = node.get(path).data
    number = listed["numbers"]["+14158867900"]
    assert (number["assigned_to"], number["used_by"]) == (acme.id, "callflow")
    other = node.given_account("Other")
    for base in (acme.base, other.base):
        taken = node.put(f"{base}/phone_numbers/4158867900")
        assert (taken.status, taken.json["message"]) == (409, "number_exists")
    assert node.get(f"{other.base}/phone_numbers/%2B14158867900").status == 404
    assert node.put(f"{path}/%2B14158867900/activate").status == 201
    assert node.delete(f"{path}/%2B14158867900").data["_read_only"]["deleted"] is True
    assert node.put(f"{other.base}/phone_numbers/%2B14158867900/activate").status == 201
    assert node.put(f"{path}/abc").status == 400


# --- schemas ----------------------------------------------------------------------------------------


def test_schemas_are_read_by_anybody(node: ApiNode) -> None:
    names = node.get("/v2/schemas", token="").data
    assert {"accounts", "users", "devices", "clicktocall", "limits", "callflows.user"} <= set(names)
    for name in names:
        answer = node.get(f"/v2/schemas/{name}", token="")
        assert (answer.status, answer.data["id"], answer.data["type"]) == (200, name, "object")
    assert node.get("/v2/schemas/nothing", token="").json["message"] == "bad_identifier"


def test_documents_are_validated_without_storing(node: ApiNode) -> None:
    good = node.put("/v2/schemas/devices/validation", {"name": "Desk"}, token="")
    assert (good.status, good.data["enabled"]) == (201, True)
    bad = node.put("/v2/schemas/devices/validation", {"name": 5, "sip": {"username": "x"}}, token="")
    assert (bad.status, bad.json["message"]) == (400, "validation error")
    assert set(bad.data) == {"name", "sip.username"}


# --- what may not change ----------------------------------------------------------------------------


def test_a_device_stays_what_it_is(node: ApiNode, acme: TestAccount) -> None:
    device = acme.created("devices", {"name": "Desk", "device_type": "softphone"})
    path, token = f"{acme.base}/devices/{device}", acme.token()
    refused = node.patch(path, {"device_type": "cellphone"}, token=token)
    assert (refused.status, list(refused.data["device_type"])) == (400, ["invalid"])
    assert node.post(path, {"name": "D", "device_type": "cellphone"}, token=token).status == 400
    assert node.patch(path, {"device_type": "softphone", "name": "E"}, token=token).status == 200
    assert node.patch(path, {"device_type": "cellphone"}).data["device_type"] == "cellphone"
