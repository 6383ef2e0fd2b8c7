"""Asterisk as a carrier, both ways: called through a resource with digest, and calling in."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.peers.asterisk import Asterisk

from .harness import Account, Baresip, Server
from .harness.ports import free_block, free_port
from .harness.waiting import wait_for

pytestmark = pytest.mark.needs("asterisk", "baresip")

ASTERISK_HOST = "127.0.0.4"
NUMBER = "+15551234567"
DID = "+14158860001"
LOGIN = {"username": "offhook", "password": "offhook-secret"}
BACK = {"username": "asterisk", "password": "asterisk-secret"}
RTP_PORTS = 40
UNALLOCATED_NUMBER = 1
"""Q.850 for 404."""

PJSIP = """
[global]
type = global
user_agent = Asterisk
endpoint_identifier_order = ip

[udp]
type = transport
protocol = udp
bind = {host}:{port}

[offhook]
type = endpoint
transport = udp
context = from-offhook
disallow = all
allow = ulaw
direct_media = no
media_address = {host}
auth = comes-in
outbound_auth = goes-out
aors = offhook
from_user = 15550001111
from_domain = asterisk.test

[comes-in]
type = auth
auth_type = userpass
username = offhook
password = offhook-secret

[goes-out]
type = auth
auth_type = userpass
username = asterisk
password = asterisk-secret

[offhook]
type = aor
contact = sip:127.0.0.1:{offhook_port}

[offhook]
type = identify
endpoint = offhook
match = 127.0.0.1
"""

EXTENSIONS = """
[general]
static = yes

[from-offhook]
exten => _+1X.,1,Answer()
 same => n,Echo()
exten => busy,1,Hangup(17)

[dials]
exten => _+1X.,1,Set(GLOBAL(CAUSE)=none)
 same => n,Dial(PJSIP/${EXTEN}@offhook,10)
 same => n,Set(GLOBAL(CAUSE)=${HANGUPCAUSE})

[speaks]
exten => s,1,Playtones(1000)
 same => n,Wait(30)
"""


class Trunk:
    """The Asterisk that runs, and where."""

    def __init__(self, asterisk: Asterisk, port: int) -> None:
        self.port = port
        self.asterisk = asterisk

    def call(self, number: str, extension: str) -> None:
        """Call a number through offhook; who answers is connected to this extension of its own."""
        self.asterisk.command(f"channel originate PJSIP/{number}@offhook extension s@{extension}")

    def refusal_of(self, number: str) -> int:
        """Call a number that is refused; return the Q.850 cause that Asterisk makes of it."""
        self.asterisk.command(f"channel originate Local/{number}@dials application Wait 1")
        found = wait_for(
            lambda: re.search(r"CAUSE=(\d+)", self.asterisk.command("dialplan show globals")),
            timeout_s=15,
            what="Asterisk to be refused",
        )
        return int(found[1])

    def wait_idle(self) -> None:
        """Return once no channel is left."""
        wait_for(lambda: not self.asterisk.channels(), timeout_s=15, what="Asterisk's channels to end")


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[Trunk]:
    """An Asterisk that knows this server."""
    port, first = free_port(), free_block(RTP_PORTS)
    files = {
        "pjsip.conf": PJSIP.format(host=ASTERISK_HOST, port=port, offhook_port=server.sip_port),
        "extensions.conf": EXTENSIONS,
    }
    folder = tmp_path_factory.mktemp("asterisk")
    modules = ("res_clioriginate",)
    with Asterisk(folder, files, rtp=(first, first + RTP_PORTS - 1), modules=modules) as asterisk:
        yield Trunk(asterisk, port)


@pytest.fixture
def phone(tmp_path: Path, account: Account, server: Server) -> Iterator[Callable[..., Baresip]]:
    """Start a baresip with a device of its own, and let extension 1001 and the number ring it."""
    started: list[Baresip] = []

    def start(tone_hz: float) -> Baresip:
        device = account.create_phone("desk", "secret-desk")
        account.create_extension("1001", device)
        account.create_extension(DID, device)
        baresip = Baresip(
            tmp_path,
            username="desk",
            password="secret-desk",
            realm=account.realm,
            registrar_port=server.sip_port,
            tone_hz=tone_hz,
        )
        started.append(baresip)
        baresip.start()
        account.wait_registered("desk")
        return baresip

    yield start
    for baresip in started:
        baresip.stop()


def create_carrier(account: Account, trunk: Trunk, **inbound: object) -> str:
    """Send North American numbers through Asterisk; calls from there come in as inbound says."""
    gateway = {"server": ASTERISK_HOST, "port": trunk.port, **LOGIN}
    document = {"name": "Asterisk", "gateways": [gateway], "rules": [r"^(\+1\d{10})$"]}
    flow = {"module": "resources", "data": {}, "children": {}}
    account.create("callflows", {"numbers": ["no_match"], "flow": flow})
    return account.create("resources", document | ({"inbound": inbound} if inbound else {}))


def test_a_button_calls_a_number_through_asterisk(
    account: Account, trunk: Trunk, phone: Callable[..., Baresip]
) -> None:
    create_carrier(account, trunk)
    desk = phone(440)
    call_id = account.connect(account.create_button("1001"), NUMBER)
    account.wait_for_time(call_id, "bridged")
    desk.wait_until_heard(440, timeout_s=15)  # its own tone, back from Asterisk's Echo()
    account.hang_up(call_id)
    call = account.wait_for_outcome(call_id)
    assert (call["outcome"], call["by"]) == ("connected", "api")
    trunk.wait_idle()


def test_a_phone_dials_a_number_through_asterisk(
    account: Account, trunk: Trunk, phone: Callable[..., Baresip]
) -> None:
    account.client.request("PATCH", account.path(), {"dial_out": {"enabled": True}}).expect(200)
    create_carrier(account, trunk)
    desk = phone(440)
    desk.dial(NUMBER)
    desk.wait_until_heard(440, timeout_s=15)
    desk.hang_up()
    trunk.wait_idle()
    wait_for(lambda: len(account.get("cdrs", paginate="false")) == 2, timeout_s=10, what="the CDRs")
    directions = {leg["direction"] for leg in account.get("cdrs", paginate="false")}
    assert directions == {"inbound", "outbound"}


@pytest.mark.parametrize("known_by", [{"addresses": [ASTERISK_HOST]}, BACK], ids=["address", "digest"])
def test_asterisk_calls_a_number(
    account: Account, trunk: Trunk, phone: Callable[..., Baresip], known_by: dict[str, object]
) -> None:
    resource = create_carrier(account, trunk, **known_by)
    desk = phone(440)
    trunk.call(DID, "speaks")
    desk.wait_until_heard(1000, timeout_s=15)
    channels = account.get("channels")
    assert {channel["direction"] for channel in channels} == {"inbound", "outbound"}
    desk.hang_up()
    trunk.wait_idle()
    account.client.request("DELETE", account.path("resources", resource)).expect(200)
    call_id = next(c["custom_channel_vars"]["call_id"] for c in channels)
    call = account.wait_for_outcome(call_id)
    assert (call["outcome"], call["by"], call["kind"]) == ("connected", "extension", "inbound")


def test_asterisk_reaches_nothing_that_is_not_the_accounts(account: Account, trunk: Trunk) -> None:
    resource = create_carrier(account, trunk, addresses=[ASTERISK_HOST])
    assert trunk.refusal_of("+14158869999") == UNALLOCATED_NUMBER
    trunk.wait_idle()
    assert account.get("cdrs", paginate="false") == []
    account.client.request("DELETE", account.path("resources", resource)).expect(200)
