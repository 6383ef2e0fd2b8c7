"""The answers, key by key, against the bodies that KAZOO's documentation prints (golden/*.json)."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from offhook.app.planning import quickcall_failure

from .directory import ACCOUNT_ID, BUTTON_ID, REALM, Account

GOLDEN = Path(__file__).parent / "golden"
NUMBER = "4158867900"


def golden(name: str, values: dict[str, str]) -> Any:
    """Return a documented body with its placeholders filled in."""
    text = (GOLDEN / name).read_text()
    for placeholder, value in values.items():
        text = text.replace("{" + placeholder + "}", value)
    left = re.findall(r"\{[A-Z0-9_ ]+\}", text)
    assert not left
    return json.loads(text)


def assert_documented(answer: Any, documented: Any, *, more: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """Every documented key is there with its value; other keys are those named."""
    assert {key: answer.get(key) for key in documented} == documented
    assert set(answer) - set(documented) == more


@pytest.fixture
def account() -> Account:
    account = Account()
    account.given_user("jane", "Jane", "Doe")
    account.given_device("dev1", owner="jane", sip={"invite_format": "username"})
    account.given_callflow("1001", "user", {"id": "jane"})
    return account


def test_connect_answers_the_documented_originate_request(account: Account) -> None:
    planned = account.connect("+14158867900", query={"contact": "+14158867900"})
    values = {
        "CONTACT": "+14158867900",
        "EXTENSION": "1001",
        "ACCOUNT_ID": ACCOUNT_ID,
        "ACCOUNT_REALM": REALM,
        "C2C_ID": BUTTON_ID,
        "C2C NAME": "Call us",
        "RANDOM": planned.plan.call_id[-10:],
    }
    assert_documented(planned.answer, golden("connect.json", values), more={"call_id", "origination_call_id"})
    assert planned.answer["call_id"] == planned.plan.call_id


@pytest.mark.parametrize("kind", ["device", "user"])
def test_quickcall_answers_the_documented_originate_request(account: Account, kind: str) -> None:
    endpoint = account.documents[ACCOUNT_ID, kind, "dev1" if kind == "device" else "jane"]
    planned = account.quickcall(endpoint, NUMBER)
    values = {
        "ENDPOINT_ID": endpoint.id,
        "ENDPOINT_TYPE": kind,
        "ACCOUNT_ID": ACCOUNT_ID,
        "ACCOUNT_REALM": REALM,
        "DEVICE_CALLER_ID_NUMBER": "dev1",
        "DEVICE_CALLER_ID_NAME": "Jane Doe",
        "DEVICE_ID": "dev1",
        "DEVICE_SIP_USER": "dev1",
        "USER_ID": "jane",
        "PRESENCE_ID": f"dev1@{REALM}",
        "PHONE_NUMBER": NUMBER,
        "E164_NUMBER": f"+1{NUMBER}",
        "CALL_ID": planned.plan.call_id.removesuffix("-quickcall"),
    }
    documented = golden("quickcall.json", values)
    assert_documented_endpoint(planned.answer, documented)
    assert_documented(
        planned.answer, documented, more={"call_id", "outbound_call_id", "custom_application_vars"}
    )


def assert_documented_endpoint(answer: Any, documented: Any) -> None:
    """Compare the one endpoint, then set it equal so that the rest can be compared as a whole."""
    (endpoint,), (expected,) = answer["endpoints"], documented["endpoints"]
    channel_vars = expected.pop("custom_channel_vars")
    assert_documented(
        endpoint,
        expected,
        more={"custom_channel_vars", "endpoint_id", "ignore_completed_elsewhere"} - set(expected),
    )
    assert_documented(
        endpoint["custom_channel_vars"], channel_vars, more={"authorizing_type"} - set(channel_vars)
    )
    documented["endpoints"] = answer["endpoints"]


def test_a_failed_quickcall_answers_the_documented_error(account: Account) -> None:
    sip = {"ignore_completed_elsewhere": False}
    device = account.given_device("dev2", sip=sip, caller_id={"internal": {"name": "Bob", "number": "1007"}})
    answer = account.quickcall(device, "1001").answer
    failure = quickcall_failure(answer, "DESTINATION_OUT_OF_ORDER", request_id="r1", node="n1")
    values = {
        "EXTENSION": "1001",
        "ACCOUNT_ID": ACCOUNT_ID,
        "DEVICE_ID": "dev2",
        "SIP_REALM": REALM,
        "SIP_USERNAME": "dev2",
        "CALL_ID": answer["call_id"].removesuffix("-quickcall"),
        "DEVICE_CALLER_ID_NAME": "Bob",
        "DEVICE_CALLER_ID_NUMBER": "1007",
        "MSG_ID": "r1",
        "LOG_ID": "r1",
        "NODE": "n1",
        "API_AMQP_QUEUE": "n1",
    }
    documented = golden("quickcall_failed.json", values)
    assert_documented_endpoint(failure["request"], documented["request"])
    more = {"call_id", "outbound_call_id", "custom_application_vars"}
    assert_documented(failure["request"], documented["request"], more=more)
    assert failure["error_message"] == documented["error_message"]


def test_optional_keys_appear_when_the_button_has_them(account: Account) -> None:
    options = {
        "bypass_media": "auto",
        "custom_sip_headers": {"X-A": "1"},
        "music_on_hold": {"media_id": "song"},
        "presence_id": "sales@other.example",
        "ringback": "de",
    }
    answer = account.connect("1002", account.button(**options)).answer
    assert answer["bypass_media"] == "auto"
    assert answer["custom_sip_headers"] == {"X-A": "1"}
    assert answer["hold_media"] == "song"
    assert answer["presence_id"] == "sales@other.example"
    assert answer["ringback"] == "de"
    bare = account.connect("1002", account.button()).answer
    assert not {"bypass_media", "hold_media", "presence_id", "ringback", "custom_sip_headers"} & set(bare)


def test_a_device_that_is_away_is_listed_with_a_call_id_of_its_own(account: Account) -> None:
    device = account.given_device("dev2", registered=False, owner="jane")
    planned = account.quickcall(device, "1001")
    (endpoint,) = planned.answer["endpoints"]
    assert planned.plan.first.steps == ()
    assert planned.plan.first.unreachable_cause == "USER_NOT_REGISTERED"
    assert re.fullmatch(r"[0-9a-f]{32}-quickcall", endpoint["outbound_call_id"])
    assert "auto_answer" not in endpoint["custom_channel_vars"]


def test_a_visitor_sees_neither_extension_nor_realm(account: Account) -> None:
    button = account.button(auth_required=False, outbound_callee_id_number="+14155550100")
    answer = account.connect("1002", button, visitor=True).answer
    assert set(answer) == {
        "application_name",
        "call_id",
        "origination_call_id",
        "outbound_call_id",
        "timeout",
    }
    text = json.dumps(answer)
    assert REALM not in text
    assert "1001" not in text


def test_a_visitor_sees_the_request_if_the_button_says_so(account: Account) -> None:
    button = account.button(auth_required=False, expose_request=True)
    assert account.connect("1002", button, visitor=True).answer["endpoints"]


def test_a_sip_uri_contact_stands_in_the_answer_as_it_is(account: Account) -> None:
    planned = account.connect("sip:bob@o.example.org", sip_uri_allow=["o.example.org"])
    assert planned.answer["application_data"] == {"route": "sip:bob@o.example.org"}
    assert planned.answer["custom_channel_vars"]["request_uri"] == "bob@o.example.org"
    assert planned.plan.first.steps[0].endpoints[0].from_uri == "sip:bob@o.example.org"


def test_the_dry_run_shows_the_plan_but_no_password(account: Account) -> None:
    account.given_way_out()
    gateway = {"server": "gw.example.net", "username": "u", "password": "top-secret"}
    account.given_carrier("carrier", gateways=[gateway])
    explanation = account.connect("+14158867900").explanation
    assert "top-secret" not in json.dumps(explanation)
    assert explanation["second"]["route"].startswith(
        "callflow no_match → +14158867900 (did_us) through carrier"
    )
    assert explanation["first"]["steps"][0]["endpoints"][0]["request_uri"].startswith("sip:dev1@")
