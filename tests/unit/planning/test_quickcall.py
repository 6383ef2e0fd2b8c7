"""The plan of a quickcall: phones of a device or user, then the number."""

import pytest

from offhook.app.planning import CallRestricted, NumberInvalid, SipUriNotAllowed, TargetCallUnknown
from offhook.calls.model import EndpointPlan, MediaMode, PartyPlan, Side
from offhook.directory.model import Document

from .directory import ACCOUNT_ID, REALM, Account, header

CALLER_IDS = {
    "internal": {"name": "Jane inside", "number": "1007"},
    "external": {"name": "Acme", "number": "+14155550100"},
}


@pytest.fixture
def account() -> Account:
    account = Account()
    account.given_user("jane", "Jane", "Doe")
    account.given_device("desk", owner="jane", caller_id=CALLER_IDS)
    account.given_extension("1002", "dev2")
    account.given_way_out()
    account.given_carrier("carrier")
    return account


def desk(account: Account) -> Document:
    return account.documents[ACCOUNT_ID, "device", "desk"]


def only_endpoint(party: PartyPlan) -> EndpointPlan:
    ((endpoint,),) = (step.endpoints for step in party.steps)
    return endpoint


# --- the phones -----------------------------------------------------------------------------------------


def test_the_phone_rings_first_and_shows_device_quickcall_and_the_number(account: Account) -> None:
    plan = account.quickcall(desk(account), "4158867900").plan
    endpoint = only_endpoint(plan.first)
    assert plan.first.side is Side.EXTENSION
    assert (endpoint.caller_id_name, endpoint.caller_id_number) == ("Device QuickCall", "+14158867900")
    assert endpoint.from_uri == f"sip:+14158867900@{REALM}"
    assert endpoint.leg_id == plan.call_id
    assert plan.call_id.endswith("-quickcall")
    assert len(plan.call_id) == 42
    assert (plan.authorizing_type, plan.authorizing_id, plan.owner_id) == ("device", "desk", "jane")


def test_all_phones_of_a_user_ring_together_each_with_its_own_id(account: Account) -> None:
    account.given_device("mobile", owner="jane")
    planned = account.quickcall(account.documents[ACCOUNT_ID, "user", "jane"], "1002")
    (step,) = planned.plan.first.steps
    assert [endpoint.endpoint_id for endpoint in step.endpoints] == ["desk", "mobile"]
    ids = [endpoint.leg_id for endpoint in step.endpoints]
    assert ids == [endpoint["outbound_call_id"] for endpoint in planned.answer["endpoints"]]
    assert all(leg_id.endswith("-quickcall") for leg_id in ids)
    assert len({*ids, planned.plan.call_id}) == 3
    assert (planned.plan.authorizing_type, planned.plan.owner_id) == ("user", "jane")


@pytest.mark.parametrize(
    ("registered", "extra", "cause"),
    [
        (False, {}, "USER_NOT_REGISTERED"),
        (True, {"enabled": False}, "SUBSCRIBER_ABSENT"),
        (True, {"do_not_disturb": {"enabled": True}}, "CALL_REJECTED"),
    ],
)
def test_a_phone_that_cannot_be_rung_is_a_plan_without_steps(
    account: Account, registered: bool, extra: dict[str, object], cause: str
) -> None:
    device = account.given_device("away", registered=registered, **extra)
    plan = account.quickcall(device, "1002").plan
    assert (plan.first.steps, plan.first.unreachable_cause) == ((), cause)


def test_a_user_without_phones_is_absent(account: Account) -> None:
    plan = account.quickcall(account.given_user("bob", "Bob", "Ray"), "1002").plan
    assert (plan.first.steps, plan.first.unreachable_cause) == ((), "SUBSCRIBER_ABSENT")


def test_phones_a_user_is_hot_desked_into_ring_too(account: Account) -> None:
    account.given_device("guest-desk", hotdesk={"users": {"jane": {}}})
    (step,) = account.quickcall(account.documents[ACCOUNT_ID, "user", "jane"], "1002").plan.first.steps
    assert [endpoint.endpoint_id for endpoint in step.endpoints] == ["desk", "guest-desk"]


def test_auto_answer_is_asked_of_the_phone_unless_false(account: Account) -> None:
    first = only_endpoint(account.quickcall(desk(account), "1002").plan.first)
    assert header(first, "Call-Info") == f"<sip:{REALM}>;answer-after=0"
    assert first.request_uri.endswith(";intercom=true")
    planned = account.quickcall(desk(account), "1002", query={"auto_answer": "false"})
    first = only_endpoint(planned.plan.first)
    assert header(first, "Call-Info") is header(first, "Alert-Info") is None
    assert "auto_answer" not in planned.answer["endpoints"][0]["custom_channel_vars"]


