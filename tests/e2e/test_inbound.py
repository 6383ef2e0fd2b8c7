"""Calls that come in over SIP: from phones that have logged in, and from carriers."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from .harness import Account, Baresip, RtpEndpoint, Server, Sipp
from .harness.callers import (
    CALLER,
    dial,
    gives_up,
    hop_by_hop,
    in_dialog,
    is_refused,
    logs_in,
    talks,
    waits_for_bye,
)
from .harness.far_ends import ANSWERS, BUSY, DECLINES, RINGS_FOR_EVER
from .harness.ports import HOST
from .harness.scenario import (
    END_BY_CANCEL,
    SDP,
    Scenario,
    answer_invite,
    answer_last,
    pause,
    receive,
    receive_invite,
    receive_response,
    scenario,
)
from .harness.waiting import wait_for

DID = "+14158860001"

ANNOUNCES = scenario(
    "plays an announcement and never answers",
    receive_invite(),
    answer_invite(183, "Session Progress", body=SDP),
    *END_BY_CANCEL,
)

_hosts = count(2)

Phone = Callable[..., Baresip]
Dial = Callable[..., Sipp]


@pytest.fixture
def carrier_host() -> str:
    """Where the test's carrier calls from: another loopback address than that of phones and other tests."""
    return f"127.0.1.{next(_hosts)}"


@pytest.fixture
def phone(tmp_path: Path, account: Account, server: Server) -> Iterator[Phone]:
    """Start a baresip with a device of its own, registered."""
    started: list[Baresip] = []

    def start(username: str, tone_hz: float, **device: object) -> Baresip:
        folder = tmp_path / username
        folder.mkdir()
        account.create_phone(username, f"secret-{username}", **device)
        baresip = Baresip(
            folder,
            username=username,
            password=f"secret-{username}",
            realm=account.realm,
            registrar_port=server.sip_port,
            tone_hz=tone_hz,
        )
        started.append(baresip)
        baresip.start()
        account.wait_registered(username)
        return baresip

    yield start
    for baresip in started:
        baresip.stop()


@pytest.fixture
def caller(tmp_path: Path, server: Server, carrier_host: str) -> Iterator[Dial]:
    """Let SIPp call the server, as a carrier unless told otherwise."""
    started: list[Sipp] = []

    def dial(calls: Scenario, *, host: str = carrier_host, **more: Any) -> Sipp:
        folder = tmp_path / f"caller-{len(started)}"
        folder.mkdir()
        sipp = Sipp(calls, folder, calling=f"{HOST}:{server.sip_port}", host=host, **more)
        started.append(sipp)
        sipp.start()
        return sipp

    yield dial
    for sipp in started:
        sipp.stop()


def create_trunk(account: Account, *addresses: str, **login: str) -> None:
    """Let a carrier call in, from its address or with its login."""
    known_by = {"addresses": addresses} if addresses else login
    gateways = [{"server": "carrier.test"}]
    account.create(
        "resources", {"name": "Carrier", "gateways": gateways, "rules": ["^never$"], "inbound": known_by}
    )


def create_did(account: Account, far: Sipp, **device: object) -> None:
    """Let the number ring this far end."""
    account.create_extension(DID, account.create_static_phone("far", far.uri, **device))


def ended_call(account: Account) -> dict[str, Any]:
    """Return the account's only call, once it is over."""
    legs = wait_for(lambda: account.get("cdrs", paginate="false"), timeout_s=10, what="a CDR")
    call_id = next(leg["call_id"] for leg in legs if leg["call_id"].endswith("-inbound"))
    return account.wait_for_outcome(call_id)


# --- phones -------------------------------------------------------------------------------------------


@pytest.mark.needs("baresip")
def test_a_phone_dials_an_extension_and_both_hear_each_other(account: Account, phone: Phone) -> None:
    desk, other = phone("desk", 440), phone("other", 1000)
    [device] = [item["id"] for item in account.get("devices") if item["username"] == "other"]
    account.create_extension("1002", device)
    desk.dial("1002")
    desk.wait_until_heard(1000, timeout_s=10)
    other.wait_until_heard(440, timeout_s=10)
    channels = account.get("channels")
    assert {channel["direction"] for channel in channels} == {"inbound", "outbound"}
    desk.hang_up()
    call = ended_call(account)
    assert (call["outcome"], call["by"], call["kind"]) == ("connected", "extension", "inbound")
    legs = {leg["call_direction"]: leg for leg in account.cdrs(call["interaction_id"])}
    assert legs["inbound"]["other_leg_call_id"] == legs["outbound"]["call_id"]
    assert legs["inbound"]["custom_channel_vars"]["username"] == "desk"
    wait_for(lambda: not other.has_call(), timeout_s=10, what="the other phone to be hung up")


