"""What phones change during a call: hold and resume, codecs, early sessions; by the relay and past it."""

from collections.abc import Iterator

import pytest

from .conftest import FarEnd
from .harness import Account, RtpEndpoint, Sipp
from .harness.far_ends import ANSWERS
from .harness.scenario import (
    ANSWER,
    END_BY_BYE,
    RING,
    SDP,
    Scenario,
    answer_invite,
    answer_last,
    message,
    pause,
    receive,
    receive_invite,
    receive_response,
    request,
    scenario,
)
from .harness.waiting import wait_for

pytestmark = pytest.mark.needs("sipp")

MUSIC_HZ = 1400
MUSIC = f"%(2000,0,{MUSIC_HZ})"
HELD = SDP.replace("sendrecv", "sendonly")
BLACK_HOLE = SDP.replace("c=IN IP4 [local_ip]", "c=IN IP4 0.0.0.0")
BOTH = SDP.replace("AVP 0 101", "AVP 0 8 101").replace("a=rtpmap:101", "a=rtpmap:8 PCMA/8000\na=rtpmap:101")
ONLY_PCMA = SDP.replace("AVP 0 101", "AVP 8 101").replace("a=rtpmap:0 PCMU", "a=rtpmap:8 PCMA")
LAST = ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]"]
CONTACT = "Contact: <sip:far@[local_ip]:[local_port];transport=[transport]>"
OK = message("SIP/2.0 200 OK", [*LAST, CONTACT], SDP, repeat=True)
PICKS_UP = (receive_invite(), RING, ANSWER, receive("ACK"))


def offers(cseq: int, body: str, *, method: str = "INVITE", status: int = 200) -> tuple[str, ...]:
    """Change the session, and demand an answer."""
    answered = (
        request(method, cseq=cseq, body=body),
        receive_response(100, optional=True),
        receive_response(status),
    )
    return (*answered, request("ACK", cseq=cseq)) if method == "INVITE" else answered


def holds(body: str, method: str) -> Scenario:
    """Hold after a while, and resume."""
    return scenario(
        f"holds by {method}",
        *PICKS_UP,
        pause(1500),
        *offers(2, body, method=method),
        pause(5000),
        *offers(3, SDP, method=method),
        *END_BY_BYE,
    )


@pytest.fixture
def tones() -> Iterator[tuple[RtpEndpoint, RtpEndpoint]]:
    with RtpEndpoint(440) as low, RtpEndpoint(1000) as high:
        yield low, high


def extension(account: Account, number: str, phone: Sipp) -> None:
    account.create_extension(number, account.create_static_phone(f"phone{number}", phone.uri))


def connect(account: Account, first: Sipp, second: Sipp, **button: object) -> str:
    extension(account, "1001", first)
    extension(account, "1002", second)
    call_id = account.connect(account.create_button("1001", **button), "1002")
    account.wait_for_time(call_id, "bridged")
    return call_id


def end_well(account: Account, call_id: str, *phones: Sipp) -> None:
    account.hang_up(call_id)
    assert account.wait_for_outcome(call_id)["outcome"] == "connected"
    for phone in phones:
        phone.assert_clean()


def holds_of(account: Account, call_id: str) -> list[bool]:
    steps = account.get("calls", call_id, "timeline")
    return [step["is_held"] for step in steps if step["what"] == "leg_held"]


@pytest.mark.parametrize(
    ("body", "method"),
    [(HELD, "INVITE"), (BLACK_HOLE, "INVITE"), (HELD, "UPDATE")],
    ids=["sendonly", "rfc2543", "update"],
)
def test_a_phone_holds_and_resumes(
    far_end: FarEnd, account: Account, tones: tuple[RtpEndpoint, RtpEndpoint], body: str, method: str
) -> None:
    low, high = tones
    first, second = far_end(holds(body, method), media=low), far_end(ANSWERS, media=high)
    call_id = connect(account, first, second, music_on_hold={"media_id": MUSIC})
    low.send_to(*first.offered_audio())
    high.send_to(*second.offered_audio())
    high.wait_until_hears(440)
    high.wait_until_has_heard(MUSIC_HZ)
    wait_for(lambda: holds_of(account, call_id) == [True, False], timeout_s=20, what="the end of the hold")
    high.wait_until_hears(440)
    low.wait_until_hears(1000)
    answer = first.received("SIP/2.0 200")[0]
    assert "a=recvonly" in answer
    assert len(second.received("INVITE")) == 1  # it hears the hold, and is asked for nothing
    end_well(account, call_id, first, second)


