"""Reliable provisional answers and PRACK, both ends (RFC 3262)."""

import pytest

from offhook.sip.events import (
    AckReceived,
    Cancelled,
    DialogEnded,
    InviteAnswered,
    InviteProgress,
    RequestReceived,
)
from offhook.sip.message import Response

from .peers import SDP, THIRD, Wire, invite_to
from .test_user_agent_server import request

RELIABLE = "Require: 100rel\r\nRSeq: "
NEEDS_PRACK = "Require: 100rel\n"
OFFER = "v=0\no=- 2 2 IN IP4 192.0.2.2\n"


@pytest.fixture
def wire() -> Wire:
    return Wire()


def given_invite(wire: Wire, **changes: object):  # type: ignore[no-untyped-def]
    invite = wire.core.invite(invite_to(**changes), wire.now)  # type: ignore[arg-type]
    wire.settle()
    return invite


def prack(cseq: int, rack: str, to_tag: str, *, body: str = "") -> str:
    return request("PRACK", cseq, to_tag=to_tag, extra=f"RAck: {rack}\n", body=body)


# --- as caller ---


def test_an_invite_with_an_offer_says_that_it_takes_them(wire: Wire) -> None:
    given_invite(wire)
    assert "100rel" in wire.last("INVITE").headers.get_all("Supported")


def test_an_invite_without_an_offer_does_not(wire: Wire) -> None:
    """A reliable answer would bring the far end's offer before there is anything to answer it with."""
    given_invite(wire, body=b"")
    assert wire.last("INVITE").headers.get_all("Supported") == []


def test_a_reliable_answer_is_acknowledged_in_its_dialog(wire: Wire) -> None:
    given_invite(wire)
    extra = f"{RELIABLE}7\r\nRecord-Route: <sip:192.0.2.9;lr>\r\nRecord-Route: <sip:192.0.2.8;lr>"
    wire.answer(wire.last("INVITE"), 180, extra=extra, contact="<sip:bob@192.0.2.3:5070>")
    sent = wire.last("PRACK")
    assert sent.headers.get("RAck") == "7 1 INVITE"
    assert (sent.cseq.number, sent.to_tag, sent.uri) == (2, "them", "sip:bob@192.0.2.3:5070")
    assert [route.uri for route in sent.route] == ["sip:192.0.2.8;lr", "sip:192.0.2.9;lr"]
    assert wire.one(InviteProgress).response.status == 180


def test_repeated_answers_and_those_out_of_order_are_ignored(wire: Wire) -> None:
    given_invite(wire)
    for number in (7, 7, 9, 6, 8):
        wire.answer(wire.last("INVITE"), 183, extra=f"{RELIABLE}{number}")
    assert [sent.headers.get("RAck") for sent in wire.requests("PRACK")] == ["7 1 INVITE", "8 1 INVITE"]
    assert len(wire.seen(InviteProgress)) == 2


@pytest.mark.parametrize(
    "extra", ["RSeq: 1", "Require: 100rel", "Require: 100rel\r\nRSeq: 0", "Require: 100rel\r\nRSeq: x"]
)
def test_an_answer_that_does_not_ask_for_it_gets_none(wire: Wire, extra: str) -> None:
    given_invite(wire)
    wire.answer(wire.last("INVITE"), 180, extra=extra)
    assert wire.requests("PRACK") == []
    wire.one(InviteProgress)


def test_each_fork_counts_for_itself(wire: Wire) -> None:
    given_invite(wire)
    for tag, number in (("a", 100), ("b", 5), ("a", 101), ("b", 6)):
        wire.answer(wire.last("INVITE"), 183, tag=tag, extra=f"{RELIABLE}{number}", body="v=0\r\n")
    told = [(sent.to_tag, sent.headers.get("RAck")) for sent in wire.requests("PRACK")]
    assert told == [("a", "100 1 INVITE"), ("b", "5 1 INVITE"), ("a", "101 1 INVITE"), ("b", "6 1 INVITE")]


