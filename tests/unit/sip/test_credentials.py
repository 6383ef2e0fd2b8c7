"""Challenges of several servers, stale nonces, and credentials sent before they are asked for."""

import pytest

from offhook.sip.commands import OutgoingRequest
from offhook.sip.digest import Credentials
from offhook.sip.events import InviteAnswered, InviteEnded, ResponseReceived
from offhook.sip.flows import Flow
from offhook.sip.message import Request

from .peers import THEM, US, Wire, invite_to


@pytest.fixture
def wire() -> Wire:
    return Wire()


def ask(status: int, realm: str, nonce: str, more: str = "") -> str:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    return f'{name}: Digest realm="{realm}", nonce="{nonce}", algorithm=MD5, qop="auth"{more}'


def given_invite(wire: Wire, **changes: object) -> None:
    wire.core.invite(invite_to(username="trunk", password="secret", **changes), wire.now)  # type: ignore[arg-type]
    wire.settle()


def credentials(request: Request, name: str) -> list[dict[str, str]]:
    return [Credentials.parse(value).params for value in request.headers.lines(name)]


def test_a_proxy_and_a_server_are_answered_together(wire: Wire) -> None:
    given_invite(wire)
    wire.answer(wire.last("INVITE"), 407, extra=ask(407, "proxy", "p1"))
    wire.answer(wire.last("INVITE"), 401, extra=ask(401, "server", "s1"))
    sent = wire.last("INVITE")
    [proxy], [server] = credentials(sent, "Proxy-Authorization"), credentials(sent, "Authorization")
    assert (proxy["realm"], proxy["nc"], server["realm"], server["nc"]) == (
        "proxy",
        "00000002",
        "server",
        "00000001",
    )
    wire.answer(sent, 200, body="v=0\r\n")
    wire.one(InviteAnswered)


def test_several_challenges_at_once_are_answered_at_once(wire: Wire) -> None:
    given_invite(wire)
    extra = "\r\n".join([ask(407, "a", "1"), ask(407, "b", "2"), ask(401, "c", "3")])
    wire.answer(wire.last("INVITE"), 407, extra=extra)
    sent = wire.last("INVITE")
    assert [c["realm"] for c in credentials(sent, "Proxy-Authorization")] == ["a", "b"]
    assert [c["realm"] for c in credentials(sent, "Authorization")] == ["c"]


def test_only_the_realm_we_know_is_answered(wire: Wire) -> None:
    given_invite(wire, realm="b")
    wire.answer(wire.last("INVITE"), 407, extra="\r\n".join([ask(407, "a", "1"), ask(407, "b", "2")]))
    assert [c["realm"] for c in credentials(wire.last("INVITE"), "Proxy-Authorization")] == ["b"]


@pytest.mark.parametrize(("more", "rounds"), [("", 2), (", stale=true", 3), (", stale=TRUE", 3)])
def test_a_second_challenge_is_answered_only_if_stale(wire: Wire, more: str, rounds: int) -> None:
    given_invite(wire)
    for number in range(6):
        if wire.seen(InviteEnded):
            break
        wire.answer(wire.last("INVITE"), 401, extra=ask(401, "r", f"n{number}", more))
    assert len(wire.requests("INVITE")) == rounds
    assert wire.one(InviteEnded).status == 401


def test_ever_new_realms_do_not_loop(wire: Wire) -> None:
    given_invite(wire)
    for number in range(20):
        if wire.seen(InviteEnded):
            break
        wire.answer(wire.last("INVITE"), 407, extra=ask(407, f"r{number}", "n"))
    assert len(wire.requests("INVITE")) == 5
    wire.one(InviteEnded)


def test_what_was_asked_for_is_sent_with_the_next_request(wire: Wire) -> None:
    given_invite(wire)
    wire.answer(wire.last("INVITE"), 407, extra=ask(407, "proxy", "p1"))
    wire.answer(wire.last("INVITE"), 200, body="v=0\r\n", extra='Proxy-Authentication-Info: nextnonce="p2"')
    dialog = wire.one(InviteAnswered).dialog
    wire.core.send_ack(dialog, b"", wire.now)
    wire.settle()
    [acked] = credentials(wire.last("ACK"), "Proxy-Authorization")
    assert (acked["nonce"], acked["nc"]) == ("p1", "00000001")  # the INVITE's own (22.1)
    wire.core.bye(dialog, wire.now)
    wire.settle()
    [sent] = credentials(wire.last("BYE"), "Proxy-Authorization")
    assert (sent["nonce"], sent["nc"]) == ("p2", "00000001")
    wire.answer(wire.last("BYE"), 407, extra=ask(407, "proxy", "p3"))  # it has forgotten p2
    [sent] = credentials(wire.last("BYE"), "Proxy-Authorization")
    assert (sent["nonce"], len(wire.requests("BYE"))) == ("p3", 2)


def test_the_whole_message_is_signed_if_asked_for(wire: Wire) -> None:
    given_invite(wire)
    challenge = 'Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth-int"'
    wire.answer(wire.last("INVITE"), 401, extra=f"WWW-Authenticate: {challenge}")
    [sent] = credentials(wire.last("INVITE"), "Authorization")
    assert (sent["qop"], sent["algorithm"], len(sent["response"])) == ("auth-int", "SHA-256", 64)


@pytest.mark.parametrize(
    "told", ["nextnonce", 'nextnonce=""', 'qop=auth, nextnonce="x', "rspauth=1, rspauth=2"]
)
def test_a_broken_next_nonce_changes_nothing(wire: Wire, told: str) -> None:
    wanted = OutgoingRequest(
        method="OPTIONS", request_uri="sip:192.0.2.2", from_="<sip:a@b>", to="<sip:a@b>",
        flow=Flow("udp", US, THEM), username="trunk", password="secret",
    )  # fmt: skip
    wire.core.request(wanted, wire.now)
    wire.settle()
    wire.answer(wire.last("OPTIONS"), 401, extra=ask(401, "r", "n"))
    wire.answer(wire.last("OPTIONS"), 200, extra=f"Authentication-Info: {told}")
    assert wire.one(ResponseReceived).status == 200
