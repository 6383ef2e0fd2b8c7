"""A live node under call load is sent damaged datagrams: no call is lost, nothing is left of them.

20,000 here; a million with OFFHOOK_TEST_DATAGRAMS=1000000 (figures in docs/topics/security.md).
"""

import os
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from .conftest import FarEnd
from .harness import Account, KazooClient, Server
from .harness.far_ends import ANSWERS, answers_and_hangs_up
from .harness.mutations import Storm, requests_and_answers
from .harness.waiting import wait_for

pytestmark = pytest.mark.needs("sipp")

DATAGRAMS = int(os.environ.get("OFFHOOK_TEST_DATAGRAMS", "20000"))
PER_SECOND = 4_000.0
CALLS_MAX = 100_000
SEED = 1
LEGS_MAX = 40
"""Of the calls that stand at once."""
HOLD_MS = 500
HEARD = 'offhook_sip_total{event="messages_received"}'
GROWTH_MAX_MIB, GROWTH_PER_CALL_MIB = 100, 0.1
"""Of the server's memory: 32 s of transactions and what the allocator keeps; of each call what was said, as
long as it is remembered."""


def test_no_call_is_lost_in_a_storm_of_damaged_datagrams(tmp_path: Path, far_end: FarEnd) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    # Without rates, so that every one of them is parsed.
    with Server(folder, OFFHOOK_SIP_RATE="0", OFFHOOK_SIP_RATE_PER_ADDRESS="0") as node:
        client = KazooClient(node.host, node.http_port)
        client.login(node.api_key)
        account = client.create_account("Acme", "acme.test")
        first, second = [far_end(one, calls=CALLS_MAX) for one in (answers_and_hangs_up(HOLD_MS), ANSWERS)]
        for number, far in (("1001", first), ("1002", second)):
            account.create_extension(number, account.create_static_phone(f"phone{number}", far.uri))
        button = account.create_button("1001")
        account.wait_for_outcome(account.connect(button, "1002"))

        live: list[str] = []
        messages = requests_and_answers("acme.test", lambda: live, SEED)
        storm = Storm(node.sip_port, messages, lambda: metric(node, HEARD), seed=SEED)
        before_mib = memory_mib(node)
        thread = threading.Thread(target=storm.run, args=(DATAGRAMS, PER_SECOND), name="storm")
        thread.start()
        call_ids = calls_until(lambda: not thread.is_alive(), account, button, live)
        thread.join()

        outcomes = [account.wait_for_outcome(call_id, timeout_s=60)["outcome"] for call_id in call_ids]
        assert storm.sent > 0.99 * DATAGRAMS
        assert len(outcomes) >= 5
        assert outcomes == ["connected"] * len(outcomes)
        assert account.get("channels") == []
        assert memory_mib(node) - before_mib < GROWTH_MAX_MIB + GROWTH_PER_CALL_MIB * len(call_ids)
        wait_for(lambda: metric(node, "offhook_calls_live") == 0, timeout_s=30, what="no live call")
        print(f"{storm.sent} datagrams, {len(outcomes)} calls, {memory_mib(node) - before_mib:.0f} MiB more")


def calls_until(is_over, account: Account, button: str, live: list[str]) -> list[str]:  # type: ignore[no-untyped-def]
    """Place calls one after the other, a few standing at once; tell the legs of those that stand."""
    call_ids: list[str] = []
    while not is_over():
        if len(live) < LEGS_MAX:
            call_ids.append(account.connect(button, "1002"))
        live[:] = [channel["uuid"] for channel in account.get("channels")]
        time.sleep(0.02)
    live.clear()
    return call_ids


def metric(node: Server, name: str) -> float:
    """Return one figure of /metrics."""
    with urllib.request.urlopen(f"http://{node.host}:{node.http_port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[-1])


def memory_mib(node: Server) -> float:
    """Return the resident memory of the server."""
    pages = int(Path(f"/proc/{node.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
