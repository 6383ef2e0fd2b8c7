"""UPDATE, both ends, and what happens when offers meet (RFC 3311)."""

import pytest

from offhook.sip.errors import LocalDialogOver
from offhook.sip.events import DialogEnded, ReinviteAnswered, RequestReceived, UpdateAnswered

from .peers import SDP, Wire
from .test_user_agent_client import assert_clean, given_dialog
from .test_user_agent_server import request

OFFER = "v=0\n"


@pytest.fixture
def wire() -> Wire:
    return Wire()


def in_dialog(dialog, method: str, cseq: int, **extra: str) -> str:  # type: ignore[no-untyped-def]
    return request(method, cseq, to_tag=dialog.local_tag, call_id=dialog.call_id, **extra)


def test_our_update_brings_an_answer(wire: Wire) -> None:
    dialog = given_dialog(wire)
    sent = wire.core.update(dialog, SDP, wire.now)
    wire.settle()
    assert (wire.last("UPDATE").body, wire.last("UPDATE").cseq.number) == (SDP, 2)
    wire.answer(wire.last("UPDATE"), 200, body="v=0\r\n", contact="<sip:bob@192.0.2.3:5070>")
    told = wire.one(UpdateAnswered)
    assert (told.request, told.status, told.response.body) == (sent, 200, b"v=0\r\n")
    assert dialog.remote_target == "sip:bob@192.0.2.3:5070"


def test_a_second_update_of_ours_waits_for_nothing_a_reinvite_for_its_turn(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.core.update(dialog, SDP, wire.now)
    wire.core.update(dialog, SDP, wire.now)
    wire.core.reinvite(dialog, SDP, wire.now)
    wire.settle()
    assert wire.one(UpdateAnswered).status == 491
    assert len(wire.requests("UPDATE")) == 1
    assert len(wire.requests("INVITE")) == 1
    wire.answer(wire.last("UPDATE"), 200)
    wire.wait(4.1)
    wire.answer(wire.last("INVITE"), 200)
    wire.one(ReinviteAnswered)


@pytest.mark.parametrize("status", [408, 481])
def test_a_peer_that_knows_no_such_dialog_ends_it(wire: Wire, status: int) -> None:
    dialog = given_dialog(wire)
    wire.core.update(dialog, SDP, wire.now)
    wire.settle()
    wire.answer(wire.last("UPDATE"), status)
    wire.answer(wire.last("BYE"), 481)
    wire.one(DialogEnded)
    assert_clean(wire)


def test_an_update_of_the_peer_waits_for_our_answer(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.receive(in_dialog(dialog, "UPDATE", 1, body=OFFER))
    event = wire.one(RequestReceived)
    assert (event.request.method, event.dialog) == ("UPDATE", dialog)
    wire.core.respond(event.transaction, 200, body=SDP, now=wire.now)
    wire.settle()
    assert wire.responses(200)[-1].body == SDP
    wire.core.reinvite(dialog, SDP, wire.now)  # nothing is in the way any more
    wire.settle()
    assert len(wire.requests("INVITE")) == 2


def test_an_update_without_an_offer_is_answered_at_once(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.receive(in_dialog(dialog, "UPDATE", 1, contact="Contact: <sip:bob@192.0.2.3:5070>\n"))
    assert wire.responses(200)
    assert wire.seen(RequestReceived) == []
    assert dialog.remote_target == "sip:bob@192.0.2.3:5070"


@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
def test_an_offer_that_meets_ours_is_refused(wire: Wire, method: str) -> None:
    dialog = given_dialog(wire)
    wire.core.update(dialog, SDP, wire.now)
    wire.settle()
    wire.receive(in_dialog(dialog, method, 1, body=OFFER))
    assert wire.responses(491)
    assert wire.seen(RequestReceived) == []


@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
def test_a_second_offer_of_theirs_is_put_off(wire: Wire, method: str) -> None:
    dialog = given_dialog(wire)
    wire.receive(in_dialog(dialog, "UPDATE", 1, body=OFFER))
    wire.receive(in_dialog(dialog, method, 2, body=OFFER))
    [refused] = wire.responses(500)
    assert 0 <= int(refused.headers.get("Retry-After") or "-1") <= 10
    wire.one(RequestReceived)


def test_our_own_offer_is_put_off_by_theirs(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.receive(in_dialog(dialog, "UPDATE", 1, body=OFFER))
    wire.core.update(dialog, SDP, wire.now)
    wire.settle()
    assert wire.one(UpdateAnswered).status == 491


def test_an_update_our_caller_forgets_ends_by_itself(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.receive(in_dialog(dialog, "UPDATE", 1, body=OFFER))
    wire.wait(40)
    wire.core.reinvite(dialog, SDP, wire.now)
    wire.settle()
    assert len(wire.requests("INVITE")) == 2


def test_none_in_a_dialog_that_is_over(wire: Wire) -> None:
    dialog = given_dialog(wire)
    wire.core.bye(dialog, wire.now)
    wire.settle()
    wire.receive(in_dialog(dialog, "UPDATE", 1, body=OFFER))
    assert wire.responses(481)
    with pytest.raises(LocalDialogOver):
        wire.core.update(dialog, SDP, wire.now)


@pytest.mark.parametrize("method", ["UPDATE", "PRACK", "INFO"])
def test_none_without_a_dialog(wire: Wire, method: str) -> None:
    wire.receive(request(method))
    assert wire.responses(481)
