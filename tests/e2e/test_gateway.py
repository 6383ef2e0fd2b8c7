"""SIPp as a carrier gateway: digest, number rewriting, failover."""

import hashlib
import re
from typing import Any

import pytest

from .conftest import FarEnd
from .harness import Account, RtpEndpoint, Sipp
from .harness.far_ends import ANSWERS, BUSY, OVERLOADED, gateway, proxy
from .harness.ports import HOST
from .harness.scenario import Scenario, receive_invite, refuse, scenario

pytestmark = pytest.mark.needs("sipp")

NUMBER = "+15551234567"
LOGIN = {"username": "trunk1", "password": "trunk-secret"}


def create_carrier(account: Account, *gateways: Sipp, **more: Any) -> str:
    """Send all North American numbers through these gateways, in this order."""
    entries = [{"server": HOST, "port": each.port, **more} for each in gateways]
    return account.create("resources", {"name": "Carrier", "gateways": entries, "rules": [r"^(\+1\d{10})$"]})


def create_caller(far_end: FarEnd, account: Account, media: RtpEndpoint | None = None) -> tuple[Sipp, str]:
    """Return extension 1001, and a button that rings it first."""
    phone = far_end(ANSWERS, media=media)
    account.create_extension("1001", account.create_static_phone("phone1001", phone.uri))
    flow = {"module": "resources", "data": {}, "children": {}}
    account.create("callflows", {"numbers": ["no_match"], "flow": flow})
    return phone, account.create_button("1001")


def test_call_goes_out_through_a_carrier_with_digest(far_end: FarEnd, account: Account) -> None:
    with RtpEndpoint(440) as low, RtpEndpoint(1000) as high:
        carrier = far_end(gateway(**LOGIN), media=high)
        create_carrier(account, carrier, **LOGIN)
        phone, button = create_caller(far_end, account, low)
        call_id = account.connect(button, NUMBER)
        low.send_to(*phone.offered_audio())
        high.send_to(*carrier.offered_audio())
        low.wait_until_hears(1000)
        high.wait_until_hears(440)
        account.hang_up(call_id)
        assert account.wait_for_outcome(call_id)["outcome"] == "connected"
        carrier.assert_clean()
        phone.assert_clean()
        assert carrier.received("INVITE")[0].startswith(f"INVITE sip:{NUMBER}@{HOST}:{carrier.port}")


def test_wrong_password_is_the_carriers_refusal(far_end: FarEnd, account: Account) -> None:
    carrier = far_end(gateway(**LOGIN))
    create_carrier(account, carrier, username="trunk1", password="wrong-secret")
    phone, button = create_caller(far_end, account)
    call = account.wait_for_outcome(account.connect(button, NUMBER))
    assert (call["outcome"], call["hangup_cause"], call["sip_code"], call["by"]) == (
        "failed",
        "CALL_REJECTED",
        401,
        "carrier",
    )
    carrier.assert_clean()
    phone.assert_clean()


def test_proxy_challenge_is_answered(far_end: FarEnd, account: Account) -> None:
    carrier = far_end(proxy(realm="proxy.test"))
    create_carrier(account, carrier, **LOGIN)
    phone, button = create_caller(far_end, account)
    call_id = account.connect(button, NUMBER)
    account.wait_for_time(call_id, "bridged")
    account.hang_up(call_id)
    account.wait_for_outcome(call_id)
    assert digest_is_right(carrier.received("INVITE")[1], **LOGIN)
    carrier.assert_clean()
    phone.assert_clean()


def digest_is_right(invite: str, *, username: str, password: str) -> bool:
    """Check Proxy-Authorization as RFC 2617 section 3.2.2 says."""
    [line] = re.findall(r"^Proxy-Authorization: *Digest (.*?)\r?$", invite, re.MULTILINE | re.IGNORECASE)
    given = {name: value.strip('"') for name, value in re.findall(r'(\w+)=("[^"]*"|[^,\s]+)', line)}

    def md5(*parts: str) -> str:
        return hashlib.md5(":".join(parts).encode()).hexdigest()

    secret = md5(username, given["realm"], password)
    expected = md5(
        secret, given["nonce"], given["nc"], given["cnonce"], given["qop"], md5("INVITE", given["uri"])
    )
    return bool(given["username"] == username and given["response"] == expected)


def test_next_gateway_is_tried_when_one_is_overloaded(far_end: FarEnd, account: Account) -> None:
    overloaded, carrier = far_end(OVERLOADED), far_end(ANSWERS)
    create_carrier(account, overloaded, carrier)
    phone, button = create_caller(far_end, account)
    call_id = account.connect(button, NUMBER)
    account.wait_for_time(call_id, "bridged")
    account.hang_up(call_id)
    assert account.wait_for_outcome(call_id)["outcome"] == "connected"
    for each in (overloaded, carrier, phone):
        each.assert_clean()


