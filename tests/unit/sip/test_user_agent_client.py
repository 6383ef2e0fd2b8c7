"""What our core does as a caller: answers, forks, challenges, CANCEL and what crosses it."""

from itertools import count

import pytest

from offhook.sip.client_reinvite import MAX_GLARES
from offhook.sip.commands import EndReason, OutgoingRequest
from offhook.sip.digest import DigestServer, Verdict, hash_credentials
from offhook.sip.errors import LocalDialogOver, LocalHeaderInjection, LocalOverload
from offhook.sip.events import (
    DialogEnded,
    DialogEndReason,
    EndCause,
    InviteAnswered,
    InviteEnded,
    InviteProgress,
    ReinviteAnswered,
    ReinviteFailed,
    RequestReceived,
    ResponseReceived,
    SurplusAnswered,
)
from offhook.sip.flows import Flow
from offhook.sip.message import Request

from .peers import SDP, THEM, THIRD, US, Wire, invite_to


@pytest.fixture
def wire() -> Wire:
    return Wire()


def given_invite(wire: Wire, **changes: object):  # type: ignore[no-untyped-def]
    invite = wire.core.invite(invite_to(**changes), wire.now)  # type: ignore[arg-type]
    wire.settle()
    return invite


def given_ringing(wire: Wire, **changes: object):  # type: ignore[no-untyped-def]
    invite = given_invite(wire, **changes)
    wire.answer(wire.last("INVITE"), 180)
    return invite


def given_dialog(wire: Wire, **changes: object):  # type: ignore[no-untyped-def]
    given_ringing(wire, **changes)
    wire.answer(wire.last("INVITE"), 200, body="v=0\r\n")
    dialog = wire.one(InviteAnswered).dialog
    wire.core.send_ack(dialog, b"", wire.now)
    wire.settle()
    return dialog


def assert_clean(wire: Wire) -> None:
    """Let everything run out: nothing may be left."""
    wire.wait(300)
    assert wire.core.is_idle
    assert wire.core.timer_count == 0


# --- setting up ---


def test_the_invite_has_what_rfc_3261_asks_for(wire: Wire) -> None:
    given_invite(wire, headers=(("X-Custom", "value"),), route_set=("sip:proxy.example.com;lr",))
    invite = wire.last("INVITE")
    assert invite.uri == "sip:bob@192.0.2.2:5060"
    assert invite.max_forwards == 70
    assert invite.from_.display == "Alice"
    assert invite.from_tag
    assert invite.to_tag == ""
    assert (invite.cseq.number, invite.cseq.method) == (1, "INVITE")
    assert invite.via.branch.startswith("z9hG4bK")
    assert "rport" in invite.via.params
    assert [contact.uri for contact in invite.contacts] == ["sip:192.0.2.1:5060"]
    assert invite.headers.get_all("Route") == ["<sip:proxy.example.com;lr>"]
    assert invite.headers.get("X-Custom") == "value"
    assert (invite.content_type, invite.body) == ("application/sdp", SDP)


def test_progress_is_told_but_not_the_100(wire: Wire) -> None:
    invite = given_invite(wire)
    wire.answer(wire.last("INVITE"), 100, tag="")
    assert wire.events == []
    wire.answer(wire.last("INVITE"), 180)
    wire.answer(wire.last("INVITE"), 183, body="v=0\r\n")
    told = wire.seen(InviteProgress)
    assert [(event.response.status, event.has_sdp) for event in told] == [(180, False), (183, True)]
    assert all(event.invite is invite for event in told)


def test_the_ack_of_an_answer_goes_to_the_contact_with_a_new_branch(wire: Wire) -> None:
    given_invite(wire)
    wire.answer(wire.last("INVITE"), 200, contact="<sip:bob@192.0.2.3:5070;ob>")
    dialog = wire.one(InviteAnswered).dialog
    wire.core.send_ack(dialog, b"v=0\r\n", wire.now)
    wire.settle()
    ack = wire.last("ACK")
    assert ack.uri == "sip:bob@192.0.2.3:5070;ob"
    assert wire.sent_flows[-1].remote == ("192.0.2.3", 5070)
    assert ack.via.branch != wire.last("INVITE").via.branch
    assert (ack.cseq.number, ack.body, ack.content_type) == (1, b"v=0\r\n", "application/sdp")


def test_a_repeated_answer_gets_the_same_ack_again(wire: Wire) -> None:
    given_dialog(wire)
    first = wire.last("ACK")
    for _ in range(3):
        wire.answer(wire.last("INVITE"), 200)
    assert len(wire.requests("ACK")) == 4
    assert {ack.via.branch for ack in wire.requests("ACK")} == {first.via.branch}
    wire.one(InviteAnswered)


def test_an_answer_waits_for_its_late_ack(wire: Wire) -> None:
    given_invite(wire, body=b"")
    wire.answer(wire.last("INVITE"), 200, body="v=0\r\n")
    wire.answer(wire.last("INVITE"), 200, body="v=0\r\n")
    assert wire.requests("ACK") == []
    wire.core.send_ack(wire.one(InviteAnswered).dialog, b"answer", wire.now)
    wire.settle()
    assert wire.last("ACK").body == b"answer"


