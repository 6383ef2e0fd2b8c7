"""What keeps ways open, and what tells that one is closed: OPTIONS to phones behind NAT and to gateways."""

import hashlib
import re
from collections.abc import Iterator

import pytest

from .conftest import FarEnd
from .harness import Account, Server
from .harness.datagrams import DatagramThread
from .harness.ports import HOST
from .harness.waiting import wait_for
from .test_gateway import NUMBER, create_caller

PATIENCE_S = 30.0
PING_S = "0.5"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(
        tmp_path_factory.mktemp("server"), OFFHOOK_SIP_GATEWAY_PING_S=PING_S, OFFHOOK_SIP_NAT_PING_S=PING_S
    ) as running:
        yield running


class Echo(DatagramThread):
    """A SIP server that answers every request with one status, and notes what came."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.came: list[str] = []
        super().__init__("echo")

    def send(self, message: str, port: int) -> None:
        self.socket.sendto(message.encode(), (HOST, port))

    def take(self, data: bytes, source: tuple[str, int]) -> None:
        text = data.decode()
        self.came.append(text)
        if not text.startswith(("SIP/2.0", "ACK ")):
            self.socket.sendto(self._answer(text).encode(), source)

    def _answer(self, request: str) -> str:
        kept = [
            line
            for line in request.split("\r\n")
            if line.split(":")[0] in ("Via", "From", "To", "Call-ID", "CSeq")
        ]
        return "\r\n".join([f"SIP/2.0 {self.status} As told", *kept, "Content-Length: 0", "", ""])


@pytest.mark.needs("sipp")
def test_gateway_that_is_down_is_tried_last(far_end: FarEnd, account: Account, server: Server) -> None:
    with Echo(503) as down, Echo(200) as up:
        entries = [{"server": HOST, "port": one.port} for one in (down, up)]
        account.create("resources", {"name": "Both", "gateways": entries, "rules": [r"^(\+1\d{10})$"]})
        wait_for(
            lambda: sum(text.startswith("OPTIONS ") for text in down.came) > 2,
            timeout_s=PATIENCE_S,
            what="OPTIONS at the gateway",
        )
        _, button = create_caller(far_end, account)
        query = {"contact": NUMBER, "dry_run": "true"}
        plan = account.client.request(
            "GET", account.path("clicktocall", button, "connect"), query=query
        ).expect(200)
        assert uris_in(plan.data, up.port, down.port) == [up.port, down.port]
        down.status = 486
        wait_for(
            lambda: "gateway is up again" in server.log.read_text(), timeout_s=PATIENCE_S, what="up again"
        )
        plan = account.client.request(
            "GET", account.path("clicktocall", button, "connect"), query=query
        ).expect(200)
        assert uris_in(plan.data, up.port, down.port) == [down.port, up.port]


def uris_in(plan: object, *ports: int) -> list[int]:
    """Return the ports in the order in which the plan names them."""
    text = str(plan)
    found = {port: text.find(f"@{HOST}:{port}") for port in ports}
    assert all(place >= 0 for place in found.values()), text
    return sorted(found, key=lambda port: found[port])


def test_phone_behind_nat_is_asked_and_one_that_is_not_is_left_alone(
    account: Account, server: Server
) -> None:
    account.create_phone("natted", "secret-1")
    account.create_phone("direct", "secret-2")
    with Echo(200) as natted, Echo(200) as direct:
        register(natted, server, account, "natted", "secret-1", "10.9.9.9:5060")
        register(direct, server, account, "direct", "secret-2", f"{HOST}:{direct.port}")
        wait_for(
            lambda: sum(text.startswith("OPTIONS sip:natted@10.9.9.9") for text in natted.came) > 1,
            timeout_s=PATIENCE_S,
            what="OPTIONS at the phone",
        )
        assert not [text for text in direct.came if text.startswith("OPTIONS ")]


def register(phone: Echo, server: Server, account: Account, user: str, password: str, place: str) -> None:
    """Register with digest; return when it is."""
    realm = account.realm

    def message(cseq: int, authorization: str = "") -> str:
        lines = [
            f"REGISTER sip:{realm} SIP/2.0",
            f"Via: SIP/2.0/UDP {place};branch=z9hG4bK{user}{cseq};rport",
            "Max-Forwards: 70",
            f"From: <sip:{user}@{realm}>;tag=1",
            f"To: <sip:{user}@{realm}>",
            f"Call-ID: {user}-{phone.port}",
            f"CSeq: {cseq} REGISTER",
            f"Contact: <sip:{user}@{place}>;expires=60",
        ]
        lines += [f"Authorization: {authorization}"] if authorization else []
        return "\r\n".join([*lines, "Content-Length: 0", "", ""])

    phone.send(message(1), server.sip_port)
    challenge = wait_for(
        lambda: next((text for text in phone.came if text.startswith("SIP/2.0 401")), None),
        timeout_s=PATIENCE_S,
        what="a challenge",
    )
    phone.send(message(2, answer_to(challenge, user, password, realm)), server.sip_port)
    wait_for(lambda: user in account.registered(), timeout_s=PATIENCE_S, what=f"{user} to be registered")


def answer_to(challenge: str, user: str, password: str, realm: str) -> str:
    """Return the Authorization for the first challenge, MD5 (RFC 2617 section 3.2.2)."""
    [nonce, *_] = re.findall(r'nonce="([^"]+)"', challenge)

    def md5(*parts: str) -> str:
        return hashlib.md5(":".join(parts).encode()).hexdigest()

    uri = f"sip:{realm}"
    response = md5(md5(user, realm, password), nonce, "00000001", "c0ffee", "auth", md5("REGISTER", uri))
    return (
        f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", response="{response}", '
        f'algorithm=MD5, qop=auth, nc=00000001, cnonce="c0ffee"'
    )