def test_the_session_of_the_fork_that_answers_counts(wire: Wire) -> None:
    """A 2xx need not repeat the answer that was told reliably (RFC 3261 13.2.1)."""
    given_invite(wire)
    for tag in ("a", "b"):
        body = f"v=0\r\no=- {tag} 1 IN IP4 192.0.2.2\r\n"
        wire.answer(wire.last("INVITE"), 183, tag=tag, extra=f"{RELIABLE}1", body=body)
    wire.answer(wire.last("INVITE"), 200, tag="b")
    dialog = wire.one(InviteAnswered).dialog
    assert b"o=- b " in dialog.early_session
    wire.core.send_ack(dialog, b"", wire.now)
    wire.core.bye(dialog, wire.now)
    wire.settle()
    assert wire.last("BYE").cseq.number == 3  # after the PRACK


def test_update_of_an_early_dialog_is_handed_up(wire: Wire) -> None:
    given_invite(wire)
    for tag in ("a", "b"):
        wire.answer(wire.last("INVITE"), 183, tag=tag, extra=f"{RELIABLE}1", body="v=0\r\n")
    ours = wire.last("INVITE").from_tag
    for tag in ("a", "b"):
        text = request(
            "UPDATE", 1, to_tag=ours, call_id=wire.last("INVITE").call_id, branch=f"u{tag}", body=OFFER
        )
        wire.receive(text.replace("tag=them", f"tag={tag}"))
    told = wire.seen(RequestReceived)
    assert [event.dialog.remote_tag for event in told] == ["a", "b"]
    for event in told:
        wire.core.respond(event.transaction, 200, body=SDP, now=wire.now)
    wire.settle()
    assert [(r.cseq.method, r.to_tag) for r in wire.responses(200)] == [("UPDATE", ours)] * 2


def test_an_update_before_our_offer_is_answered_meets_491(wire: Wire) -> None:
    given_invite(wire)
    wire.answer(wire.last("INVITE"), 180)
    ours = wire.last("INVITE")
    wire.receive(request("UPDATE", 1, to_tag=ours.from_tag, call_id=ours.call_id, body=OFFER))
    assert wire.responses(491)
    assert wire.seen(RequestReceived) == []


def test_a_prack_nobody_answers_leaves_nothing(wire: Wire) -> None:
    invite = given_invite(wire)
    wire.answer(wire.last("INVITE"), 180, extra=f"{RELIABLE}1")
    wire.wait(10)
    wire.core.cancel(invite, wire.now)
    wire.settle()
    wire.answer(wire.last("CANCEL"), 200)
    wire.answer(wire.last("INVITE"), 487)
    wire.wait(100)
    assert wire.core.is_idle
    assert wire.core.timer_count == 0


# --- as callee ---


def given_required(wire: Wire, *, body: str = OFFER):  # type: ignore[no-untyped-def]
    wire.receive(request(extra=NEEDS_PRACK, body=body))
    return wire.one(RequestReceived).transaction


def given_ringing(wire: Wire, status: int = 180, *, body: bytes = b"", offer: str = OFFER):  # type: ignore[no-untyped-def]
    transaction = given_required(wire, body=offer)
    dialog = wire.core.respond(transaction, status, body=body, now=wire.now)
    wire.settle()
    return transaction, dialog


def provisionals(wire: Wire, status: int) -> list[Response]:
    return wire.responses(status)


def test_a_caller_that_requires_it_gets_numbered_answers(wire: Wire) -> None:
    _, dialog = given_ringing(wire)
    [ringing] = provisionals(wire, 180)
    assert (ringing.headers.get("RSeq"), ringing.headers.get_all("Require")) == ("1", ["100rel"])
    wire.receive(prack(2, "1 1 INVITE", dialog.local_tag))
    assert [answer.cseq.method for answer in wire.responses(200)] == ["PRACK"]
    wire.wait(5)
    assert len(provisionals(wire, 180)) == 1


