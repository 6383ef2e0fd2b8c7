"""`offhook serve --workers 3`: calls in other processes than the API, joined and told as in one."""

import os
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import FarEnd
from .harness import Account, Server
from .harness.far_ends import ANSWERS, RINGS_FOR_EVER
from .harness.ports import free_block, give_back
from .harness.waiting import wait_for
from .test_joined_sipp import two_phones
from .test_restart import account_of, create_extensions

pytestmark = pytest.mark.needs("sipp")


WORKERS = 3


@contextmanager
def given_node(folder: Path) -> Iterator[Server]:
    """Lend a node with two engine workers beside it, not started."""
    ports = range(first := free_block(8), first + 8)
    settings = {"OFFHOOK_WORKERS": str(WORKERS), "OFFHOOK_WORKER_SIP_PORT": str(first)}
    node = Server(folder, media_ports=60 * WORKERS, **settings)
    try:
        yield node
    finally:
        node.kill()  # a killed worker is an error in its log, so that it is not asked to be clean
        node.give_back_ports()
        give_back(ports)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all."""
    with given_node(tmp_path_factory.mktemp("server")) as node:
        node.start()
        yield node


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[Server]:
    """A node of the test's own."""
    folder = tmp_path / "node"
    folder.mkdir()
    with given_node(folder) as node:
        node.start()
        yield node


def calls_by_worker(server: Server) -> dict[str, int]:
    with urllib.request.urlopen(f"http://{server.host}:{server.http_port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    counts = [line.split() for line in lines if line.startswith("offhook_worker_calls{")]
    return {name.split('"')[1]: int(float(count)) for name, count in counts}


def worker_processes(server: Server) -> list[int]:
    """Return the workers of a node, oldest first."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    return sorted(pid for pid, command in commands.items() if b"bootstrap.worker" in command)


def test_a_call_is_held_by_a_worker_and_told_whole(server: Server, far_end: FarEnd, account: Account) -> None:
    with two_phones(far_end, account) as phones:
        call_id = account.connect(account.create_button("1001"), "1002")
        phones.assert_both_hear_the_other()
        assert sum(calls_by_worker(server).values()) == 1
        phones.end(call_id)
        what = [step["what"] for step in account.get("calls", call_id, "timeline")]
        assert "sip" in what
        assert sum(calls_by_worker(server).values()) == 0


def test_a_call_that_names_another_stands_beside_it(
    server: Server, far_end: FarEnd, account: Account
) -> None:
    with two_phones(far_end, account) as phones:
        call_id = account.connect(account.create_button("1001"), "1002")
        phones.assert_both_hear_the_other()
        ringing = far_end(RINGS_FOR_EVER)
        third = account.create_static_phone("phone1003", ringing.uri)
        answer = account.quickcall(third, "1002", target_call_id=call_id).expect(202)
        wait_for(lambda: 2 in calls_by_worker(server).values(), timeout_s=10, what="two calls on one worker")
        account.hang_up(answer.data["call_id"])
        account.wait_for_outcome(answer.data["call_id"])
        phones.end(call_id)


def test_a_killed_worker_leaves_no_leg_and_one_outcome(
    server: Server, far_end: FarEnd, account: Account
) -> None:
    with two_phones(far_end, account) as phones:
        call_id = account.connect(account.create_button("1001"), "1002")
        phones.assert_both_hear_the_other()
        before = worker_processes(server)
        for process in before:
            os.kill(process, signal.SIGKILL)
        told = account.wait_for_outcome(call_id)
        assert (told["outcome"], told["by"], told["hangup_cause"]) == ("connected", "platform", "CRASH")
        phones.first.assert_clean()
        phones.second.assert_clean()
        wait_for(lambda: len(worker_processes(server)) == 2, timeout_s=30, what="two new workers")
        assert not set(before) & set(worker_processes(server))


def test_workers_of_a_killed_node_hang_up(own_node: Server, far_end: FarEnd) -> None:
    account = account_of(own_node)
    first, second = far_end(ANSWERS), far_end(ANSWERS)
    call_id = account.connect(create_extensions(account, first.uri, second.uri), "1002")
    account.wait_for_time(call_id, "bridged")
    own_node.kill()
    own_node.start()  # while they do: their ports are not free yet
    first.assert_clean()
    second.assert_clean()


def test_a_node_that_lost_all_its_processes_ends_what_rang(own_node: Server, far_end: FarEnd) -> None:
    account = account_of(own_node)
    first = far_end(RINGS_FOR_EVER)
    call_id = account.connect(create_extensions(account, first.uri, first.uri), "1002")
    account.wait_for_time(call_id, "first_ringing")
    for process in [*worker_processes(own_node), own_node.pid]:
        os.kill(process, signal.SIGKILL)
    own_node.kill()
    own_node.start()
    first.assert_clean()
