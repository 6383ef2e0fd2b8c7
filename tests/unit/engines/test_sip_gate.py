"""What the door of the SIP port lets in, what it answers without keeping anything, and what it drops."""

import random
from collections.abc import Callable

import pytest

from offhook.engines.embedded.logins import SipLogins
from offhook.engines.embedded.password_guard import ADDRESS_FAILURES, PasswordGuard
from offhook.engines.embedded.sip_gate import FAULTS_BURST, SipGate
from offhook.settings import Settings
from offhook.sip import Flow, Response, UserAgentConfig, UserAgentCore, answer_challenge, parse_message
from offhook.sip.events import RequestReceived

US, PHONE, STRANGER = ("192.0.2.1", 5060), ("192.0.2.7", 5060), ("203.0.113.66", 5061)
SCANNERS = Settings().sip_scanner_words


class Clock:
    """A clock that stands."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def epoch(self) -> float:
        return 1_700_000_000.0 + self.now


class Digits:
    """The Random port from a seed."""

    def hex(self, length: int) -> str:
        return f"{random.Random(length).getrandbits(4 * length):0{length}x}"

    def uniform(self) -> float:
        return 0.5


class Door:
    """A core behind a gate, and a peer that sends it text."""

    def __init__(self, *, with_logins: bool = True, **options: object) -> None:
        self.clock, self.guard = Clock(), PasswordGuard()
        logins = SipLogins(None, self.guard, clock=self.clock, random=Digits(), secret="key")  # type: ignore[arg-type]
        self.core = UserAgentCore(
            UserAgentConfig(
                advertised={"udp": US}, allow=("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER")
            ),
            Digits(),
        )
        settings: dict[str, object] = {"rate_per_address": 0.0, "rate": 0.0, "scanners": SCANNERS}
        settings |= {"is_of_call": lambda data: b"Call-ID: ours" in data} | options
        self.gate = SipGate(self.guard, logins if with_logins else None, **settings)  # type: ignore[arg-type]
        self.core.guard(self.gate)

    def send(
        self,
        method: str,
        *lines: str,
        user: str = "1001",
        remote: tuple[str, int] = STRANGER,
        transport: str = "udp",
    ) -> list[Response]:
        """Send a request; return the answers."""
        request = request_of(method, *lines, user=user)
        self.core.receive_message(request, Flow(transport, US, remote), self.clock.now)
        answers = [parse_message(data) for data, _ in self.core.messages_to_send()]
        return [answer for answer in answers if isinstance(answer, Response)]

    def let_in(self) -> list[str]:
        """Return the methods of the requests that were let in."""
        events = iter(self.core.next_event, None)
        return [event.request.method for event in events if isinstance(event, RequestReceived)]


def request_of(method: str, *lines: str, user: str = "1001") -> bytes:
    text = [
        f"{method} sip:{user}@acme.test SIP/2.0", "Via: SIP/2.0/UDP 203.0.113.66:5061;branch=z9hG4bK1;rport",
        f"From: <sip:{user}@acme.test>;tag=1", f"To: <sip:{user}@acme.test>", "Call-ID: 1",
        f"CSeq: 1 {method}",
        "Contact: <sip:x@203.0.113.66>", "Max-Forwards: 70", *lines, "Content-Length: 0", "", "",
    ]  # fmt: skip
    return "\r\n".join(text).encode()


def credentials(answer: Response, method: str, *, user: str = "1001") -> str:
    """Return the header line that answers a challenge, with some password."""
    header = "WWW-Authenticate" if answer.status == 401 else "Proxy-Authenticate"
    value = answer_challenge(
        answer.headers.get_all(header), user, "pa55", method=method, uri="sip:acme.test", cnonce="c"
    )
    return f"{'Authorization' if answer.status == 401 else 'Proxy-Authorization'}: {value}"


# --- challenges -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "status"), [("REGISTER", 401), ("INVITE", 407)])
def test_who_has_not_logged_in_is_challenged_and_nothing_is_kept(method: str, status: int) -> None:
    door = Door()
    assert [answer.status for answer in door.send(method)] == [status]
    assert door.let_in() == []
    assert (door.core.transaction_count, door.core.timer_count) == (0, 0)
    assert door.gate.counts["challenged"] == 1


@pytest.mark.parametrize(("method"), ["REGISTER", "INVITE"])
def test_an_answer_to_the_challenge_is_let_in(method: str) -> None:
    door = Door()
    line = credentials(door.send(method)[0], method)
    door.send(method, line)
    assert door.let_in() == [method]


@pytest.mark.parametrize(("method"), ["REGISTER", "INVITE"])
def test_a_challenge_to_another_address_is_no_use(method: str) -> None:
    door = Door()
    line = credentials(door.send(method)[0], method)
    answer = door.send(method, line, remote=PHONE)[0]
    assert door.let_in() == []
    header = "WWW-Authenticate" if method == "REGISTER" else "Proxy-Authenticate"
    assert all("stale=true" in value for value in answer.headers.get_all(header))


def test_an_old_challenge_is_no_use() -> None:
    door = Door()
    line = credentials(door.send("REGISTER")[0], "REGISTER")
    door.clock.now += 301
    assert door.send("REGISTER", line)[0].status == 401
    assert door.let_in() == []


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS"])
def test_every_user_gets_the_same_answer(method: str) -> None:
    first, second = (Door().send(method, user=user)[0] for user in ("1001", "9999"))
    assert first.status == second.status
    assert [name for name, _ in first.headers] == [name for name, _ in second.headers]
    differing = {
        name
        for (name, value), (_, other) in zip(first.headers, second.headers, strict=True)
        if value != other
    }
    assert differing == {"From", "To"}


def test_a_carrier_calls_without_a_password() -> None:
    door = Door()
    door.gate.is_trunk = lambda address: address == PHONE[0]
    assert door.send("INVITE", remote=PHONE)[0].status == 100
    assert door.let_in() == ["INVITE"]
    assert Door().send("INVITE")[0].status == 407


def test_without_logins_nobody_comes_in() -> None:
    door = Door(with_logins=False)
    assert door.send("REGISTER")[0].status == 403
    assert door.send("INVITE")[0].status == 403
    assert door.send("OPTIONS")[0].status == 200


def test_a_realm_that_needs_tls_gives_no_challenge_in_the_clear() -> None:
    door = Door(tls_realms=frozenset({"acme.test"}))
    assert door.send("REGISTER")[0].status == 403
    assert door.send("REGISTER", transport="tls")[0].status == 401
    assert Door(tls_realms=frozenset({"other.test"})).send("REGISTER")[0].status == 401
    assert Door(tls_realms=frozenset({"*"})).send("INVITE")[0].status == 403


# --- what is dropped ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "agent", ["friendly-scanner", "sipvicious", "SIPVicious/0.3", "sundayddr", "sipcli/v1.8"]
)
def test_scanners_get_no_answer(agent: str) -> None:
    door = Door()
    assert door.send("OPTIONS", f"User-Agent: {agent}") == []
    assert door.send("REGISTER", f"User-Agent: {agent}") == []
    assert door.send("PUBLISH", f"User-Agent: {agent}") == []
    assert door.send("OPTIONS", f"User-Agent: {agent}", "CSeq: broken") == []
    assert door.gate.counts["scanner"] == 4


def test_few_malformed_requests_are_answered_a_flood_is_not() -> None:
    door = Door()
    answers = [door.send("OPTIONS", "Expires: many", "Expires: two") for _ in range(200)]
    assert [answer.status for one in answers for answer in one] == [400] * int(FAULTS_BURST)
    assert door.gate.counts["malformed"] == 150


def test_a_guessers_address_is_heard_no_more_but_its_calls_are() -> None:
    door = Door()
    flow = Flow("udp", US, STRANGER)
    for number in range(ADDRESS_FAILURES):
        door.guard.failed(STRANGER[0], f"{number}@acme.test", door.clock.now)
    assert not door.gate.admits(request_of("REGISTER"), flow, door.clock.now)
    assert door.gate.admits(b"BYE sip:x SIP/2.0\r\nCall-ID: ours\r\n\r\n", flow, door.clock.now)
    assert door.gate.admits(request_of("REGISTER"), Flow("udp", US, PHONE), door.clock.now)
    assert door.gate.counts["blocked_address"] == 1


def admitted(gate: SipGate, flows: Callable[[int], Flow], data: bytes = b"OPTIONS") -> int:
    return sum(gate.admits(data, flows(number), 1_000.0) for number in range(100))


def test_one_address_sends_so_much_and_no_more() -> None:
    gate = Door(rate_per_address=20.0).gate
    assert admitted(gate, lambda number: Flow("udp", US, STRANGER)) == 20
    assert admitted(gate, lambda number: Flow("udp", US, PHONE)) == 20
    assert gate.counts["address_rate"] == 160


def test_all_strangers_together_send_so_much_and_no_more() -> None:
    door = Door(rate=30.0)
    door.guard.succeeded(PHONE[0], "1001@acme.test")
    assert admitted(door.gate, lambda number: Flow("udp", US, (f"203.0.113.{number}", 5060))) == 30
    assert admitted(door.gate, lambda number: Flow("udp", US, PHONE)) == 100
    assert door.gate.counts["rate"] == 70


def test_a_flood_of_strangers_shuts_out_no_carrier() -> None:
    door = Door(rate=30.0)
    door.gate.is_trunk = lambda address: address == "198.51.100.1"
    door.gate.is_gateway = lambda address: address == "198.51.100.2"
    assert admitted(door.gate, lambda number: Flow("udp", US, (f"203.0.113.{number}", 5060))) == 30
    carrier, gateway = (Flow("udp", US, (f"198.51.100.{number}", 5060)) for number in (1, 2))
    assert admitted(door.gate, lambda number: carrier) == 100
    assert admitted(door.gate, lambda number: gateway, b"SIP/2.0 200 OK") == 100
    assert admitted(door.gate, lambda number: gateway) == 0


def test_what_belongs_to_a_call_passes_at_any_rate() -> None:
    gate = Door(rate_per_address=5.0, rate=5.0).gate
    assert admitted(gate, lambda number: Flow("udp", US, STRANGER), b"x\r\nCall-ID: ours\r\n") == 100


def test_an_overloaded_node_takes_no_call_but_registers_phones() -> None:
    door = Door()
    door.gate.is_overloaded = lambda: True
    answer = door.send("INVITE")[0]
    assert (answer.status, answer.headers.get("Retry-After")) == (503, "5")
    assert door.send("REGISTER")[0].status == 401


# --- amplification --------------------------------------------------------------------------------------

SHORTEST = "\r\n".join([
    "{} sip:a SIP/2.0", "v: SIP/2.0/UDP a;branch=z9hG4bK1", "f: <sip:a@b>;tag=1", "t: <sip:a@b>", "i: 1",
    "CSeq: 1 {}", "Max-Forwards: 70", "", "",
])  # fmt: skip


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "BYE"])
@pytest.mark.parametrize("pad", [0, 50, 100, 200])
def test_no_answer_is_more_than_three_times_its_request(method: str, pad: int) -> None:
    door = Door()
    request = SHORTEST.format(method, method).replace("i: 1", "i: " + "1" * (pad + 1)).encode()
    door.core.receive_message(request, Flow("udp", US, STRANGER), 1_000.0)
    answers = door.core.messages_to_send()
    assert len(answers) == (method not in ("REGISTER", "INVITE") or pad >= 50)
    assert all(len(data) <= 3 * len(request) for data, _ in answers)


def test_a_long_realm_is_not_reflected_twice() -> None:
    door = Door()
    realm = ".".join(["a" * 60] * 20)
    request = SHORTEST.format("REGISTER", "REGISTER").replace("t: <sip:a@b>", f"t: <sip:a@{realm}>").encode()
    door.core.receive_message(request, Flow("udp", US, STRANGER), 1_000.0)
    sent = sum(len(data) for data, _ in door.core.messages_to_send())
    assert sent <= 3 * len(request)
    door.core.receive_message(request, Flow("tcp", US, STRANGER), 1_000.0)
    assert len(door.core.messages_to_send()) == 1


def test_nothing_unverified_is_answered_twice() -> None:
    door = Door()
    for method in ("REGISTER", "INVITE", "OPTIONS", "BYE"):
        assert len(door.send(method)) == 1
    door.core.handle_timer(door.clock.now + 60)
    assert door.core.messages_to_send() == []
    assert door.core.next_timer() is None