@pytest.mark.needs("baresip", "sipp")
def test_a_phone_dials_out_with_early_media_where_the_account_allows_it(
    account: Account, phone: Phone, far_end: Callable[..., Sipp]
) -> None:
    account.client.request("PATCH", account.path(), {"dial_out": {"enabled": True}}).expect(200)
    with RtpEndpoint(1000) as media:
        carrier = far_end(ANNOUNCES, media=media)
        gateways = [{"server": HOST, "port": carrier.port}]
        account.create("resources", {"name": "Out", "gateways": gateways, "rules": [r"^(\+1\d{10})$"]})
        flow = {"module": "resources", "data": {}, "children": {}}
        account.create("callflows", {"numbers": ["no_match"], "flow": flow})
        desk = phone("desk", 440, caller_id={"external": {"name": "Acme", "number": "+14155550100"}})
        desk.dial("4158867900")
        media.send_to(*carrier.offered_audio())
        desk.wait_until_heard(1000, timeout_s=10)
        desk.hang_up()
        invite = carrier.received("INVITE")[0]
        assert invite.startswith(f"INVITE sip:+14158867900@{HOST}")
        assert "<sip:+14155550100@" in invite
        carrier.assert_clean()
    call = ended_call(account)
    assert (call["outcome"], call["by"]) == ("canceled", "extension")


@pytest.mark.needs("sipp")
@pytest.mark.parametrize(
    ("number", "status"), [("+14158867900", 403), ("4711", 403), ("1999", 480), ("911", 404)]
)
def test_what_a_phone_may_not_reach(account: Account, caller: Dial, number: str, status: int) -> None:
    account.create_phone("desk", "secret-desk")
    account.create_extension("1999", account.create_phone("away", "secret-away"))
    flow = {"module": "resources", "data": {}, "children": {}}
    account.create("callflows", {"numbers": ["no_match"], "flow": flow})
    then = (receive_response(status), hop_by_hop("ACK", number, cseq=2, tagged=True))
    caller(
        logs_in(number, account.realm, "desk", then=then), host=HOST, login=("desk", "secret-desk")
    ).assert_clean()


@pytest.mark.needs("sipp")
def test_a_wrong_password_calls_nobody(account: Account, caller: Dial) -> None:
    account.create_phone("desk", "secret-desk")
    then = (receive_response(403), hop_by_hop("ACK", "1001", cseq=2, tagged=True))
    caller(
        logs_in("1001", account.realm, "desk", then=then), host=HOST, login=("desk", "wrong-secret")
    ).assert_clean()
    assert account.get("cdrs", paginate="false") == []


# --- carriers -----------------------------------------------------------------------------------------


@pytest.mark.needs("sipp")
def test_a_carrier_brings_a_call_to_a_number(
    account: Account, carrier_host: str, caller: Dial, far_end: Callable[..., Sipp]
) -> None:
    create_trunk(account, carrier_host)
    with RtpEndpoint(440) as low, RtpEndpoint(1000) as high:
        far = far_end(ANSWERS, media=high)
        create_did(account, far)
        carrier = caller(talks(DID, for_ms=2500), media=low)
        low.send_to(*carrier.answered_audio())
        high.send_to(*far.offered_audio())
        low.wait_until_hears(1000)
        high.wait_until_hears(440)
        carrier.assert_clean()
        far.assert_clean()
    invite = far.received("INVITE")[0]
    assert f"<sip:{CALLER}@" in invite
    call = ended_call(account)
    assert (call["outcome"], call["by"], call["party"]) == ("connected", "contact", "first")
    assert {leg["call_direction"] for leg in account.cdrs(call["interaction_id"])} == {"inbound", "outbound"}


@pytest.mark.needs("sipp")
@pytest.mark.parametrize(
    ("far_scenario", "status", "rings", "outcome"),
    [(BUSY, 486, False, "busy"), (DECLINES, 603, True, "rejected")],
)
def test_a_refusal_reaches_the_carrier(
    account: Account,
    carrier_host: str,
    caller: Dial,
    far_end: Callable[..., Sipp],
    far_scenario: Scenario,
    status: int,
    rings: bool,
    outcome: str,
) -> None:
    create_trunk(account, carrier_host)
    far = far_end(far_scenario)
    create_did(account, far)
    carrier = caller(is_refused(DID, status, rings=rings))
    carrier.assert_clean()
    far.assert_clean()
    assert "Reason: Q.850;cause=" in carrier.received(f"SIP/2.0 {status}")[0]
    assert ended_call(account)["outcome"] == outcome