def test_record_routes_become_routes_in_reverse(wire: Wire) -> None:
    given_invite(wire)
    routes = "Record-Route: <sip:192.0.2.9:5060;lr>, <sip:192.0.2.8;lr;x=1>"
    wire.answer(wire.last("INVITE"), 200, extra=routes)
    dialog = wire.one(InviteAnswered).dialog
    wire.core.bye(dialog, wire.now)
    wire.settle()
    for request in (wire.last("ACK"), wire.last("BYE")):
        assert request.uri == "sip:bob@192.0.2.2:5060"
        assert request.headers.get_all("Route") == ["<sip:192.0.2.8;lr;x=1>", "<sip:192.0.2.9:5060;lr>"]
    assert wire.sent_flows[-1].remote == ("192.0.2.8", 5060)


def test_a_strict_router_gets_its_own_uri(wire: Wire) -> None:
    given_invite(wire)
    wire.answer(wire.last("INVITE"), 200, extra="Record-Route: <sip:192.0.2.9>")
    wire.core.bye(wire.one(InviteAnswered).dialog, wire.now)
    wire.settle()
    assert wire.last("BYE").uri == "sip:192.0.2.9"
    assert wire.last("BYE").headers.get_all("Route") == ["<sip:bob@192.0.2.2:5060>"]


def test_a_phone_behind_nat_is_spoken_to_over_the_flow(wire: Wire) -> None:
    dialog = given_dialog(wire, same_flow=True)
    dialog.remote_target = "sip:bob@10.9.8.7:5060"
    wire.core.bye(dialog, wire.now)
    wire.settle()
    assert wire.last("BYE").uri == "sip:bob@10.9.8.7:5060"
    assert wire.sent_flows[-1].remote == THEM


def test_a_long_invite_stays_on_the_flow_of_a_phone_behind_nat(wire: Wire) -> None:
    given_invite(wire, body=b"x" * 2_000)
    given_invite(wire, body=b"x" * 2_000, same_flow=True)
    assert [flow.transport for flow in wire.sent_flows] == ["tcp", "udp"]


def test_a_long_ack_stays_on_udp(wire: Wire) -> None:
    given_invite(wire, body=b"")
    wire.answer(wire.last("INVITE"), 200, body="v=0\r\n")
    wire.core.send_ack(wire.one(InviteAnswered).dialog, b"x" * 2_000, wire.now)
    wire.settle()
    assert (wire.last("ACK").via.transport, wire.sent_flows[-1].transport) == ("UDP", "udp")


def test_a_private_contact_of_a_public_peer_is_not_followed() -> None:
    wire = Wire()
    public = ("8.8.4.4", 5060)
    wire.core.invite(invite_to(public), wire.now)
    wire.settle()
    wire.answer(wire.last("INVITE"), 200, contact="<sip:bob@10.0.0.5>")
    wire.core.bye(wire.one(InviteAnswered).dialog, wire.now)
    wire.settle()
    assert {flow.remote for flow in wire.sent_flows} == {public}


# --- refusals ---


@pytest.mark.parametrize("status", [302, 404, 486, 500, 603])
def test_a_refusal_is_acknowledged_and_told(wire: Wire, status: int) -> None:
    invite = given_ringing(wire)
    wire.answer(wire.last("INVITE"), status)
    ended = wire.one(InviteEnded)
    assert (ended.invite, ended.status, ended.cause, ended.reason) == (
        invite,
        status,
        EndCause.REJECTED,
        "Whatever",
    )
    assert wire.last("ACK").via.branch == wire.last("INVITE").via.branch
    assert_clean(wire)


def test_silence_ends_in_a_timeout(wire: Wire) -> None:
    given_invite(wire)
    wire.wait(33)
    ended = wire.one(InviteEnded)
    assert (ended.status, ended.cause, ended.response) == (408, EndCause.TIMEOUT, None)
    assert wire.last("CANCEL").via.branch == wire.last("INVITE").via.branch  # it may ring all the same
    assert_clean(wire)


def test_a_late_answer_after_the_timeout_is_hung_up(wire: Wire) -> None:
    given_invite(wire)
    wire.wait(33)
    wire.answer(wire.last("INVITE"), 200)
    assert wire.last("ACK").to_tag == "them"
    wire.answer(wire.last("BYE"), 200)
    wire.one(InviteEnded)
    assert wire.seen(DialogEnded) == []
    assert_clean(wire)


def test_a_lost_connection_ends_the_invite(wire: Wire) -> None:
    given_invite(wire, transport="tcp")
    wire.core.flow_failed(Flow("tcp", US, THEM), wire.now)
    wire.settle()
    assert (wire.one(InviteEnded).status, wire.one(InviteEnded).cause) == (503, EndCause.TRANSPORT)
    assert_clean(wire)


def test_ringing_for_ever_is_cancelled_after_timer_c(wire: Wire) -> None:
    given_ringing(wire)
    wire.wait(181)
    wire.answer(wire.last("CANCEL"), 200)
    wire.answer(wire.last("INVITE"), 487)
    assert (wire.one(InviteEnded).status, wire.one(InviteEnded).cause) == (487, EndCause.TIMEOUT)
    assert_clean(wire)


# --- forks ---


