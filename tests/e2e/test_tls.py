"""SIP over TLS: trunks that must prove who they are, clients that may, and a certificate of our own make."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.contract.engines.given_engine import given_phone, until

from .conftest import FarEnd
from .harness import Account, Server
from .harness.certificates import Certificate, self_signed
from .harness.far_ends import ANSWERS
from .harness.ports import HOST, free_port
from .harness.tls_front import TlsFront
from .test_gateway import NUMBER, create_caller

TRUNK = "localhost"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificate]:
    folder = tmp_path_factory.mktemp("certificates")
    return {
        "trunk": self_signed(folder, "trunk", san=f"DNS:{TRUNK}"),
        "other": self_signed(folder, "other", san="DNS:other.test"),
        "client": self_signed(folder, "client"),
    }


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, certificates: dict[str, Certificate]
) -> Iterator[Server]:
    client_ca = str(certificates["client"].certificate)
    with Server(tmp_path_factory.mktemp("server"), OFFHOOK_SIP_TLS_CLIENT_CA=client_ca) as running:
        yield running


@pytest.fixture(scope="module")
def own(server: Server) -> Path:
    """The certificate that the server has made for itself."""
    return server.data / "tls" / "sip-certificate.pem"


def create_trunk(account: Account, port: int, **more: object) -> None:
    gateway = {"server": TRUNK, "port": port, "transport": "tls", **more}
    account.create("resources", {"name": "Trunk", "gateways": [gateway], "rules": [r"^(\+1\d{10})$"]})


@pytest.mark.needs("sipp", "openssl")
@pytest.mark.parametrize("trust", ["its CA", "anybody"])
def test_call_goes_out_over_tls(
    trust: str, far_end: FarEnd, account: Account, certificates: dict[str, Certificate], own: Path
) -> None:
    client_ca = Certificate(own, own.with_name("sip-key.pem"))
    carrier = far_end(ANSWERS, transport="tcp")
    shown = certificates["trunk" if trust == "its CA" else "other"]
    with TlsFront(shown, carrier.port, client_ca=client_ca) as front:
        checks = {"tls_ca": shown.pem} if trust == "its CA" else {"tls_verify": False}
        create_trunk(account, front.port, **checks)
        phone, button = create_caller(far_end, account)
        call_id = account.connect(button, NUMBER)
        account.wait_for_time(call_id, "bridged")
        account.hang_up(call_id)
        assert account.wait_for_outcome(call_id)["outcome"] == "connected"
        assert front.names == [TRUNK]
        carrier.assert_clean()
        phone.assert_clean()
    invite = carrier.received("INVITE")[0]
    assert "Via: SIP/2.0/TLS " in invite
    assert ";transport=tls>" in next(line for line in invite.splitlines() if line.startswith("Contact"))


@pytest.mark.needs("sipp", "openssl")
@pytest.mark.parametrize("fault", ["unknown CA", "another's name"])
def test_trunk_that_cannot_prove_itself_hears_nothing(
    fault: str, far_end: FarEnd, account: Account, certificates: dict[str, Certificate]
) -> None:
    carrier = far_end(ANSWERS, transport="tcp")
    shown = certificates["trunk" if fault == "unknown CA" else "other"]
    with TlsFront(shown, carrier.port) as front:
        create_trunk(account, front.port, **({} if fault == "unknown CA" else {"tls_ca": shown.pem}))
        phone, button = create_caller(far_end, account)
        call = account.wait_for_outcome(account.connect(button, NUMBER))
        assert (call["outcome"], call["party"], call["hangup_cause"]) == (
            "unreachable",
            "second",
            "DESTINATION_OUT_OF_ORDER",
        )
    assert front.refused > 0
    assert carrier.received() == []
    phone.assert_clean()


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(("shown", "is_served"), [("", True), ("client", True), ("other", False)])
def test_client_may_show_a_certificate_but_no_wrong_one(
    shown: str, is_served: bool, server: Server, certificates: dict[str, Certificate], own: Path
) -> None:
    context = ssl.create_default_context(cafile=str(own))
    if shown:
        context.load_cert_chain(certificates[shown].certificate, certificates[shown].key)
    try:
        answer = ask_options(server, context)
    except (ssl.SSLError, ConnectionError):
        answer = b""
    assert answer.startswith(b"SIP/2.0 200 OK") == is_served


def ask_options(server: Server, context: ssl.SSLContext) -> bytes:
    lines = (
        "OPTIONS sip:us@example.com SIP/2.0",
        f"Via: SIP/2.0/TLS {HOST}:9;branch=z9hG4bKoptions;rport",
        "Max-Forwards: 70",
        "From: <sip:them@example.com>;tag=1",
        "To: <sip:us@example.com>",
        "Call-ID: options",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
        "",
        "",
    )
    with (
        socket.create_connection((HOST, server.sip_tls_port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as connection,
    ):
        connection.sendall("\r\n".join(lines).encode())
        return connection.recv(4_096)


def test_websockets_on_a_port_of_their_own_have_the_certificate_too(tmp_path: Path) -> None:
    port = free_port()
    certificate = self_signed(tmp_path, "http")
    with (
        Server(tmp_path, certificate=certificate, OFFHOOK_WEBSOCKET_PORT=str(port)) as running,
        connect(f"wss://{running.host}:{port}/anything", ssl=running.tls) as client,
    ):
        assert client.ping().wait(30.0)


def test_own_certificate_is_made_once_and_its_key_is_secret(server: Server, own: Path) -> None:
    assert own.with_name("sip-key.pem").stat().st_mode & 0o077 == 0
    before = own.read_bytes()
    server.stop()
    server.start()
    assert own.read_bytes() == before


@pytest.mark.needs("openssl")
def test_leg_over_tls_of_a_killed_server_is_ended_over_tls(
    account: Account, server: Server, certificates: dict[str, Certificate]
) -> None:
    """The carrier is our soft phone behind TLS: SIPp gives up a call with its TCP connection."""

    async def scenario() -> None:
        async with given_phone() as (carrier, uri), given_phone() as (_, desk_uri):
            port = int(uri.rpartition(":")[2])
            with TlsFront(certificates["trunk"], port) as front:
                create_trunk(account, front.port, tls_ca=certificates["trunk"].pem)
                flow = {"module": "resources", "data": {}, "children": {}}
                account.create("callflows", {"numbers": ["no_match"], "flow": flow})
                account.create_extension("1001", account.create_static_phone("desk", desk_uri))
                call_id = await asyncio.to_thread(account.connect, account.create_button("1001"), NUMBER)
                await asyncio.to_thread(account.wait_for_time, call_id, "bridged")
                server.kill()
                await asyncio.to_thread(server.start)
                await until(lambda: carrier.calls[0].is_over)
                assert front.names == [TRUNK, TRUNK]
                outcome = await asyncio.to_thread(account.wait_for_outcome, call_id)
                assert outcome["outcome"] == "platform_error"

    asyncio.run(scenario())
