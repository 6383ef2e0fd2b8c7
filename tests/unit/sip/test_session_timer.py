"""Session timers, both roles (RFC 4028): on one wire, and between two cores over minutes."""

import pytest

from offhook.sip.events import (
    AckReceived,
    DialogEnded,
    DialogEndReason,
    InviteAnswered,
    InviteEnded,
    RequestReceived,
    SessionRefreshed,
    SipEvent,
)
from offhook.sip.message import Request
from offhook.sip.session_headers import SessionExpires, agreed_session, session_expires_of
from offhook.sip.user_agent import UserAgentCore

from .messages import given_request
from .peers import SDP, THEM, US, VirtualNetwork, Wire, invite_to, make_core
from .test_user_agent_client import assert_clean
from .test_user_agent_server import request


@pytest.fixture
def wire() -> Wire:
    return Wire(session_expires_s=1800)


def given_dialog(wire: Wire, expires: str, *, allow: str = "INVITE, ACK, BYE, UPDATE"):  # type: ignore[no-untyped-def]
    wire.core.invite(invite_to(), wire.now)
    wire.settle()
    extra = f"Session-Expires: {expires}\r\nAllow: {allow}" if expires else f"Allow: {allow}"
    wire.answer(wire.last("INVITE"), 200, body="v=0\r\n", extra=extra)
    dialog = wire.one(InviteAnswered).dialog
    wire.core.send_ack(dialog, b"", wire.now)
    wire.settle()
    return dialog


def sent(wire: Wire, method: str) -> list[Request]:
    """Return the requests that were sent, each once however often it was repeated."""
    return list({request.via.branch: request for request in wire.requests(method)}.values())


# --- as caller ---


def test_an_invite_asks_for_the_timer(wire: Wire) -> None:
    wire.core.invite(invite_to(), wire.now)
    wire.settle()
    headers = wire.last("INVITE").headers
    assert headers.get_all("Supported") == ["100rel", "timer"]
    assert (headers.get("Session-Expires"), headers.get("Min-SE")) == ("1800", "90")


def test_without_the_setting_nothing_is_said_nor_done() -> None:
    wire = Wire()
    dialog = given_dialog(wire, "100;refresher=uac")
    assert "Session-Expires" not in wire.last("INVITE").headers
    wire.wait(500)
    assert (wire.requests("UPDATE"), dialog.session_timer) == ([], None)


def test_a_peer_without_timers_is_left_alone(wire: Wire) -> None:
    dialog = given_dialog(wire, "")
    wire.wait(4_000)
    assert (wire.requests("UPDATE"), wire.requests("BYE"), dialog.session_timer) == ([], [], None)


def test_a_longer_interval_is_asked_for_once(wire: Wire) -> None:
    wire.core.invite(invite_to(), wire.now)
    wire.settle()
    wire.answer(wire.last("INVITE"), 422, extra="Min-SE: 3600")
    again = wire.last("INVITE")
    assert (again.headers.get("Session-Expires"), again.headers.get("Min-SE")) == ("3600", "3600")
    assert (again.cseq.number, again.call_id) == (2, wire.requests("INVITE")[0].call_id)
    wire.answer(again, 422, extra="Min-SE: 7200")
    assert wire.one(InviteEnded).status == 422
    assert len(wire.requests("INVITE")) == 2


def test_we_refresh_by_update_at_half_the_interval(wire: Wire) -> None:
    given_dialog(wire, "120;refresher=uac")
    wire.wait(59)
    assert wire.requests("UPDATE") == []
    for _ in range(5):
        wire.wait(1.2)
        update = wire.last("UPDATE")
        assert (update.headers.get("Session-Expires"), update.body) == ("120;refresher=uac", b"")
        wire.answer(update, 200, extra="Session-Expires: 120;refresher=uac")
        wire.wait(59)
    assert len(wire.requests("UPDATE")) == 5
    assert wire.requests("BYE") == []


def test_we_refresh_by_invite_if_the_peer_takes_no_update(wire: Wire) -> None:
    given_dialog(wire, "120;refresher=uac", allow="INVITE, ACK, BYE")
    wire.wait(61)
    refresh = wire.last("INVITE")
    assert (refresh.body, refresh.headers.get("Session-Expires")) == (SDP, "120;refresher=uac")
    wire.answer(refresh, 200, body="v=0\r\n", extra="Session-Expires: 120;refresher=uac")
    assert wire.one(SessionRefreshed).response.body == b"v=0\r\n"
    assert wire.last("ACK").cseq.number == refresh.cseq.number
    wire.wait(61)
    assert len(sent(wire, "INVITE")) == 3


