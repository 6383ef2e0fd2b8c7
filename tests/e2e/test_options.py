"""Options of connect and quickcall as SIPp far ends see them on the wire (docs/reference/options.md)."""

import re
from typing import Any

import pytest

from .conftest import FarEnd
from .harness import Account, Sipp
from .harness.far_ends import ANSWERS, RINGS_FOR_EVER
from .harness.ports import HOST
from .harness.waiting import wait_for

pytestmark = pytest.mark.needs("sipp")

NUMBER = "+15551234567"


class Pair:
    """Extensions 1001 and 1002, and what their phones were sent."""

    def __init__(self, far_end: FarEnd, account: Account, **device: Any) -> None:
        self.account = account
        self.first = far_end(ANSWERS)
        self.second = far_end(ANSWERS)
        self.first_id = account.create_static_phone("phone1001", self.first.uri, **device)
        self.second_id = account.create_static_phone("phone1002", self.second.uri)
        account.create_extension("1001", self.first_id)
        account.create_extension("1002", self.second_id)

    def connect(self, contact: str = "1002", query: dict[str, str] | None = None, **button: Any) -> str:
        return self.account.connect(self.account.create_button("1001", **button), contact, **(query or {}))

    def quickcall(self, number: str = "1002", **query: str) -> str:
        answer = self.account.quickcall(self.first_id, number, **query).expect(202)
        return str(answer.data["call_id"])

    def invites(self, call_id: str) -> tuple[str, str]:
        """Return the INVITEs of the extension's and of the contact's phone, once both are joined."""
        self.account.wait_for_time(call_id, "bridged")
        self.account.hang_up(call_id)
        self.account.wait_for_outcome(call_id)
        return self.first.received("INVITE")[0], self.second.received("INVITE")[0]


@pytest.fixture
def pair(far_end: FarEnd, account: Account) -> Pair:
    return Pair(far_end, account)


def field(message: str, name: str) -> str | None:
    """Return the value of a header field of a raw message, or None."""
    values = re.findall(rf"^{re.escape(name)}:[ \t]*(.*?)\r?$", message, re.MULTILINE | re.IGNORECASE)
    assert len(values) <= 1, f"{name} twice"
    return values[0] if values else None


def caller(invite: str) -> tuple[str, str]:
    """Return display name and user part of From."""
    found = re.match(r'(?:"([^"]*)"|([^<]*?))\s*<sip:([^@]*)@', field(invite, "From") or "")
    assert found is not None, field(invite, "From")
    return found[1] or found[2], found[3]


# --- connect --------------------------------------------------------------------------------------------


def test_each_party_sees_the_other(pair: Pair) -> None:
    first, second = pair.invites(pair.connect())
    assert caller(first) == ("Call 1001", "1002")
    assert caller(second) == ("1001", "1001")


def test_caller_and_callee_ids_of_the_button(pair: Pair) -> None:
    ids = {
        "caller_id_number": "+15550000001",
        "outbound_callee_id_name": "Acme Sales",
        "outbound_callee_id_number": "+15550000002",
    }
    first, second = pair.invites(pair.connect(**ids))
    assert caller(first) == ("Call 1001", "+15550000001")
    assert caller(second) == ("Acme Sales", "+15550000002")


def test_dial_first_contact(pair: Pair) -> None:
    call_id = pair.connect(dial_first="contact")
    extension, contact = pair.invites(call_id)
    assert field(contact, "Call-ID") == call_id  # the first party's leg has the id of the call
    assert field(extension, "Call-ID") != call_id
    assert caller(contact) == ("1001", "1001")
    assert field(extension, "Call-Info") is not None
    assert field(contact, "Call-Info") is None


def test_auto_answer(pair: Pair) -> None:
    first, second = pair.invites(pair.connect())
    assert field(first, "Call-Info") == f"<sip:{pair.account.realm}>;answer-after=0"
    assert field(first, "Alert-Info") == "intercom"
    assert first.splitlines()[0].endswith(";intercom=true SIP/2.0")
    assert field(second, "Call-Info") is field(second, "Alert-Info") is None