def test_the_music_of_the_account_is_what_a_held_party_hears(
    far_end: FarEnd, account: Account, tones: tuple[RtpEndpoint, RtpEndpoint]
) -> None:
    low, high = tones
    account.client.request("PATCH", account.path(), {"music_on_hold": {"media_id": MUSIC}}).expect(200)
    first, second = far_end(ANSWERS, media=low), far_end(holds(HELD, "INVITE"), media=high)
    call_id = connect(account, first, second)
    low.send_to(*first.offered_audio())
    low.wait_until_has_heard(MUSIC_HZ)
    wait_for(lambda: holds_of(account, call_id) == [True, False], timeout_s=20, what="the end of the hold")
    assert len(first.received("INVITE")) == 1
    end_well(account, call_id, first, second)


TURNS_TO_PCMA = scenario(
    "changes its codec",
    receive_invite(),
    answer_invite(200, "OK", body=BOTH),
    receive("ACK"),
    pause(700),
    *offers(2, ONLY_PCMA),
    *END_BY_BYE,
)


def follows(body: str) -> Scenario:
    return scenario(
        "is asked to follow",
        receive_invite(),
        answer_invite(200, "OK", body=body),
        receive("ACK"),
        receive("INVITE"),
        message("SIP/2.0 200 OK", [*LAST, CONTACT], ONLY_PCMA, repeat=True),
        receive("ACK"),
        *END_BY_BYE,
    )


@pytest.mark.parametrize("body", [BOTH, SDP], ids=["takes both", "took only the other"])
def test_the_other_party_follows_a_change_of_codec(far_end: FarEnd, account: Account, body: str) -> None:
    first, second = far_end(TURNS_TO_PCMA), far_end(follows(body))
    call_id = connect(account, first, second)
    asked = wait_for(lambda: second.received("INVITE")[1:], timeout_s=10, what="a re-INVITE")
    assert " RTP/AVP 8 101" in asked[0]
    wait_for(lambda: len(second.received("ACK")) == 2, timeout_s=10, what="its ACK")
    wait_for(lambda: len(first.received("SIP/2.0 200")) == 1, timeout_s=10, what="the answer")
    end_well(account, call_id, first, second)


def test_a_codec_that_the_other_party_refuses_is_refused(far_end: FarEnd, account: Account) -> None:
    wants = scenario(
        "wants another codec", *PICKS_UP, pause(700), *offers(2, ONLY_PCMA, status=488), *END_BY_BYE
    )
    refuses = scenario(
        "refuses it",
        *PICKS_UP,
        receive("INVITE"),
        answer_last(488, "Not Acceptable Here"),
        receive("ACK"),
        *END_BY_BYE,
    )
    first, second = far_end(wants), far_end(refuses)
    call_id = connect(account, first, second)
    wait_for(lambda: first.received("SIP/2.0 488"), timeout_s=10, what="the refusal")
    assert account.call(call_id)["state"] == "bridged"
    end_well(account, call_id, first, second)


# --- from phone to phone (bypass) ---

JOINED_DIRECTLY = (receive("INVITE"), OK, receive("ACK"))


@pytest.mark.parametrize(
    ("method", "allow"), [("INVITE", ""), ("UPDATE", ""), ("UPDATE", "INVITE, ACK, BYE, UPDATE")]
)
def test_a_hold_goes_from_phone_to_phone(
    far_end: FarEnd, account: Account, tones: tuple[RtpEndpoint, RtpEndpoint], method: str, allow: str
) -> None:
    _, high = tones
    carried = "UPDATE" if allow else "INVITE"
    answered = message(
        "SIP/2.0 200 OK", [*LAST, CONTACT], SDP.replace("sendrecv", "recvonly"), repeat=carried == "INVITE"
    )
    waits = scenario(
        "is held",
        receive_invite(),
        RING,
        answer_invite(200, "OK", body=SDP, headers=[f"Allow: {allow}"] if allow else []),
        receive("ACK"),
        *JOINED_DIRECTLY,
        receive(carried),
        answered,
        *((receive("ACK"),) if carried == "INVITE" else ()),
        *END_BY_BYE,
    )
    holder = scenario("holds", *PICKS_UP, pause(700), *offers(2, HELD, method=method), *END_BY_BYE)
    first, second = far_end(waits), far_end(holder, media=high)
    call_id = connect(account, first, second, bypass_media=True)
    wait_for(lambda: second.received("SIP/2.0 200"), timeout_s=10, what="the answer of the other")
    passed = first.received(carried)[-1]
    assert f"m=audio {high.port} " in passed
    assert "a=sendonly" in passed
    answer = second.received("SIP/2.0 200")[0]
    assert "a=recvonly" in answer
    wait_for(lambda: holds_of(account, call_id) == [True], timeout_s=10, what="the hold in the journal")
    end_well(account, call_id, first, second)