def test_the_second_answer_of_a_fork_is_hung_up(wire: Wire) -> None:
    given_invite(wire)
    wire.answer(wire.last("INVITE"), 180, tag="one")
    wire.answer(wire.last("INVITE"), 180, tag="two", contact="<sip:two@192.0.2.3>")
    wire.answer(wire.last("INVITE"), 200, tag="one")
    dialog = wire.one(InviteAnswered).dialog
    wire.core.send_ack(dialog, b"", wire.now)
    wire.answer(wire.last("INVITE"), 200, tag="two", contact="<sip:two@192.0.2.3>")
    wire.answer(wire.last("INVITE"), 200, tag="two", contact="<sip:two@192.0.2.3>")
    assert [ack.to_tag for ack in wire.requests("ACK")] == ["one", "two", "two"]
    assert [(bye.to_tag, bye.uri) for bye in wire.requests("BYE")] == [("two", "sip:two@192.0.2.3")]
    wire.answer(wire.last("BYE"), 200)
    assert wire.seen(DialogEnded) == []
    assert wire.core.dialog_count == 1
    wire.wait(40)
    assert wire.core.dialog_count == 1


def test_a_surplus_answer_is_held_until_its_caller_says_so() -> None:
    wire = Wire(holds_surplus=True)
    given_invite(wire)
    wire.answer(wire.last("INVITE"), 200, tag="one")
    wire.core.send_ack(wire.one(InviteAnswered).dialog, b"", wire.now)
    wire.answer(wire.last("INVITE"), 200, tag="two")
    wire.answer(wire.last("INVITE"), 200, tag="two")
    wire.wait(3)
    surplus = wire.one(SurplusAnswered).dialog
    assert ([ack.to_tag for ack in wire.requests("ACK")], wire.requests("BYE")) == (["one"], [])
    wire.core.bye(surplus, wire.now)
    wire.settle()
    assert (wire.last("ACK").to_tag, wire.last("BYE").to_tag) == ("two", "two")
    wire.answer(wire.last("BYE"), 200)
    assert wire.one(DialogEnded).dialog is surplus


def test_the_end_of_a_cancelled_invite_waits_for_the_answer_that_is_held() -> None:
    wire = Wire(holds_surplus=True)
    invite = given_ringing(wire)
    wire.core.cancel(invite, wire.now)
    wire.settle()
    wire.answer(wire.last("INVITE"), 200)
    wire.answer(wire.last("CANCEL"), 481)
    wire.wait(3)
    assert wire.requests("ACK") == wire.requests("BYE") == wire.seen(InviteEnded) == []
    wire.core.bye(wire.one(SurplusAnswered).dialog, wire.now)
    wire.settle()
    wire.answer(wire.last("BYE"), 200)
    assert wire.one(InviteEnded).cause is EndCause.CANCELED
    assert_clean(wire)


def test_a_fork_of_a_thousand_is_bounded(wire: Wire) -> None:
    given_invite(wire)
    for number in range(1_000):
        wire.answer(wire.last("INVITE"), 180, tag=f"t{number}")
    assert wire.core.dialog_count == 16
    wire.answer(wire.last("INVITE"), 486)
    assert_clean(wire)


# --- CANCEL ---


def test_cancel_before_provisional_waits(wire: Wire) -> None:
    invite = given_invite(wire)
    wire.core.cancel(invite, wire.now, EndReason("SIP", 200, 'Call "completed" elsewhere'))
    wire.settle()
    assert wire.requests("CANCEL") == []
    wire.answer(wire.last("INVITE"), 100, tag="")
    cancel = wire.last("CANCEL")
    assert cancel.via.branch == wire.last("INVITE").via.branch
    assert (cancel.uri, str(cancel.cseq)) == ("sip:bob@192.0.2.2:5060", "1 CANCEL")
    assert cancel.headers.get("Reason") == 'SIP;cause=200;text="Call \\"completed\\" elsewhere"'
    wire.answer(cancel, 200)
    assert wire.seen(InviteEnded) == []
    wire.answer(wire.last("INVITE"), 487)
    assert (wire.one(InviteEnded).status, wire.one(InviteEnded).cause) == (487, EndCause.CANCELED)
    assert len(wire.requests("CANCEL")) == 1
    assert_clean(wire)


def test_an_answer_that_crosses_the_cancel_is_hung_up_before_the_end_is_told(wire: Wire) -> None:
    invite = given_ringing(wire)
    wire.core.cancel(invite, wire.now, EndReason("SIP", 200))
    wire.settle()
    wire.answer(wire.last("INVITE"), 200)
    assert wire.last("ACK").to_tag == "them"
    assert wire.last("BYE").headers.get("Reason") == "SIP;cause=200"
    assert wire.seen(InviteEnded) == []
    wire.answer(wire.last("CANCEL"), 481)
    wire.answer(wire.last("BYE"), 200)
    assert (wire.one(InviteEnded).status, wire.one(InviteEnded).cause) == (487, EndCause.CANCELED)
    assert wire.seen(InviteAnswered) == wire.seen(DialogEnded) == []
    assert_clean(wire)


def test_an_answer_that_nobody_has_seen_yet_can_still_be_cancelled(wire: Wire) -> None:
    invite = given_ringing(wire)
    request = wire.last("INVITE")
    lines = [f"SIP/2.0 200 OK\r\nVia: {request.headers.get('Via')}\r\nFrom: {request.headers.get('From')}"]
    lines += [f"To: <sip:bob@example.com>;tag=them\r\nCall-ID: {request.call_id}\r\nCSeq: 1 INVITE"]
    text = "\r\n".join([*lines, "Contact: <sip:bob@192.0.2.2>", "", ""])
    wire.core.receive_message(text.encode(), wire.flow, wire.now)
    wire.core.cancel(invite, wire.now)
    wire.settle()
    assert wire.seen(InviteAnswered) == []
    wire.answer(wire.last("BYE"), 200)
    assert wire.one(InviteEnded).cause is EndCause.CANCELED
    assert_clean(wire)


