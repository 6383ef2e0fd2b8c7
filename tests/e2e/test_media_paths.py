"""How media go: from party to party (`bypass_media`), back to the relay, without one, in a common codec."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import FarEnd
from .harness import Account, KazooClient, RtpEndpoint, Server, Sipp
from .harness.far_ends import ANSWERS
from .harness.scenario import (
    ANSWER,
    END_BY_BYE,
    RING,
    SDP,
    answer_invite,
    message,
    receive,
    receive_invite,
    scenario,
)

pytestmark = pytest.mark.needs("sipp")

LAST = ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]"]
CONTACT = "Contact: <sip:far@[local_ip]:[local_port];transport=[transport]>"

TAKES_NEW_MEDIA = scenario(
    "takes a new offer in a re-INVITE",
    receive_invite(),
    RING,
    ANSWER,
    receive("ACK"),
    receive("INVITE"),
    message("SIP/2.0 200 OK", [*LAST, CONTACT], SDP, repeat=True),
    receive("ACK"),
    *END_BY_BYE,
)
REFUSES_NEW_MEDIA = scenario(
    "refuses a new offer",
    receive_invite(),
    RING,
    ANSWER,
    receive("ACK"),
    receive("INVITE"),
    message("SIP/2.0 488 Not Acceptable Here", LAST, "", repeat=True),
    receive("ACK"),
    *END_BY_BYE,
)


BOTH = SDP.replace("AVP 0 101", "AVP 0 8 101").replace("a=rtpmap:101", "a=rtpmap:8 PCMA/8000\na=rtpmap:101")
ONLY_PCMA = SDP.replace("AVP 0 101", "AVP 8 101").replace("a=rtpmap:0 PCMU", "a=rtpmap:8 PCMA")
TAKES_BOTH_CODECS = scenario(
    "takes PCMU and PCMA, then only PCMA",
    receive_invite(),
    answer_invite(200, "OK", body=BOTH),
    receive("ACK"),
    receive("INVITE"),
    message("SIP/2.0 200 OK", [*LAST, CONTACT], ONLY_PCMA, repeat=True),
    receive("ACK"),
    *END_BY_BYE,
)
TAKES_ONLY_PCMA = scenario(
    "takes only PCMA", receive_invite(), answer_invite(200, "OK", body=ONLY_PCMA), receive("ACK"), *END_BY_BYE
)


@pytest.fixture
def tones() -> Iterator[tuple[RtpEndpoint, RtpEndpoint]]:
    with RtpEndpoint(440) as low, RtpEndpoint(1000) as high:
        yield low, high


def extension(account: Account, number: str, phone: Sipp) -> None:
    account.create_extension(number, account.create_static_phone(f"phone{number}", phone.uri))


def end_well(account: Account, call_id: str, *phones: Sipp) -> None:
    account.hang_up(call_id)
    assert account.wait_for_outcome(call_id)["outcome"] == "connected"
    for phone in phones:
        phone.assert_clean()


def test_bypass_gives_each_party_the_others_address(
    far_end: FarEnd, account: Account, tones: tuple[RtpEndpoint, RtpEndpoint]
) -> None:
    low, high = tones
    first = far_end(TAKES_NEW_MEDIA, media=low)
    second = far_end(ANSWERS, media=high)
    extension(account, "1001", first)
    extension(account, "1002", second)
    call_id = account.connect(account.create_button("1001", bypass_media=True), "1002")
    account.wait_for_time(call_id, "bridged")
    assert "m=audio" not in second.wait_received("INVITE")  # asked for its offer (RFC 3725 flow IV)
    offers = [text for text in first.received("INVITE") if f"m=audio {high.port} " in text]
    assert len(offers) == 1
    assert f"m=audio {low.port} " in second.wait_received("ACK")
    low.send_to("127.0.0.1", high.port)
    high.wait_until_hears(440)
    end_well(account, call_id, first, second)


def test_a_party_that_refuses_the_others_media_is_joined_through_the_relay(
    far_end: FarEnd, account: Account, tones: tuple[RtpEndpoint, RtpEndpoint]
) -> None:
    low, high = tones
    first = far_end(REFUSES_NEW_MEDIA, media=low)
    second = far_end(ANSWERS, media=high)
    extension(account, "1001", first)
    extension(account, "1002", second)
    call_id = account.connect(account.create_button("1001", bypass_media="true"), "1002")
    account.wait_for_time(call_id, "bridged")
    assert f"m=audio {low.port} " not in second.wait_received("ACK")
    low.send_to(*first.offered_audio())
    port = int(second.wait_received("ACK").split("m=audio ")[1].split()[0])
    high.send_to("127.0.0.1", port)
    low.wait_until_hears(1000)
    high.wait_until_hears(440)
    end_well(account, call_id, first, second)


@pytest.fixture(scope="module")
def account_without_relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder: Path = tmp_path_factory.mktemp("direct")
    with Server(folder, OFFHOOK_MEDIA="direct") as server:
        client = KazooClient(server.host, server.http_port)
        client.login(server.api_key)
        yield client.create_account("Direct", "direct.test")


def test_a_server_without_relay_joins_by_their_own_media(
    far_end: FarEnd, account_without_relay: Account, tones: tuple[RtpEndpoint, RtpEndpoint]
) -> None:
    account, (low, high) = account_without_relay, tones
    first = far_end(TAKES_NEW_MEDIA, media=low)
    second = far_end(ANSWERS, media=high)
    extension(account, "1001", first)
    extension(account, "1002", second)
    call_id = account.connect(account.create_button("1001"), "1002")
    account.wait_for_time(call_id, "bridged")
    held = first.wait_received("ACK")
    assert "c=IN IP4 0.0.0.0" in held  # acknowledged at once, and on hold until the second has answered
    assert "a=inactive" in held
    assert f"m=audio {low.port} " in second.wait_received("ACK")
    end_well(account, call_id, first, second)


def test_a_first_party_that_prefers_another_codec_is_asked_to_change(
    far_end: FarEnd, account: Account
) -> None:
    first = far_end(TAKES_BOTH_CODECS)
    second = far_end(TAKES_ONLY_PCMA)
    extension(account, "1001", first)
    extension(account, "1002", second)
    call_id = account.connect(account.create_button("1001"), "1002")
    account.wait_for_time(call_id, "bridged")
    offers = first.received("INVITE")
    assert "RTP/AVP 0 8 101" in offers[0]
    assert "RTP/AVP 8 101" in offers[-1]
    assert "RTP/AVP 0 8 101" in second.wait_received("INVITE")
    end_well(account, call_id, first, second)