def test_auto_answer_false(pair: Pair) -> None:
    first, _ = pair.invites(pair.connect(query={"auto_answer": "false"}))
    assert field(first, "Call-Info") is field(first, "Alert-Info") is None
    assert "intercom" not in first


def test_custom_sip_headers(pair: Pair) -> None:
    headers = {"X-Flat": "flat", "in": {"X-In": "in"}, "out": {"X-Out": "out"}}
    first, second = pair.invites(pair.connect(custom_sip_headers=headers))
    assert [field(first, name) for name in ("X-Flat", "X-In", "X-Out")] == ["flat", None, "out"]
    assert [field(second, name) for name in ("X-Flat", "X-In", "X-Out")] == ["flat", "in", "out"]


def test_presence_id_and_address_of_record(pair: Pair) -> None:
    first, second = pair.invites(pair.connect(presence_id="sales"))
    assert field(first, "X-KAZOO-Presence-ID") == f"sales@{pair.account.realm}"
    assert field(second, "X-KAZOO-Presence-ID") == f"phone1002@{pair.account.realm}"
    assert field(first, "X-KAZOO-AOR") == f"sip:phone1001@{pair.account.realm}"


def test_variables_reach_every_cdr(pair: Pair) -> None:
    call_id = pair.connect(
        query={"campaign": "may"}, custom_application_vars={"team": "sales", "campaign": "x"}
    )
    pair.invites(call_id)
    interaction_id = pair.account.call(call_id)["interaction_id"]
    cdrs = wait_for(
        lambda: pair.account.cdrs(interaction_id), timeout_s=5.0, what="the CDRs of the interaction"
    )
    variables = [cdr["custom_application_vars"] for cdr in cdrs]
    assert variables == [{"team": "sales", "campaign": "may", "contact": "1002"}] * 2


def test_timeout_bounds_each_party(far_end: FarEnd, account: Account) -> None:
    never = far_end(RINGS_FOR_EVER)
    account.create_extension("1001", account.create_static_phone("phone1001", never.uri))
    call = account.wait_for_outcome(account.connect(account.create_button("1001", timeout=1), "1002"))
    assert (call["outcome"], call["party"], call["hangup_cause"]) == ("no_answer", "first", "NO_ANSWER")
    never.assert_clean()


def test_a_sip_uri_contact_is_rung_where_the_account_allows(far_end: FarEnd, account: Account) -> None:
    account.client.request("PATCH", f"/v2/accounts/{account.id}", {"sip_uri_allow": [HOST]}).expect(200)
    phone, friend = far_end(ANSWERS), far_end(ANSWERS)
    account.create_extension("1001", account.create_static_phone("phone1001", phone.uri))
    call_id = account.connect(account.create_button("1001"), f"sip:bob+home@{HOST}:{friend.port}")
    account.wait_for_time(call_id, "bridged")
    account.hang_up(call_id)
    (invite,) = friend.received("INVITE")
    assert invite.startswith(f"INVITE sip:bob+home@{HOST}:{friend.port} SIP/2.0")
    assert field(invite, "To") == f"<sip:bob+home@{HOST}:{friend.port}>"


# --- quickcall ------------------------------------------------------------------------------------------


def test_the_phone_shows_device_quickcall_and_the_number(pair: Pair) -> None:
    call_id = pair.quickcall("(415) 886-7900")
    call = wait_for(
        lambda: view if "first_answered" in (view := pair.account.call(call_id))["times"] else None,
        timeout_s=10.0,
        what="the phone to answer",
    )
    assert call["parties"][1]["number"] == "+14158867900"
    assert caller(pair.first.received("INVITE")[0]) == ("Device QuickCall", "+14158867900")


def test_cid_name_and_cid_number(pair: Pair) -> None:
    call_id = pair.quickcall(**{"cid-name": "Support Desk", "cid-number": "+15550000003"})
    first, second = pair.invites(call_id)
    assert caller(first) == ("Device QuickCall", "1002")
    assert caller(second) == ("Support Desk", "+15550000003")