def test_it_is_repeated_until_its_prack(wire: Wire) -> None:
    _, dialog = given_ringing(wire)
    wire.wait(1.7)  # after 0.5 and 1.0 s more
    assert len(provisionals(wire, 180)) == 3
    wire.receive(prack(2, "1 1 INVITE", dialog.local_tag))
    wire.wait(30)
    assert len(provisionals(wire, 180)) == 3


def test_the_next_one_waits_and_so_does_the_answer(wire: Wire) -> None:
    transaction, dialog = given_ringing(wire)
    wire.core.respond(transaction, 183, body=SDP, now=wire.now)
    wire.core.respond(transaction, 200, body=SDP, now=wire.now)
    wire.settle()
    assert (len(provisionals(wire, 180)), provisionals(wire, 183), wire.responses(200)) == (1, [], [])
    wire.receive(prack(2, "1 1 INVITE", dialog.local_tag))
    assert [answer.cseq.method for answer in wire.responses(200)] == ["PRACK", "INVITE"]
    wire.receive(request("ACK", 1, branch="ack", to_tag=dialog.local_tag))
    wire.one(AckReceived)


def test_a_prack_of_nothing_meets_481(wire: Wire) -> None:
    _, dialog = given_ringing(wire)
    for cseq, rack in ((2, "2 1 INVITE"), (3, "1 9 INVITE"), (4, "1 1 OPTIONS"), (5, "x"), (6, "")):
        wire.receive(prack(cseq, rack, dialog.local_tag))
    assert len(wire.responses(481)) == 5


def test_without_a_prack_the_call_is_refused(wire: Wire) -> None:
    transaction = given_required(wire)
    wire.core.respond(transaction, 180, now=wire.now)
    wire.settle()
    wire.wait(33)
    assert wire.responses(504)
    assert wire.one(Cancelled).transaction is transaction
    wire.wait(100)
    assert wire.core.is_idle
    assert wire.core.timer_count == 0


def test_our_offer_in_it_is_answered_by_the_prack(wire: Wire) -> None:
    _, dialog = given_ringing(wire, 183, body=SDP, offer="")
    wire.receive(prack(2, "1 1 INVITE", dialog.local_tag, body=OFFER))
    assert wire.one(AckReceived).body == OFFER.replace("\n", "\r\n").encode()
    assert dialog.is_agreed


def test_a_second_offer_in_the_prack_is_handed_up(wire: Wire) -> None:
    _, dialog = given_ringing(wire, 183, body=SDP)
    wire.receive(prack(2, "1 1 INVITE", dialog.local_tag, body=OFFER))
    [_, event] = wire.seen(RequestReceived)
    assert event.request.method == "PRACK"
    wire.core.respond(event.transaction, 200, body=SDP, now=wire.now)
    wire.settle()
    assert wire.responses(200)[0].body == SDP


def test_hanging_up_while_the_answer_waits_ends_the_call(wire: Wire) -> None:
    transaction, dialog = given_ringing(wire)
    wire.core.respond(transaction, 200, body=SDP, now=wire.now)
    wire.core.bye(dialog, wire.now)
    wire.settle()
    wire.receive(prack(2, "1 1 INVITE", dialog.local_tag))
    wire.receive(request("ACK", 1, branch="ack", to_tag=dialog.local_tag))
    wire.answer(wire.last("BYE"), 200)
    assert wire.one(DialogEnded).dialog is dialog


def test_a_cancel_while_the_answer_waits_wins(wire: Wire) -> None:
    transaction = given_required(wire)
    wire.core.respond(transaction, 180, now=wire.now)
    wire.core.respond(transaction, 200, body=SDP, now=wire.now)
    wire.settle()
    wire.receive(request("CANCEL", 1, branch="INVITE1"))
    assert wire.responses(487)
    wire.one(Cancelled)
    wire.wait(100)
    assert wire.core.is_idle
    assert THIRD not in [flow.remote for flow in wire.sent_flows]
