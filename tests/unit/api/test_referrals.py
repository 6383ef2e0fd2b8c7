"""What becomes of a REFER: who may transfer whom where, and within which bounds (decisions 0014, 0019)."""

from typing import Any

import pytest

from offhook.calls.commands import AnswerReferral, DialLeg, LinkLegs, TellReferrer
from offhook.calls.events import LegEnded, LegEvent, LegReferred
from offhook.kernel import gregorian_s

from .node import ApiNode, TestAccount, settle


class Office:
    """Phones at 1001 to 1003, and a carrier for the rest."""

    def __init__(self, node: ApiNode, acme: TestAccount) -> None:
        self.node, self.acme = node, acme
        acme.given_two_phones()
        acme.given_phone("dev3", "1003")
        gateway = {"server": "carrier.example.com"}
        acme.created("resources", {"name": "Carrier", "gateways": [gateway], "rules": ["^\\+1(\\d{10})$"]})
        acme.created("callflows", {"numbers": ["no_match"], "flow": {"module": "resources", "data": {}}})
        self.button = acme.given_button()
        self.performed: list[Any] = []
        perform = node.phones.perform

        def note(command: Any) -> None:
            self.performed.append(command)
            perform(command)

        node.phones.perform = note  # type: ignore[method-assign]

    def connect(self, contact: str = "1002") -> list[str]:
        """Return both legs of a joined call."""
        path = f"{self.acme.base}/clicktocall/{self.button}/connect?contact={contact.replace('+', '%2B')}"
        call_id = self.node.get(path).data["call_id"]
        for _ in range(100):
            call = self.node.get(f"{self.acme.base}/calls/{call_id}").data
            if call["state"] == "bridged":
                return [leg["call_id"] for leg in call["legs"]]
        raise AssertionError(call)

    def refer(self, leg: str, target: str, **more: Any) -> list[int]:
        """Let a leg's phone ask for a transfer; return what it was answered and told."""
        self.performed.clear()
        self.report(LegReferred(leg, target.replace("REALM", self.acme.realm), **more))
        answers = AnswerReferral | TellReferrer
        return [command.sip_code for command in self.performed if isinstance(command, answers)]

    def report(self, event: LegEvent) -> None:
        """Let the engine tell something, and let all that comes of it happen."""

        async def tell() -> None:
            self.node.phones.report(event)

        self.node.run(tell())
        for _ in range(4):  # machines under load: several short rests
            settle(self.node)

    def dialled(self) -> list[str]:
        return [command.endpoint.request_uri for command in self.performed if isinstance(command, DialLeg)]


@pytest.fixture
def office(node: ApiNode, acme: TestAccount) -> Office:
    return Office(node, acme)


@pytest.mark.parametrize("target", ["sip:1003@REALM", "sip:1003@REALM;transport=tcp", "tel:1003"])
def test_a_phone_transfers_to_an_extension(office: Office, target: str) -> None:
    first, _ = office.connect()
    assert office.refer(first, target) == [202, 180, 200]
    assert office.dialled() == ["sip:dev3@10.0.0.5:5062"]


@pytest.mark.parametrize(
    "target", ["sip:1003@192.0.2.1", "sip:1003@192.0.2.1:5060;transport=tcp", "sip:1003@[2001:DB8::1]:5060"]
)
def test_a_phone_may_write_an_address_of_ours_for_the_realm(office: Office, target: str) -> None:
    first, _ = office.connect()
    assert office.refer(first, target) == [202, 180, 200]
    assert office.dialled() == ["sip:dev3@10.0.0.5:5062"]


def test_a_target_that_rings_nowhere_is_refused_before_anything_is_touched(office: Office) -> None:
    office.node.registered.remove(office.acme.realm, "dev3")
    first, _ = office.connect()
    assert office.refer(first, "sip:1003@REALM") == [480]
    assert office.dialled() == []


def test_a_phone_dials_out_by_transfer_only_where_the_account_says_so(office: Office) -> None:
    first, _ = office.connect()
    assert office.refer(first, "sip:+15551234567@REALM") == [403]
    office.node.patch(office.acme.base, {"dial_out": {"enabled": True}})
    assert office.refer(first, "sip:+15551234567@REALM") == [202, 180, 200]
    [uri] = office.dialled()
    assert uri.endswith("@carrier.example.com")


def test_transfers_to_outside_are_bounded_as_calls_are(office: Office) -> None:
    office.node.patch(office.acme.base, {"dial_out": {"enabled": True, "calls": 1}})
    first, _ = office.connect()
    assert office.refer(first, "sip:+15551234567@REALM")[0] == 202
    again, _ = office.connect()
    assert office.refer(again, "sip:+15551234568@REALM") == [503]


