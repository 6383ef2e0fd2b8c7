"""RFC 3263 with a real name server on loopback: which servers, what is remembered, and failover of calls."""

import asyncio
import random
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest

from offhook.engines.embedded.dns_client import DnsClient
from offhook.engines.embedded.resolver import Resolver, Target, Unresolvable
from offhook.sip.uri import SipUri

from .conftest import FarEnd
from .harness import Account, Server
from .harness.far_ends import ANSWERS, OVERLOADED, RINGS_FOR_EVER
from .harness.name_server import NameServer
from .harness.ports import HOST, free_port
from .test_gateway import NUMBER, create_caller

PATIENCE_S = 40.0

ZONE = (
    "carrier.test. 60 IN NAPTR 10 50 s SIPS+D2T . _sips._tcp.carrier.test.",
    "carrier.test. 60 IN NAPTR 20 50 s SIP+D2T . _sip._tcp.carrier.test.",
    "carrier.test. 60 IN NAPTR 5 50 u E2U+sip . .",
    "_sips._tcp.carrier.test. 60 IN SRV 0 0 5061 a.carrier.test.",
    "_sip._tcp.carrier.test. 60 IN SRV 10 0 5070 b.carrier.test.",
    "_sip._tcp.carrier.test. 60 IN SRV 5 0 5071 a.carrier.test.",
    "_sip._udp.carrier.test. 60 IN SRV 0 0 5072 b.carrier.test.",
    "a.carrier.test. 60 IN A 192.0.2.1",
    "a.carrier.test. 60 IN AAAA 2001:db8::1",
    "b.carrier.test. 60 IN A 192.0.2.2",
    "srv.test. 60 IN A 192.0.2.9",
    "_sip._udp.srv.test. 60 IN SRV 0 1 5060 light.srv.test.",
    "_sip._udp.srv.test. 60 IN SRV 0 3 5060 heavy.srv.test.",
    "light.srv.test. 60 IN A 192.0.2.3",
    "heavy.srv.test. 60 IN A 192.0.2.4",
    "plain.test. 60 IN A 192.0.2.5",
    "plain.test. 60 IN A 192.0.2.6",
    "closed.test. 60 IN A 192.0.2.7",
    "_sip._udp.closed.test. 60 IN SRV 0 0 0 .",
)


class Dice:
    """The Random port, from a seed."""

    def __init__(self) -> None:
        self._dice = random.Random(1)

    def hex(self, length: int) -> str:
        return self._dice.randbytes(length).hex()[:length]

    def uniform(self) -> float:
        return self._dice.random()


@pytest.fixture
def names() -> Iterator[NameServer]:
    with NameServer(*ZONE) as server:
        yield server


def resolve(names: NameServer, *uris: str) -> list[tuple[Target, ...]]:
    async def run() -> list[tuple[Target, ...]]:
        resolver = Resolver(DnsClient([names.address]), random=Dice())
        return [await resolver.resolve(SipUri.parse(uri)) for uri in uris]

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (
            "sip:carrier.test",
            [
                ("tls", "192.0.2.1", 5061),
                ("tls", "2001:db8::1", 5061),
                ("tcp", "192.0.2.1", 5071),
                ("tcp", "2001:db8::1", 5071),
                ("tcp", "192.0.2.2", 5070),
            ],
        ),
        ("sip:carrier.test;transport=udp", [("udp", "192.0.2.2", 5072)]),
        ("sips:carrier.test", [("tls", "192.0.2.1", 5061), ("tls", "2001:db8::1", 5061)]),
        ("sip:carrier.test:5099", []),
        ("sip:plain.test", [("udp", "192.0.2.5", 5060), ("udp", "192.0.2.6", 5060)]),
        ("sip:plain.test:5080;transport=tls", [("tls", "192.0.2.5", 5080), ("tls", "192.0.2.6", 5080)]),
        ("sip:192.0.2.44", [("udp", "192.0.2.44", 5060)]),
        ("sip:[2001:db8::7];transport=tcp", [("tcp", "2001:db8::7", 5060)]),
        ("sip:closed.test", []),
        ("sip:missing.test", []),
    ],
)
def test_servers_come_in_the_order_of_the_rfc(
    names: NameServer, uri: str, expected: list[tuple[str, str, int]]
) -> None:
    if not expected:
        with pytest.raises(Unresolvable, match="no address"):
            resolve(names, uri)
        return
    [found] = resolve(names, uri)
    wanted = [Target(*one) for one in expected]
    if uri.startswith("sip:plain"):  # addresses of one host come in any order
        found, wanted = tuple(sorted(found)), sorted(wanted)
    assert list(found[: len(wanted)]) == wanted


