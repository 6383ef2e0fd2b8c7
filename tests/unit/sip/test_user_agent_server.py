"""What our core does when requests come in: dialogs, order, CANCEL, ACK, and what it refuses."""

import pytest

from offhook.sip.events import (
    AckReceived,
    Cancelled,
    DialogEnded,
    DialogEndReason,
    RequestReceived,
)
from offhook.sip.flows import Flow
from offhook.sip.message import Response

from .peers import THEM, US, Wire

CALL = "call-1"


@pytest.fixture
def wire() -> Wire:
    return Wire()


def request(
    method: str = "INVITE",
    cseq: int = 1,
    *,
    branch: str = "",
    to_tag: str = "",
    call_id: str = CALL,
    via: str = "192.0.2.2:5060",
    uri: str = "sip:alice@192.0.2.1",
    extra: str = "",
    contact: str = "Contact: <sip:bob@192.0.2.2:5060>\n",
    body: str = "",
) -> str:
    """Return a peer's request; CANCEL and ACK may be given the branch of their INVITE."""
    tag = f";tag={to_tag}" if to_tag else ""
    length = len(body.replace("\n", "\r\n"))
    kind = "Content-Type: application/sdp\n" if body else ""
    return (
        f"{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP {via};branch=z9hG4bK{branch or f'{method}{cseq}'}\n"
        f"Max-Forwards: 70\nFrom: <sip:bob@example.com>;tag=them\nTo: <sip:alice@example.com>{tag}\n"
        f"Call-ID: {call_id}\nCSeq: {cseq} {method}\n{contact}{extra}"
        f"{kind}Content-Length: {length}\n\n{body}"
    )


def given_invited(wire: Wire):  # type: ignore[no-untyped-def]
    wire.receive(request(body="v=0\n"))
    return wire.one(RequestReceived).transaction


def given_dialog(wire: Wire):  # type: ignore[no-untyped-def]
    transaction = given_invited(wire)
    dialog = wire.core.respond(transaction, 200, body=b"v=0\r\n", now=wire.now)
    wire.settle()
    wire.receive(request("ACK", branch="ack", to_tag=dialog.local_tag))
    wire.one(AckReceived)
    return dialog


def statuses(wire: Wire) -> list[int]:
    return [message.status for message in wire.sent if isinstance(message, Response)]


def assert_clean(wire: Wire) -> None:
    wire.wait(400)
    assert wire.core.is_idle
    assert wire.core.timer_count == 0


# --- INVITE ---


def test_an_invite_is_handed_up_and_told_to_wait(wire: Wire) -> None:
    transaction = given_invited(wire)
    assert statuses(wire) == [100]
    assert wire.responses(100)[0].to_tag == ""
    received = wire.one(RequestReceived)
    assert (received.request.body, received.dialog, transaction.source) == (b"v=0\r\n", None, wire.flow)
    wire.receive(request(body="v=0\n"))
    assert statuses(wire) == [100, 100]
    wire.one(RequestReceived)


def test_ringing_and_answer_have_one_tag_and_our_contact(wire: Wire) -> None:
    transaction = given_invited(wire)
    assert wire.core.respond(transaction, 180, now=wire.now) is not None
    dialog = wire.core.respond(transaction, 200, body=b"v=0\r\n", headers=(("X-A", "b"),), now=wire.now)
    wire.settle()
    ringing, answer = wire.responses(180)[0], wire.responses(200)[0]
    assert ringing.to_tag == answer.to_tag == dialog.local_tag != ""
    assert [contact.uri for contact in answer.contacts] == ["sip:192.0.2.1:5060"]
    assert (answer.content_type, answer.headers.get("X-A")) == ("application/sdp", "b")
    assert "INVITE" in answer.headers.get_all("Allow")


def test_record_routes_are_copied_and_followed(wire: Wire) -> None:
    wire.receive(request(extra="Record-Route: <sip:192.0.2.8;lr>, <sip:192.0.2.9;lr>\n"))
    dialog = wire.core.respond(wire.one(RequestReceived).transaction, 200, now=wire.now)
    wire.settle()
    assert wire.responses(200)[0].headers.get_all("Record-Route") == [
        "<sip:192.0.2.8;lr>",
        "<sip:192.0.2.9;lr>",
    ]
    wire.receive(request("ACK", branch="ack", to_tag=dialog.local_tag))
    wire.core.bye(dialog, wire.now)
    wire.settle()
    assert wire.last("BYE").headers.get_all("Route") == ["<sip:192.0.2.8;lr>", "<sip:192.0.2.9;lr>"]
    assert (wire.last("BYE").uri, wire.sent_flows[-1].remote) == (
        "sip:bob@192.0.2.2:5060",
        ("192.0.2.8", 5060),
    )


