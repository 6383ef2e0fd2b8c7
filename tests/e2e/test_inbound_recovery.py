"""kill -9 while a caller waits, and while it talks: the next process refuses it or hangs it up."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .harness import Account, Baresip, KazooClient, Server, Sipp
from .harness.callers import dial, hop_by_hop, waits_for_bye
from .harness.far_ends import ANSWERS
from .harness.ports import HOST
from .harness.scenario import Scenario, receive_response, scenario
from .harness.waiting import wait_for

pytestmark = pytest.mark.needs("sipp")

DID = "+14158860001"
CARRIER_HOST = "127.0.3.1"

IS_LOST = scenario(
    "dials, hears that it rings, and is told of the crash",
    dial(DID),
    receive_response(100, optional=True),
    receive_response(180),
    receive_response(500),
    hop_by_hop("ACK", DID, tagged=True),
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own: it will be killed."""
    folder = tmp_path / "node"
    folder.mkdir()
    server = Server(folder)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def party(tmp_path: Path, server: Server) -> Iterator[Callable[..., Sipp]]:
    """Start SIPp as one of the two parties."""
    started: list[Sipp] = []

    def start(steps: Scenario, **more: Any) -> Sipp:
        folder = tmp_path / f"party-{len(started)}"
        folder.mkdir()
        sipp = Sipp(steps, folder, **more)
        started.append(sipp)
        sipp.start()
        return sipp

    yield start
    for sipp in started:
        sipp.stop()


def given_account(server: Server) -> Account:
    """An account whose carrier may call in."""
    master = KazooClient(server.host, server.http_port)
    master.login(server.api_key)
    account = master.create_account("Acme", "acme.test")
    inbound = {"addresses": [CARRIER_HOST]}
    gateways = [{"server": "carrier.test"}]
    account.create("resources", {"name": "In", "gateways": gateways, "inbound": inbound})
    return account


@pytest.mark.needs("baresip")
def test_a_caller_that_waits_is_refused_by_the_next_process(
    server: Server, party: Callable[..., Sipp], tmp_path: Path
) -> None:
    account = given_account(server)
    account.create_extension(DID, account.create_phone("desk", "secret-desk"), timeout=60)
    login = {"username": "desk", "password": "secret-desk", "realm": account.realm}
    with Baresip(tmp_path, **login, registrar_port=server.sip_port, tone_hz=440, answers=False) as phone:
        account.wait_registered("desk")
        carrier = party(IS_LOST, calling=f"{HOST}:{server.sip_port}", host=CARRIER_HOST)
        carrier.wait_received("SIP/2.0 180")
        assert phone.has_call()
        [call_id] = {channel["custom_channel_vars"]["call_id"] for channel in account.get("channels")}
        server.kill()
        server.start()
        carrier.assert_clean(timeout_s=30)
        wait_for(lambda: not phone.has_call(), timeout_s=30, what="the phone to stop ringing")
    call = account.wait_for_outcome(call_id, timeout_s=60)
    assert (call["outcome"], call["by"]) == ("platform_error", "platform")


def test_a_caller_that_talks_is_hung_up_by_the_next_process(
    server: Server, party: Callable[..., Sipp]
) -> None:
    far = party(ANSWERS)
    account = given_account(server)
    account.create_extension(DID, account.create_static_phone("far", far.uri))
    carrier = party(waits_for_bye(DID), calling=f"{HOST}:{server.sip_port}", host=CARRIER_HOST)
    channels = wait_for(lambda: account.get("channels"), timeout_s=10, what="a call")
    call_id = channels[0]["custom_channel_vars"]["call_id"]
    account.wait_for_time(call_id, "bridged")
    server.kill()
    server.start()
    carrier.assert_clean(timeout_s=30)
    far.assert_clean(timeout_s=30)
    call = account.wait_for_outcome(call_id, timeout_s=60)
    assert (call["outcome"], call["by"]) == ("platform_error", "platform")
    cdrs = account.cdrs(call["interaction_id"])
    assert {leg["call_direction"] for leg in cdrs} == {"inbound", "outbound"}