def test_calls_are_spread_by_weight(names: NameServer) -> None:
    found = resolve(names, *["sip:srv.test"] * 200)
    firsts = Counter(targets[0].address for targets in found)
    assert {target.address for target in found[0]} == {"192.0.2.3", "192.0.2.4"}
    assert 120 < firsts["192.0.2.4"] < 180


def test_answers_are_remembered_and_so_is_what_is_not_there(names: NameServer) -> None:
    resolve(names, *["sip:carrier.test"] * 3)
    assert set(Counter(names.asked).values()) == {1}

    async def run() -> None:
        resolver = Resolver(DnsClient([names.address]))
        for _ in range(3):
            with pytest.raises(Unresolvable):
                await resolver.resolve(SipUri.parse("sip:nobody.test"))

    names.asked.clear()
    asyncio.run(run())
    assert set(Counter(names.asked).values()) == {1}


def test_name_service_that_says_nothing_is_told_apart_from_one_that_says_no(names: NameServer) -> None:
    names.is_silent = True
    with pytest.raises(Unresolvable) as caught:
        resolve(names, "sip:plain.test:5060")
    assert caught.value.may_pass


# --- calls ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zone() -> Iterator[NameServer]:
    with NameServer(f"host.test. 5 IN A {HOST}") as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, zone: NameServer) -> Iterator[Server]:
    dns = f"{zone.address[0]}:{zone.address[1]}"
    with Server(tmp_path_factory.mktemp("server"), OFFHOOK_DNS_SERVERS=dns) as running:
        yield running


def create_trunk(account: Account, zone: NameServer, name: str, *servers: tuple[int, str]) -> None:
    """Send numbers to a name that SRV records lead to these ports from, in this order."""
    for order, (port, transport) in enumerate(servers):
        zone.add(f"_sip._{transport}.{name}. 5 IN SRV {order} 0 {port} host.test.")
    gateway = {"server": name, "transport": servers[0][1]}
    account.create("resources", {"name": "Trunk", "gateways": [gateway], "rules": [r"^(\+1\d{10})$"]})


@pytest.mark.needs("sipp")
@pytest.mark.parametrize("fault", ["silent", "refuses connections", "overloaded"])
def test_next_server_of_a_name_is_tried(
    fault: str, far_end: FarEnd, account: Account, zone: NameServer
) -> None:
    transport = "tcp" if fault == "refuses connections" else "udp"
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as silent:
        silent.bind((HOST, 0))
        bad = {
            "silent": lambda: silent.getsockname()[1],
            "refuses connections": free_port,
            "overloaded": lambda: far_end(OVERLOADED).port,
        }[fault]()
        good = far_end(ANSWERS, transport=transport)
        create_trunk(account, zone, f"{fault.split()[0]}.test", (bad, transport), (good.port, transport))
        phone, button = create_caller(far_end, account)
        call_id = account.connect(button, NUMBER)
        account.wait_for_time(call_id, "bridged")
        account.hang_up(call_id)
        assert account.wait_for_outcome(call_id)["outcome"] == "connected"
        good.assert_clean()
        phone.assert_clean()


def test_unknown_name_is_unreachable(account: Account) -> None:
    device = account.create_static_phone("phone1", "sip:phone1@nobody.test")
    account.create_extension("1001", device)
    call = account.wait_for_outcome(account.connect(account.create_button("1001"), "1001"))
    assert (call["outcome"], call["hangup_cause"]) == ("unreachable", "DESTINATION_OUT_OF_ORDER")


@pytest.mark.needs("sipp")
def test_whichever_server_of_a_name_was_rung_is_cancelled_after_a_crash(
    far_end: FarEnd, account: Account, zone: NameServer, server: Server
) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as silent:
        silent.bind((HOST, 0))
        rings = far_end(RINGS_FOR_EVER)
        create_trunk(account, zone, "crash.test", (silent.getsockname()[1], "udp"), (rings.port, "udp"))
        phone, button = create_caller(far_end, account)
        call_id = account.connect(button, NUMBER)
        account.wait_for_time(call_id, "second_ringing", timeout_s=PATIENCE_S)
        server.kill()
        server.start()
        rings.wait_received("CANCEL", timeout_s=PATIENCE_S)
        phone.assert_clean(timeout_s=PATIENCE_S)  # the outcome waits until the silent one is given up