def test_our_answer_is_repeated_until_the_ack(wire: Wire) -> None:
    dialog = wire.core.respond(given_invited(wire), 200, now=wire.now)
    wire.wait(4)
    assert len(wire.responses(200)) == 4
    wire.receive(request("ACK", branch="ack", to_tag=dialog.local_tag, body="v=1\n"))
    assert wire.one(AckReceived).body == b"v=1\r\n"
    wire.receive(request("ACK", branch="ack", to_tag=dialog.local_tag))
    wire.one(AckReceived)
    wire.wait(10)
    assert len(wire.responses(200)) == 4


def test_an_answer_without_ack_ends_in_bye(wire: Wire) -> None:
    dialog = wire.core.respond(given_invited(wire), 200, now=wire.now)
    wire.wait(33)
    assert wire.seen(DialogEnded) == []
    wire.answer(wire.last("BYE"), 200)
    ended = wire.one(DialogEnded)
    assert (ended.dialog, ended.by_peer, ended.reason) == (dialog, False, DialogEndReason.NO_ACK)
    assert_clean(wire)


def test_a_hang_up_before_the_ack_waits_for_it(wire: Wire) -> None:
    dialog = wire.core.respond(given_invited(wire), 200, now=wire.now)
    wire.core.bye(dialog, wire.now, (("X-Why", "late"),))
    wire.settle()
    assert wire.requests("BYE") == []
    wire.receive(request("ACK", branch="ack", to_tag=dialog.local_tag))
    assert wire.last("BYE").headers.get("X-Why") == "late"
    wire.answer(wire.last("BYE"), 200)
    assert wire.one(DialogEnded).reason is DialogEndReason.BYE
    assert_clean(wire)


def test_a_refusal_is_repeated_until_its_ack(wire: Wire) -> None:
    transaction = given_invited(wire)
    wire.core.respond(transaction, 486, now=wire.now)
    wire.wait(2)
    assert len(wire.responses(486)) == 3
    wire.receive(request("ACK", branch="INVITE1", to_tag=wire.responses(486)[0].to_tag))
    wire.wait(10)
    assert len(wire.responses(486)) == 3
    assert wire.seen(AckReceived) == []
    assert_clean(wire)


def test_an_early_dialog_goes_with_the_refusal(wire: Wire) -> None:
    transaction = given_invited(wire)
    wire.core.respond(transaction, 180, now=wire.now)
    assert wire.core.dialog_count == 1
    wire.core.respond(transaction, 603, now=wire.now)
    assert wire.core.dialog_count == 0


def test_a_forgotten_invite_is_refused_in_the_end(wire: Wire) -> None:
    transaction = given_invited(wire)
    wire.wait(301)
    assert wire.responses(480)
    assert (wire.one(Cancelled).transaction, wire.one(Cancelled).request) == (transaction, None)
    assert_clean(wire)


# --- CANCEL ---


def test_cancel_ends_a_ringing_invite(wire: Wire) -> None:
    transaction = given_invited(wire)
    wire.core.respond(transaction, 180, now=wire.now)
    wire.settle()
    cancel = request("CANCEL", branch="INVITE1", extra="Reason: SIP;cause=200\n", contact="")
    wire.receive(cancel)
    assert statuses(wire) == [100, 180, 200, 487]
    assert len({response.to_tag for response in wire.responses() if response.status > 100}) == 1
    assert wire.one(Cancelled).request.headers.get("Reason") == "SIP;cause=200"
    wire.receive(cancel)
    assert statuses(wire) == [100, 180, 200, 487, 200]
    wire.one(Cancelled)
    assert wire.core.respond(transaction, 200, now=wire.now) is None  # picked up in the same instant
    wire.settle()
    assert statuses(wire) == [100, 180, 200, 487, 200]
    assert_clean(wire)


def test_cancel_after_the_answer_changes_nothing(wire: Wire) -> None:
    wire.core.respond(given_invited(wire), 200, now=wire.now)
    wire.receive(request("CANCEL", branch="INVITE1", contact=""))
    assert statuses(wire) == [100, 200, 200]
    assert wire.seen(Cancelled) == []
    assert wire.core.dialog_count == 1


def test_cancel_of_nothing_is_refused(wire: Wire) -> None:
    wire.receive(request("CANCEL", contact=""))
    assert statuses(wire) == [481]
    assert wire.core.is_idle


# --- in a dialog ---


