"""A NUL in a quoted pair (RFC 4475 3.1.1.2), wherever a peer may put it: nothing stops for it."""

import pytest

from offhook.sip.events import InviteAnswered, InviteEnded
from offhook.sip.grammar import NameAddr, quote, unquote

from .peers import Wire, invite_to


@pytest.mark.parametrize("text", ["a\0b", "\0", '\\\0"', "plain", 'a "quoted" word', "back\\slash"])
def test_what_is_quoted_comes_back(text: str) -> None:
    assert unquote(quote(text)) == text


def test_a_name_with_a_nul_is_written_as_a_quoted_pair() -> None:
    route = NameAddr.parse('"a\\\0b" <sip:192.0.2.2;lr>')
    assert str(route) == '"a\\\0b" <sip:192.0.2.2;lr>'


NAMED = ("Record-Route", '"a\\\0b" <sip:192.0.2.2;lr>')


def test_a_call_through_a_proxy_of_that_name_is_acknowledged_and_hung_up() -> None:
    wire = Wire()
    wire.core.invite(invite_to(), wire.now)
    wire.settle()
    wire.answer(wire.last("INVITE"), 200, extra=": ".join(NAMED), body="v=0\r\n")
    dialog = wire.one(InviteAnswered).dialog
    wire.core.send_ack(dialog, b"", wire.now)
    wire.settle()
    assert wire.last("ACK").headers.get("Route") == NAMED[1]
    wire.core.bye(dialog, wire.now)
    wire.settle()
    wire.answer(wire.last("BYE"), 200)
    assert wire.core.dialog_count == 0


@pytest.mark.parametrize("field", ["realm", "nonce", "opaque"])
def test_a_challenge_of_that_name_ends_or_is_answered_and_leaves_nothing(field: str) -> None:
    wire = Wire()
    wire.core.invite(invite_to(username="us", password="secret"), wire.now)
    wire.settle()
    words = {"realm": "there", "nonce": "1", "opaque": "2"} | {field: "a\\\0b"}
    challenge = "Digest " + ", ".join(f'{name}="{value}"' for name, value in words.items())
    wire.answer(wire.last("INVITE"), 401, extra=f"WWW-Authenticate: {challenge}")
    wire.wait(300)
    assert len(wire.seen(InviteEnded)) == 1
    assert wire.core.is_idle
    assert wire.core.timer_count == 0
