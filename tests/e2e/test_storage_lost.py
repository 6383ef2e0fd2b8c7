"""A disk that takes nothing for a while: no new calls, the live ones go on, every outcome is stored later."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import FarEnd
from .harness import KazooClient, Server
from .harness.far_ends import ANSWERS
from .harness.waiting import wait_for

pytestmark = pytest.mark.needs("sipp")


@contextmanager
def files_that_cannot_grow(node: Server) -> Iterator[None]:
    """Let no file of the server grow: what a full disk looks like to it."""
    limits = resource.prlimit(node.pid, resource.RLIMIT_FSIZE)
    [log] = node.data.glob("*-wal")
    size = log.stat().st_size
    assert node.log.stat().st_size < size / 2
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (size, limits[1]))
    yield
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_refuses_new_calls_and_keeps_the_live_ones(tmp_path: Path, far_end: FarEnd) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    node = Server(folder)
    node.start()
    try:
        client = KazooClient(node.host, node.http_port)
        client.login(node.api_key)
        account = client.create_account("Acme", "acme.test")
        first, second = far_end(ANSWERS), far_end(ANSWERS)
        account.create_extension("1001", account.create_static_phone("phone1001", first.uri))
        account.create_extension("1002", account.create_static_phone("phone1002", second.uri))
        button = account.create_button("1001")
        call_id = account.connect(button, "1002")
        account.wait_for_time(call_id, "bridged")
        connect = account.path("clicktocall", button, "connect")

        with files_that_cannot_grow(node):
            refused = client.request("GET", connect, query={"contact": "1002"}).expect(503)
            assert int(refused.headers["retry-after"]) >= 1
            wait_for(lambda: not node.is_ready(), timeout_s=5, what="/readyz to say that storage is lost")
            assert account.call(call_id)["state"] == "bridged"
            account.hang_up(call_id)
            first.assert_clean()
            second.assert_clean()
            client.request("GET", connect, query={"contact": "1002"}).expect(503)
            assert account.call(call_id)["state"] != "ended", "an outcome is told when it is stored"
            assert [item.get("outcome") for item in account.history(button, call_id)] == [None]

        assert account.wait_for_outcome(call_id)["outcome"] == "connected"
        [item] = account.history(button, call_id)
        assert item["outcome"] == "connected"
        wait_for(node.is_ready, timeout_s=5, what="/readyz to say that all is well")
        account.connect(button, "nobody-there")
        log = node.log.read_text()
        assert log.count("storage_lost") == log.count("storage_back") == 1
    finally:
        node.kill()
