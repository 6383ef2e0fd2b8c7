"""Click-to-call buttons over HTTP, against the documents of KAZOO (kazoo-behaviour 5)."""

import asyncio
import re

import pytest

from .node import ApiNode, TestAccount


def base_of(acme: TestAccount, button: str) -> str:
    return f"{acme.base}/clicktocall/{button}"


def test_list_and_fetch_as_documented(node: ApiNode, acme: TestAccount) -> None:
    made = node.put(
        f"{acme.base}/clicktocall", {"name": "Support", "auth_required": False, "extension": "1001"}
    )
    assert made.status == 201
    button = made.data["id"]
    assert made.data == {
        "auth_required": False, "custom_application_vars": {}, "extension": "1001", "id": button,
        "name": "Support",
    }  # fmt: skip
    assert set(made.json) == {
        "auth_token", "data", "node", "request_id", "revision", "status", "timestamp", "tokens", "version",
    }  # fmt: skip
    assert node.get(base_of(acme, button)).data == made.data
    listed = node.get(f"{acme.base}/clicktocall").json
    assert listed["data"] == [{"extension": "1001", "id": button, "name": "Support"}]
    assert listed["page_size"] == 1
    assert "next_start_key" not in listed


def test_list_is_ordered_by_name(node: ApiNode, acme: TestAccount) -> None:
    for name in ("beta", "Alpha", "gamma"):
        acme.given_button(name=name)
    assert [item["name"] for item in node.get(f"{acme.base}/clicktocall").data] == ["Alpha", "beta", "gamma"]