@pytest.mark.parametrize("status", [405, 501, 403])
def test_a_refused_update_makes_way_for_an_invite(wire: Wire, status: int) -> None:
    given_dialog(wire, "120;refresher=uac")
    wire.wait(61)
    wire.answer(wire.last("UPDATE"), status)
    wire.wait(13)
    assert (len(sent(wire, "UPDATE")), len(sent(wire, "INVITE"))) == (1, 2)


@pytest.mark.parametrize("status", [491, 500, 503])
def test_a_refresh_that_came_at_a_bad_time_is_tried_again(wire: Wire, status: int) -> None:
    given_dialog(wire, "120;refresher=uac")
    wire.wait(61)
    wire.answer(wire.last("UPDATE"), status)
    wire.wait(13)
    wire.answer(wire.last("UPDATE"), 200, extra="Session-Expires: 120;refresher=uac")
    wire.wait(50)
    assert (len(sent(wire, "UPDATE")), wire.requests("BYE")) == (2, [])


@pytest.mark.parametrize("status", [408, 481])
def test_a_refresh_that_finds_no_dialog_ends_it(wire: Wire, status: int) -> None:
    given_dialog(wire, "120;refresher=uac")
    wire.wait(61)
    wire.answer(wire.last("UPDATE"), status)
    wire.answer(wire.last("BYE"), 481)
    wire.one(DialogEnded)
    assert_clean(wire)


@pytest.mark.parametrize("allow", ["INVITE, ACK, BYE, UPDATE", "INVITE, ACK, BYE"])
def test_a_refresh_that_is_met_with_silence_ends_the_call(wire: Wire, allow: str) -> None:
    given_dialog(wire, "120;refresher=uac", allow=allow)
    wire.wait(94)
    wire.answer(wire.last("BYE"), 481)
    assert wire.one(DialogEnded).reason is DialogEndReason.EXPIRED
    assert_clean(wire)


def test_a_peer_that_does_not_refresh_is_hung_up(wire: Wire) -> None:
    given_dialog(wire, "120;refresher=uas")
    wire.wait(87)
    assert wire.requests("BYE") == []
    wire.wait(2)  # 32 s before the end
    bye = wire.last("BYE")
    assert bye.headers.get("Reason") == 'SIP;cause=408;text="Session expired"'
    wire.answer(bye, 200)
    told = wire.one(DialogEnded)
    assert (told.reason, told.by_peer) == (DialogEndReason.EXPIRED, False)
    assert_clean(wire)


@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
def test_a_refresh_of_the_peer_starts_the_interval_anew(wire: Wire, method: str) -> None:
    dialog = given_dialog(wire, "120;refresher=uas")
    for cseq in range(1, 5):
        wire.wait(60)
        extra = "Supported: timer\nSession-Expires: 120;refresher=uac\n"
        wire.receive(request(method, cseq, to_tag=dialog.local_tag, call_id=dialog.call_id, extra=extra,
                             body="v=0\n" if method == "INVITE" else ""))  # fmt: skip
        if method == "INVITE":
            wire.core.respond(wire.seen(RequestReceived)[-1].transaction, 200, body=SDP, now=wire.now)
            wire.settle()
            wire.receive(
                request("ACK", cseq, branch=f"a{cseq}", to_tag=dialog.local_tag, call_id=dialog.call_id)
            )
        answer = wire.responses(200)[-1]
        assert answer.headers.get("Session-Expires") == "120;refresher=uac"
    assert wire.requests("BYE") == []
    wire.wait(100)
    assert wire.requests("BYE")


def test_too_short_an_interval_in_an_answer_is_not_followed(wire: Wire) -> None:
    given_dialog(wire, "2;refresher=uac")
    wire.wait(44)
    assert wire.requests("UPDATE") == []


# --- as callee ---


def test_too_short_an_interval_is_refused(wire: Wire) -> None:
    wire.receive(request(extra="Supported: timer\nSession-Expires: 60\n", body="v=0\n"))
    assert wire.responses(422)[0].headers.get("Min-SE") == "90"
    assert wire.seen(RequestReceived) == []


