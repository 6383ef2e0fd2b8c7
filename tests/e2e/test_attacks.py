"""Who attacks the SIP port of a real server learns nothing, gets in nowhere, and keeps nobody out."""

import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from offhook.sip.digest import answer_challenge

from .harness import Account, KazooClient, Server
from .harness.ports import HOST, free_port
from .harness.waiting import wait_for

EXISTING, MISSING = "104", "105"
PASSWORD = "12345"
ANSWER_S = 15.0
CONNECTIONS = 20


@dataclass
class Target:
    """A server with one phone, whose realm is the address that scanners write."""

    server: Server
    account: Account

    def counts(self, name: str) -> dict[str, float]:
        """Return the figures of one metric by their label."""
        with urllib.request.urlopen(f"http://{HOST}:{self.server.http_port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        found = re.findall(rf'^{name}(?:{{\w+="(\w+)"}})? (\S+)$', text, re.MULTILINE)
        return {label: float(value) for label, value in found}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    settings = {
        "OFFHOOK_SIP_SCANNERS": "sundayddr",  # or sipvicious would have no answer to look at
        "OFFHOOK_SIP_CONNECTIONS_PER_ADDRESS": str(CONNECTIONS),
        "OFFHOOK_MASTER_REALM": HOST,
    }
    with Server(tmp_path_factory.mktemp("target"), **settings) as server:
        client = KazooClient(server.host, server.http_port)
        client.login(server.api_key)
        account = Account(client, client.account_id, HOST)
        account.create_phone(EXISTING, PASSWORD)
        yield Target(server, account)


class Attacker:
    """Sends requests from an address of the loopback network."""

    def __init__(self, target: Target, address: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self._socket.settimeout(ANSWER_S)
        self._socket.connect((HOST, target.server.sip_port))
        self._cseq = 0

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def send(self, method: str, user: str, *lines: str) -> str:
        """Send a request and return its final answer."""
        self.shout(method, user, *lines)
        return self.hear()

    def shout(self, method: str, user: str, *lines: str) -> None:
        """Send a request."""
        self._cseq += 1
        host, port = self._socket.getsockname()
        text = [
            f"{method} sip:{user}@{HOST} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{port}{self._cseq};rport",
            f"From: <sip:{user}@{HOST}>;tag=1",
            f"To: <sip:{user}@{HOST}>",
            f"Call-ID: {port}-{self._cseq}",
            f"CSeq: {self._cseq} {method}",
            f"Contact: <sip:{user}@{host}:{port}>",
            "Max-Forwards: 70",
            *lines,
            "Content-Length: 0",
        ]
        self._socket.send(("\r\n".join(text) + "\r\n\r\n").encode())

    def hear(self) -> str:
        """Return the next answer that is final."""
        while True:
            answer = self._socket.recv(65_535).decode()
            if not answer.startswith("SIP/2.0 1"):
                return answer

    def log_in(self, user: str, password: str) -> str:
        """Send REGISTER with a password; return the answer."""
        challenges = re.findall(r"WWW-Authenticate: (.*)\r\n", self.send("REGISTER", user))
        value = answer_challenge(challenges, user, password, method="REGISTER", uri=f"sip:{HOST}", cnonce="c")
        return self.send("REGISTER", user, f"Authorization: {value}")


@pytest.fixture
def attacker_at(target: Target) -> Iterator[Callable[[str], Attacker]]:
    """Make attackers; they leave after the test."""
    made: list[Attacker] = []

    def make(address: str) -> Attacker:
        made.append(Attacker(target, address))
        return made[-1]

    yield make
    for attacker in made:
        attacker.close()


AttackerAt = Callable[[str], Attacker]


def shape(answer: str) -> list[str]:
    """Return an answer without what is new in each: tag, nonce, branch, user, addresses, numbers."""
    text = re.sub(r'(tag=|nonce="|branch=|rport=|received=|/UDP |Call-ID: |CSeq: )[\w.:-]+', r"\1", answer)
    return re.sub(rf"{EXISTING}|{MISSING}", "user", text).split("\r\n")


# --- enumeration ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE"])
def test_a_user_that_exists_gets_the_answer_of_one_that_does_not(
    target: Target, method: str, attacker_at: AttackerAt
) -> None:
    attacker = attacker_at("127.0.1.1")
    existing, missing = (attacker.send(method, user) for user in (EXISTING, MISSING))
    assert shape(existing) == shape(missing)
    assert len(existing) == len(missing)


def test_a_wrong_password_gets_the_answer_of_an_unknown_user_and_not_at_once(
    target: Target, attacker_at: AttackerAt
) -> None:
    answers = []
    for number, user in enumerate((EXISTING, MISSING)):
        attacker = attacker_at(f"127.0.1.{number + 2}")
        began = time.monotonic()
        answers.append(attacker.log_in(user, "wrong"))
        assert time.monotonic() - began >= 0.9
    assert answers[0].startswith("SIP/2.0 403")
    assert shape(answers[0]) == shape(answers[1])


def sipvicious(tool: str, *arguments: str) -> str:
    """Run one of its tools; return all that it prints."""
    program = Path(sys.executable).with_name(f"sipvicious_{tool}")
    own = ("-b", HOST, "-P", str(free_port()))
    done = subprocess.run(
        [program, *own, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS"])
def test_svwar_finds_no_extension(target: Target, method: str) -> None:
    port = str(target.server.sip_port)
    shown = sipvicious("svwar", "--force", "-m", method, "-e", "100-109", "-p", port, HOST)
    assert "found nothing" in shown
    assert not re.search(rf"^\| {EXISTING} ", shown, re.MULTILINE)


def test_svmap_is_told_the_name_of_the_server_and_no_more(target: Target) -> None:
    shown = sipvicious("svmap", "-p", str(target.server.sip_port), HOST)
    assert "offhook" in shown
    assert "User Agent" in shown


def test_svcrack_does_not_find_the_password_and_the_phone_still_registers(
    target: Target, attacker_at: AttackerAt
) -> None:
    port = str(target.server.sip_port)
    shown = sipvicious("svcrack", "-u", EXISTING, "-r", "12330-12349", "--maximumtime", "4", "-p", port, HOST)
    assert "found nothing" in shown
    assert PASSWORD not in shown.replace(f"{port}", "")
    assert attacker_at("127.0.1.10").log_in(EXISTING, PASSWORD).startswith("SIP/2.0 200")


# --- guessing -------------------------------------------------------------------------------------------


def test_a_guesser_is_shut_out_and_the_phone_at_another_address_is_not(
    target: Target, attacker_at: AttackerAt
) -> None:
    thief, phone = attacker_at("127.0.1.20"), attacker_at("127.0.1.21")
    assert phone.log_in(EXISTING, PASSWORD).startswith("SIP/2.0 200")
    before = target.counts("offhook_sip_turned_away_total")["blocked_address"]
    for number in range(20):  # a different user each, and no waiting for the answers
        challenge = re.findall(r"WWW-Authenticate: (.*)\r\n", thief.send("REGISTER", f"20{number}"))
        value = answer_challenge(
            challenge, f"20{number}", "guess", method="REGISTER", uri=f"sip:{HOST}", cnonce="c"
        )
        thief.shout("REGISTER", f"20{number}", f"Authorization: {value}")
        while True:  # the answers to earlier guesses come a second later, in between
            try:
                thief._socket.settimeout(0.05)
                thief.hear()
            except TimeoutError:
                break
        thief._socket.settimeout(ANSWER_S)
    wait_for(lambda: target.counts("offhook_sip_blocked_addresses")[""] >= 1, timeout_s=20, what="a block")
    thief.shout("OPTIONS", EXISTING)
    wait_for(
        lambda: target.counts("offhook_sip_turned_away_total")["blocked_address"] > before,
        timeout_s=20,
        what="a message that is not heard",
    )
    assert phone.log_in(EXISTING, PASSWORD).startswith("SIP/2.0 200")


# --- scanners, calls, connections -----------------------------------------------------------------------


def test_a_scanner_gets_no_answer(target: Target, attacker_at: AttackerAt) -> None:
    attacker = attacker_at("127.0.1.30")
    attacker.shout("OPTIONS", EXISTING, "User-Agent: sundayddr")
    attacker.shout("REGISTER", EXISTING, "User-Agent: sundayddr")
    answer = attacker.send("OPTIONS", EXISTING)  # the first that comes
    assert "CSeq: 3 OPTIONS" in answer
    assert target.counts("offhook_sip_turned_away_total")["scanner"] == 2


def test_an_invite_without_a_password_makes_no_call(target: Target, attacker_at: AttackerAt) -> None:
    attacker = attacker_at("127.0.1.31")
    assert attacker.send("INVITE", EXISTING).startswith("SIP/2.0 407")
    assert attacker.send("INVITE", "+15551234567").startswith("SIP/2.0 407")
    assert target.account.get("channels") == []
    assert target.account.get("cdrs") == []


def test_one_address_has_so_many_connections(target: Target) -> None:
    sockets = [
        socket.create_connection(
            (HOST, target.server.sip_port), timeout=ANSWER_S, source_address=("127.0.1.40", 0)
        )
        for _ in range(CONNECTIONS + 5)
    ]
    try:
        wait_for(
            lambda: target.counts("offhook_sip_turned_away_total")["connections_per_address"] == 5,
            timeout_s=20,
            what="five connections turned away",
        )
        other = socket.create_connection((HOST, target.server.sip_port), timeout=ANSWER_S)
        other.sendall(b"\r\n\r\n")
        assert other.recv(2) == b"\r\n"
        other.close()
    finally:
        for one in sockets:
            one.close()


def test_limits_are_in_the_metrics(target: Target) -> None:
    limits = target.counts("offhook_limit")
    assert limits["sip_rate_per_address"] == 500
    assert limits["sip_rate"] == 2000
    assert limits["sip_connections_per_address"] == CONNECTIONS
