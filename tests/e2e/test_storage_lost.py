"""A disk that takes nothing for a while: no new calls, the live ones go on, every outcome is stored later."""

import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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


@contextmanager
def a_disk_that_is_read_only(node: Server, tmp_path: Path) -> Iterator[None]:
    """Let the kernel refuse every write to the database with EROFS, as after errors=remount-ro.

    (A remount itself is refused while the server has the files open.)
    """
    database = node.data / "offhook.sqlite"
    paths = [f"-P{database}{ending}" for ending in ("", "-wal", "-shm")]
    log = tmp_path / "strace.log"
    calls = "pwrite64,pwritev,write,ftruncate,fallocate"
    attached = subprocess.Popen(
        ["strace", "-f", f"-p{node.pid}", f"-etrace={calls}", f"-einject={calls}:error=EROFS", *paths,
         f"-o{log}"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: is_traced(node.pid), timeout_s=20, what="strace to attach")
        yield
        assert "EROFS" in log.read_text()
    finally:
        attached.send_signal(signal.SIGINT)
        attached.wait(20)


def is_traced(pid: int) -> bool:
    """Tell whether every thread of a process has a tracer."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return all("\nTracerPid:\t0\n" not in (thread / "status").read_text() for thread in threads)


def full(node: Server, tmp_path: Path) -> AbstractContextManager[None]:
    return files_that_cannot_grow(node)


DISKS = [
    pytest.param(full, id="full"),
    pytest.param(
        a_disk_that_is_read_only,
        id="read-only",
        marks=[
            pytest.mark.needs("strace"),
            pytest.mark.skipif(os.geteuid() != 0, reason="only root may attach to a process"),
        ],
    ),
]


@pytest.mark.parametrize("trouble", DISKS)
def test_a_lost_disk_refuses_new_calls_and_keeps_the_live_ones(
    tmp_path: Path, far_end: FarEnd, trouble: Callable[[Server, Path], AbstractContextManager[None]]
) -> None:
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

        with trouble(node, tmp_path):
            refused = client.request("GET", connect, query={"contact": "1002"}).expect(503)
            assert int(refused.headers["retry-after"]) >= 1
            wait_for(lambda: not node.is_ready(), timeout_s=20, what="/readyz to say that storage is lost")
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
        wait_for(node.is_ready, timeout_s=20, what="/readyz to say that all is well")
        account.connect(button, "nobody-there")
        log = node.log.read_text()
        assert log.count("storage_lost") == log.count("storage_back") == 1
    finally:
        node.kill()
