"""Transfers asked for by phones that nobody here wrote: SIPp scenarios, and baresip's own command."""

import re
from pathlib import Path

import pytest

from .conftest import FarEnd
from .harness import Account, Baresip, RtpEndpoint, Server, Sipp
from .harness.far_ends import ANSWERS, BUSY, REINVITED
from .harness.scenario import (
    ANSWER,
    END_BY_BYE,
    RING,
    Scenario,
    answer_invite,
    answer_last,
    pause,
    receive,
    receive_invite,
    receive_response,
    request,
    scenario,
)
from .harness.waiting import wait_for

REPORT = (receive("NOTIFY"), answer_last())

RINGS_A_MOMENT = scenario(
    "rings for a moment, answers and waits to be hung up",
    receive_invite(),
    answer_invite(180, "Ringing"),
    pause(700),
    ANSWER,
    receive("ACK"),
    *END_BY_BYE,
)


def refers(to: str, *after: str, wait_ms: int = 1500, headers: tuple[str, ...] = ()) -> Scenario:
    """Answers, and asks for a transfer after a while; `after` is what it must see then."""
    return scenario(
        "asks for a transfer",
        receive_invite(),
        RING,
        ANSWER,
        receive("ACK"),
        pause(wait_ms),
        request("REFER", cseq=1, headers=(f"Refer-To: {to}", *headers)),
        *after,
    )


def reports_of(sipp: Sipp) -> list[str]:
    """Return the first line of each report, with the state of its subscription."""
    found = []
    for text in sipp.received("NOTIFY"):
        state = re.search(r"^Subscription-State: (\w+)", text, re.MULTILINE)
        assert state is not None
        assert re.search(r"^Event: refer", text, re.MULTILINE)
        assert "message/sipfrag" in text
        found.append(f"{state[1]}: {text.strip().splitlines()[-1]}")
    return found