def test_a_phone_transfers_to_a_sip_uri_only_where_it_may_dial_out(office: Office) -> None:
    office.node.patch(office.acme.base, {"sip_uri_allow": ["far.example.org"]})
    first, _ = office.connect()
    assert office.refer(first, "sip:bob@far.example.org") == [403]
    assert office.refer(first, "sip:911@far.example.org") == [403]
    assert office.dialled() == []
    office.node.patch(office.acme.base, {"dial_out": {"enabled": True}})
    assert office.refer(first, "sip:bob@far.example.org") == [202, 180, 200]
    assert office.dialled() == ["sip:bob@far.example.org"]


def test_transfers_to_sip_uris_are_bounded_as_calls_are(office: Office) -> None:
    office.node.patch(
        office.acme.base, {"sip_uri_allow": ["far.example.org"], "dial_out": {"enabled": True, "calls": 1}}
    )
    first, _ = office.connect()
    assert office.refer(first, "sip:bob@far.example.org")[0] == 202
    again, _ = office.connect()
    assert office.refer(again, "sip:911@far.example.org") == [503]
    assert office.refer(again, "sip:+15551234567@REALM") == [503]


@pytest.mark.parametrize(
    "target", ["sip:1@evil.example.com", "sip:a%0d%0ab@REALM", "sip:@REALM", "http://x/"]
)
def test_a_target_that_may_not_be_is_refused(office: Office, target: str) -> None:
    first, _ = office.connect()
    [status] = office.refer(first, target)
    assert status in (403, 404, 484)
    assert office.dialled() == []


@pytest.mark.parametrize("why", ["disabled", "over"])
def test_phones_of_an_account_that_is_closed_transfer_nobody(office: Office, why: str) -> None:
    node, base = office.node, office.acme.base
    first, _ = office.connect()
    closed = (
        node.post(f"{base}/trial", {"expires": gregorian_s(0.0)})
        if why == "over"
        else node.patch(base, {"enabled": False})
    )
    assert closed.status == 200, closed.body
    assert office.refer(first, "sip:1003@REALM") == [403]
    assert office.dialled() == []


def test_a_carriers_leg_transfers_nobody(office: Office) -> None:
    _, second = office.connect("+15551234567")
    assert office.refer(second, "sip:1003@REALM") == [603]


def test_a_leg_that_talks_to_nobody_is_not_transferred(office: Office) -> None:
    office.node.phones.silent.add("dev2")
    path = f"{office.acme.base}/clicktocall/{office.button}/connect?contact=1002"
    call_id = office.node.get(path).data["call_id"]
    assert office.refer(call_id, "sip:1003@REALM") == [603]


def test_a_phone_that_hangs_up_meanwhile_is_told_no_more(office: Office) -> None:
    office.node.phones.silent.add("dev3")
    first, _ = office.connect()
    assert office.refer(first, "sip:1003@REALM") == [202, 180]
    office.report(LegEnded(first, "NORMAL_CLEARING", 200, "", by_peer=True))
    office.performed.clear()
    third = next(leg for leg in office.node.phones.dialed if "dev3" in leg.endpoint.request_uri)
    office.report(LegEnded(third.endpoint.leg_id, "USER_BUSY", 486, "Busy", by_peer=True))
    assert not [command for command in office.performed if isinstance(command, TellReferrer)]


def test_two_calls_of_a_phone_are_linked(office: Office) -> None:
    first, second = office.connect()
    consult, third = office.connect("1003")
    assert office.refer(first, "sip:1003@REALM", replaced_leg_id=consult) == [202, 200]
    assert LinkLegs(second, third) in office.performed
    left = {item["uuid"]: item["other_leg"] for item in office.node.get(f"{office.acme.base}/channels").data}
    assert left == {second: third, third: second}
    office.report(LegEnded(third, "NORMAL_CLEARING", 200, "", by_peer=True))
    assert office.node.get(f"{office.acme.base}/channels").data == []
    history = office.node.get(f"{office.acme.base}/clicktocall/{office.button}/history").data
    assert [item["outcome"] for item in history] == ["connected", "connected"]


def test_the_call_of_another_phone_is_not_linked(office: Office) -> None:
    first, second = office.connect()
    _, third = office.connect("1003")
    assert office.refer(first, "sip:1003@REALM", replaced_leg_id=third) == [603]
    assert office.refer(first, "sip:1003@REALM", replaced_leg_id=second) == [603]


def test_a_dialog_elsewhere_is_named_to_the_target(office: Office) -> None:
    first, _ = office.connect()
    replaces = "a@b;to-tag=1;from-tag=2"
    assert office.refer(first, "sip:1003@REALM", replaces=replaces)[0] == 202
    [dial] = [command for command in office.performed if isinstance(command, DialLeg)]
    assert ("Replaces", replaces) in dial.endpoint.headers
    assert ("Require", "replaces") in dial.endpoint.headers