def test_a_cancel_that_leads_to_nothing_is_given_up_after_64_t1(wire: Wire) -> None:
    invite = given_ringing(wire)
    wire.core.cancel(invite, wire.now)
    wire.settle()
    wire.answer(wire.last("CANCEL"), 200)
    wire.wait(31)
    assert wire.seen(InviteEnded) == []
    wire.wait(2)
    assert (wire.one(InviteEnded).status, wire.one(InviteEnded).cause) == (487, EndCause.CANCELED)
    wire.answer(wire.last("INVITE"), 200)
    assert wire.last("BYE").to_tag == "them"
    wire.answer(wire.last("BYE"), 200)
    assert_clean(wire)


def test_a_cancelled_invite_that_is_refused_keeps_the_status_of_the_peer(wire: Wire) -> None:
    invite = given_ringing(wire)
    wire.core.cancel(invite, wire.now)
    wire.answer(wire.last("INVITE"), 486)
    assert (wire.one(InviteEnded).status, wire.one(InviteEnded).cause) == (486, EndCause.CANCELED)


def test_cancelling_twice_or_too_late_does_nothing(wire: Wire) -> None:
    invite = given_ringing(wire)
    wire.core.cancel(invite, wire.now)
    wire.core.cancel(invite, wire.now)
    wire.settle()
    assert len(wire.requests("CANCEL")) == 1
    wire.answer(wire.last("INVITE"), 487)
    wire.core.cancel(invite, wire.now)
    wire.settle()
    wire.one(InviteEnded)


def test_a_cancel_whose_connection_is_lost_goes_over_a_new_one(wire: Wire) -> None:
    stream = Flow("tcp", US, THEM, "tcp-1")
    invite = given_invite(wire, flow=stream)
    wire.answer(wire.last("INVITE"), 180, flow=stream)
    wire.core.cancel(invite, wire.now)
    wire.settle()
    wire.core.flow_failed(stream, wire.now)
    wire.wait(0.1)
    assert len(wire.requests("CANCEL")) == 2
    assert wire.sent_flows[-1] == Flow("tcp", US, THEM)
    assert wire.requests("CANCEL")[0].via.branch == wire.requests("CANCEL")[1].via.branch
    wire.answer(wire.last("CANCEL"), 200)
    wire.answer(wire.last("INVITE"), 487)
    assert wire.one(InviteEnded).cause is EndCause.CANCELED
    assert_clean(wire)


def test_an_invite_whose_connection_is_lost_may_have_arrived_and_is_cancelled(wire: Wire) -> None:
    stream = Flow("tcp", US, THEM)
    given_invite(wire, flow=stream)
    wire.core.flow_failed(stream, wire.now)
    wire.settle()
    assert wire.one(InviteEnded).cause is EndCause.TRANSPORT
    for _ in range(5):
        wire.core.flow_failed(stream, wire.now)
        wire.wait(4.1)
    assert len(wire.requests("CANCEL")) == 6
    wire.core.flow_failed(stream, wire.now)
    assert_clean(wire)


def test_progress_is_not_told_after_cancel(wire: Wire) -> None:
    invite = given_ringing(wire)
    wire.core.cancel(invite, wire.now)
    wire.answer(wire.last("INVITE"), 183, body="v=0\r\n")
    assert len(wire.seen(InviteProgress)) == 1


# --- challenges ---

SERVER = DigestServer(b"secret")
SALTS = count(1)


def challenge(wire: Wire, request: Request, *, status: int = 401, stale: bool = False) -> None:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    values = SERVER.challenges("carrier.example.com", now_s=wire.now, salt=f"{next(SALTS):x}", stale=stale)
    wire.answer(request, status, extra="\r\n".join(f"{name}: {value}" for value in values))


def verdict(request: Request, name: str = "Authorization") -> Verdict:
    def lookup(username: str, algorithm: str) -> str:
        return hash_credentials(algorithm, username, "carrier.example.com", "pa55")

    lines = request.headers.lines(name)
    return SERVER.verify(request.method, lines, lookup, realm="carrier.example.com", now_s=100.0)[0]


@pytest.mark.parametrize(("status", "name"), [(401, "Authorization"), (407, "Proxy-Authorization")])
def test_a_challenge_is_answered_once(wire: Wire, status: int, name: str) -> None:
    given_invite(wire, username="trunk", password="pa55")
    challenge(wire, wire.last("INVITE"), status=status)
    first, second = wire.requests("INVITE")
    assert (second.cseq.number, second.call_id, second.from_tag) == (2, first.call_id, first.from_tag)
    assert second.to_tag == ""
    assert second.via.branch != first.via.branch
    assert verdict(second, name) is Verdict.OK
    wire.answer(second, 200)
    wire.core.send_ack(wire.one(InviteAnswered).dialog, b"", wire.now)
    wire.settle()
    assert wire.last("ACK").cseq.number == 2
    assert wire.last("ACK").headers.lines(name) == second.headers.lines(name)