class Desks:
    """1001 to 1003 are SIPp far ends of devices that are reached at fixed addresses."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.ids: dict[str, str] = {}

    def sit(self, number: str, sipp: Sipp) -> None:
        self.ids[number] = self.account.create_static_phone(f"phone{number}", sipp.uri)
        self.account.create_extension(number, self.ids[number])

    def connect(self, first: str, second: str) -> str:
        answer = self.account.quickcall(self.ids[first], second).expect(202)
        return str(answer.data["call_id"])


@pytest.mark.needs("sipp")
def test_sipp_transfers_blind_and_those_left_hear_each_other(far_end: FarEnd, account: Account) -> None:
    asks = refers(
        f"<sip:1003@{account.realm}>", receive_response(202), *REPORT, *REPORT, *REPORT, *END_BY_BYE
    )
    with RtpEndpoint(440) as low, RtpEndpoint(1000) as high:
        first, second, third = far_end(asks), far_end(ANSWERS, media=low), far_end(RINGS_A_MOMENT, media=high)
        desks = Desks(account)
        for number, sipp in (("1001", first), ("1002", second), ("1003", third)):
            desks.sit(number, sipp)
        call_id = desks.connect("1001", "1002")
        low.send_to(*second.offered_audio())
        high.send_to(*third.offered_audio(timeout_s=20))
        low.wait_until_hears(1000)
        high.wait_until_hears(440)
        invite = third.wait_received("INVITE")
        assert f"Referred-By: <sip:phone1001@{account.realm}>" in invite
        account.hang_up(call_id)
        call = account.wait_for_outcome(call_id)
    assert (call["outcome"], call["by"]) == ("connected", "api")
    assert reports_of(first) == [
        "active: SIP/2.0 100 Trying",
        "active: SIP/2.0 180 Ringing",
        "terminated: SIP/2.0 200 OK",
    ]
    for sipp in (first, second, third):
        sipp.assert_clean()


@pytest.mark.needs("sipp")
def test_sipp_is_told_that_the_target_is_busy_and_talks_on(far_end: FarEnd, account: Account) -> None:
    asks = refers(f"<sip:1003@{account.realm}>", receive_response(202), *REPORT, *REPORT, *END_BY_BYE)
    first, second, third = far_end(asks), far_end(ANSWERS), far_end(BUSY)
    desks = Desks(account)
    for number, sipp in (("1001", first), ("1002", second), ("1003", third)):
        desks.sit(number, sipp)
    call_id = desks.connect("1001", "1002")
    wait_for(lambda: len(first.received("NOTIFY")) == 2, timeout_s=15, what="the last report")
    assert reports_of(first)[-1] == "terminated: SIP/2.0 486 Busy Here"
    assert account.call(call_id)["state"] == "bridged"
    account.hang_up(call_id)
    assert account.wait_for_outcome(call_id)["outcome"] == "connected"
    for sipp in (first, second, third):
        sipp.assert_clean()


@pytest.mark.needs("sipp")
def test_a_referral_without_reports_is_done_without_them(far_end: FarEnd, account: Account) -> None:
    asks = refers(
        f"<sip:1003@{account.realm}>", receive_response(202), *END_BY_BYE, headers=("Refer-Sub: false",)
    )
    first, second, third = far_end(asks), far_end(ANSWERS), far_end(ANSWERS)
    desks = Desks(account)
    for number, sipp in (("1001", first), ("1002", second), ("1003", third)):
        desks.sit(number, sipp)
    call_id = desks.connect("1001", "1002")
    first.assert_clean(timeout_s=20)
    assert first.received("NOTIFY") == []
    account.hang_up(call_id)
    assert account.wait_for_outcome(call_id)["outcome"] == "connected"
    second.assert_clean()
    third.assert_clean()


@pytest.mark.needs("sipp")
@pytest.mark.parametrize(
    ("refer_to", "status"),
    [("nonsense", 400), ("<sip:1003@REALM;method=SUBSCRIBE>", 501), ("<sip:1003@203.0.113.9>", 403)],
)
def test_a_referral_that_means_nothing_is_refused(
    far_end: FarEnd, account: Account, refer_to: str, status: int
) -> None:
    asks = refers(
        refer_to.replace("REALM", account.realm), receive_response(status), *END_BY_BYE, wait_ms=700
    )
    first, second = far_end(asks), far_end(ANSWERS)
    desks = Desks(account)
    desks.sit("1001", first)
    desks.sit("1002", second)
    call_id = desks.connect("1001", "1002")
    wait_for(lambda: first.received(f"SIP/2.0 {status}"), timeout_s=15, what="the refusal")
    assert account.call(call_id)["state"] == "bridged"
    account.hang_up(call_id)
    assert account.wait_for_outcome(call_id)["outcome"] == "connected"
    first.assert_clean()
    second.assert_clean()


@pytest.mark.needs("sipp")
def test_only_phones_of_the_account_transfer(far_end: FarEnd, account: Account) -> None:
    """A carrier's REFER would ring somebody at the account's cost."""
    carrier = far_end(refers(f"<sip:1003@{account.realm}>", receive_response(603), *END_BY_BYE, wait_ms=700))
    phone = far_end(ANSWERS)
    desks = Desks(account)
    desks.sit("1001", phone)
    gateway = {"server": "127.0.0.1", "port": carrier.port}
    account.create("resources", {"name": "Carrier", "gateways": [gateway], "rules": ["^\\+1(\\d{10})$"]})
    account.create("callflows", {"numbers": ["no_match"], "flow": {"module": "resources", "data": {}}})
    call_id = desks.connect("1001", "+15551234567")
    wait_for(lambda: carrier.received("SIP/2.0 603"), timeout_s=15, what="the refusal")
    account.hang_up(call_id)
    assert account.wait_for_outcome(call_id)["outcome"] == "connected"
    carrier.assert_clean()
    phone.assert_clean()


@pytest.mark.needs("sipp")
def test_sipp_transfers_attended(far_end: FarEnd, account: Account) -> None:
    """Two legs of one device: the second call names the dialog of the first."""
    with RtpEndpoint(440) as low, RtpEndpoint(1000) as high:
        asked = far_end(ANSWERS)
        second = far_end(ANSWERS, media=low)
        third = far_end(REINVITED, media=high)
        desks = Desks(account)
        for number, sipp in (("1001", asked), ("1002", second), ("1003", third)):
            desks.sit(number, sipp)
        consult = desks.connect("1001", "1003")
        third.wait_received("ACK")
        invite = asked.wait_received("INVITE")
        call_id = _field(invite, "Call-ID: (\\S+)")
        ours, theirs = (
            _field(invite, "From: .*;tag=(\\S+)"),
            _field(asked.sent("SIP/2.0 200")[0], "To: .*;tag=(\\S+)"),
        )
        replaces = f"{call_id}%3Bto-tag%3D{ours}%3Bfrom-tag%3D{theirs}"
        asks = refers(
            f"<sip:1003@{account.realm}?Replaces={replaces}>",
            receive_response(202), *REPORT, *REPORT, *END_BY_BYE,
        )  # fmt: skip
        referrer = far_end(asks)
        path = account.path("devices", desks.ids["1001"])
        route = {"sip": {"route": referrer.uri}}
        account.client.request("PATCH", path, route).expect(200)
        there = desks.connect("1001", "1002")
        asked.assert_clean(timeout_s=20)
        referrer.assert_clean(timeout_s=20)
        low.send_to(*second.offered_audio())
        moved = third.received("INVITE")[-1]
        high.send_to("127.0.0.1", int(_field(moved, "m=audio (\\d+)")))
        low.wait_until_hears(1000)
        high.wait_until_hears(440)
        account.hang_up(there)
        for call in (there, consult):
            assert account.wait_for_outcome(call)["outcome"] == "connected"
    assert reports_of(referrer)[-1] == "terminated: SIP/2.0 200 OK"
    second.assert_clean()
    third.assert_clean()


def _field(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, text
    return found[1]


@pytest.mark.needs("baresip")
@pytest.mark.parametrize("dials", [False, True])
def test_baresip_transfers_blind(server: Server, account: Account, tmp_path: Path, dials: bool) -> None:
    """A call that was made for it, and one that it has dialled itself."""

    def phone(number: str, tone_hz: float) -> Baresip:
        folder = tmp_path / number
        folder.mkdir()
        device = account.create_phone(f"phone{number}", f"secret-{number}")
        account.create_extension(number, device)
        return Baresip(
            folder, username=f"phone{number}", password=f"secret-{number}", realm=account.realm,
            registrar_port=server.sip_port, tone_hz=tone_hz,
        )  # fmt: skip

    with phone("1001", 440) as first, phone("1002", 1000) as second, phone("1003", 1600) as third:
        account.wait_registered("phone1001", "phone1002", "phone1003")
        if dials:
            first.dial("1002")
            call_id = wait_for(lambda: _origin_of_a_channel(account), timeout_s=20, what="the dialled call")
        else:
            call_id = account.connect(account.create_button("1001"), "1002")
        first.wait_until_heard(1000, timeout_s=40)
        second.wait_until_heard(440, timeout_s=40)
        first.command("transfer", f"sip:1003@{account.realm}")
        second.wait_until_heard(1600, timeout_s=40)
        third.wait_until_heard(1000, timeout_s=40)
        wait_for(lambda: not first.has_call(), timeout_s=40, what="the referrer to be idle")
        third.hang_up()
        call = account.wait_for_outcome(call_id)
        assert (call["outcome"], call["by"]) == ("connected", "extension")
        assert len(call["legs"]) == 3
        wait_for(lambda: not second.has_call(), timeout_s=20, what="idle phones")


def _origin_of_a_channel(account: Account) -> str | None:
    channels = account.get("channels")
    return str(channels[0]["custom_channel_vars"]["call_id"]) if channels else None
