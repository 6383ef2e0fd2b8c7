"""The plan of a connect: who is rung, what they see, which options do what."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.app.planning import (
    CallRestricted,
    ContactNotAllowed,
    NumberInvalid,
    SipUriNotAllowed,
)
from offhook.app.planning.planned import Planned
from offhook.calls.model import CallPlan, EndpointKind, EndpointPlan, MediaMode, PartyPlan, Side

from .directory import ACCOUNT_ID, BUTTON_ID, REALM, Account, header


@pytest.fixture
def account() -> Account:
    account = Account()
    account.given_extension("1001", "dev1")
    account.given_extension("1002", "dev2")
    return account


def only_endpoint(party: PartyPlan) -> EndpointPlan:
    (step,) = party.steps
    (endpoint,) = step.endpoints
    return endpoint


def legs(planned: Planned) -> tuple[EndpointPlan, EndpointPlan]:
    return only_endpoint(planned.plan.first), only_endpoint(planned.plan.second)


# --- who is rung, and what they see -------------------------------------------------------------------


def test_the_extension_rings_first_and_sees_the_button_and_the_contact(account: Account) -> None:
    first, second = legs(account.connect("1002"))
    assert first.request_uri.startswith("sip:dev1@10.0.0.5:5062")
    assert (first.caller_id_name, first.caller_id_number) == ("Call us", "1002")
    assert first.from_uri == f"sip:1002@{REALM}"
    assert first.to_uri == f"sip:dev1@{REALM}"
    assert second.request_uri == "sip:dev2@10.0.0.5:5062"
    assert (second.caller_id_name, second.caller_id_number) == ("1001", "1001")


def test_dial_first_contact_rings_the_contact_first(account: Account) -> None:
    planned = account.connect("1002", account.button(dial_first="contact"))
    first, second = legs(planned)
    assert (planned.plan.first.side, planned.plan.second.side) == (Side.CONTACT, Side.EXTENSION)
    assert first.request_uri == "sip:dev2@10.0.0.5:5062"
    assert (first.caller_id_name, first.caller_id_number) == ("1001", "1001")
    assert (second.caller_id_name, second.caller_id_number) == ("Call us", "1002")
    assert planned.answer["application_data"] == {"route": "1001"}
    assert planned.answer["outbound_caller_id_number"] == "1001"
    assert planned.answer["custom_channel_vars"]["from_uri"] == f"1002@{REALM}"


def test_caller_id_number_is_what_the_extension_sees(account: Account) -> None:
    first, second = legs(account.connect("1002", account.button(caller_id_number="+14155550100")))
    assert first.from_uri == f"sip:+14155550100@{REALM}"
    assert second.caller_id_number == "1001"


def test_outbound_callee_id_is_what_the_contact_sees(account: Account) -> None:
    button = account.button(outbound_callee_id_name="Acme", outbound_callee_id_number="+14155550199")
    _, second = legs(account.connect("1002", button))
    assert (second.caller_id_name, second.from_uri) == ("Acme", f"sip:+14155550199@{REALM}")


def test_the_only_leg_of_the_first_party_has_the_id_of_the_call(account: Account) -> None:
    planned = account.connect("1002")
    first, second = legs(planned)
    assert planned.plan.call_id == first.leg_id
    assert first.leg_id.startswith(f"c2c-{BUTTON_ID}-")
    assert len(first.leg_id) == len(f"c2c-{BUTTON_ID}-") + 10
    assert second.leg_id != first.leg_id
    assert planned.plan.interaction_id.startswith("63876500000-")


def test_every_leg_has_an_id_of_its_own_when_several_ring(account: Account) -> None:
    account.given_binding("dev1", "sip:dev1@10.0.0.9:5060")
    account.given_flow(["1003"], {"module": "ring_group", "data": {
        "endpoints": [{"id": "dev1", "endpoint_type": "device"}], "repeats": 3}})  # fmt: skip
    planned = account.connect("1002", account.button(extension="1003"))
    ids = [endpoint.leg_id for step in planned.plan.first.steps for endpoint in step.endpoints]
    assert len(ids) == 6
    assert len({*ids, planned.plan.call_id}) == 7


# --- contacts -------------------------------------------------------------------------------------------


def test_a_contact_is_normalised_but_the_variable_keeps_the_text(account: Account) -> None:
    planned = account.connect("14158867900", query={"contact": "14158867900"})
    assert planned.answer["application_data"]["route"] == "+14158867900"
    assert planned.answer["custom_application_vars"] == {"contact": "14158867900"}


def test_a_plus_and_typed_separators_survive_as_one_number(account: Account) -> None:
    assert account.connect("+1 (415) 886-7900").plan.second.number == "+14158867900"
    assert account.connect("tel:+1-415-886-7900").plan.second.number == "+14158867900"


@pytest.mark.parametrize("allow", ["other.example.org", "other.example.org:5070", "*.example.org"])
def test_a_sip_uri_is_rung_as_it_is_if_its_host_is_allowed(account: Account, allow: str) -> None:
    uri = "sip:bob+1@other.example.org:5070;transport=tcp"
    endpoint = only_endpoint(account.connect(uri, sip_uri_allow=[allow]).plan.second)
    assert endpoint.kind is EndpointKind.URI
    assert endpoint.request_uri == uri
    assert endpoint.to_uri == "sip:bob+1@other.example.org:5070"


def test_an_account_allows_hosts_of_its_own() -> None:
    account = Account(sip_uri_allow=["other.example.org"])
    planned = account.connect("bob@other.example.org")
    assert only_endpoint(planned.plan.second).request_uri == "sip:bob@other.example.org"


def test_a_sip_uri_to_any_other_host_is_refused(account: Account) -> None:
    with pytest.raises(SipUriNotAllowed):
        account.connect("sip:bob@other.example.org")
    with pytest.raises(SipUriNotAllowed):
        account.connect("sip:bob@evilexample.org", sip_uri_allow=["*.example.org"])


def test_a_uri_of_the_own_realm_is_the_extension(account: Account) -> None:
    assert account.connect(f"sip:1002@{REALM.upper()}").plan.second.number == "1002"


@pytest.mark.parametrize(
    "contact",
    [
        "sip:bob@other.example.org?Replaces=x",
        "sip:bob@other.example.org;maddr=10.0.0.1",
        "sip:bob:secret@other.example.org",
        "sips:bob@other.example.org",
        "sip:bob@other.example.org;transport=sctp",
        "sip:other.example.org",
        "sip:bob@",
        "sip:bob@other.example.org:99999",
        "x@" + "y" * 600,
        "1" * 129,
    ],
)
def test_contacts_that_cannot_be_dialled_are_refused(account: Account, contact: str) -> None:
    with pytest.raises((NumberInvalid, SipUriNotAllowed)):
        account.connect(contact, sip_uri_allow=["other.example.org"])


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_contact_is_planned_or_refused_and_never_breaks(contact: str) -> None:
    account = Account()
    try:
        planned = account.connect(f"1{contact}")
    except (NumberInvalid, SipUriNotAllowed):
        return
    assert isinstance(planned.plan, CallPlan)


def test_the_whitelist_must_match_the_whole_contact(account: Account) -> None:
    button = account.button(whitelist=["1001", r"\+1415\d+"])
    assert account.connect("4158867900", button).plan.second.number == "+14158867900"
    for contact, dialled in (("21001999", "+21001999"), ("10011", "10011"), ("4165550000", "+14165550000")):
        with pytest.raises(ContactNotAllowed) as refusal:
            account.connect(contact, button)
        assert refusal.value.contact == dialled


def test_the_whitelist_may_be_written_for_the_raw_contact(account: Account) -> None:
    assert account.connect("4158867900", account.button(whitelist=[r"415\d{7}"]))


# --- options on the wire ----------------------------------------------------------------------------------


def test_auto_answer_is_asked_of_the_extension_alone(account: Account) -> None:
    first, second = legs(account.connect("1002"))
    assert first.auto_answer
    assert header(first, "Call-Info") == f"<sip:{REALM}>;answer-after=0"
    assert header(first, "Alert-Info") == "intercom"
    assert first.request_uri == "sip:dev1@10.0.0.5:5062;intercom=true"
    assert not second.auto_answer
    assert header(second, "Call-Info") is header(second, "Alert-Info") is None


def test_auto_answer_is_asked_of_the_extension_when_the_contact_is_first(account: Account) -> None:
    first, second = legs(account.connect("1002", account.button(dial_first="contact")))
    assert (first.auto_answer, second.auto_answer) == (False, True)


def test_auto_answer_false_sets_nothing(account: Account) -> None:
    planned = account.connect("1002", auto_answer="false")
    first, _ = legs(planned)
    assert header(first, "Call-Info") is header(first, "Alert-Info") is None
    assert first.request_uri == "sip:dev1@10.0.0.5:5062"
    assert "auto_answer_loopback" not in planned.answer["custom_channel_vars"]


@pytest.mark.parametrize(("auto_answer", "answering"), [(None, 0), (True, 1)])
def test_of_several_phones_at_most_one_answers_by_itself(
    account: Account, auto_answer: bool | None, answering: int
) -> None:
    account.given_binding("dev1", "sip:dev1@10.0.0.9:5060")
    planned = account.connect("1002", **({} if auto_answer is None else {"auto_answer": auto_answer}))
    (step,) = planned.plan.first.steps
    assert sum(endpoint.auto_answer for endpoint in step.endpoints) == answering


def test_timeout_is_how_long_each_party_rings(account: Account) -> None:
    planned = account.connect("1002", account.button(timeout=7))
    assert [party.steps[0].timeout_s for party in (planned.plan.first, planned.plan.second)] == [7, 7]
    assert planned.answer["timeout"] == 7


def test_without_timeout_the_first_party_rings_30_seconds_and_the_second_60(account: Account) -> None:
    for button in (account.button(), account.button(dial_first="contact")):
        plan = account.connect("1002", button).plan
        assert [party.steps[0].timeout_s for party in (plan.first, plan.second)] == [30, 60]


def test_ringback_is_played_unless_music_is_set(account: Account) -> None:
    assert account.connect("1002", account.button(ringback="uk")).plan.ringback == "uk"
    planned = account.connect("1002", account.button(ringback="uk", music_on_hold={"media_id": "song"}))
    assert planned.plan.ringback == "song"
    assert (planned.answer["ringback"], planned.answer["hold_media"]) == ("uk", "song")


def test_ringback_of_the_callflow_that_is_reached_is_played_if_the_button_has_none(account: Account) -> None:
    account.documents[ACCOUNT_ID, "callflow", "flow-1002"].data["ringback"] = {
        "early": "us",
        "transfer": "uk",
    }
    assert account.connect("1002").plan.ringback == "uk"
    assert account.connect("1002", account.button(ringback="de")).plan.ringback == "de"


def test_ignore_early_media_is_true_unless_the_button_says_no(account: Account) -> None:
    assert account.connect("1002").plan.ignore_early_media
    planned = account.connect("1002", account.button(media={"ignore_early_media": False}))
    assert planned.plan.ignore_early_media is False
    assert planned.answer["ignore_early_media"] is False


@pytest.mark.parametrize(
    ("bypass_media", "mode"),
    [
        (True, MediaMode.BYPASS),
        ("true", MediaMode.BYPASS),
        ("auto", MediaMode.BYPASS),
        (False, MediaMode.PROCESS),
        ("false", MediaMode.PROCESS),
        (None, MediaMode.PROCESS),
    ],
)
def test_bypass_media(account: Account, bypass_media: object, mode: MediaMode) -> None:
    assert account.connect("1002", account.button(bypass_media=bypass_media)).plan.media is mode


def test_bypass_media_auto_takes_the_relay_for_carriers_and_flows(account: Account) -> None:
    account.given_way_out()
    account.given_carrier("carrier")
    button = account.button(bypass_media="auto")
    assert account.connect("+14158867900", button).plan.media is MediaMode.PROCESS
    account.given_binding("dev2", "sip:dev2@192.168.1.7", flow_id="tcp-7")
    assert account.connect("1002", button).plan.media is MediaMode.PROCESS


def test_presence_id_is_that_of_the_extension(account: Account) -> None:
    planned = account.connect("1002", account.button(presence_id="sales"))
    first, second = legs(planned)
    assert header(first, "X-KAZOO-Presence-ID") == first.presence_id == f"sales@{REALM}"
    assert header(second, "X-KAZOO-Presence-ID") == second.presence_id == f"dev2@{REALM}"
    assert planned.answer["presence_id"] == f"sales@{REALM}"


def test_every_phone_is_told_its_address_of_record(account: Account) -> None:
    first, second = legs(account.connect("1002"))
    assert header(first, "X-KAZOO-AOR") == f"sip:dev1@{REALM}"
    assert header(second, "X-KAZOO-AOR") == f"sip:dev2@{REALM}"


def test_custom_sip_headers_flat_and_out_go_on_both_legs_and_in_on_the_second(account: Account) -> None:
    headers = {"X-Flat": "f", "out": {"X-Out": "o"}, "in": {"X-In": "i"}}
    planned = account.connect("1002", account.button(custom_sip_headers=headers))
    first, second = legs(planned)
    assert [header(first, name) for name in ("X-Flat", "X-Out", "X-In")] == ["f", "o", None]
    assert [header(second, name) for name in ("X-Flat", "X-Out", "X-In")] == ["f", "o", "i"]
    assert planned.answer["custom_sip_headers"] == headers


def test_headers_that_belong_to_the_stack_or_break_lines_are_never_sent(account: Account) -> None:
    headers = {"Via": "x", "call-id": "x", "X-Bad": "a\r\nVia: b", "X Bad": "a", "X-Good": "g"}
    first, _ = legs(account.connect("1002", account.button(custom_sip_headers=headers)))
    names = {name.lower() for name, _ in first.headers}
    assert "x-good" in names
    assert not names & {"via", "call-id", "x-bad", "x bad"}


def test_stored_variables_stand_under_those_of_the_request(account: Account) -> None:
    button = account.button(custom_application_vars={"source": "button", "team": "sales"})
    planned = account.connect("1002", button, custom_application_vars={"source": "page"})
    assert planned.plan.custom_application_vars == {"source": "page", "team": "sales"}
    assert planned.answer["custom_application_vars"] == {"source": "page", "team": "sales"}


# --- limits and refusals ------------------------------------------------------------------------------------


def test_call_restriction_of_the_account_refuses_the_contact() -> None:
    account = Account(call_restriction={"international": {"action": "deny"}})
    account.given_extension("1001", "dev1")
    account.given_way_out()
    account.given_carrier("carrier")
    assert account.connect("+14158867900").plan.second.steps
    with pytest.raises(CallRestricted) as refusal:
        account.connect("+49301234567")
    assert refusal.value.classifier == "international"


def test_a_visitor_never_reaches_an_emergency_number(account: Account) -> None:
    account.given_way_out()
    account.given_carrier("rescue", rules=[".+"], emergency=True)
    assert account.connect("911").plan.second.steps
    with pytest.raises(CallRestricted):
        account.connect("911", visitor=True)


def test_unknown_extension_and_contact_are_plans_without_steps() -> None:
    plan = Account().connect("1002").plan
    assert (plan.first.steps, plan.first.unreachable_cause) == ((), "NO_ROUTE_DESTINATION")
    assert (plan.second.steps, plan.second.unreachable_cause) == ((), "NO_ROUTE_DESTINATION")
    assert plan.first.route == "no callflow for 1001, and none for no_match"


def test_the_dial_plan_of_the_account_applies_to_the_contact() -> None:
    account = Account(dial_plan={r"^(\d{7})$": {"prefix": "415"}})
    assert account.connect("8867900").plan.second.number == "+14158867900"


def test_outbound_privacy_hides_the_caller_from_a_uri_contact() -> None:
    account = Account(sip_uri_allow=["o.example.org"], caller_id_options={"outbound_privacy": "full"})
    endpoint = only_endpoint(account.connect("sip:bob@o.example.org").plan.second)
    assert endpoint.from_uri == "sip:anonymous@anonymous.invalid"
    assert (endpoint.caller_id_name, header(endpoint, "Privacy")) == ("Anonymous", "id")


def test_a_plan_is_the_same_for_the_same_documents_and_random_numbers(account: Account) -> None:
    assert account.connect("1002") == account.connect("1002")