def test_auto_answer_true_makes_one_of_several_phones_answer(account: Account) -> None:
    account.given_device("mobile", owner="jane")
    user = account.documents[ACCOUNT_ID, "user", "jane"]
    ringing = account.quickcall(user, "1002").plan.first.steps[0].endpoints
    assert [endpoint.auto_answer for endpoint in ringing] == [False, False]
    ringing = account.quickcall(user, "1002", auto_answer=True).plan.first.steps[0].endpoints
    assert [endpoint.auto_answer for endpoint in ringing] == [True, False]


def test_timeout_is_how_long_the_phones_ring(account: Account) -> None:
    planned = account.quickcall(desk(account), "1002", timeout=5)
    assert planned.plan.first.steps[0].timeout_s == 5
    assert planned.answer["timeout"] == 5
    assert planned.plan.second.steps[0].timeout_s == 60


# --- what the far end sees --------------------------------------------------------------------------------


def test_the_far_end_sees_the_internal_caller_id_inside_and_the_external_outside(account: Account) -> None:
    inside = only_endpoint(account.quickcall(desk(account), "1002").plan.second)
    assert (inside.caller_id_name, inside.caller_id_number) == ("Jane inside", "1007")
    outside = only_endpoint(account.quickcall(desk(account), "4158867900").plan.second)
    assert (outside.caller_id_name, outside.from_uri) == ("Acme", f"sip:+14155550100@{REALM}")


def test_cid_name_and_cid_number_are_what_the_far_end_sees(account: Account) -> None:
    options = {"cid-name": "Support", "cid-number": "+14155550155"}
    planned = account.quickcall(desk(account), "4158867900", **options)
    first, second = only_endpoint(planned.plan.first), only_endpoint(planned.plan.second)
    assert (first.caller_id_name, first.caller_id_number) == ("Device QuickCall", "+14158867900")
    assert (second.caller_id_name, second.caller_id_number) == ("Support", "+14155550155")
    assert planned.answer["outbound_callee_id_name"] == "Support"
    assert planned.answer["outbound_callee_id_number"] == "+14155550155"


def test_the_carriers_caller_id_type_applies_unless_cid_number_was_given(account: Account) -> None:
    account.given_callflow("no_match", "resources", {"caller_id_type": "internal"})
    leg = only_endpoint(account.quickcall(desk(account), "4158867900").plan.second)
    assert leg.caller_id_number == "1007"
    leg = only_endpoint(account.quickcall(desk(account), "4158867900", **{"cid-number": "5"}).plan.second)
    assert leg.caller_id_number == "5"


def test_a_visitor_never_reaches_an_emergency_number_by_quickcall(account: Account) -> None:
    account.given_carrier("rescue", rules=[".+"], emergency=True)
    with pytest.raises(CallRestricted):
        account.quickcall(desk(account), "911", visitor=True)


def test_emergency_calls_show_the_emergency_caller_id_of_the_device(account: Account) -> None:
    account.given_carrier("rescue", rules=[".+"], emergency=True)
    ids = {"emergency": {"name": "Floor 3", "number": "+14155550911"}}
    device = account.given_device("lift", caller_id=ids)
    leg = only_endpoint(account.quickcall(device, "911", **{"cid-number": "5"}).plan.second)
    assert leg.caller_id_number == "+14155550911"


@pytest.mark.parametrize(
    ("prefer", "number"), [(None, "+14155550111"), (True, "+14155550100")], ids=["user", "device"]
)
def test_the_users_caller_id_wins_unless_the_account_prefers_the_devices(
    account: Account, prefer: bool | None, number: str
) -> None:
    account.given_user("jane", "Jane", "Doe", caller_id={"external": {"number": "+14155550111"}})
    account.account.data["prefer_device_caller_id"] = prefer
    assert (
        only_endpoint(account.quickcall(desk(account), "4158867900").plan.second).caller_id_number == number
    )


def test_without_external_caller_id_the_accounts_first_number_is_shown(account: Account) -> None:
    account.given_callflow("+14155550177", "device", {"id": "desk"})
    device = account.given_device("bare")
    assert (
        only_endpoint(account.quickcall(device, "4158867900").plan.second).caller_id_number == "+14155550177"
    )


def test_the_accounts_external_caller_id_is_the_last_resort_before_that() -> None:
    account = Account(caller_id={"external": {"name": "Acme", "number": "+14155550188"}})
    account.given_way_out()
    account.given_carrier("carrier")
    leg = only_endpoint(account.quickcall(account.given_device("bare"), "4158867900").plan.second)
    assert (leg.caller_id_name, leg.caller_id_number) == ("Acme", "+14155550188")


# --- the number -------------------------------------------------------------------------------------------


