"""How phones are asked to answer by themselves: by their model, and one of several."""

from typing import Any

import pytest

from offhook.app.planning.auto_answer import MODELS, Form, form_of
from offhook.calls.model import EndpointPlan
from offhook.directory.schemas import SCHEMAS

from .directory import REALM, Account, header


def called(account: Account, username: str, **options: Any) -> list[EndpointPlan]:
    """Return the legs of the phones of a user or device that a quickcall rings first."""
    (document,) = [one for one in account.documents.values() if one.id == username]
    return [
        endpoint
        for step in account.quickcall(document, "1002", **options).plan.first.steps
        for endpoint in step.endpoints
    ]


def given_phone(user_agent: str, **sip: Any) -> Account:
    account = Account()
    account.given_extension("1002", "dev2")
    account.given_device("desk", registered=False, sip=sip)
    account.given_binding("desk", "sip:desk@10.0.0.5:5062", user_agent=user_agent)
    return account


@pytest.mark.parametrize(
    ("user_agent", "form"),
    [
        ("Yealink SIP-T46S 66.86.0.15", Form.ALERT_AUTOANSWER),
        ("PolycomVVX-VVX_411-UA/5.9.3.2857", Form.AUTO_ANSWER),
        ("snomD785/10.1.64.14", Form.CALL_INFO),
        ("Grandstream GXP2160 1.0.11.16", Form.CALL_INFO),
        ("Cisco/SPA504G-7.6.2e", Form.CALL_INFO),
        ("Linksys/SPA942-6.1.5(a)", Form.CALL_INFO),
        ("Aastra 6731i/3.3.1.8140", Form.ALERT_AUTOANSWER),
        ("Mitel 6867i/6.0.0.1005", Form.CALL_INFO),
        ("Gigaset N510 IP PRO/42.250.00.000.000", Form.CALL_INFO),
        ("Fanvil X4 2.12.1", Form.ALERT_AUTOANSWER),
        ("Zoiper rv2.10.20.4", Form.CALL_INFO),
        ("baresip v3.16.0 (x86_64/Linux)", Form.CALL_INFO),
        ("Linphone/4.4.0 (belle-sip/5.1.0)", Form.CALL_INFO),
        ("JsSIP 3.10.1", Form.CALL_INFO),
        ("Acme Phone 1.0", Form.KAZOO),
        ("", Form.KAZOO),
    ],
)
def test_the_model_decides(user_agent: str, form: Form) -> None:
    assert form_of(user_agent, "") is form


@pytest.mark.parametrize("word", ["auto", "", "a word of another version"])
def test_what_is_no_form_leaves_it_to_the_model(word: str) -> None:
    assert form_of("Yealink SIP-T46S", word) is Form.ALERT_AUTOANSWER


def test_models_are_found_in_lower_case_and_reached() -> None:
    words = [word for word, _ in MODELS]
    assert words == [word.lower() for word in words]
    assert not [later for at, later in enumerate(words) if any(word in later for word in words[:at])]


def test_a_device_can_choose_any_form() -> None:
    choices = SCHEMAS["device"]["properties"]["sip"]["properties"]["auto_answer"]["enum"]
    assert set(choices) == {"auto", *Form}


@pytest.mark.parametrize(
    ("chosen", "call_info", "alert_info", "answer_mode", "in_uri"),
    [
        ("call-info", f"<sip:{REALM}>;answer-after=0", None, None, False),
        ("alert-autoanswer", None, f"<sip:{REALM}>;info=alert-autoanswer;delay=0", None, False),
        ("auto-answer", None, "Auto Answer", None, False),
        ("ring-answer", None, "ring-answer", None, False),
        ("intercom", None, "Intercom", None, False),
        ("intercom-uri", None, None, None, True),
        ("answer-mode", None, None, "Auto", False),
        ("kazoo", f"<sip:{REALM}>;answer-after=0", "intercom", None, True),
    ],
)
def test_each_form_is_one_thing_in_the_invite(
    chosen: str, call_info: str | None, alert_info: str | None, answer_mode: str | None, in_uri: bool
) -> None:
    [endpoint] = called(given_phone("Yealink SIP-T46S", auto_answer=chosen), "desk")
    found = (header(endpoint, "Call-Info"), header(endpoint, "Alert-Info"), header(endpoint, "Answer-Mode"))
    assert found == (call_info, alert_info, answer_mode)
    assert endpoint.request_uri.endswith(";intercom=true") is in_uri
    assert endpoint.auto_answer is True


def test_a_phone_that_must_never_answer_by_itself_is_not_asked() -> None:
    [endpoint] = called(given_phone("snom760", auto_answer="none"), "desk", auto_answer=True)
    assert header(endpoint, "Call-Info") is header(endpoint, "Alert-Info") is None
    assert endpoint.auto_answer is False


def test_a_ringtone_stays_where_alert_info_is_not_needed() -> None:
    account = given_phone("snom760")
    account.given_device("desk", registered=False, ringtones={"internal": "bell"})
    account.given_binding("desk", "sip:desk@10.0.0.5:5062", user_agent="snom760")
    [endpoint] = called(account, "desk")
    assert header(endpoint, "Alert-Info") == "bell"


def test_of_several_phones_the_one_that_registered_last_answers() -> None:
    account = Account()
    account.given_extension("1002", "dev2")
    account.given_user("jane", "Jane", "Doe")
    for name, registered_at in (("desk", 100.0), ("mobile", 300.0), ("home", 200.0)):
        account.given_device(name, registered=False, owner="jane")
        account.given_binding(name, f"sip:{name}@10.0.0.5", registered_at=registered_at)
    asked = {
        endpoint.endpoint_id: endpoint.auto_answer for endpoint in called(account, "jane", auto_answer=True)
    }
    assert asked == {"desk": False, "mobile": True, "home": False}
    assert not any(endpoint.auto_answer for endpoint in called(account, "jane"))


def test_of_several_contacts_of_one_phone_the_last_answers() -> None:
    account = given_phone("snom760")
    account.given_binding("desk", "sip:desk@10.0.0.9:5062", registered_at=9e9)
    legs = called(account, "desk", auto_answer=True)
    assert [leg.auto_answer for leg in legs] == [False, True]
