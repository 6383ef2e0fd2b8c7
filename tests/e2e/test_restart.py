"""A server that is asked to stop, and one that is killed: no call without an outcome, no leg left behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import FarEnd
from .harness import Account, KazooClient, Server, Sipp
from .harness.far_ends import ANSWERS, RINGS_FOR_EVER, answers_after
from .harness.waiting import wait_for

pytestmark = pytest.mark.needs("sipp")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own."""
    folder = tmp_path / "node"
    folder.mkdir()
    with Server(folder, OFFHOOK_DRAIN_S="4") as server:
        yield server


def account_of(node: Server) -> Account:
    client = KazooClient(node.host, node.http_port)
    client.login(node.api_key)
    return client.create_account("Acme", "acme.test")


def create_extensions(account: Account, first_uri: str, second_uri: str) -> str:
    account.create_extension("1001", account.create_static_phone("phone1001", first_uri))
    account.create_extension("1002", account.create_static_phone("phone1002", second_uri))
    return account.create_button("1001")


def test_sigterm_lets_live_calls_end(node: Server, far_end: FarEnd) -> None:
    account = account_of(node)
    first, second = far_end(ANSWERS), far_end(ANSWERS)
    button = create_extensions(account, first.uri, second.uri)
    call_id = account.connect(button, "1002")
    account.wait_for_time(call_id, "bridged")

    node.ask_to_stop()
    path = account.path("clicktocall", button, "connect")
    refused = wait_for(
        lambda: (
            answer
            if (answer := account.client.request("GET", f"{path}?contact=1002")).status == 503
            else None
        ),
        timeout_s=3,
        what="new calls to be refused",
    )
    assert int(refused.headers["retry-after"]) >= 1
    assert account.call(call_id)["state"] == "bridged"
    account.hang_up(call_id)
    node.assert_stopped()
    first.assert_clean()
    second.assert_clean()


def test_sigterm_ends_calls_at_its_bound(node: Server, far_end: FarEnd) -> None:
    account = account_of(node)
    first, second = far_end(ANSWERS), far_end(ANSWERS)
    call_id = account.connect(create_extensions(account, first.uri, second.uri), "1002")
    account.wait_for_time(call_id, "bridged")
    node.ask_to_stop()
    node.assert_stopped()
    first.assert_clean()
    second.assert_clean()


ANSWERS_BUT_MAY_BE_CANCELLED = answers_after(50)
"""The server may die between the answer and its ACK; its successor then ends the leg by CANCEL and BYE."""


def test_a_second_sigterm_ends_live_calls_at_once(tmp_path: Path, far_end: FarEnd) -> None:
    folder = tmp_path / "patient"
    folder.mkdir()
    with Server(folder, OFFHOOK_DRAIN_S="600") as node:
        account = account_of(node)
        first, second = far_end(ANSWERS), far_end(ANSWERS)
        call_id = account.connect(create_extensions(account, first.uri, second.uri), "1002")
        account.wait_for_time(call_id, "bridged")
        node.ask_to_stop()
        path = account.path("calls", call_id)
        wait_for(lambda: not node.is_ready(), timeout_s=3, what="the drain to begin")
        assert account.client.request("GET", path).data["state"] == "bridged"
        node.ask_to_stop()
        node.assert_stopped()
        first.assert_clean()
        second.assert_clean()
        node.start()


def kill_while_joined(
    node: Server, far_end: FarEnd, transport: str = "udp"
) -> tuple[Account, str, str, list[Sipp]]:
    account = account_of(node)
    far_ends = [far_end(ANSWERS_BUT_MAY_BE_CANCELLED) for _ in range(2)]
    button = create_extensions(account, *(each.uri for each in far_ends))
    call_id = account.connect(button, "1002")
    account.wait_for_time(call_id, "bridged")
    node.kill()
    node.start()
    account.client.login(node.api_key)
    return account, button, call_id, far_ends


def test_killed_server_gives_its_calls_an_outcome_when_it_is_back(node: Server, far_end: FarEnd) -> None:
    account, button, call_id, _ = kill_while_joined(node, far_end)
    account.wait_for_outcome(call_id)
    [entry] = account.history(button, call_id)
    assert (entry["result"], entry["outcome"], entry["by"]) == ("error", "platform_error", "platform")
    assert account.get("channels") == []


def test_killed_server_ends_the_legs_it_left_when_it_is_back(node: Server, far_end: FarEnd) -> None:
    *_, far_ends = kill_while_joined(node, far_end)
    for each in far_ends:
        each.assert_clean(timeout_s=5)


def test_killed_server_cancels_what_rang_when_it_is_back(node: Server, far_end: FarEnd) -> None:
    account = account_of(node)
    first, second = far_end(RINGS_FOR_EVER), far_end(RINGS_FOR_EVER)
    call_id = account.connect(create_extensions(account, first.uri, second.uri), "1002")
    account.wait_for_time(call_id, "first_ringing")
    node.kill()
    node.start()
    first.assert_clean(timeout_s=5)
    assert not second.received("INVITE")
