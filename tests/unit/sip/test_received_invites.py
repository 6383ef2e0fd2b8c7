"""An INVITE that is answered later: found again by its record, or taken up by the next process."""

import msgspec
import pytest

from offhook.sip.events import DialogEnded, RequestReceived
from offhook.sip.flows import Flow
from offhook.sip.message import Request
from offhook.sip.received_invites import ReceivedInvite
from tests.unit.sip.peers import THEM, US, Wire

TAG = "0123456789abcdef"

INVITE = """INVITE sip:1002@192.0.2.1 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKcaller;rport
Via: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKphone
Record-Route: <sip:192.0.2.2;lr>
From: "Jane" <sip:desk@example.com>;tag=jane
To: <sip:1002@example.com>
Call-ID: from-outside
CSeq: 7 INVITE
Contact: <sip:desk@10.0.0.9:5060>
Proxy-Authorization: Digest username="desk", realm="example.com", response="secret"
Max-Forwards: 70
Content-Length: 0

"""


def given_invite(wire: Wire) -> tuple[RequestReceived, str]:
    """Return the event, and the record as a journal keeps it."""
    wire.receive(INVITE)
    event = wire.one(RequestReceived)
    return event, msgspec.json.encode(wire.core.record_of(event.transaction)).decode()


def read(record: str) -> ReceivedInvite:
    return msgspec.json.decode(record, type=ReceivedInvite)


def given_successor(record: str) -> tuple[Wire, object]:
    successor = Wire(seed=2)
    return successor, successor.core.resume_received(read(record), TAG, successor.now)


def ack_of(response: object, *, branch: str = "z9hG4bKcaller") -> str:
    return (
        INVITE.replace("INVITE", "ACK")
        .replace("z9hG4bKcaller", branch)
        .replace("To: <sip:1002@example.com>", f"To: {response.headers.get('To')}")  # type: ignore[attr-defined]
    )


def test_a_record_finds_the_transaction_until_it_is_answered() -> None:
    wire = Wire()
    event, record = given_invite(wire)
    assert wire.core.received_invite(read(record)) is event.transaction
    wire.core.respond(event.transaction, 486, now=wire.now)
    assert wire.core.received_invite(read(record)) is None


def test_a_record_finds_nothing_once_the_caller_has_given_up() -> None:
    wire = Wire()
    _, record = given_invite(wire)
    wire.receive(INVITE.replace("INVITE", "CANCEL"))
    assert wire.core.received_invite(read(record)) is None


def test_credentials_are_not_kept() -> None:
    assert "secret" not in given_invite(Wire())[1]


def test_the_next_process_refuses_the_invite_until_it_is_acknowledged() -> None:
    _, record = given_invite(Wire())
    successor, transaction = given_successor(record)
    successor.core.respond(transaction, 500, now=successor.now)  # type: ignore[arg-type]
    successor.settle()
    [response] = successor.responses(500)
    assert (response.to_tag, response.call_id, response.cseq.number) == (TAG, "from-outside", 7)
    assert [via.branch for via in response.vias] == ["z9hG4bKcaller", "z9hG4bKphone"]
    assert successor.sent_flows[-1].remote == THEM
    successor.wait(0.6)
    assert len(successor.responses(500)) == 2
    successor.receive(ack_of(response))
    successor.wait(40)
    assert len(successor.responses(500)) == 2
    assert successor.core.is_idle


def test_the_next_process_hangs_up_what_may_have_been_answered() -> None:
    wire = Wire()
    event, record = given_invite(wire)
    event.transaction.to_tag = TAG
    wire.core.respond(event.transaction, 200, now=wire.now)
    wire.settle()
    [answer] = wire.responses(200)
    successor, _ = given_successor(record)
    dialog = successor.core.resume_dialog(read(record).dialog(TAG))
    successor.core.bye(dialog, successor.now)
    successor.settle()
    bye = successor.last("BYE")
    assert bye.headers.get("From") == answer.headers.get("To")
    assert bye.headers.get("To") == answer.headers.get("From")
    assert (bye.uri, bye.headers.get("Route")) == ("sip:desk@10.0.0.9:5060", "<sip:192.0.2.2;lr>")
    successor.answer(bye, 200)
    assert successor.one(DialogEnded).dialog is dialog