def test_number_filter_with_a_pattern(pair: Pair) -> None:
    _, second = pair.invites(pair.quickcall("ext-1002-desk", number_filter=r"(\d{4})"))
    assert second


def test_quickcall_auto_answer(far_end: FarEnd, account: Account) -> None:
    first, _ = (pair := Pair(far_end, account)).invites(pair.quickcall())
    assert field(first, "Call-Info") == f"<sip:{account.realm}>;answer-after=0"


def test_quickcall_timeout(far_end: FarEnd, account: Account) -> None:
    never = far_end(RINGS_FOR_EVER)
    device_id = account.create_static_phone("phone1001", never.uri)
    answer = account.quickcall(device_id, "1002", method="POST", timeout="3").expect(500)
    assert answer.data["error_message"] == "NO_ANSWER"
    never.assert_clean()


def test_target_call_id_shares_the_interaction(far_end: FarEnd, account: Account) -> None:
    pair = Pair(far_end, account)
    first_call = pair.connect()
    account.wait_for_time(first_call, "bridged")
    other = far_end(ANSWERS)
    device_id = account.create_static_phone("phone1003", other.uri)
    answer = account.quickcall(device_id, "1009", target_call_id=first_call).expect(202)
    assert answer.data["existing_call_id"] == first_call
    joined = account.call(answer.data["call_id"])
    assert joined["interaction_id"] == account.call(first_call)["interaction_id"]
    account.hang_up(first_call)


# --- devices and carriers -------------------------------------------------------------------------------


def test_device_headers_codecs_and_ringtone(far_end: FarEnd, account: Account) -> None:
    phone = far_end(ANSWERS)
    sip = {
        "username": "phone1001", "password": "never-used", "invite_format": "route", "route": phone.uri,
        "custom_sip_headers": {"out": {"X-Desk": "7"}},
    }  # fmt: skip
    device = {
        "name": "desk", "sip": sip, "ringtones": {"internal": "chime"},
        "media": {"audio": {"codecs": ["PCMU"]}},
    }  # fmt: skip
    account.create_extension("1001", account.create("devices", device))
    call_id = account.connect(account.create_button("1001"), "1002", auto_answer="false")
    account.wait_for_outcome(call_id)
    (invite,) = phone.received("INVITE")
    assert (field(invite, "X-Desk"), field(invite, "Alert-Info")) == ("7", "chime")
    assert re.search(r"m=audio \d+ RTP/AVP 0\b", invite)
    assert "PCMA" not in invite


def test_outbound_privacy_towards_a_carrier(far_end: FarEnd, account: Account) -> None:
    options = {"caller_id_options": {"outbound_privacy": "full"}}
    account.client.request("PATCH", f"/v2/accounts/{account.id}", options).expect(200)
    phone, carrier = far_end(ANSWERS), far_end(ANSWERS)
    account.create_extension("1001", account.create_static_phone("phone1001", phone.uri))
    create_carrier(account, carrier)
    button = account.create_button("1001", outbound_callee_id_number="+15550000002")
    call_id = account.connect(button, NUMBER)
    account.wait_for_time(call_id, "bridged")
    account.hang_up(call_id)
    (invite,) = carrier.received("INVITE")
    assert (field(invite, "From") or "").startswith('"Anonymous" <sip:anonymous@anonymous.invalid>')
    assert field(invite, "Privacy") == "id"
    assert field(invite, "P-Asserted-Identity") == f'"1001" <sip:+15550000002@{account.realm}>'


def create_carrier(account: Account, carrier: Sipp) -> None:
    """Send all numbers that no callflow has to this carrier."""
    gateways = [{"server": HOST, "port": carrier.port}]
    account.create("resources", {"name": "Carrier", "gateways": gateways, "rules": [r"^(\+\d+)$"]})
    flow = {"module": "resources", "data": {}, "children": {}}
    account.create("callflows", {"numbers": ["no_match"], "flow": flow})