def test_busy_number_is_not_tried_through_the_next_gateway(far_end: FarEnd, account: Account) -> None:
    busy, spare = far_end(BUSY), far_end(ANSWERS)
    create_carrier(account, busy, spare)
    phone, button = create_caller(far_end, account)
    call = account.wait_for_outcome(account.connect(button, NUMBER))
    assert (call["outcome"], call["hangup_cause"]) == ("busy", "USER_BUSY")
    assert not spare.received("INVITE")
    busy.assert_clean()
    phone.assert_clean()


def test_number_is_sent_with_prefix_and_capture(far_end: FarEnd, account: Account) -> None:
    carrier = far_end(BUSY)
    entry = {"server": HOST, "port": carrier.port, "prefix": "77", "suffix": "#9"}
    account.create("resources", {"name": "Carrier", "gateways": [entry], "rules": [r"^\+1(\d{10})$"]})
    _, button = create_caller(far_end, account)
    account.wait_for_outcome(account.connect(button, NUMBER))
    [invite] = carrier.received("INVITE")
    user = invite.split()[1].removeprefix("sip:").partition("@")[0]
    assert user in ("775551234567%239", "775551234567#9")


def test_a_carrier_that_asks_for_a_pause_is_passed_over(far_end: FarEnd, account: Account) -> None:
    full = scenario(
        "is full for a minute",
        receive_invite(),
        *refuse(503, "Service Unavailable", headers=("Retry-After: 60 (maintenance)",)),
    )
    first, second = far_end(full), far_end(ANSWERS, calls=2)
    create_carrier(account, first, second)
    phone = far_end(ANSWERS, calls=2)
    account.create_extension("1001", account.create_static_phone("phone1001", phone.uri))
    account.create(
        "callflows", {"numbers": ["no_match"], "flow": {"module": "resources", "data": {}, "children": {}}}
    )
    button = account.create_button("1001")
    for number in (NUMBER, "+15551234568"):  # a 503 speaks for the server, whatever the number
        call_id = account.connect(button, number)
        account.wait_for_time(call_id, "bridged")
        account.hang_up(call_id)
        assert account.wait_for_outcome(call_id)["outcome"] == "connected"
    assert len(first.received("INVITE")) == 1
    for peer in (first, second, phone):
        peer.assert_clean()


def test_a_cause_in_a_refusal_says_more_than_its_status(far_end: FarEnd, account: Account) -> None:
    busy = scenario(
        "says busy in its own way",
        receive_invite(),
        *refuse(503, "Sorry", headers=("Reason: Q.850;cause=17",)),
    )
    carrier = far_end(busy)
    create_carrier(account, carrier)
    phone, button = create_caller(far_end, account)
    call = account.wait_for_outcome(account.connect(button, NUMBER))
    assert (call["outcome"], call["hangup_cause"], call["sip_code"]) == ("busy", "USER_BUSY", 503)
    assert 'Reason: Q.850;cause=17;text="USER_BUSY", SIP;cause=486' in phone.wait_received("BYE")
    carrier.assert_clean()
    phone.assert_clean()


def moved_to(port: str) -> Scenario:
    """A carrier that names another server, and a worse one, which is not allowed."""
    contacts = f"<sip:elsewhere@192.0.2.1>;q=1.0, <sip:{NUMBER}@{HOST}:{port}>;q=0.5"
    return scenario("has moved", receive_invite(), *refuse(302, "Moved Temporarily", contact=contacts))


def test_a_redirect_is_followed_where_the_gateway_says_so(far_end: FarEnd, account: Account) -> None:
    there = far_end(ANSWERS)
    carrier = far_end(moved_to(str(there.port)))
    create_carrier(account, carrier, follow_redirects=True)
    phone, button = create_caller(far_end, account)
    call_id = account.connect(button, NUMBER)
    account.wait_for_time(call_id, "bridged")
    account.hang_up(call_id)
    call = account.wait_for_outcome(call_id)
    assert call["outcome"] == "connected"
    invite = there.received("INVITE")[0]
    assert invite.startswith(f"INVITE sip:{NUMBER}@{HOST}:{there.port}")
    assert f"Diversion: <sip:{NUMBER}@{HOST}:{carrier.port}>;reason=unconditional;counter=1" in invite
    assert "index=1.1;mp=1" in invite
    steps = [step for step in account.get("calls", call_id, "timeline") if step["what"] == "leg_redirected"]
    assert [step["uri"] for step in steps] == [f"sip:{NUMBER}@{HOST}:{there.port}"]
    for peer in (carrier, there, phone):
        peer.assert_clean()


def test_a_redirect_is_not_followed_unless_it_is_allowed(far_end: FarEnd, account: Account) -> None:
    carrier = far_end(moved_to("9"))
    create_carrier(account, carrier)
    phone, button = create_caller(far_end, account)
    call = account.wait_for_outcome(account.connect(button, NUMBER))
    assert (call["outcome"], call["hangup_cause"], call["sip_code"]) == (
        "failed",
        "REDIRECTION_TO_NEW_DESTINATION",
        302,
    )
    carrier.assert_clean()
    phone.assert_clean()