def test_number_filter_applies_to_the_number_that_is_dialled(account: Account) -> None:
    planned = account.quickcall(desk(account), "(415) 886-7900")
    assert planned.answer["application_data"] == {"route": "4158867900"}
    assert planned.plan.second.number == "+14158867900"
    planned = account.quickcall(desk(account), "x1002y", query={"number_filter": r"x(\d+)y"})
    assert planned.plan.second.number == "1002"
    planned = account.quickcall(desk(account), "10-02", number_filter=False)
    assert planned.plan.second.number == "10-02"


def test_the_dial_plan_of_device_user_and_account_applies(account: Account) -> None:
    account.account.data["dial_plan"] = {r"^(\d{7})$": {"prefix": "999"}}
    device = account.given_device("dialler", dial_plan={r"^(\d{7})$": {"prefix": "415"}})
    plan = account.quickcall(device, "8867900").plan
    assert plan.second.number == "+14158867900"


def test_a_number_that_is_a_sip_uri_needs_an_allowed_host(account: Account) -> None:
    with pytest.raises(SipUriNotAllowed):
        account.quickcall(desk(account), "sip:bob@o.example.org")
    planned = account.quickcall(desk(account), "sip:bob@o.example.org", sip_uri_allow=["o.example.org"])
    assert only_endpoint(planned.plan.second).request_uri == "sip:bob@o.example.org"


@pytest.mark.parametrize("number", ["", "  ", "1\n2", "1" * 129])
def test_a_number_that_cannot_be_dialled_is_refused(account: Account, number: str) -> None:
    with pytest.raises(NumberInvalid) as refusal:
        account.quickcall(desk(account), number)
    assert refusal.value.field == "number"


# --- media, headers, variables, target ----------------------------------------------------------------------


def test_media_bypass_and_process(account: Account) -> None:
    planned = account.quickcall(desk(account), "1002", media="bypass")
    assert (planned.plan.media, planned.answer["media"]) == (MediaMode.BYPASS, "bypass")
    planned = account.quickcall(desk(account), "1002")
    assert (planned.plan.media, planned.answer["media"]) == (MediaMode.PROCESS, "process")
    device = account.given_device("direct", media={"bypass_media": True})
    assert account.quickcall(device, "1002").plan.media is MediaMode.BYPASS
    assert account.quickcall(device, "1002", media="process").plan.media is MediaMode.PROCESS


def test_ignore_early_media_is_true_unless_request_or_device_say_no(account: Account) -> None:
    assert account.quickcall(desk(account), "1002").plan.ignore_early_media
    options = {"ignore-early-media": "false"}
    assert not account.quickcall(desk(account), "1002", query=options).plan.ignore_early_media
    device = account.given_device("early", media={"ignore_early_media": False})
    assert not account.quickcall(device, "1002").plan.ignore_early_media


def test_the_devices_in_headers_are_passed_on_to_the_far_end(account: Account) -> None:
    device = account.given_device(
        "desk3", sip={"custom_sip_headers": {"in": {"X-Branch": "7"}, "out": {"X-O": "1"}}}
    )
    plan = account.quickcall(device, "1002").plan
    first, second = only_endpoint(plan.first), only_endpoint(plan.second)
    assert (header(first, "X-Branch"), header(first, "X-O")) == (None, "1")
    assert (header(second, "X-Branch"), header(second, "X-O")) == ("7", None)


def test_variables_of_body_and_query_go_into_the_plan(account: Account) -> None:
    planned = account.quickcall(
        desk(account), "1002", query={"foo": "bar", "timeout": "9"}, custom_application_vars={"order": "5"}
    )
    assert planned.plan.custom_application_vars == {"order": "5", "foo": "bar"}
    assert planned.answer["custom_application_vars"] == {"order": "5", "foo": "bar"}


def test_target_call_id_joins_the_interaction_of_a_live_call(account: Account) -> None:
    account.live["abc"] = "63876400000-0badcafe"
    planned = account.quickcall(desk(account), "1002", target_call_id="abc")
    assert planned.plan.interaction_id == "63876400000-0badcafe"
    assert planned.answer["existing_call_id"] == "abc"


def test_an_unknown_target_call_id_is_refused(account: Account) -> None:
    with pytest.raises(TargetCallUnknown):
        account.quickcall(desk(account), "1002", target_call_id="abc")


def test_presence_of_the_phone_is_completed_with_the_realm(account: Account) -> None:
    account.given_user("jane", "Jane", "Doe", presence_id="2001")
    planned = account.quickcall(desk(account), "1002")
    assert only_endpoint(planned.plan.first).presence_id == f"2001@{REALM}"
    assert planned.answer["endpoints"][0]["presence_id"] == f"2001@{REALM}"


def test_call_forward_is_followed_from_the_phone(account: Account) -> None:
    device = account.given_device("away", call_forward={"enabled": True, "number": "1002"})
    plan = account.quickcall(device, "4158867900").plan
    assert only_endpoint(plan.first).endpoint_id == "dev2"
