"""What is read in a caller's INVITE, and how a call that is not made is refused."""

import pytest

from offhook.app.errors import CallLimitReached, CallRefused, Overloaded, StorageLost, TooManyRequests
from offhook.app.planning import CallerId, DialOutBarred, NumberInvalid, NumberUnknown
from offhook.engines.embedded.inbound_invites import caller_of, is_private, number_of, refusal_of
from offhook.sip.errors import RemoteMalformed
from offhook.sip.message import Headers, Request


def invite(**headers: str) -> Request:
    request = Request("INVITE", "sip:1002@acme.example.com", Headers())
    fields = {"From": '"Jane" <sip:1001@acme.example.com>;tag=a'} | headers
    for name, value in fields.items():
        request.headers.add(name.replace("_", "-"), value)
    return request


@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("sip:1002@acme.example.com", "1002"),
        ("sip:+15551234567@192.0.2.1:5060;user=phone", "+15551234567"),
        ("sip:+15551234567;npdi;rn=+1555@192.0.2.1", "+15551234567"),
        ("sip:%2A97@acme.example.com", "*97"),
        ("sips:1002:secret@acme.example.com", "1002"),
        ("tel:+1-555-123-4567;phone-context=example.com", "+1-555-123-4567"),
        ("sip:acme.example.com", ""),
    ],
)
def test_the_number_that_is_dialled(uri: str, number: str) -> None:
    assert number_of(uri) == number


def test_a_uri_of_another_kind_is_malformed() -> None:
    with pytest.raises(RemoteMalformed):
        number_of("http://acme.example.com/")


def test_a_carrier_is_believed_what_it_asserts() -> None:
    request = invite(P_Asserted_Identity='"Joan" <tel:+15557654321>')
    assert caller_of(request, asserted=True) == CallerId("Joan", "+15557654321")
    assert caller_of(request, asserted=False) == CallerId("Jane", "1001")


def test_a_caller_that_hides_has_no_number() -> None:
    request = invite(From='"Anonymous" <sip:anonymous@anonymous.invalid>;tag=a')
    assert caller_of(request, asserted=True).number == ""


@pytest.mark.parametrize(
    ("privacy", "hides"), [("id", True), ("user; id", True), ("Header", True), ("none", False), ("", False)]
)
def test_who_wants_to_be_hidden(privacy: str, hides: bool) -> None:
    assert is_private(invite(Privacy=privacy) if privacy else invite()) is hides


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (NumberUnknown("1999"), 404),
        (NumberInvalid("x y", field="number", reason="no number"), 484),
        (DialOutBarred("1999", classifier="international"), 403),
    ],
)
def test_the_status_of_a_number_that_leads_nowhere(refusal: Exception, status: int) -> None:
    assert refusal_of(refusal) == (status, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [TooManyRequests, Overloaded, CallLimitReached, CallRefused, StorageLost])
def test_a_caller_may_come_again_when_there_was_no_room(kind: type[Exception]) -> None:
    refusal = kind.__new__(kind)
    refusal.retry_after_s = 7.0  # type: ignore[attr-defined]
    status, retry_s = refusal_of(refusal)  # type: ignore[arg-type]
    assert status == 503
    assert retry_s > 0