@pytest.mark.parametrize(
    ("transport", "remote"), [("udp", ("192.0.2.2", 49152)), ("tcp", ("192.0.2.2", 5060))]
)
def test_where_the_next_process_answers(transport: str, remote: tuple[str, int]) -> None:
    wire = Wire()
    source = Flow(transport, US, ("192.0.2.2", 49152), "connection 1" if transport == "tcp" else "")
    wire.receive(INVITE.replace("/UDP 192", f"/{transport.upper()} 192"), source)
    record = wire.core.record_of(wire.one(RequestReceived).transaction)
    assert record.source_anew() == Flow(transport, US, remote)


def test_a_record_gives_the_same_request_again() -> None:
    wire = Wire()
    event, record = given_invite(wire)
    kept: Request = read(record).request()
    for name in ("Via", "From", "To", "Call-ID", "CSeq", "Contact", "Record-Route"):
        assert kept.headers.lines(name) == event.request.headers.lines(name)


# --- a caller whose connection is lost (RFC 3261 18.2.2) ----------------------------------------------

LOST = Flow("tcp", US, ("192.0.2.2", 49152), "connection 1")
ANEW = Flow("tcp", US, ("192.0.2.2", 5060))


def given_tcp_caller(wire: Wire, context: object = "somebody") -> RequestReceived:
    wire.receive(INVITE.replace("/UDP 192", "/TCP 192"), LOST)
    event: RequestReceived = wire.one(RequestReceived)
    event.transaction.context = context
    return event


def lose(wire: Wire) -> None:
    wire.core.flow_failed(LOST, wire.now)
    wire.settle()


@pytest.mark.parametrize("status", [183, 200, 486])
def test_an_answer_goes_over_a_new_connection_when_the_callers_is_lost(status: int) -> None:
    wire = Wire()
    event = given_tcp_caller(wire)
    lose(wire)
    wire.core.respond(event.transaction, status, body=b"", now=wire.now)
    wire.settle()
    assert (wire.responses()[-1].status, wire.sent_flows[-1]) == (status, ANEW)


@pytest.mark.parametrize("status", [183, 200, 486])
def test_an_answer_that_went_down_with_its_connection_is_sent_again(status: int) -> None:
    wire = Wire()
    event = given_tcp_caller(wire)
    wire.core.respond(event.transaction, status, body=b"", now=wire.now)
    wire.settle()
    assert wire.sent_flows[-1] == LOST
    lose(wire)
    wire.wait(0.6)
    assert (wire.responses()[-1].status, wire.sent_flows[-1]) == (status, ANEW)


def test_a_refusal_that_is_repeated_stops_at_its_ack() -> None:
    wire = Wire()
    event = given_tcp_caller(wire)
    wire.core.respond(event.transaction, 486, now=wire.now)
    wire.settle()
    lose(wire)
    wire.wait(0.6)
    wire.receive(ack_of(wire.responses(486)[-1]).replace("/UDP 192", "/TCP 192"), ANEW)
    sent = len(wire.responses(486))
    wire.wait(40.0)
    assert len(wire.responses(486)) == sent
    assert wire.core.is_idle


def test_nobody_has_us_connect_to_a_place_of_his_choice_by_an_invite_that_nothing_came_of() -> None:
    wire = Wire()
    event = given_tcp_caller(wire, context=None)
    wire.core.respond(event.transaction, 403, now=wire.now)
    wire.settle()
    lose(wire)
    wire.wait(40.0)
    assert ANEW not in wire.sent_flows
    assert wire.core.is_idle