def test_a_refusal_goes_from_phone_to_phone(far_end: FarEnd, account: Account) -> None:
    refuses = scenario(
        "refuses a change", *PICKS_UP, *JOINED_DIRECTLY, receive("INVITE"),
        answer_last(488, "Not Acceptable Here"), receive("ACK"), *END_BY_BYE,
    )  # fmt: skip
    asks = scenario(
        "asks for a change", *PICKS_UP, pause(700), *offers(2, ONLY_PCMA, status=488), *END_BY_BYE
    )
    first, second = far_end(refuses), far_end(asks)
    call_id = connect(account, first, second, bypass_media=True)
    wait_for(lambda: second.received("SIP/2.0 488"), timeout_s=10, what="the refusal")
    assert account.call(call_id)["state"] == "bridged"
    end_well(account, call_id, first, second)


def test_a_wish_for_an_offer_goes_from_phone_to_phone(far_end: FarEnd, account: Account) -> None:
    """An empty re-INVITE asks for an offer: the other party makes it, and the ACK carries the answer."""
    offering = scenario(
        "makes an offer", *PICKS_UP, *JOINED_DIRECTLY, receive("INVITE"), OK, receive("ACK"), *END_BY_BYE
    )
    asking = scenario(
        "asks for an offer",
        *PICKS_UP,
        pause(700),
        request("INVITE", cseq=2),
        receive_response(100, optional=True),
        receive_response(200),
        request("ACK", cseq=2, body=HELD),
        *END_BY_BYE,
    )
    first, second = far_end(offering), far_end(asking)
    call_id = connect(account, first, second, bypass_media=True)
    wait_for(lambda: len(first.received("ACK")) == 3, timeout_s=10, what="the answer in the ACK")
    assert "a=sendonly" in first.received("ACK")[2]
    assert "m=audio" not in first.received("INVITE")[2]
    wait_for(lambda: holds_of(account, call_id) == [True], timeout_s=10, what="the hold in the journal")
    end_well(account, call_id, first, second)


# --- before the answer ---

RELIABLE = ("Require: 100rel", "RSeq: 4711")


def test_early_sessions_are_told_reliably_and_changed(far_end: FarEnd, account: Account) -> None:
    """A 183 with PRACK, an UPDATE in the early dialog, and a 200 that repeats no session."""
    first = far_end(ANSWERS)
    second = far_end(
        scenario(
            "answers early",
            receive_invite(),
            answer_invite(183, "Session Progress", body=SDP, headers=RELIABLE),
            receive("PRACK"),
            answer_last(),
            *offers(1, SDP.replace("far 1 1", "far 1 2"), method="UPDATE"),
            answer_invite(200, "OK"),
            receive("ACK"),
            *END_BY_BYE,
        )
    )
    call_id = connect(account, first, second)
    assert "RAck: 4711 1 INVITE" in second.received("PRACK")[0]
    assert "m=audio" in second.received("SIP/2.0 200")[0]
    end_well(account, call_id, first, second)


def test_a_fork_with_early_sessions_talks_to_the_phone_that_answers(
    far_end: FarEnd, account: Account, tones: tuple[RtpEndpoint, RtpEndpoint]
) -> None:
    low, high = tones
    one, other = "one[call_number]", "other[call_number]"
    elsewhere = SDP.replace("[audio_port]", "9")
    first = far_end(ANSWERS, media=low)
    second = far_end(
        scenario(
            "is two phones behind a forking proxy",
            receive_invite(),
            answer_invite(183, "Session Progress", body=SDP, headers=RELIABLE, tag=one),
            receive("PRACK"),
            answer_last(),
            answer_invite(
                183, "Session Progress", body=elsewhere, headers=("Require: 100rel", "RSeq: 1"), tag=other
            ),
            receive("PRACK"),
            answer_last(),
            answer_invite(200, "OK", tag=one),
            receive("ACK"),
            *END_BY_BYE,
        ),
        media=high,
    )
    call_id = connect(account, first, second)
    low.send_to(*first.offered_audio())
    high.wait_until_hears(440)
    assert ["RAck: 4711 1 INVITE" in text for text in second.received("PRACK")] == [True, False]
    end_well(account, call_id, first, second)
