"""kill -9 while a target rings, answers or talks: one outcome, and no leg left at any of three far ends."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Account, KazooClient, Server, Sipp
from .harness.far_ends import LIVES_THROUGH_CRASHES
from .harness.waiting import wait_for

pytestmark = pytest.mark.needs("sipp")

KILLS = 4
LONGEST_S = 0.25
"""From the request to the kill: the target is planned, stored, rung and answered within that time."""
CLEAN_WITHIN_S = 150.0
"""As in test_recovery."""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "node"
    folder.mkdir()
    server = Server(folder)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def far_ends(tmp_path: Path) -> Iterator[list[Sipp]]:
    started = []
    for name in ("first", "second", "third"):
        folder = tmp_path / name
        folder.mkdir()
        sipp = Sipp(LIVES_THROUGH_CRASHES, folder, calls=1_000_000, is_forgetful=True)
        sipp.start()
        started.append(sipp)
    yield started
    for sipp in started:
        sipp.stop()


def transfer(account: Account, call_id: str) -> None:
    wait_for(lambda: account.call(call_id)["state"] == "bridged", timeout_s=15, what="a joined call")
    leg = account.call(call_id)["legs"][1]["call_id"]
    path = account.path("channels", leg)
    account.client.request("POST", path, {"action": "transfer", "target": "1003"}).expect(202)


def test_kill_9_at_any_instant_of_a_transfer(node: Server, far_ends: list[Sipp]) -> None:
    dice = random.Random(7)
    client = KazooClient(node.host, node.http_port)
    client.login(node.api_key)
    account = client.create_account("Acme", "acme.test")
    for number, sipp in zip(("1001", "1002", "1003"), far_ends, strict=True):
        account.create_extension(number, account.create_static_phone(f"phone{number}", sipp.uri))
    button = account.create_button("1001")
    accepted = []
    for _ in range(KILLS):
        call_id = account.connect(button, "1002")
        accepted.append(call_id)
        transfer(account, call_id)
        time.sleep(dice.uniform(0, LONGEST_S))
        node.kill()
        node.start()
        client.login(node.api_key)
        call = account.wait_for_outcome(call_id, timeout_s=CLEAN_WITHIN_S)
        assert (call["outcome"], call["hangup_cause"]) == ("platform_error", "CRASH")
    history = account.get("clicktocall", button, "history", paginate="false")
    assert Counter(item["call_id"] for item in history) == dict.fromkeys(accepted, 1)
    assert account.get("channels") == []
    for sipp in far_ends:
        wait_for(lambda sipp=sipp: not sipp.legs_left(), timeout_s=CLEAN_WITHIN_S, what="the last leg to end")
    assert far_ends[2].received("INVITE"), "no target was rung at all"
