"""The node's memory of SIP messages: by leg, in order, within its bytes."""

import random

from offhook.engines.embedded.trace import (
    BLOCK_RECORDS_MAX,
    PACKED_BYTES_MAX,
    RAW_BYTES_MAX,
    RECORD_BYTES,
    SipTrace,
    summary_of,
)
from offhook.sip.flows import Flow

FLOW = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.7", 5062))


def message(leg_id: str, text: str = "OPTIONS sip:x SIP/2.0") -> bytes:
    return f"{text}\r\nCall-ID: {leg_id}\r\nCSeq: 1 INVITE\r\n\r\n".encode()


def test_messages_of_followed_legs_are_kept_as_they_were() -> None:
    trace = SipTrace()
    trace.follow("a")
    trace.note(message("a", "INVITE sip:x SIP/2.0"), FLOW, 1.0, outgoing=True)
    trace.note(message("b"), FLOW, 2.0, outgoing=True)
    trace.note(b"\r\n\r\n", FLOW, 2.0, outgoing=False)
    trace.note(message("a", "SIP/2.0 180 Ringing"), FLOW, 3.0, outgoing=False)
    trace.remark("a", "plays us", 4.0)
    invite, ringing, played = trace.lines("a")
    assert (invite.at, invite.outgoing, invite.summary, invite.peer) == (
        1.0,
        True,
        "INVITE",
        "udp:192.0.2.7:5062",
    )
    assert invite.data == message("a", "INVITE sip:x SIP/2.0")
    assert (invite.local, invite.remote) == (FLOW.local, FLOW.remote)
    assert ringing.summary == "180 Ringing (INVITE)"
    assert (played.kind, played.summary, played.data) == ("media", "plays us", b"")
    assert trace.lines("b") == []


def test_packed_messages_are_the_same_as_before() -> None:
    plain, packing = SipTrace(), SipTrace(raw_bytes_max=1_200)
    for trace in (plain, packing):
        trace.follow("a")
        trace.note(message("a", "INVITE sip:x SIP/2.0"), FLOW, 1.25, outgoing=True)
        trace.note(message("a", "SIP/2.0 180 \u00fc").replace(b"x", b"\xff\0"), FLOW, 2.5, outgoing=False)
        trace.remark("a", "plays us", 3.0)
    assert packing.lines("a") == plain.lines("a")
    assert len(packing.lines("a")) == 3
    assert packing.kept_bytes < plain.kept_bytes


def test_the_oldest_leg_of_the_node_is_packed_first_and_forgotten_first() -> None:
    cost = len(message("a")) + RECORD_BYTES
    trace = SipTrace(raw_bytes_max=2 * cost, packed_bytes_max=600)
    for leg_id in "abcdefgh":
        trace.follow(leg_id)
    for at, leg_id in enumerate("aabbccddeeffgghh"):
        trace.note(message(leg_id), FLOW, float(at), outgoing=True)
        assert trace.kept_bytes <= 2 * cost + 600
    kept = [leg_id for leg_id in "abcdefgh" if trace.lines(leg_id)]
    assert "".join(kept) == "abcdefgh"[-len(kept) :]
    assert 2 <= len(kept) < 8
    assert all(len(trace.lines(leg_id)) == 2 for leg_id in kept[1:])


def test_a_leg_keeps_its_last_messages() -> None:
    trace = SipTrace()
    trace.follow("a")
    for at in range(10 * BLOCK_RECORDS_MAX + 7):
        trace.note(message("a"), FLOW, float(at), outgoing=True)
    times = [line.at for line in trace.lines("a")]
    assert times == [float(at) for at in range(8 * BLOCK_RECORDS_MAX, 10 * BLOCK_RECORDS_MAX + 7)]


def test_any_order_of_messages_stays_within_the_bounds_and_in_order() -> None:
    dice = random.Random(7)
    trace = SipTrace(raw_bytes_max=20_000, packed_bytes_max=10_000)
    for number in range(9):
        trace.follow(str(number))
    for at in range(5_000):
        leg_id = str(min(dice.randrange(20), 8))
        text = "".join(dice.choices("abcdefgh", k=dice.randrange(400)))
        trace.note(message(leg_id, text), FLOW, float(at), outgoing=True)
        assert trace.kept_bytes <= 30_000
    times = {str(number): [line.at for line in trace.lines(str(number))] for number in range(9)}
    assert all(at == sorted(at) for at in times.values())
    assert times["8"][-1] > 4_980
    assert sum(map(len, times.values())) > 20


def test_ten_thousand_standing_calls_cost_little_each() -> None:
    assert (RAW_BYTES_MAX + PACKED_BYTES_MAX) / 10_000 < 2_500


def test_any_spelling_of_call_id_is_found() -> None:
    trace = SipTrace()
    trace.follow("a")
    for name in ("Call-ID: ", "Call-ID:\t", "call-id : ", "i:", "CALL-ID:   "):
        trace.note(f"BYE sip:x SIP/2.0\r\n{name}a \r\nX: y\r\n\r\n".encode(), FLOW, 1.0, outgoing=True)
    assert len(trace.lines("a")) == 5


def test_words_for_odd_messages() -> None:
    assert summary_of(b"SIP/2.0 200 OK\r\n\r\n") == "200 OK (?)"
    assert summary_of(b"\xff\xfe sip:x SIP/2.0\r\n\r\n") == "��"


def test_a_caller_is_followed_by_the_call_id_of_its_own() -> None:
    trace = SipTrace()
    trace.follow("a", sip_call_id="chosen-by-the-phone")
    assert trace.follows(message("chosen-by-the-phone"))
    assert not trace.follows(message("another"))
    trace.note(message("chosen-by-the-phone"), FLOW, 1.0, outgoing=False)
    trace.remark("a", "plays us", 2.0)
    assert [line.at for line in trace.lines("a")] == [1.0, 2.0]
