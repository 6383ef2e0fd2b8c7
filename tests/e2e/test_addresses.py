"""Several local addresses, IPv6 beside IPv4, and what a peer is told of where we are."""

import asyncio
import re
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_network

import pytest

from offhook.engines.embedded.own_addresses import OwnAddresses
from offhook.phone import PhoneEvent, PhoneSettings, SoftPhone
from offhook.sip.flows import Flow
from offhook.system import SystemClock, SystemRandom

from .harness import Account, Server

FIRST_HZ, SECOND_HZ = 600.0, 1000.0
PATIENCE_S = 30.0


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on loopback")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server at two addresses, 127.0.0.1 and ::1."""
    with Server(tmp_path_factory.mktemp("server"), OFFHOOK_SIP_HOST="127.0.0.1,::1") as running:
        yield running


class Phones:
    """Two soft phones, and every message they took."""

    def __init__(self, server: Server, account: Account, hosts: tuple[str, str], transport: str) -> None:
        self.messages: list[tuple[int, str]] = []
        self.phones = [
            self._phone(number, server, account, host, transport) for number, host in enumerate(hosts, 1)
        ]

    def _phone(self, number: int, server: Server, account: Account, host: str, transport: str) -> SoftPhone:
        account.create_extension(f"100{number}", account.create_phone(f"dev{number}", f"secret-{number}"))
        settings = PhoneSettings(
            username=f"dev{number}",
            password=f"secret-{number}",
            realm=account.realm,
            server=(host, server.sip_port),
            transport=transport,
            host=host,
            tone_hz=FIRST_HZ if number == 1 else SECOND_HZ,
            listen_for_hz=(FIRST_HZ, SECOND_HZ),
        )

        def note(direction: str, data: bytes, flow: Flow, now: float) -> None:
            if direction == "in":
                self.messages.append((number, data.decode()))

        return SoftPhone(settings, clock=SystemClock(), random=SystemRandom(), on_event=_ignore, trace=note)

    def invite(self, number: int) -> str:
        """Return the INVITE that a phone got."""
        return next(text for phone, text in self.messages if phone == number and text.startswith("INVITE "))


def _ignore(event: PhoneEvent) -> None:
    """The test looks at what the phones heard."""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


@needs_ipv6
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("hosts", [("::1", "127.0.0.1"), ("127.0.0.1", "::1"), ("::1", "::1")])
def test_phones_talk_whichever_family_they_speak(
    hosts: tuple[str, str], transport: str, server: Server, account: Account
) -> None:
    phones = Phones(server, account, hosts, transport)

    async def scenario() -> None:
        first, second = phones.phones
        for phone in phones.phones:
            await phone.start()
        try:
            await until(lambda: first.is_registered and second.is_registered)
            button = await asyncio.to_thread(account.create_button, "1001")
            call_id = await asyncio.to_thread(account.connect, button, "1002")
            await until(lambda: first.heard(SECOND_HZ) > 0.3 and second.heard(FIRST_HZ) > 0.3)
            await asyncio.to_thread(account.hang_up, call_id)
            outcome = await asyncio.to_thread(account.wait_for_outcome, call_id)
            assert outcome["outcome"] == "connected"
        finally:
            for phone in phones.phones:
                await phone.stop()

    asyncio.run(scenario())
    for number, host in enumerate(hosts, 1):
        places = places_in(phones.invite(number))
        assert set(places.values()) == {host}, places


def places_in(invite: str) -> dict[str, str]:
    """Return the host of Via, Contact, and each address in the SDP."""
    patterns = {
        "via": r"^Via: \S+ \[?([0-9a-f.:]+?)\]?:\d+;",
        "contact": r"^Contact: <sip:offhook@\[?([0-9a-f.:]+?)\]?:\d+[;>]",
        "origin": r"^o=.* IP[46] (\S+)\s*$",
        "connection": r"^c=IN IP[46] (\S+)\s*$",
    }
    return {
        name: match[1] if (match := re.search(pattern, invite, re.MULTILINE)) else ""
        for name, pattern in patterns.items()
    }


def flow(remote: str, transport: str = "udp") -> Flow:
    return Flow(transport, ("0.0.0.0", 5060), (remote, 4_000))


def test_peers_in_a_local_network_are_told_the_local_address() -> None:
    addresses = OwnAddresses(
        ["127.0.0.1", "::1"],
        advertised=["203.0.113.5", "2001:db8::5"],
        local_networks=[ip_network("127.0.0.0/8")],
        ports={"udp": 5060, "tcp": 5060, "tls": 5061},
    )
    assert addresses.of_flow(flow("127.0.0.9")) == ("127.0.0.1", 5060)
    assert addresses.of_flow(flow("198.51.100.7", "tls")) == ("203.0.113.5", 5061)
    assert addresses.of_flow(flow("2001:db8::9")) == ("2001:db8::5", 5060)
    assert addresses.default_host == "203.0.113.5"


def test_a_wildcard_is_never_told() -> None:
    addresses = OwnAddresses(["0.0.0.0"], ports={"udp": 5060})
    assert addresses.host_for("127.0.0.1") == "127.0.0.1"
    assert addresses.bound_host("127.0.0.1") == "0.0.0.0"
    assert addresses.media_bind(4) == "0.0.0.0"
    assert addresses.media_bind(6) == ""
    assert "0.0.0.0" not in addresses.names
    assert OwnAddresses(["127.0.0.1", "::1"], advertised=["203.0.113.5"]).names == {
        "127.0.0.1", "::1", "203.0.113.5"
    }  # fmt: skip


def test_the_address_that_leads_to_a_peer_is_used() -> None:
    addresses = OwnAddresses(["192.0.2.200", "127.0.0.1"])
    assert addresses.bound_host("127.0.0.9") == "127.0.0.1"
    assert addresses.families == {4}
