"""Keys that are pressed during a call reach the other party: in RTP (RFC 4733) and in INFO."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import FarEnd
from .harness import Account, Baresip, RtpEndpoint, Server
from .harness.far_ends import ANSWERS
from .harness.scenario import (
    ANSWER,
    END_BY_BYE,
    RING,
    SDP,
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
from .test_sessions import connect, end_well, extension

pytestmark = [pytest.mark.needs("sipp"), pytest.mark.needs("baresip")]

PICKS_UP = (receive_invite(), RING, ANSWER, receive("ACK"))
PRESSES = scenario(
    "presses a key in INFO",
    *PICKS_UP,
    pause(700),
    request("INFO", cseq=2, body="Signal=5\nDuration=160\n", content_type="application/dtmf-relay"),
    receive_response(200),
    request("INFO", cseq=3, body="5", content_type="application/dtmf"),
    receive_response(200),
    request("INFO", cseq=4, body="<media/>", content_type="application/media_control+xml"),
    receive_response(415),
    request("INFO", cseq=5),
    receive_response(200),
    *END_BY_BYE,
)
HEARS = scenario(
    "hears keys in INFO",
    *PICKS_UP,
    receive("INFO"),
    answer_last(),
    receive("INFO"),
    answer_last(),
    *END_BY_BYE,
)
HEARS_NO_INFO = scenario(
    "takes no INFO",
    *PICKS_UP,
    receive("INFO"),
    answer_last(405, "Method Not Allowed"),
    *END_BY_BYE,
)
PRESSES_IN_VAIN = scenario(
    "presses a key in vain",
    *PICKS_UP,
    pause(700),
    request("INFO", cseq=2, body="Signal=5\n", content_type="application/dtmf-relay"),
    receive_response(405),
    *END_BY_BYE,
)


@pytest.fixture
def desk_phone(server: Server, account: Account, tmp_path: Path) -> Iterator[Baresip]:
    folder = tmp_path / "baresip"
    folder.mkdir()
    account.create_extension("1009", account.create_phone("desk", "secret-9"))
    phone = Baresip(
        folder,
        username="desk",
        password="secret-9",
        realm=account.realm,
        registrar_port=server.sip_port,
        tone_hz=440,
    )
    with phone:
        account.wait_registered("desk")
        yield phone


@pytest.fixture
def ear() -> Iterator[RtpEndpoint]:
    with RtpEndpoint(1000) as endpoint:
        yield endpoint


def test_a_key_in_info_is_passed_on_and_other_bodies_are_not(far_end: FarEnd, account: Account) -> None:
    first, second = far_end(PRESSES), far_end(HEARS)
    call_id = connect(account, first, second)
    wait_for(lambda: len(second.received("INFO")) == 2, timeout_s=10, what="both keys")
    relayed, plain = second.received("INFO")
    assert "Signal=5" in relayed
    assert "application/dtmf-relay" in relayed
    assert plain.rstrip().endswith("5")
    wait_for(lambda: len(first.received("SIP/2.0 200")) == 3, timeout_s=10, what="the answers")
    end_well(account, call_id, first, second)


def test_whoever_takes_no_info_says_so_to_the_other(far_end: FarEnd, account: Account) -> None:
    first, second = far_end(PRESSES_IN_VAIN), far_end(HEARS_NO_INFO)
    call_id = connect(account, first, second)
    [refusal] = wait_for(lambda: first.received("SIP/2.0 405"), timeout_s=10, what="the refusal")
    assert "INFO" in refusal
    end_well(account, call_id, first, second)


def test_a_key_in_info_reaches_a_desk_phone(far_end: FarEnd, account: Account, desk_phone: Baresip) -> None:
    presses = scenario(
        "presses a key",
        *PICKS_UP,
        pause(700),
        request("INFO", cseq=2, body="Signal=7\nDuration=160\n", content_type="application/dtmf-relay"),
        receive_response(200),
        *END_BY_BYE,
    )
    first = far_end(presses)
    extension(account, "1001", first)
    call_id = account.connect(account.create_button("1001"), "1009")
    account.wait_for_time(call_id, "bridged")
    desk_phone.wait_until_pressed("7")
    assert account.call(call_id)["state"] == "bridged"
    end_well(account, call_id, first)


def test_keys_in_rtp_go_both_ways(
    far_end: FarEnd, account: Account, desk_phone: Baresip, ear: RtpEndpoint
) -> None:
    first = far_end(ANSWERS, media=ear)
    extension(account, "1001", first)
    call_id = account.connect(account.create_button("1001"), "1009")
    account.wait_for_time(call_id, "bridged")
    ear.send_to(*first.offered_audio())
    desk_phone.wait_until_heard(1000, timeout_s=10)
    for key in "4#":
        desk_phone.press(key)
        wait_for(lambda k=key: k in ear.keys, timeout_s=10, what=f"key {key}")
    ear.press("9")
    desk_phone.wait_until_pressed("9")
    assert ear.keys == "4#"
    end_well(account, call_id, first)


def test_keys_are_agreed_across(far_end: FarEnd, account: Account) -> None:
    """A party that takes no keys is not sent any: the other is not offered them."""
    deaf = SDP.replace(" 101", "").replace("a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\n", "")
    first = far_end(
        scenario(
            "is deaf to keys",
            receive_invite(),
            answer_invite(200, "OK", body=deaf),
            receive("ACK"),
            *END_BY_BYE,
        )
    )
    second = far_end(ANSWERS)
    call_id = connect(account, first, second)
    assert "telephone-event" in first.received("INVITE")[0]
    assert "telephone-event" not in second.received("INVITE")[0]
    end_well(account, call_id, first, second)


def test_a_desk_phone_holds_and_resumes(
    far_end: FarEnd, account: Account, desk_phone: Baresip, ear: RtpEndpoint
) -> None:
    first = far_end(ANSWERS, media=ear)
    extension(account, "1001", first)
    button = account.create_button("1001", music_on_hold={"media_id": "%(2000,0,1400)"})
    call_id = account.connect(button, "1009")
    account.wait_for_time(call_id, "bridged")
    ear.send_to(*first.offered_audio())
    ear.wait_until_hears(440, timeout_s=10)
    desk_phone.hold()
    ear.wait_until_hears(1400, timeout_s=10)
    desk_phone.resume()
    ear.wait_until_hears(440, timeout_s=10)
    assert not any(leg.get("is_on_hold") for leg in account.call(call_id)["legs"])
    end_well(account, call_id, first)