def test_bad_whitelist_is_refused_at_save(node: ApiNode, acme: TestAccount) -> None:
    answer = node.put(
        f"{acme.base}/clicktocall", {"name": "x", "extension": "1001", "whitelist": ["^1", "(a+"]}
    )
    assert answer.status == 400
    assert "error" in answer.data["whitelist.1"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_connect_answers_202_with_the_originate_request(
    node: ApiNode, acme: TestAccount, method: str
) -> None:
    acme.given_two_phones()
    button = acme.given_button()
    answer = node.ask(method, f"{base_of(acme, button)}/connect?contact=1002")
    assert answer.status == 202
    call_id = answer.data["call_id"]
    assert re.fullmatch(rf"c2c-{button}-[0-9a-f]{{10}}", call_id)
    assert answer.data == {
        "application_data": {"route": "1002"},
        "application_name": "transfer",
        "continue_on_fail": True,
        "custom_application_vars": {"contact": "1002"},
        "custom_channel_vars": {
            "account_id": acme.id, "authorizing_id": button, "authorizing_type": "clicktocall",
            "auto_answer_loopback": True, "from_uri": f"1001@{acme.realm}", "inherit_codec": False,
            "loopback_request_uri": f"1002@{acme.realm}", "request_uri": f"1002@{acme.realm}",
            "retain_cid": True,
        },
        "dial_endpoint_method": "single",
        "endpoints": [
            {"invite_format": "loopback", "route": "1001", "to_did": "1001", "to_realm": acme.realm}
        ],
        "export_custom_channel_vars": [
            "Account-ID", "Authorizing-ID", "Authorizing-Type", "Loopback-Request-URI", "From-URI",
            "Request-URI",
        ],
        "ignore_early_media": True,
        "loopback_bowout": "false",
        "outbound_call_id": call_id,
        "origination_call_id": call_id,
        "call_id": call_id,
        "outbound_callee_id_name": "1001",
        "outbound_callee_id_number": "1001",
        "outbound_caller_id_name": "Support button",
        "outbound_caller_id_number": "1002",
        "simplify_loopback": "false",
        "start_control_process": "false",
        "timeout": 30,
    }  # fmt: skip
    assert answer.headers["location"] == f"{acme.base}/calls/{call_id}"
    assert answer.json["revision"] == node.get(base_of(acme, button)).json["revision"]
    node.run(asyncio.sleep(0.02))
    dialed = [command.endpoint.request_uri.partition(";")[0] for command in node.phones.dialed]
    assert dialed == ["sip:dev1@10.0.0.5:5062", "sip:dev2@10.0.0.5:5062"]


def test_plus_survives_in_the_query(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    button = acme.given_button()
    for spelled in ("+14158867900", "%2B14158867900"):
        answer = node.get(f"{base_of(acme, button)}/connect?contact={spelled}")
        assert answer.status == 202
        assert answer.data["application_data"] == {"route": "+14158867900"}


def test_missing_contact(node: ApiNode, acme: TestAccount) -> None:
    answer = node.get(f"{base_of(acme, acme.given_button())}/connect")
    assert answer.status == 400
    assert answer.json["message"] == "validation error"
    assert answer.data == {
        "contact": {"required": {"message": "The contact extension for this click to call has not been set"}}
    }


def test_whitelist(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    button = acme.given_button(whitelist=["1002"])
    refused = node.get(f"{base_of(acme, button)}/connect?contact=21002")
    assert refused.status == 400
    assert refused.json["message"] == "Contact doesn't match whitelist"
    assert refused.data == "21002"
    assert node.get(f"{base_of(acme, button)}/connect?contact=1002").status == 202


def test_sip_uri_needs_permission(node: ApiNode, acme: TestAccount) -> None:
    path = f"{base_of(acme, acme.given_button())}/connect?contact=sip:bob@far.example.org"
    assert node.get(path).status == 403
    node.patch(acme.base, {"sip_uri_allow": ["far.example.org"]})
    assert node.get(path).status == 202


def test_unregistered_phones_still_get_202_and_a_history_item(node: ApiNode, acme: TestAccount) -> None:
    button = acme.given_button()
    call_id = node.get(f"{base_of(acme, button)}/connect?contact=1002").data["call_id"]
    first = node.get(f"{base_of(acme, button)}/history").data
    assert [item["call_id"] for item in first] == [call_id]
    node.run(asyncio.sleep(0.05))
    item = node.get(f"{base_of(acme, button)}/history").data[0]
    assert item["id"] == first[0]["id"]
    assert item["result"] == "error"
    assert item["outcome"] == "unreachable"
    assert item["cause"] == item["hangup_cause"]
    assert item["contact"] == "1002"
    assert item["timestamp"] > 63_000_000_000


# --- blocking ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["?contact=1002&blocking=true", "?contact=1002&blocking=1"])
def test_blocking_by_query(node: ApiNode, acme: TestAccount, how: str) -> None:
    acme.given_two_phones()
    answer = node.get(f"{base_of(acme, acme.given_button())}/connect{how}")
    assert answer.status == 200
    assert answer.data["result"] == "success"
    assert answer.data["contact"] == "1002"
    assert len(answer.data["id"]) == 32


def test_blocking_failure_is_200_with_the_history_item(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    button = acme.given_button()
    node.phones.refusing["dev1"] = ("USER_BUSY", 486)
    answer = node.post(f"{base_of(acme, button)}/connect", {"contact": "1002", "blocking": True})
    assert answer.status == 200
    assert answer.json["status"] == "success"
    assert answer.data["result"] == "error"
    assert answer.data["cause"] == "USER_BUSY"
    assert (answer.data["outcome"], answer.data["party"], answer.data["sip_code"]) == ("busy", "first", 486)
    assert node.get(f"{base_of(acme, button)}/history").data == [answer.data]


def test_blocking_caller_who_leaves_ends_the_call(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    button = acme.given_button()
    node.phones.silent.add("dev1")

    async def leave_after_it_rings() -> None:
        leaves = asyncio.Event()
        path = f"{base_of(acme, button)}/connect?contact=1002&blocking=true"
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(node.asking("GET", path, leaves=leaves))
            while not node.phones.dialed:
                await asyncio.sleep(0.005)
            leaves.set()
        assert asked.result().status == 0
        await asyncio.sleep(0.05)

    node.run(leave_after_it_rings())
    item = node.get(f"{base_of(acme, button)}/history").data[0]
    assert item["outcome"] == "canceled"
    assert item["by"] == "api"
    assert node.calls.count() == 0


# --- visitors ---------------------------------------------------------------------------------------


def test_visitor_may_press_an_open_button_and_learns_little(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    button = acme.given_button(auth_required=False)
    answer = node.get(f"{base_of(acme, button)}/connect?contact=1002", token="")
    assert answer.status == 202
    assert answer.data["call_id"].startswith(f"c2c-{button}-")
    assert acme.realm.encode() not in answer.body
    assert b"1001" not in answer.body.replace(answer.data["call_id"].encode(), b"")
    assert "custom_channel_vars" not in answer.data
    assert "auth_token" not in answer.json
    assert "version" not in answer.json


def test_visitor_sees_all_if_the_button_says_so(node: ApiNode, acme: TestAccount) -> None:
    button = acme.given_button(auth_required=False, expose_request=True)
    answer = node.get(f"{base_of(acme, button)}/connect?contact=1002", token="")
    assert answer.data["custom_channel_vars"]["account_id"] == acme.id


def test_visitor_is_refused_everywhere_else(node: ApiNode, acme: TestAccount) -> None:
    closed, opened = acme.given_button(), acme.given_button(name="open", auth_required=False)
    for path in (f"{base_of(acme, closed)}/connect?contact=1002", f"{base_of(acme, opened)}/history",
                 base_of(acme, opened), f"{base_of(acme, 'f' * 32)}/connect?contact=1002",
                 f"{base_of(acme, opened)}/connect?contact=1002&dry_run=true"):  # fmt: skip
        answer = node.get(path, token="")
        assert answer.status == 401, path
        assert answer.json["message"] == "invalid_credentials"
    assert node.get(f"{base_of(acme, 'f' * 32)}/connect?contact=1002").status == 404


def test_dead_token_is_refused_even_on_an_open_button(node: ApiNode, acme: TestAccount) -> None:
    button = acme.given_button(auth_required=False)
    token = acme.token()
    node.delete("/v2/token_auth", token=token)
    path = f"{base_of(acme, button)}/connect?contact=1002"
    assert node.get(path, token=token).status == 401
    assert node.get(path, token="garbage").status == 202  # as no token at all


def test_stranger_is_a_visitor(node: ApiNode, acme: TestAccount) -> None:
    other = node.given_account("Other").token()
    closed, opened = acme.given_button(), acme.given_button(name="open", auth_required=False)
    assert node.get(f"{base_of(acme, closed)}/connect?contact=1002", token=other).status == 403
    assert node.get(f"{base_of(acme, 'f' * 32)}/connect?contact=1002", token=other).status == 403
    answer = node.get(f"{base_of(acme, opened)}/connect?contact=1002", token=other)
    assert answer.status == 202
    assert "custom_channel_vars" not in answer.data


def test_token_never_becomes_a_variable(node: ApiNode, acme: TestAccount) -> None:
    path = f"{base_of(acme, acme.given_button())}/connect?contact=1002&order=77&auth_token={acme.token()}"
    answer = node.get(path, token="")
    assert answer.data["custom_application_vars"] == {"contact": "1002", "order": "77"}


# --- limits -----------------------------------------------------------------------------------------


def test_throttle_counts_accepted_calls_only(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    button = acme.given_button(throttle=2, whitelist=["1002"])
    path = f"{base_of(acme, button)}/connect"
    assert node.get(f"{path}?contact=9999").status == 400
    assert node.get(f"{path}?contact=1002&dry_run=true").data["invocations_left"] == 2
    assert [node.get(f"{path}?contact=1002").status for _ in range(2)] == [202, 202]
    refused = node.get(f"{path}?contact=1002")
    assert refused.status == 429
    assert refused.json["message"] == "too_many_requests"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    other = acme.given_button(name="other", throttle=2)
    assert node.get(f"{base_of(acme, other)}/connect?contact=1002").status == 202
    node.clock.ahead_s += 61
    assert node.get(f"{path}?contact=1002").status == 202


def test_dry_run_places_no_call(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    button = acme.given_button()
    answer = node.get(f"{base_of(acme, button)}/connect?contact=1002&dry_run=true")
    assert answer.status == 200
    assert answer.data["second"]["number"] == "1002"
    assert node.phones.dialed == []
    assert node.get(f"{base_of(acme, button)}/history").data == []


def test_disabled_account_calls_nobody(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    path = f"{base_of(acme, acme.given_button(auth_required=False))}/connect?contact=1002"
    node.patch(acme.base, {"enabled": False})
    for token in ("", node.token):
        answer = node.get(path, token=token)
        assert answer.status == 400
        assert answer.data == {"account": {"disabled": {"message": "account disabled"}}}
    assert node.phones.dialed == []
