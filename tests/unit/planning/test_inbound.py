"""The plan of a call that comes in: from a phone of the account, and from a carrier."""

import pytest

from offhook.app.planning import CallRestricted, DialOutBarred, NumberInvalid, NumberUnknown
from offhook.calls.model import EndpointKind, EndpointPlan, PartyPlan, Side
from offhook.directory.model import Document

from .directory import ACCOUNT_ID, REALM, Account, header, node

OUTSIDE = "+14158867900"
CALLER_IDS = {
    "internal": {"name": "Jane inside", "number": "1007"},
    "external": {"name": "Acme", "number": "+14155550100"},
}


@pytest.fixture
def account() -> Account:
    account = Account(dial_out={"enabled": True})
    account.given_user("jane", "Jane", "Doe")
    account.given_device("desk", owner="jane", caller_id=CALLER_IDS)
    account.given_extension("1002", "dev2")
    account.given_extension(OUTSIDE.replace("7900", "0001"), "reception")
    account.given_way_out()
    account.given_carrier("carrier")
    return account


def desk(account: Account) -> Document:
    return account.documents[ACCOUNT_ID, "device", "desk"]


def only_endpoint(party: PartyPlan) -> EndpointPlan:
    ((endpoint,),) = (step.endpoints for step in party.steps)
    return endpoint


# --- from a phone -------------------------------------------------------------------------------------


def test_the_phone_that_dials_is_the_first_party_and_waits(account: Account) -> None:
    plan = account.dialled(desk(account), "1002", contact="sip:desk@10.0.0.9:5060")
    caller = plan.caller
    assert caller is not None
    assert caller is plan.first.steps[0].endpoints[0]
    assert (caller.leg_id, caller.received) == (plan.call_id, "an INVITE")
    assert (caller.kind, caller.endpoint_id, caller.owner_id) == (EndpointKind.DEVICE, "desk", "jane")
    assert (caller.from_uri, caller.to_uri) == (f"sip:desk@{REALM}", f"sip:1002@{REALM}")
    assert (plan.kind, plan.authorizing_type, plan.authorizing_id) == ("inbound", "device", "desk")
    assert (plan.first.side, plan.second.side) == (Side.EXTENSION, Side.CONTACT)
    assert plan.call_id.endswith("-inbound")


def test_an_extension_sees_the_internal_caller_id_whatever_the_phone_says(account: Account) -> None:
    endpoint = only_endpoint(account.dialled(desk(account), "1002").second)
    assert endpoint.endpoint_id == "dev2"
    assert (endpoint.caller_id_name, endpoint.caller_id_number) == ("Jane inside", "1007")
    assert endpoint.auto_answer is False


def test_a_number_outside_goes_through_a_carrier_with_the_external_caller_id(account: Account) -> None:
    endpoint = only_endpoint(account.dialled(desk(account), "4158867900").second)
    assert endpoint.kind is EndpointKind.GATEWAY
    assert (endpoint.caller_id_name, endpoint.caller_id_number) == ("Acme", "+14155550100")


def test_the_dial_plan_of_the_account_completes_what_is_dialled() -> None:
    account = Account(dial_plan={r"^9(\d{4})$": {"prefix": "1"}})
    account.given_extension("12345", "dev2")
    plan = account.dialled(account.given_device("desk"), "92345")
    assert plan.second.number == "12345"
    assert only_endpoint(plan.second).endpoint_id == "dev2"


def test_a_hidden_caller_stays_hidden(account: Account) -> None:
    endpoint = only_endpoint(account.dialled(desk(account), "1002", is_private=True).second)
    assert endpoint.caller_id_number == "anonymous"
    endpoint = only_endpoint(account.dialled(desk(account), OUTSIDE, is_private=True).second)
    assert header(endpoint, "Privacy") == "id"


def test_a_phone_does_not_ring_itself(account: Account) -> None:
    account.given_device("mobile", owner="jane")
    account.given_callflow("1001", "user", {"id": "jane"})
    assert only_endpoint(account.dialled(desk(account), "1001").second).endpoint_id == "mobile"
    account.given_callflow("1009", "device", {"id": "desk"})
    plan = account.dialled(desk(account), "1009")
    assert (plan.second.steps, plan.second.unreachable_cause) == ((), "USER_BUSY")


def test_a_phone_that_is_away_makes_a_call_that_says_so(account: Account) -> None:
    account.given_extension("1003", "away", registered=False)
    plan = account.dialled(desk(account), "1003")
    assert (plan.second.steps, plan.second.unreachable_cause) == ((), "USER_NOT_REGISTERED")


def test_early_media_is_heard_unless_the_phone_wants_none(account: Account) -> None:
    assert account.dialled(desk(account), OUTSIDE).ignore_early_media is False
    deaf = account.given_device("deaf", media={"ignore_early_media": True})
    assert account.dialled(deaf, OUTSIDE).ignore_early_media is True


def test_the_callflows_early_ringback_is_heard_while_waiting(account: Account) -> None:
    flow = account.given_callflow("1004", "device", {"id": "dev2"})
    flow.data["ringback"] = {"early": "de", "transfer": "uk"}
    assert account.dialled(desk(account), "1004").ringback == "de"
    assert account.quickcall(desk(account), "1004").plan.ringback == "uk"


