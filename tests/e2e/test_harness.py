"""The harness itself: a far end that would not notice a fault proves nothing."""

from pathlib import Path

import pytest

from .conftest import FarEnd
from .harness import Baresip, RtpEndpoint
from .harness.ports import HOST
from .harness.scenario import (
    ANSWER,
    END_BY_BYE,
    RING,
    SDP,
    Scenario,
    message,
    pause,
    receive,
    receive_invite,
    receive_response,
    scenario,
)
from .harness.tones import contains_tone, decode_ulaw, encode_ulaw, is_tone, sine

ANSWERS = scenario("answers and waits for BYE", receive_invite(), RING, ANSWER, receive("ACK"), *END_BY_BYE)


def request(method: str, *, cseq: int, body: str = "") -> str:
    opening = method == "INVITE"
    uri = "sip:far@[remote_ip]:[remote_port]" if opening else "[next_url]"
    return message(
        f"{method} {uri} SIP/2.0",
        [
            "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]",
            "From: <sip:caller@caller.test>;tag=[pid]caller[call_number]",
            "To: <sip:far@far.test>" if opening else "[last_To:]",
            "Call-ID: [call_id]",
            f"CSeq: {cseq} {method}",
            "Contact: <sip:caller@[local_ip]:[local_port];transport=[transport]>",
            "Max-Forwards: 70",
        ],
        body,
        repeat=method != "ACK",
    )


def caller(*, talks_ms: int, says_bye: bool) -> Scenario:
    opening = (
        request("INVITE", cseq=1, body=SDP),
        receive_response(100, optional=True),
        receive_response(180, optional=True),
        receive_response(200, opens_dialog=True),
        request("ACK", cseq=1),
        pause(talks_ms),
    )
    closing = (
        request("BYE", cseq=2),
        receive_response(200),
        pause(600),
    )  # over TCP the one who leaves first looks like a fault to the other
    return Scenario("calls", opening + (closing if says_bye else ()))


def test_ulaw_survives_a_round_trip() -> None:
    assert [encode_ulaw(decode_ulaw(octet)) for octet in range(256) if octet != 0x7F] == [
        octet for octet in range(256) if octet != 0x7F
    ]


def test_neighbouring_tones_are_told_apart() -> None:
    assert is_tone(440, sine(440, 0, 4000))
    assert not is_tone(480, sine(440, 0, 4000))
    assert not is_tone(440, [0] * 4000)
    assert contains_tone(440, [0] * 6000 + sine(440, 0, 8000) + sine(1000, 0, 8000))


@pytest.mark.needs("sipp")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_far_end_is_clean_after_bye(far_end: FarEnd, transport: str) -> None:
    answering = far_end(ANSWERS, transport=transport)
    far_end(caller(talks_ms=100, says_bye=True), transport=transport, calling=f"{HOST}:{answering.port}")
    answering.assert_clean()
    assert len(answering.received("INVITE")) == 1


@pytest.mark.needs("sipp")
def test_far_end_without_bye_is_noticed(far_end: FarEnd) -> None:
    answering = far_end(ANSWERS)
    far_end(caller(talks_ms=0, says_bye=False), calling=f"{HOST}:{answering.port}")
    answering.wait_received("ACK")
    with pytest.raises(AssertionError, match="a call is left at the far end"):
        answering.assert_clean(timeout_s=0.5)


@pytest.mark.needs("sipp")
def test_far_end_objects_to_what_it_does_not_expect(far_end: FarEnd) -> None:
    rings = scenario("rings for ever", receive_invite(), RING, receive("CANCEL"))
    ringing = far_end(rings)
    bye = Scenario("says BYE too early", (*request_then_bye(),))
    far_end(bye, calling=f"{HOST}:{ringing.port}")
    with pytest.raises(AssertionError, match=r"(?s)the far end objects.*unexpected"):
        ringing.assert_clean()


def request_then_bye() -> tuple[str, ...]:
    return (
        request("INVITE", cseq=1, body=SDP),
        receive_response(180, opens_dialog=True),
        request("BYE", cseq=2),
        pause(200),
    )


@pytest.mark.needs("sipp", "baresip")
def test_baresip_and_rtp_endpoint_hear_each_other(far_end: FarEnd, tmp_path: Path) -> None:
    folder = tmp_path / "baresip"
    folder.mkdir()
    with (
        Baresip(
            folder, username="far", password="secret", realm="acme.test", registrar_port=0, tone_hz=440
        ) as phone,
        RtpEndpoint(1000) as endpoint,
    ):
        calling = far_end(
            caller(talks_ms=3500, says_bye=True), media=endpoint, calling=f"{HOST}:{phone.port}"
        )
        endpoint.send_to(*calling.answered_audio())
        endpoint.wait_until_hears(440)
        assert phone.has_call()
        phone.wait_until_heard(1000)
        calling.assert_clean()
        assert not phone.has_call()