def test_a_wrong_password_ends_the_invite(wire: Wire) -> None:
    given_invite(wire, username="trunk", password="wrong")
    challenge(wire, wire.last("INVITE"))
    challenge(wire, wire.last("INVITE"))
    assert len(wire.requests("INVITE")) == 2
    assert (wire.one(InviteEnded).status, wire.one(InviteEnded).cause) == (401, EndCause.REJECTED)
    assert_clean(wire)


def test_a_stale_nonce_is_answered_once_more(wire: Wire) -> None:
    given_invite(wire, username="trunk", password="pa55")
    challenge(wire, wire.last("INVITE"))
    challenge(wire, wire.last("INVITE"), stale=True)
    challenge(wire, wire.last("INVITE"), stale=True)
    assert len(wire.requests("INVITE")) == 3
    assert wire.one(InviteEnded).status == 401


@pytest.mark.parametrize("fields", [{}, {"username": "trunk", "password": "pa55", "realm": "other"}])
def test_without_fitting_credentials_a_challenge_is_final(wire: Wire, fields: dict[str, str]) -> None:
    given_invite(wire, **fields)
    challenge(wire, wire.last("INVITE"))
    assert wire.one(InviteEnded).status == 401


def test_a_challenge_after_cancel_is_not_answered(wire: Wire) -> None:
    invite = given_ringing(wire, username="trunk", password="pa55")
    wire.core.cancel(invite, wire.now)
    challenge(wire, wire.last("INVITE"))
    assert len(wire.requests("INVITE")) == 1
    assert wire.one(InviteEnded).cause is EndCause.CANCELED


def test_a_bye_is_authorised_too(wire: Wire) -> None:
    dialog = given_dialog(wire, username="trunk", password="pa55")
    wire.core.bye(dialog, wire.now)
    wire.settle()
    challenge(wire, wire.last("BYE"), status=407)
    assert verdict(wire.last("BYE"), "Proxy-Authorization") is Verdict.OK
    assert [bye.cseq.number for bye in wire.requests("BYE")] == [2, 3]
    wire.answer(wire.last("BYE"), 200)
    assert wire.one(DialogEnded).reason is DialogEndReason.BYE


# --- BYE ---


@pytest.mark.parametrize(
    ("status", "reason"),
    [(200, DialogEndReason.BYE), (481, DialogEndReason.GONE), (500, DialogEndReason.BYE)],
)
def test_a_dialog_ends_when_its_bye_is_answered(wire: Wire, status: int, reason: DialogEndReason) -> None:
    dialog = given_dialog(wire)
    wire.core.bye(dialog, wire.now, (("Reason", "Q.850;cause=16"),))
    wire.core.bye(dialog, wire.now)
    wire.settle()
    assert wire.seen(DialogEnded) == []
    assert wire.last("BYE").headers.get("Reason") == "Q.850;cause=16"
    wire.answer(wire.last("BYE"), status)
    ended = wire.one(DialogEnded)
    assert (ended.dialog, ended.by_peer, ended.reason) == (dialog, False, reason)
    assert_clean(wire)