def test_an_unknown_number_is_no_call() -> None:
    account = Account()
    with pytest.raises(NumberUnknown):
        account.dialled(account.given_device("desk"), "4711")


@pytest.mark.parametrize("number", ["", " ", "1" * 129, "10\r\n02"])
def test_what_cannot_be_dialled_is_refused(account: Account, number: str) -> None:
    with pytest.raises(NumberInvalid):
        account.dialled(desk(account), number)


# --- dialling out -------------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [{}, {"dial_out": {}}, {"dial_out": {"enabled": False}}])
def test_no_phone_dials_out_unless_the_account_says_so(allowed: dict[str, object]) -> None:
    account = Account(**allowed)
    account.given_way_out()
    account.given_carrier("carrier")
    with pytest.raises(DialOutBarred):
        account.dialled(account.given_device("desk"), OUTSIDE)


@pytest.mark.parametrize("level", ["device", "user"])
def test_a_device_or_user_can_be_excluded(account: Account, level: str) -> None:
    barred = {"dial_out": {"enabled": False}}
    account.given_user("bob", "Bob", "Ray", **(barred if level == "user" else {}))
    device = account.given_device("bobs", owner="bob", **(barred if level == "device" else {}))
    with pytest.raises(DialOutBarred):
        account.dialled(device, OUTSIDE)
    assert only_endpoint(account.dialled(device, "1002").second).endpoint_id == "dev2"


def test_call_restriction_holds_as_ever(account: Account) -> None:
    device = account.given_device("lobby", call_restriction={"did_us": {"action": "deny"}})
    with pytest.raises(CallRestricted):
        account.dialled(device, OUTSIDE)


def test_emergencies_need_no_leave() -> None:
    account = Account()
    account.given_way_out()
    account.given_carrier("rescue", emergency=True, rules=["^(911|112)$"])
    assert only_endpoint(account.dialled(account.given_device("desk"), "112").second).endpoint_id == "rescue"


def test_what_the_account_itself_sends_outside_needs_no_leave() -> None:
    account = Account()
    account.given_carrier("carrier")
    account.given_callflow("1005", "resources", {"to_did": OUTSIDE})
    account.given_way_out()
    account.given_extension(
        "1006", "away", registered=False, call_forward={"number": OUTSIDE, "enabled": True}
    )
    device = account.given_device("desk")
    for number in ("1005", "1006"):
        assert only_endpoint(account.dialled(device, number).second).kind is EndpointKind.GATEWAY


# --- from a carrier -----------------------------------------------------------------------------------

DID = "+14158860001"


def test_a_carrier_reaches_the_callflow_of_a_number(account: Account) -> None:
    plan = account.brought("14158860001", name="Bob", contact="sip:203.0.113.7")
    caller = plan.caller
    assert caller is not None
    assert (caller.kind, caller.endpoint_id) == (EndpointKind.GATEWAY, "trunk")
    assert (plan.first.side, plan.first.number) == (Side.CONTACT, "+15550001111")
    assert (plan.second.side, plan.second.number) == (Side.EXTENSION, DID)
    endpoint = only_endpoint(plan.second)
    assert (endpoint.caller_id_name, endpoint.caller_id_number) == ("Bob", "+15550001111")
    assert (plan.authorizing_type, plan.authorizing_id) == ("resource", "trunk")


def test_a_carriers_caller_who_hides_is_anonymous(account: Account) -> None:
    endpoint = only_endpoint(account.brought(DID, name="Bob", is_private=True).second)
    assert (endpoint.caller_id_name, endpoint.caller_id_number) == ("Anonymous", "anonymous")
    assert "5550001111" not in str(endpoint)


@pytest.mark.parametrize("number", [OUTSIDE, "no_match", "4711"])
def test_a_carrier_never_reaches_no_match(account: Account, number: str) -> None:
    with pytest.raises(NumberUnknown):
        account.brought(number)


def test_a_carrier_never_reaches_a_pattern(account: Account) -> None:
    account.given_flow([], node("resources", {}), patterns=[r"^\+(\d+)$"])
    with pytest.raises(NumberUnknown):
        account.brought(OUTSIDE)


def test_a_carriers_call_does_not_go_out_again_by_itself(account: Account) -> None:
    account.given_callflow(OUTSIDE, "resources", {})
    with pytest.raises(CallRestricted):
        account.brought(OUTSIDE)


def test_a_carriers_call_is_forwarded_where_the_account_says(account: Account) -> None:
    account.given_callflow("+14158860002", "resources", {"to_did": "+14155550199"})
    assert only_endpoint(account.brought("+14158860002").second).kind is EndpointKind.GATEWAY
    forward = {"number": "+14155550199", "enabled": True}
    account.given_extension("+14158860003", "mobile", call_forward=forward)
    assert only_endpoint(account.brought("+14158860003").second).kind is EndpointKind.GATEWAY


def test_calls_from_outside_have_the_external_ringtone(account: Account) -> None:
    tones = {"internal": "inside", "external": "outside"}
    account.given_extension("+14158860004", "bell", ringtones=tones)
    assert header(only_endpoint(account.brought("+14158860004").second), "Alert-Info") == "outside"
    assert (
        header(only_endpoint(account.dialled(desk(account), "+14158860004").second), "Alert-Info") == "inside"
    )