def test_requests_out_of_order_are_refused(wire: Wire) -> None:
    dialog = given_dialog(wire)
    for cseq, branch in ((5, "a"), (5, "b"), (4, "c")):
        wire.receive(request("INFO", cseq, branch=branch, to_tag=dialog.local_tag))
    assert statuses(wire)[-2:] == [500, 500]
    assert [event.request.method for event in wire.seen(RequestReceived)] == ["INVITE", "INFO"]


def test_a_request_for_no_dialog_is_refused(wire: Wire) -> None:
    for method in ("BYE", "INFO", "INVITE", "OPTIONS"):
        wire.receive(request(method, to_tag="unknown"))
    wire.receive(request("BYE", 9))
    assert statuses(wire) == [481] * 5
    wire.receive(request("ACK", to_tag="unknown"))
    assert len(wire.sent) == 5
    assert wire.core.is_idle


def test_a_reinvite_is_handed_up_with_its_dialog(wire: Wire) -> None:
    dialog = given_dialog(wire)
    text = request(
        cseq=2, to_tag=dialog.local_tag, contact="Contact: <sip:bob@192.0.2.3:5061>\n", body="v=2\n"
    )
    wire.receive(text)
    received = wire.seen(RequestReceived)[-1]
    assert (received.dialog, received.request.body) == (dialog, b"v=2\r\n")
    assert dialog.remote_target == "sip:bob@192.0.2.3:5061"
    wire.core.respond(received.transaction, 200, body=b"v=3\r\n", now=wire.now)
    wire.settle()
    assert wire.responses(200)[-1].body == b"v=3\r\n"
    wire.receive(request("ACK", 2, branch="ack2", to_tag=dialog.local_tag))
    assert len(wire.seen(AckReceived)) == 2
    wire.wait(40)
    assert wire.core.dialog_count == 1