def test_a_bye_that_nobody_answers_ends_the_dialog_all_the_same(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.core.bye(dialog, wire.now)
    wire.wait(33)
    assert wire.one(DialogEnded).reason is DialogEndReason.TIMEOUT
    assert_clean(wire)


def test_a_bye_before_the_ack_sends_the_ack_first(wire: Wire) -> None:
    given_ringing(wire)
    wire.answer(wire.last("INVITE"), 200)
    wire.core.bye(wire.one(InviteAnswered).dialog, wire.now)
    wire.settle()
    assert [message.method for message in wire.sent if isinstance(message, Request)][-2:] == ["ACK", "BYE"]


def test_a_bye_whose_connection_is_gone_tries_the_contact_over_new_ones_for_some_seconds(wire: Wire) -> None:
    stream = Flow("tcp", US, ("192.0.2.2", 40001), "tcp-1")
    given_invite(wire, flow=stream)
    contact = "<sip:bob@192.0.2.2:5060;transport=tcp>"
    wire.answer(wire.last("INVITE"), 200, contact=contact, flow=stream)
    wire.core.bye(wire.one(InviteAnswered).dialog, wire.now)
    wire.settle()
    assert wire.sent_flows[-1] == stream
    wire.core.flow_failed(stream, wire.now)
    wire.settle()
    anew = Flow("tcp", US, ("192.0.2.2", 5060))
    for pause in (0.5, 1.0, 2.0, 4.0):
        assert wire.sent_flows[-1] == anew
        wire.take_sent()
        wire.core.flow_failed(anew, wire.now)
        wire.settle()
        assert wire.sent == []
        wire.wait(pause + 0.1)
    assert len(wire.requests("BYE")) == 1
    wire.core.flow_failed(anew, wire.now)
    wire.settle()
    assert wire.one(DialogEnded).reason is DialogEndReason.TRANSPORT
    assert_clean(wire)


def test_byes_that_cross_end_the_dialog_once(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.core.bye(dialog, wire.now)
    wire.settle()
    wire.receive(peer_request(wire, "BYE", 1))
    assert len(wire.responses(200)) == 1
    assert wire.seen(DialogEnded) == []
    wire.answer(wire.last("BYE"), 481)
    wire.one(DialogEnded)
    assert_clean(wire)


def test_the_peers_bye_is_answered_and_told(wire: Wire) -> None:
    dialog = given_dialog(wire)
    text = peer_request(wire, "BYE", 1, extra="Reason: Q.850;cause=16\n")
    wire.receive(text)
    wire.receive(text)
    assert len(wire.responses(200)) == 2
    ended = wire.one(DialogEnded)
    assert (ended.dialog, ended.by_peer, ended.reason) == (dialog, True, DialogEndReason.BYE)
    assert ended.request.headers.get("Reason") == "Q.850;cause=16"
    wire.core.bye(dialog, wire.now)
    wire.settle()
    assert wire.requests("BYE") == []
    assert_clean(wire)


def peer_request(
    wire: Wire, method: str, cseq: int, *, extra: str = "", body: str = "", branch: str = ""
) -> str:
    """Return a request of the peer in the dialog of our last INVITE."""
    invite = wire.last("INVITE")
    return (
        f"{method} sip:192.0.2.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.2:5060;"
        f"branch=z9hG4bK{branch or f'{method}{cseq}'}\nMax-Forwards: 70\n"
        f"From: <sip:bob@example.com>;tag=them\nTo: <sip:alice@example.com>;tag={invite.from_tag}\n"
        f"Call-ID: {invite.call_id}\nCSeq: {cseq} {method}\n{extra}"
        f"Content-Length: {len(body)}\n\n{body}"
    )


# --- re-INVITE and other requests ---


def test_a_reinvite_changes_the_session(wire: Wire) -> None:
    dialog = given_dialog(wire)
    reinvite = wire.core.reinvite(dialog, b"v=1\r\n", wire.now)
    wire.settle()
    sent = wire.last("INVITE")
    assert (sent.cseq.number, sent.to_tag, sent.body) == (2, "them", b"v=1\r\n")
    assert sent.contacts[0].uri == "sip:192.0.2.1:5060"
    wire.answer(sent, 200, contact="<sip:bob@192.0.2.3:5066>", body="v=2\r\n")
    answered = wire.one(ReinviteAnswered)
    assert (answered.invite, answered.dialog) == (reinvite, dialog)
    wire.core.send_ack(dialog, b"", wire.now)
    wire.answer(sent, 200, contact="<sip:bob@192.0.2.3:5066>")
    assert [ack.cseq.number for ack in wire.requests("ACK")[1:]] == [2, 2]
    assert wire.last("ACK").uri == "sip:bob@192.0.2.3:5066"


def test_a_refused_reinvite_leaves_the_dialog_as_it_was(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.core.reinvite(dialog, b"v=1\r\n", wire.now)
    wire.settle()
    wire.answer(wire.last("INVITE"), 488)
    assert (wire.one(ReinviteFailed).status, wire.core.dialog_count) == (488, 1)
    wire.core.reinvite(dialog, b"v=1\r\n", wire.now)
    wire.settle()
    assert wire.last("INVITE").cseq.number == 3


@pytest.mark.parametrize("status", [408, 481])
def test_a_reinvite_that_finds_no_dialog_ends_it(wire: Wire, status: int) -> None:
    dialog = given_dialog(wire)
    wire.core.reinvite(dialog, b"v=1\r\n", wire.now)
    wire.settle()
    wire.answer(wire.last("INVITE"), status)
    wire.answer(wire.last("BYE"), 481)
    assert wire.one(ReinviteFailed).status == status
    assert wire.one(DialogEnded).reason is DialogEndReason.GONE
    assert_clean(wire)


def test_glare_is_tried_again_after_a_random_pause(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.core.reinvite(dialog, b"v=1\r\n", wire.now)
    wire.settle()
    wire.answer(wire.last("INVITE"), 491)
    wire.wait(2.0)
    assert len(wire.requests("INVITE")) == 2
    wire.wait(2.2)
    assert {request.cseq.number for request in wire.requests("INVITE")} == {1, 2, 3}
    wire.answer(wire.last("INVITE"), 200)
    wire.one(ReinviteAnswered)


def test_a_peer_that_never_lets_us_have_our_turn_is_reported(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.core.reinvite(dialog, b"v=1\r\n", wire.now)
    wire.settle()
    for _ in range(1 + MAX_GLARES):
        wire.answer(wire.last("INVITE"), 491)
        wire.wait(4.1)
    assert wire.one(ReinviteFailed).status == 491
    assert len({request.cseq.number for request in wire.requests("INVITE")}) == 2 + MAX_GLARES


def test_our_reinvite_waits_until_theirs_is_done(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.receive(peer_request(wire, "INVITE", 1))
    theirs = wire.one(RequestReceived).transaction
    wire.core.reinvite(dialog, b"v=1\r\n", wire.now)
    wire.settle()
    wire.wait(4.1)
    assert {request.cseq.number for request in wire.requests("INVITE")} == {1}, "theirs is not answered yet"
    wire.core.respond(theirs, 200, body=b"v=2\r\n", now=wire.now)
    wire.settle()
    wire.receive(peer_request(wire, "ACK", 1))
    wire.wait(4.1)
    assert wire.last("INVITE").body == b"v=1\r\n"
    wire.answer(wire.last("INVITE"), 200)
    wire.one(ReinviteAnswered)


def test_a_dialog_that_ends_while_our_reinvite_waits_fails_it(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.receive(peer_request(wire, "INVITE", 1))
    wire.core.reinvite(dialog, b"v=1\r\n", wire.now)
    wire.receive(peer_request(wire, "BYE", 2))
    assert wire.one(ReinviteFailed).status == 481
    wire.wait(40)
    assert {request.cseq.number for request in wire.requests("INVITE")} == {1}
    assert_clean(wire)


def given_tcp_dialog(wire: Wire):  # type: ignore[no-untyped-def]
    """Return a dialog over TCP; its connections are named by their remote address alone."""
    wire.flow = Flow("tcp", US, THEM)
    return given_dialog(wire, flow=wire.flow)


def test_an_ack_that_may_be_lost_with_its_connection_is_sent_over_a_new_one(wire: Wire) -> None:
    dialog = given_tcp_dialog(wire)
    for number in range(1, 6):
        wire.core.flow_failed(Flow("tcp", US, THEM), wire.now)
        wire.wait(4.5)
        assert len(wire.requests("ACK")) == 1 + number
    wire.core.flow_failed(Flow("tcp", US, THEM), wire.now)
    wire.wait(10)
    assert len(wire.requests("ACK")) == 6, "five new connections are enough"
    assert len({ack.via.branch for ack in wire.requests("ACK")}) == 1
    wire.core.bye(dialog, wire.now)
    wire.settle()
    wire.answer(wire.last("BYE"), 200)
    assert_clean(wire)


def test_an_old_ack_is_not_sent_again(wire: Wire) -> None:
    given_tcp_dialog(wire)
    wire.wait(33)
    wire.core.flow_failed(Flow("tcp", US, THEM), wire.now)
    wire.wait(10)
    assert len(wire.requests("ACK")) == 1


def test_a_reinvite_that_loses_its_connection_is_sent_over_a_new_one(wire: Wire) -> None:
    dialog = given_tcp_dialog(wire)
    wire.wait(33)
    wire.core.reinvite(dialog, b"v=1\r\n", wire.now)
    wire.settle()
    wire.core.flow_failed(Flow("tcp", US, THEM), wire.now)
    wire.wait(0.1)
    assert [request.cseq.number for request in wire.requests("INVITE")] == [1, 2, 2]
    assert len({request.via.branch for request in wire.requests("INVITE")}) == 2
    wire.answer(wire.last("INVITE"), 200)
    wire.one(ReinviteAnswered)


def test_a_reinvite_that_finds_no_connection_ends_the_dialog(wire: Wire) -> None:
    dialog = given_tcp_dialog(wire)
    wire.core.reinvite(dialog, b"v=1\r\n", wire.now)
    wire.settle()
    for _ in range(6):
        wire.core.flow_failed(Flow("tcp", US, THEM), wire.now)
        wire.wait(4.5)
    assert wire.one(ReinviteFailed).status == 503
    assert len(wire.requests("INVITE")) == 7
    assert wire.requests("BYE")


def test_glare_on_our_side_refuses_theirs(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.core.reinvite(dialog, b"v=1\r\n", wire.now)
    wire.settle()
    wire.receive(peer_request(wire, "INVITE", 1))
    assert [response.status for response in wire.responses()] == [491]


def test_a_dialog_that_ends_under_a_reinvite_fails_it(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.core.reinvite(dialog, b"v=1\r\n", wire.now)
    wire.settle()
    wire.receive(peer_request(wire, "BYE", 1))
    assert wire.one(ReinviteFailed).status == 481
    wire.one(DialogEnded)
    wire.answer(wire.last("INVITE"), 487)
    assert_clean(wire)


@pytest.mark.parametrize("hears_trying_first", [True, False])
def test_a_reinvite_of_a_dialog_that_is_over_is_given_up_after_32_seconds(
    wire: Wire, *, hears_trying_first: bool
) -> None:
    dialog = given_dialog(wire)
    wire.core.reinvite(dialog, b"v=1\r\n", wire.now)
    wire.settle()
    invite = wire.last("INVITE")
    if hears_trying_first:
        wire.answer(invite, 100)
    wire.core.bye(dialog, wire.now)
    wire.settle()
    wire.answer(wire.last("BYE"), 200)
    if not hears_trying_first:
        wire.answer(invite, 100)
    assert wire.core.transaction_count > 0
    wire.wait(65)
    assert wire.core.is_idle
    assert wire.core.timer_count == 0


def test_info_in_a_dialog_is_answered(wire: Wire) -> None:
    dialog = given_dialog(wire)
    handle = wire.core.request_in_dialog(
        dialog, "INFO", wire.now, body=b"Signal=5", content_type="application/dtmf-relay"
    )
    wire.settle()
    assert (wire.last("INFO").cseq.number, wire.last("INFO").body) == (2, b"Signal=5")
    wire.answer(wire.last("INFO"), 200)
    assert (wire.one(ResponseReceived).request, wire.one(ResponseReceived).status) == (handle, 200)


def test_a_request_outside_a_dialog_answers_its_challenge(wire: Wire) -> None:
    wanted = OutgoingRequest(
        method="REGISTER",
        request_uri="sip:acme.example.com",
        from_="<sip:dev1@acme.example.com>",
        to="<sip:dev1@acme.example.com>",
        flow=wire.flow,
        call_id="reg-1",
        cseq=7,
        contact="<sip:dev1@192.0.2.1:5060>",
        headers=(("Expires", "300"),),
        username="dev1",
        password="pa55",
    )
    handle = wire.core.request(wanted, wire.now)
    wire.settle()
    challenge(wire, wire.last("REGISTER"))
    assert verdict(wire.last("REGISTER")) is Verdict.OK
    assert (wire.last("REGISTER").cseq.number, wire.last("REGISTER").call_id) == (8, "reg-1")
    wire.answer(wire.last("REGISTER"), 200)
    assert wire.one(ResponseReceived).status == 200
    assert handle.sent.cseq.number == 8
    assert_clean(wire)


def test_a_request_that_nobody_answers_is_told(wire: Wire) -> None:
    wire.core.request(
        OutgoingRequest(
            method="OPTIONS", request_uri="sip:x", from_="<sip:a@b>", to="<sip:x>", flow=wire.flow
        ),
        wire.now,
    )
    wire.wait(33)
    assert (wire.one(ResponseReceived).status, wire.one(ResponseReceived).response) == (408, None)


# --- bad input ---


@pytest.mark.parametrize(
    "garbled",
    [
        b"SIP/2.0 200 OK\r\n\r\n",
        b"SIP/2.0 200 OK\r\nVia: nonsense\r\n\r\n",
        b"SIP/2.0 999 Odd\r\n\r\n",
        b"\x00\x01\x02\x03",
        b"",
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\nCSeq: 1 INVITE\r\nTo: <s\r\n\r\n",
    ],
)
def test_garbage_is_dropped(wire: Wire, garbled: bytes) -> None:
    given_invite(wire)
    wire.take_sent()
    wire.receive(garbled)
    assert (wire.events, wire.sent) == ([], [])


@pytest.mark.parametrize(
    "broken",
    ["To: <sip:bob", "Contact: <sip:bob", "Record-Route: nonsense;;", "CSeq: x", "Call-ID: two words"],
)
def test_a_garbled_answer_is_dropped_and_the_invite_times_out(wire: Wire, broken: str) -> None:
    given_ringing(wire)
    request = wire.last("INVITE")
    name = broken.partition(":")[0]
    fields = {
        "Via": request.headers.get("Via"),
        "From": request.headers.get("From"),
        "To": "<sip:bob@example.com>;tag=them",
        "Call-ID": request.call_id,
        "CSeq": "1 INVITE",
        "Contact": "<sip:bob@192.0.2.2>",
        name: broken.partition(": ")[2],
    }
    wire.receive("SIP/2.0 200 OK\n" + "".join(f"{key}: {value}\n" for key, value in fields.items()) + "\n")
    wire.wait(400)
    assert len(wire.seen(InviteAnswered)) + len(wire.seen(InviteEnded)) == 1
    for answered in wire.seen(InviteAnswered):
        wire.core.bye(answered.dialog, wire.now)
    assert_clean(wire)


def test_an_answer_with_two_vias_is_not_for_us(wire: Wire) -> None:
    given_invite(wire)
    wire.answer(wire.last("INVITE"), 200, extra="Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKother")
    assert wire.events == []


def test_a_line_break_in_a_header_is_our_callers_fault(wire: Wire) -> None:
    with pytest.raises(LocalHeaderInjection):
        given_invite(wire, headers=(("X-Evil", "a\r\nRoute: <sip:evil.example.com>"),))
    wire.settle()
    assert wire.sent == []
    assert wire.core.is_idle


def test_too_many_calls_are_refused() -> None:
    wire = Wire(max_transactions=2)
    given_invite(wire)
    given_invite(wire)
    with pytest.raises(LocalOverload):
        given_invite(wire)


def test_a_dialog_that_is_over_carries_no_requests(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.receive(peer_request(wire, "BYE", 1))
    with pytest.raises(LocalDialogOver):
        wire.core.reinvite(dialog, b"", wire.now)
    with pytest.raises(LocalDialogOver):
        wire.core.request_in_dialog(dialog, "INFO", wire.now)
    wire.core.send_ack(dialog, b"", wire.now)
    wire.take_sent()
    wire.settle()
    assert wire.sent == []


def test_an_answer_without_call_id_is_none(wire: Wire) -> None:
    given_invite(wire)
    via = wire.last("INVITE").headers.get("Via")
    wire.receive(
        f"SIP/2.0 200 OK\nVia: {via}\nFrom: <sip:a@x>;tag=1\nTo: <sip:b@x>;tag=2\nCSeq: 1 INVITE\n\n"
    )
    assert wire.events == []


def test_a_third_party_cannot_forge_an_answer(wire: Wire) -> None:
    given_invite(wire)
    forged = wire.last("INVITE")
    forged.headers.set("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKguess")
    wire.answer(forged, 200, flow=Flow("udp", US, THIRD))
    assert wire.events == []


def test_a_peers_invite_that_is_refused_while_ours_rings_does_not_cost_its_answer(wire: Wire) -> None:
    invite = given_ringing(wire)
    local_tag = wire.last("INVITE").from_tag
    wire.receive(
        "INVITE sip:alice@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx\nMax-Forwards: 70\n"
        f"From: <sip:bob@example.com>;tag=them\nTo: <sip:alice@example.com>;tag={local_tag}\n"
        f"Call-ID: {invite.call_id}\nCSeq: 2 INVITE\nContact: <sip:bob@192.0.2.2>\nContent-Length: 0\n\n"
    )
    assert wire.responses(500)
    wire.answer(wire.last("INVITE"), 200, body="v=0\r\n")
    assert wire.one(InviteAnswered).invite is invite
