"""The node's memory of SIP messages: by leg, in order, within its bytes."""

import random

from offhook.engines.embedded.trace import KEPT_BYTES_MAX, RECORD_BYTES, RECORDS_MAX, SipTrace, summary_of
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


def test_the_oldest_message_of_the_node_makes_room() -> None:
    size = len(message("a")) + RECORD_BYTES
    trace = SipTrace(kept_bytes_max=3 * size)
    for leg_id in ("a", "b"):
        trace.follow(leg_id)
    for at, leg_id in enumerate("aabba"):
        trace.note(message(leg_id), FLOW, float(at), outgoing=True)
    assert [line.at for line in trace.lines("a")] == [4.0]
    assert [line.at for line in trace.lines("b")] == [2.0, 3.0]
    assert trace.kept_bytes == 3 * size


def test_a_leg_keeps_its_last_messages() -> None:
    trace = SipTrace()
    trace.follow("a")
    for at in range(RECORDS_MAX + 20):
        trace.note(message("a"), FLOW, float(at), outgoing=True)
    kept = trace.lines("a")
    assert (len(kept), kept[0].at, kept[-1].at) == (RECORDS_MAX, 20.0, RECORDS_MAX + 19.0)


def test_any_order_of_messages_stays_within_the_bound_and_in_order() -> None:
    dice = random.Random(7)
    trace = SipTrace(kept_bytes_max=40_000)
    for number in range(5):
        trace.follow(str(number))
    for at in range(5_000):
        leg_id = str(min(dice.randrange(12), 4))
        trace.note(message(leg_id, "x" * dice.randrange(200)), FLOW, float(at), outgoing=True)
        assert trace.kept_bytes <= 40_000
    times = {leg_id: [line.at for line in trace.lines(leg_id)] for leg_id in "01234"}
    assert all(at == sorted(at) for at in times.values())
    assert times["4"][-1] > 4_980
    kept = sum(len(line.data) + RECORD_BYTES for leg_id in "01234" for line in trace.lines(leg_id))
    assert kept <= trace.kept_bytes


def test_a_busy_node_stays_below_its_budget_per_standing_call() -> None:
    assert KEPT_BYTES_MAX / 10_000 < 4_000


def test_any_spelling_of_call_id_is_found() -> None:
    trace = SipTrace()
    trace.follow("a")
    for name in ("Call-ID: ", "Call-ID:\t", "call-id : ", "i:", "CALL-ID:   "):
        trace.note(f"BYE sip:x SIP/2.0\r\n{name}a \r\nX: y\r\n\r\n".encode(), FLOW, 1.0, outgoing=True)
    assert len(trace.lines("a")) == 5


def test_words_for_odd_messages() -> None:
    assert summary_of(b"SIP/2.0 200 OK\r\n\r\n") == "200 OK (?)"
    assert summary_of(b"\xff\xfe sip:x SIP/2.0\r\n\r\n") == "��"
