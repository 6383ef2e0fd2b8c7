"""SIP over websockets without a browser (RFC 7118): frames, keep-alives, and who is let in."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from .harness import Account, Server
from .harness.waiting import wait_for
from .test_keep_alive import answer_to

ANSWER_S = 20.0
USER, PASSWORD = "browser1", "browser-secret"


@contextmanager
def websocket(
    server: Server, path: str = "/sip", *, protocol: str = "sip", headers: dict[str, str] | None = None
) -> Iterator[ClientConnection]:
    url = f"ws://{server.host}:{server.http_port}{path}"
    with connect(url, subprotocols=[Subprotocol(protocol)], additional_headers=headers) as connection:
        yield connection


def register(account: Account, cseq: int, authorization: str = "") -> str:
    lines = [
        f"REGISTER sip:{account.realm} SIP/2.0",
        f"Via: SIP/2.0/WS q1w2e3.invalid;branch=z9hG4bK{account.realm}{cseq}",
        "Max-Forwards: 70",
        f"From: <sip:{USER}@{account.realm}>;tag=1",
        f"To: <sip:{USER}@{account.realm}>",
        f"Call-ID: ws-{account.realm}",
        f"CSeq: {cseq} REGISTER",
        f"Contact: <sip:{USER}@q1w2e3.invalid;transport=ws>;expires=60",
    ]
    lines += [f"Authorization: {authorization}"] if authorization else []
    return "\r\n".join([*lines, "Content-Length: 0", "", ""])


@pytest.mark.parametrize("path", ["/sip", "/"])
@pytest.mark.parametrize("kind", ["text", "binary"])
def test_browser_registers_and_is_called_over_its_connection(
    kind: str, path: str, server: Server, account: Account
) -> None:
    account.create_extension("1001", account.create_phone(USER, PASSWORD))

    def say(connection: ClientConnection, message: str) -> None:
        connection.send(message if kind == "text" else message.encode())

    with websocket(server, path) as connection:
        assert connection.subprotocol == "sip"
        say(connection, register(account, 1))
        challenge = str(connection.recv(ANSWER_S))
        assert challenge.count("WWW-Authenticate") == 1, "phones in browsers know MD5 only"
        authorization = answer_to(challenge, USER, PASSWORD, account.realm)
        say(connection, register(account, 2, authorization))
        assert str(connection.recv(ANSWER_S)).startswith("SIP/2.0 200 ")
        call_id = account.connect(account.create_button("1001"), "1001")
        invite = str(connection.recv(ANSWER_S))
        assert invite.startswith(f"INVITE sip:{USER}@q1w2e3.invalid;transport=ws")
        assert f"Via: SIP/2.0/WS {server.host}:{server.http_port};" in invite
        assert "UDP/TLS/RTP/SAVPF" in invite
        assert "a=ice-lite\r\n" in invite
        account.hang_up(call_id)
    wait_for(lambda: account.registered() == [], timeout_s=ANSWER_S, what="the binding to be gone")
    assert account.wait_for_outcome(call_id)["outcome"] in ("canceled", "unreachable", "failed")


def test_pings_of_the_sip_kind_are_answered(server: Server) -> None:
    with websocket(server) as connection:
        for _ in range(20):
            connection.send("\r\n\r\n")
            assert connection.recv(ANSWER_S) == "\r\n"


def test_frame_that_is_no_message_does_no_harm(server: Server, account: Account) -> None:
    with websocket(server) as connection:
        for frame in ("", "\r\n", "nonsense", b"\xff\xfe\x00", "REGISTER sip:x SIP/2.0\r\n\r\n"):
            connection.send(frame)
        connection.send(register(account, 1))
        answers = []
        while not answers or not answers[-1].startswith("SIP/2.0 401 "):
            answers.append(str(connection.recv(ANSWER_S)))
    assert all(answer.startswith(("SIP/2.0 400 ", "SIP/2.0 401 ", "\r\n")) for answer in answers)


@pytest.mark.parametrize("protocol", ["chat", "sips"])
def test_who_does_not_speak_sip_is_sent_away(protocol: str, server: Server) -> None:
    with pytest.raises(InvalidStatus) as caught, websocket(server, protocol=protocol):
        pass
    assert caught.value.response.status_code == 400


def test_proxy_in_front_says_who_the_browser_is_and_that_it_used_tls(
    server: Server, account: Account
) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    account.create_phone(USER, PASSWORD)
    with websocket(server, headers=headers) as connection:
        connection.send(register(account, 1))
        authorization = answer_to(str(connection.recv(ANSWER_S)), USER, PASSWORD, account.realm)
        connection.send(register(account, 2, authorization))
        assert str(connection.recv(ANSWER_S)).startswith("SIP/2.0 200 ")
        [registration] = account.get("registrations")
        assert "203.0.113.9" in str(registration)
        assert "wss" in str(registration)