@pytest.mark.needs("sipp")
def test_a_caller_who_gives_up_stops_the_ringing(
    account: Account, carrier_host: str, caller: Dial, far_end: Callable[..., Sipp]
) -> None:
    create_trunk(account, carrier_host)
    far = far_end(RINGS_FOR_EVER)
    create_did(account, far)
    caller(gives_up(DID)).assert_clean()
    far.assert_clean()
    call = ended_call(account)
    assert (call["outcome"], call["by"], call["hangup_cause"]) == ("canceled", "contact", "ORIGINATOR_CANCEL")


@pytest.mark.needs("sipp")
def test_a_caller_who_wants_our_offer_gets_it_and_answers_in_the_ack(
    account: Account, carrier_host: str, caller: Dial, far_end: Callable[..., Sipp]
) -> None:
    create_trunk(account, carrier_host)
    with RtpEndpoint(440) as low, RtpEndpoint(1000) as high:
        far = far_end(ANSWERS, media=high)
        create_did(account, far)
        carrier = caller(waits_for_bye(DID, offer="", answer=SDP), media=low)
        low.send_to(*carrier.answered_audio())
        high.send_to(*far.offered_audio())
        low.wait_until_hears(1000)
        high.wait_until_hears(440)
        [call_id] = {channel["custom_channel_vars"]["call_id"] for channel in account.get("channels")}
        account.hang_up(call_id)
        carrier.assert_clean()
        far.assert_clean()
    assert account.wait_for_outcome(call_id)["outcome"] == "connected"


@pytest.mark.needs("sipp")
def test_a_carrier_may_log_in_instead(account: Account, caller: Dial, far_end: Callable[..., Sipp]) -> None:
    create_trunk(account, username="trunk-in", password="trunk-secret")
    far = far_end(BUSY)
    create_did(account, far)
    then = (receive_response(486), hop_by_hop("ACK", DID, cseq=2, tagged=True))
    login = ("trunk-in", "trunk-secret")
    caller(logs_in(DID, "carrier.test", "+15550001111", then=then), login=login).assert_clean()
    far.assert_clean()


@pytest.mark.needs("sipp")
def test_who_is_no_carrier_is_asked_to_log_in(account: Account, caller: Dial) -> None:
    create_trunk(account, "127.0.2.1")
    caller(is_refused(DID, 407)).assert_clean()


@pytest.mark.needs("sipp")
def test_a_carrier_reaches_no_number_that_is_not_the_accounts(
    account: Account, carrier_host: str, caller: Dial
) -> None:
    create_trunk(account, carrier_host)
    flow = {"module": "resources", "data": {}, "children": {}}
    account.create("callflows", {"numbers": ["no_match"], "flow": flow})
    caller(is_refused("+14158867900", 404)).assert_clean()
    assert account.get("cdrs", paginate="false") == []


@pytest.mark.needs("sipp")
def test_a_caller_that_requires_it_is_told_reliably_and_refreshes(
    account: Account, carrier_host: str, caller: Dial, far_end: Callable[..., Sipp]
) -> None:
    """Our 180 wants a PRACK, and the 200 waits for it (RFC 3262). The session timer is agreed (RFC 4028)."""
    session = ("Require: 100rel", "Supported: 100rel, timer", "Session-Expires: 600;refresher=uac")
    requires = scenario(
        "requires reliable answers",
        dial(DID, headers=session),
        receive_response(100, optional=True),
        receive_response(180, opens_dialog=True),
        pause(700),  # meanwhile it is repeated, and the other party has answered
        in_dialog("PRACK", DID, cseq=2, headers=("RAck: 1 1 INVITE",)),
        '<recv response="180" optional="true"/>',
        '<recv response="180" optional="true"/>',
        receive_response(200),
        receive_response(200, opens_dialog=True),
        in_dialog("ACK", DID, cseq=1),
        in_dialog("UPDATE", DID, cseq=3, headers=("Supported: timer", "Session-Expires: 600;refresher=uac")),
        receive_response(200),
        receive("BYE"),
        answer_last(),
    )
    create_trunk(account, carrier_host)
    far = far_end(ANSWERS)
    create_did(account, far)
    carrier = caller(requires)
    wait_for(lambda: len(carrier.received("SIP/2.0 200")) == 3, timeout_s=15, what="the answer to the UPDATE")
    pracked, answered, refreshed = carrier.received("SIP/2.0 200")
    assert "RSeq: 1" in carrier.received("SIP/2.0 180")[0]
    assert "2 PRACK" in pracked
    assert "Session-Expires: 600;refresher=uac" in answered
    assert "Session-Expires: 600;refresher=uac" in refreshed
    [call_id] = {channel["custom_channel_vars"]["call_id"] for channel in account.get("channels")}
    account.hang_up(call_id)
    carrier.assert_clean()
    far.assert_clean()
    assert account.wait_for_outcome(call_id)["outcome"] == "connected"