@pytest.mark.parametrize(
    ("headers", "agreed"),
    [
        ({}, None),
        ({"Supported": "timer"}, SessionExpires(1800, "uac")),
        ({"Supported": "timer", "Session-Expires": "600"}, SessionExpires(600, "uac")),
        ({"k": "timer", "x": "600;refresher=uas"}, SessionExpires(600, "uas")),
        ({"Supported": "timer", "Session-Expires": "9000;Refresher=UAC"}, SessionExpires(1800, "uac")),
        ({"Supported": "timer", "Session-Expires": "9000", "Min-SE": "3600"}, SessionExpires(3600, "uac")),
        ({"Session-Expires": "600"}, SessionExpires(600, "uas")),  # a proxy has put it there
        ({"Session-Expires": "10"}, SessionExpires(90, "uas")),
        ({"Supported": "timer", "Session-Expires": "many"}, SessionExpires(1800, "uac")),
    ],
)
def test_what_we_agree_to(headers: dict[str, str], agreed: SessionExpires | None) -> None:
    asked = given_request("INVITE")
    for name, value in headers.items():
        asked.headers.add(name, value)
    assert agreed_session(asked, 1800) == agreed


def test_unreadable_intervals_count_as_none() -> None:
    asked = given_request("INVITE")
    asked.headers.add("Session-Expires", "99999999999999999999;refresher=uac")
    assert session_expires_of(asked) is None


@pytest.mark.parametrize("expires_s", [0, 1800])
def test_a_caller_that_requires_timers(expires_s: int) -> None:
    wire = Wire(session_expires_s=expires_s)
    wire.receive(request(extra="Require: timer\nSupported: timer\nSession-Expires: 120\n", body="v=0\n"))
    assert bool(wire.responses(420)) is (expires_s == 0)


# --- both ---


class Peer:
    """Calls or answers, and notes what it is told."""

    def __init__(self, core: UserAgentCore) -> None:
        self.core = core
        self.events: list[SipEvent] = []

    def take(self, event: SipEvent, now: float) -> None:
        self.events.append(event)
        if isinstance(event, RequestReceived) and event.request.method == "INVITE":
            self.core.respond(event.transaction, 200, body=SDP, now=now)
        elif isinstance(event, InviteAnswered):
            self.core.send_ack(event.dialog, b"", now)

    def seen(self, kind: type) -> list[SipEvent]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.mark.parametrize("loss", [0.0, 0.2])
@pytest.mark.parametrize("takes_update", [True, False])
def test_a_call_is_refreshed_for_ten_minutes_and_ends_soon_after_its_peer_is_gone(
    loss: float, takes_update: bool
) -> None:
    methods = (
        ("INVITE", "ACK", "CANCEL", "BYE", "UPDATE") if takes_update else ("INVITE", "ACK", "CANCEL", "BYE")
    )
    network = VirtualNetwork(7, loss=loss)
    caller = Peer(make_core(US, seed=1, session_expires_s=120))
    callee = Peer(make_core(THEM, seed=2, session_expires_s=120, allow=methods))
    network.add(US, caller.core, caller.take)
    network.add(THEM, callee.core, callee.take)
    caller.core.invite(invite_to(), 0.0)
    network.run(600)
    assert caller.seen(DialogEnded) == callee.seen(DialogEnded) == []
    assert caller.core.dialog_count == callee.core.dialog_count == 1
    assert len(caller.seen(SessionRefreshed)) >= (0 if takes_update else 8)
    assert len(callee.seen(AckReceived)) >= (1 if takes_update else 9)
    del network.cores[THEM]  # without a word
    network.run(1_000)
    [ended] = caller.seen(DialogEnded)
    assert isinstance(ended, DialogEnded)
    assert not ended.by_peer
    assert caller.core.is_idle
    assert caller.core.timer_count == 0


def test_the_callee_notices_a_caller_that_is_gone() -> None:
    network = VirtualNetwork(7)
    caller, callee = (
        Peer(make_core(address, seed=seed, session_expires_s=120)) for seed, address in ((1, US), (2, THEM))
    )
    network.add(US, caller.core, caller.take)
    network.add(THEM, callee.core, callee.take)
    caller.core.invite(invite_to(), 0.0)
    network.run(300)
    del network.cores[US]
    network.run(600)
    [ended] = callee.seen(DialogEnded)
    assert isinstance(ended, DialogEnded)
    assert ended.reason is DialogEndReason.EXPIRED
