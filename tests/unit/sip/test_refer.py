"""Refer-To, Replaces, Subscription-State and sipfrag, as phones write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.sip.errors import RemoteMalformed
from offhook.sip.refer import (
    MAX_TARGET_CHARS,
    ReferTo,
    Replaces,
    SubscriptionState,
    sipfrag,
    status_of_sipfrag,
)


def test_a_blind_target() -> None:
    assert ReferTo.parse("<sip:1003@acme.example.com>") == ReferTo("sip:1003@acme.example.com")


def test_a_target_without_brackets() -> None:
    assert ReferTo.parse("sip:1003@acme.example.com").uri == "sip:1003@acme.example.com"


def test_an_attended_target_names_a_dialog() -> None:
    """The example of RFC 3891 section 3, escaped into a URI."""
    refer_to = ReferTo.parse(
        '"Bob" <sips:3@example.org?Replaces=425928%40phone.example.org%3Bto-tag%3D7743%3Bfrom-tag%3D6472>'
    )
    assert refer_to.uri == "sips:3@example.org"
    assert refer_to.replaces == Replaces("425928@phone.example.org", "7743", "6472")


def test_other_headers_of_the_target_are_left_out() -> None:
    refer_to = ReferTo.parse("<sip:3@example.org?X-Evil=1&Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2&Route=x>")
    assert str(refer_to) == "<sip:3@example.org?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2>"


def test_a_target_may_name_another_method() -> None:
    refer_to = ReferTo.parse("<sip:3@example.org;method=BYE;transport=tcp>")
    assert (refer_to.uri, refer_to.method) == ("sip:3@example.org;transport=tcp", "BYE")


def test_replaces_with_odd_order_and_early_only() -> None:
    replaces = Replaces.parse("98732@sip.example.com ;from-tag=r33th4x0r ;to-tag=ff87ff;early-only")
    assert replaces == Replaces("98732@sip.example.com", "ff87ff", "r33th4x0r", early_only=True)


@pytest.mark.parametrize(
    "text", ["", ";to-tag=1;from-tag=2", "a;to-tag=1", "a;from-tag=2", "a b;to-tag=1;from-tag=2"]
)
def test_a_replaces_without_a_dialog_is_malformed(text: str) -> None:
    with pytest.raises(RemoteMalformed):
        Replaces.parse(text)


@pytest.mark.parametrize(
    "text", ["", "1003", "<>", "<sip:1@h?Replaces=nonsense>", "<sip:" + "9" * MAX_TARGET_CHARS]
)
def test_a_refer_to_that_is_none_is_malformed(text: str) -> None:
    with pytest.raises(RemoteMalformed):
        ReferTo.parse(text)


@given(st.text(max_size=80))
def test_no_text_makes_a_parser_stumble(text: str) -> None:
    for parse in (ReferTo.parse, Replaces.parse, SubscriptionState.parse):
        try:
            assert parse(str(parse(text))) == parse(text)
        except RemoteMalformed:
            continue


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("active;expires=60", SubscriptionState("active", 60)),
        ("Terminated;reason=noresource", SubscriptionState("terminated", None, "noresource")),
        ("pending", SubscriptionState("pending")),
    ],
)
def test_a_subscription_state(text: str, state: SubscriptionState) -> None:
    assert SubscriptionState.parse(text) == state
    assert str(SubscriptionState.parse(text)) == text.lower()


def test_a_report_tells_a_status() -> None:
    assert sipfrag(180, "Ringing") == b"SIP/2.0 180 Ringing\r\n"
    assert status_of_sipfrag(b"SIP/2.0 603 Declined\r\nWarning: x\r\n") == (603, "Declined")
    assert status_of_sipfrag(b"SIP/2.0 100") == (100, "")
    assert status_of_sipfrag(b"BYE sip:x SIP/2.0") is None


def test_a_reason_cannot_add_lines_to_a_report() -> None:
    assert sipfrag(500, "a\r\nEvil: 1") == b"SIP/2.0 500 a Evil: 1\r\n"
