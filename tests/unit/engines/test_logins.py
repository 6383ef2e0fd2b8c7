"""Wrong passwords, unknown users and users that are shut out: one answer, at a time set beforehand."""

import asyncio
from types import SimpleNamespace
from typing import Any

from offhook.app.sip_credentials import SipIdentity
from offhook.engines.embedded import logins as logins_module
from offhook.engines.embedded.logins import REGISTRAR, Login, SipLogins
from offhook.engines.embedded.password_guard import DELAY_MAX_S, PAIR_FAILURES, PasswordGuard
from offhook.sip import Flow, Request, answer_challenge, parse_message
from offhook.sip.digest import Verdict
from tests.unit.sip.peers import SeededRandom

REALM = "acme.test"
PHONE = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.7", 5060))


class Credentials:
    """Knows one device; counts how often it is asked."""

    asked = 0

    async def find(self, realm: str, username: str) -> SipIdentity | None:
        self.asked += 1
        device: Any = SimpleNamespace(type="device", data={})
        return SipIdentity(device, "1001", "pa55word", realm) if username == "1001" else None


class Clock:
    """A clock that stands."""

    def monotonic(self) -> float:
        return 50.0

    def epoch(self) -> float:
        return 1_700_000_000.0


class Registrar:
    """Logins, and a phone that answers their challenges."""

    def __init__(self) -> None:
        self.credentials = Credentials()
        self.logins = SipLogins(
            self.credentials,  # type: ignore[arg-type]
            PasswordGuard(),
            clock=Clock(),
            random=SeededRandom(1),
            secret="key",
        )

    def log_in(self, user: str, password: str) -> Login:
        lines = self.logins.challenge(request_with(user), PHONE, REALM, REGISTRAR)
        values = [value for _, value in lines]
        answer = answer_challenge(values, user, password, method="REGISTER", uri="sip:acme.test", cnonce="c")
        request = request_with(user, f"Authorization: {answer}")
        assert self.logins.has_answered(request, PHONE, REALM, REGISTRAR)
        return asyncio.run(self.logins.verify(request, PHONE, REALM, user, REGISTRAR))


def request_with(user: str, *lines: str) -> Request:
    text = [
        f"REGISTER sip:{REALM} SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1",
        "From: <sip:a@b>;tag=1", f"To: <sip:{user}@{REALM}>", "Call-ID: 1",
        "CSeq: 1 REGISTER", *lines, "", "",
    ]  # fmt: skip
    message = parse_message("\r\n".join(text).encode())
    assert isinstance(message, Request)
    return message


def test_the_right_password_tells_the_device() -> None:
    login = Registrar().log_in("1001", "pa55word")
    assert login.verdict is Verdict.OK
    assert login.identity is not None
    assert login.identity.username == "1001"


def test_a_wrong_password_and_an_unknown_user_wait_alike() -> None:
    wrong = [Registrar().log_in("1001", "guess"), Registrar().log_in("9999", "guess")]
    assert wrong[0] == wrong[1] == Login(Verdict.WRONG, None, 1.0)


def test_of_a_pair_that_is_shut_out_nothing_is_looked_up() -> None:
    registrar = Registrar()
    for _ in range(PAIR_FAILURES):
        registrar.log_in("1001", "guess")
    asked = registrar.credentials.asked
    assert registrar.log_in("1001", "pa55word") == Login(Verdict.WRONG, None, DELAY_MAX_S)
    assert registrar.credentials.asked == asked


def test_answers_that_wait_are_bounded_and_end_with_the_server(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(logins_module, "WAITING_MAX", 3)

    async def run() -> list[int]:
        logins, said = Registrar().logins, list[int]()
        for number in range(5):
            logins.answer_later(0.0, lambda number=number: said.append(number))  # type: ignore[misc]
        async with asyncio.timeout(20):
            while len(said) < 3:
                await asyncio.sleep(0.01)
        logins.answer_later(3_600.0, lambda: said.append(99))
        assert len(logins._waiting) == 1
        logins.stop()
        assert not logins._waiting
        return said

    assert asyncio.run(run()) == [0, 1, 2]