def test_a_refused_reinvite_keeps_the_dialog(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.receive(request(cseq=2, to_tag=dialog.local_tag))
    wire.core.respond(wire.seen(RequestReceived)[-1].transaction, 488, now=wire.now)
    assert wire.core.dialog_count == 1
    wire.receive(request(cseq=3, to_tag=dialog.local_tag))
    assert len(wire.seen(RequestReceived)) == 3


def test_a_second_reinvite_must_wait_for_the_first(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.receive(request(cseq=2, to_tag=dialog.local_tag))
    wire.receive(request(cseq=3, to_tag=dialog.local_tag))
    refused = wire.responses(500)[0]
    assert 0 <= int(refused.headers.get("Retry-After") or "-1") <= 10


def test_bye_ends_the_dialog_and_what_waits_in_it(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.receive(request(cseq=2, to_tag=dialog.local_tag))
    wire.receive(request("BYE", 3, to_tag=dialog.local_tag))
    assert statuses(wire)[-2:] == [200, 487]
    wire.one(Cancelled)
    assert wire.one(DialogEnded).by_peer
    assert_clean(wire)


def test_a_caller_may_hang_up_an_early_dialog(wire: Wire) -> None:
    dialog = wire.core.respond(given_invited(wire), 180, now=wire.now)
    wire.receive(request("BYE", 2, to_tag=dialog.local_tag))
    assert statuses(wire)[-2:] == [200, 487]
    wire.one(Cancelled)
    assert wire.seen(DialogEnded) == []
    assert_clean(wire)


def test_a_bye_before_the_ack_ends_the_dialog(wire: Wire) -> None:
    dialog = wire.core.respond(given_invited(wire), 200, now=wire.now)
    wire.receive(request("BYE", 2, to_tag=dialog.local_tag))
    assert wire.one(DialogEnded).by_peer
    answers = len(wire.responses(200))
    wire.wait(40)
    assert len(wire.responses(200)) == answers
    assert_clean(wire)


# --- what the core answers by itself ---


def test_options_are_answered(wire: Wire) -> None:
    wire.receive(request("OPTIONS", contact=""))
    answer = wire.responses(200)[0]
    assert "INVITE" in answer.headers.get_all("Allow")
    assert answer.headers.get("Accept") == "application/sdp"
    assert wire.events == []
    dialog = given_dialog(wire)
    wire.receive(request("OPTIONS", 7, to_tag=dialog.local_tag))
    assert statuses(wire)[-1] == 200


@pytest.mark.parametrize("method", ["SUBSCRIBE", "REGISTER", "NEWMETHOD"])
def test_methods_we_do_not_have_are_refused(wire: Wire, method: str) -> None:
    wire.receive(request(method))
    assert statuses(wire) == [405]
    assert "INVITE" in wire.responses(405)[0].headers.get_all("Allow")
    assert wire.core.is_idle


def test_a_registrar_is_given_its_requests() -> None:
    wire = Wire(allow=("REGISTER",))
    wire.receive(request("REGISTER"))
    received = wire.one(RequestReceived)
    wire.core.respond(received.transaction, 200, headers=(("Contact", "<sip:a@b>;expires=60"),), now=wire.now)
    wire.settle()
    assert wire.responses(200)[0].headers.get("Contact") == "<sip:a@b>;expires=60"
    wire.receive(request("REGISTER"))
    assert len(wire.responses(200)) == 2
    assert_clean(wire)


def test_a_request_that_came_twice_by_different_ways_is_merged(wire: Wire) -> None:
    wire.receive(request(branch="one"))
    wire.receive(request(branch="two"))
    assert statuses(wire) == [100, 482]
    wire.one(RequestReceived)


def test_when_full_new_calls_are_refused_and_standing_ones_go_on() -> None:
    wire = Wire(max_dialogs=1)
    dialog = given_dialog(wire)
    wire.receive(request(call_id="another", branch="another"))
    assert statuses(wire)[-1] == 503
    assert wire.responses(503)[0].headers.get("Retry-After") == "5"
    wire.receive(request("BYE", 2, to_tag=dialog.local_tag))
    assert statuses(wire)[-1] == 200


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (request(uri="http://example.com"), 416),
        (request(extra="Require: gold-service\n"), 420),
        (request(body="hello").replace("application/sdp", "text/plain"), 415),
        (request().replace("SIP/2.0\nVia", "SIP/3.0\nVia"), 505),
        (request().replace("Max-Forwards: 70", "Max-Forwards: many"), 400),
        (request().replace("CSeq: 1 INVITE", "CSeq: 1 BYE"), 400),
        (request().replace("Content-Length: 0", "Content-Length: 900"), 400),
    ],
)
def test_bad_requests_are_refused_without_a_trace(wire: Wire, text: str, status: int) -> None:
    wire.receive(text)
    assert statuses(wire) == [status]
    assert (wire.events, wire.core.is_idle) == ([], True)


def test_unsupported_options_are_named(wire: Wire) -> None:
    wire.receive(request(extra="Require: silver, gold\n"))
    assert wire.responses(420)[0].headers.get_all("Unsupported") == ["silver", "gold"]


def test_a_malformed_ack_is_never_answered(wire: Wire) -> None:
    wire.receive(request("ACK").replace("CSeq: 1 ACK", "CSeq: x"))
    wire.receive(request("ACK").replace("Content-Length: 0", "Content-Length: 900"))
    assert wire.sent == []


# --- where answers go ---


@pytest.mark.parametrize(
    ("via", "source", "remote", "written"),
    [
        ("192.0.2.2:5060", THEM, THEM, "192.0.2.2:5060"),
        (
            "192.0.2.2:5060;rport",
            ("192.0.2.2", 4000),
            ("192.0.2.2", 4000),
            "rport=4000;branch=z9hG4bKOPTIONS1;received=192.0.2.2",
        ),
        ("10.0.0.5:5060;rport", ("203.0.113.9", 61000), ("203.0.113.9", 61000), "received=203.0.113.9"),
        ("10.0.0.5:5070", ("203.0.113.9", 61000), ("203.0.113.9", 5070), "received=203.0.113.9"),
    ],
)
def test_answers_pass_nat(
    wire: Wire, via: str, source: tuple[str, int], remote: tuple[str, int], written: str
) -> None:
    wire.receive(request("OPTIONS", via=via), Flow("udp", US, source))
    assert wire.sent_flows[-1].remote == remote
    assert written in (wire.responses(200)[0].headers.get("Via") or "")


def test_a_forged_received_parameter_is_replaced(wire: Wire) -> None:
    wire.receive(request("OPTIONS", via="10.0.0.5:5060;received=198.51.100.1"))
    assert wire.responses(200)[0].via.received == "192.0.2.2"


def test_over_a_connection_answers_go_back_through_it(wire: Wire) -> None:
    stream = Flow("tcp", US, ("192.0.2.2", 40001), "tcp-1")
    wire.receive(request(via="10.0.0.5:5060").replace("UDP", "TCP"), stream)
    dialog = wire.core.respond(wire.one(RequestReceived).transaction, 200, now=wire.now)
    wire.receive(request("ACK", branch="ack", to_tag=dialog.local_tag), stream)
    wire.core.bye(dialog, wire.now)
    wire.settle()
    assert set(wire.sent_flows) == {stream}
    assert wire.responses(200)[0].contacts[0].uri == "sip:192.0.2.1:5060;transport=tcp"
