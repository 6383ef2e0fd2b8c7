"""Many calls at once on one node: each has its own outcome, and all of them end everywhere."""

from pathlib import Path

import pytest

from .conftest import FarEnd
from .harness import KazooClient, Server
from .harness.far_ends import ANSWERS

pytestmark = pytest.mark.needs("sipp")

CALLS = 100
MEDIA_PORTS = 1000
"""A call takes eight: four ports of RTP, with their RTCP."""


def test_hundred_calls_stand_and_end(tmp_path: Path, far_end: FarEnd) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    with Server(folder, media_ports=MEDIA_PORTS) as node:
        client = KazooClient(node.host, node.http_port)
        client.login(node.api_key)
        account = client.create_account("Acme", "acme.test")
        far_ends = [far_end(ANSWERS, calls=CALLS) for _ in range(2)]
        for number, far in zip(("1001", "1002"), far_ends, strict=True):
            account.create_extension(number, account.create_static_phone(f"phone{number}", far.uri))
        button = account.create_button("1001")

        call_ids = [account.connect(button, "1002") for _ in range(CALLS)]
        for call_id in call_ids:
            account.wait_for_time(call_id, "bridged")
        assert len(account.get("channels")) == 2 * CALLS

        for call_id in call_ids:
            account.hang_up(call_id)
        outcomes = [account.wait_for_outcome(call_id)["outcome"] for call_id in call_ids]
        assert outcomes == ["connected"] * CALLS
        assert account.get("channels") == []
        for far in far_ends:
            far.assert_clean()
