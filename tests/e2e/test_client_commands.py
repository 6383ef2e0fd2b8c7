"""`offhook call`, `explain`, `tail` and `conform`, as a person at another terminal uses them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .harness import Account, KazooClient, Server

PROGRAM = Path(sys.executable).with_name("offhook")


def environment(server: Server) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("OFFHOOK_")}
    return clean | {
        "OFFHOOK_SERVER": f"http://{server.host}:{server.http_port}",
        "OFFHOOK_API_KEY": server.api_key,
        "COLUMNS": "200",
    }


def offhook(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROGRAM), *arguments], env=environment(server), capture_output=True, text=True, timeout=60
    )


@contextmanager
def started(server: Server, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [str(PROGRAM), *arguments],
        env=environment(server),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def phone(server: Server, account: Account, number: int, *options: str) -> Iterator[None]:
    """Run a soft phone of an extension until the block ends."""
    name = f"dev{number}"
    account.create_extension(str(number), account.create_phone(name, "s3cret-pass"))
    where = ("--server", f"{server.host}:{server.sip_port}", "--password", "s3cret-pass")
    with started(server, "phone", f"{name}@{account.realm}", *where, *options):
        account.wait_registered(name)
        yield


def test_a_call_is_followed_to_its_outcome(server: Server, account: Account) -> None:
    button = account.create_button("1001")
    where = ("--button", button, "--account", account.id)
    with phone(server, account, 1001), phone(server, account, 1002, "--hang-up-after", "0.5"):
        plan = offhook(server, "explain", "1002", *where)
        assert plan.returncode == 0, plan.stderr
        assert "ring for" in plan.stdout
        told = offhook(server, "call", "1002", *where)
    assert told.returncode == 0, told.stderr
    lines = [line[14:] for line in told.stdout.splitlines()[1:]]
    assert lines[0] == "accepted"
    assert "both are joined" in lines
    assert lines[-1].startswith("connected (NORMAL_CLEARING")


def test_the_exit_status_tells_the_outcome(server: Server, account: Account) -> None:
    device = account.create_phone("dev1003", "s3cret-pass")
    where = ("--device", device, "--account", account.id)
    told = offhook(server, "call", "1", *where, "--json")
    assert told.returncode == 13
    steps = [json.loads(line) for line in told.stdout.splitlines()]
    assert [step["sequence"] for step in steps] == list(range(len(steps)))
    assert (steps[-1]["final"], steps[-1]["outcome"]) == (True, "unreachable")
    assert offhook(server, "explain", "1", *where).returncode == 13
    with phone(server, account, 1004, "--answer", "busy"):
        button = account.create_button("1004")
        assert offhook(server, "call", "1", "--button", button, "--account", account.id).returncode == 10


def test_ctrl_c_ends_the_call(server: Server, account: Account) -> None:
    button = account.create_button("1005")
    with (
        phone(server, account, 1005, "--answer", "never"),
        started(
            server, "call", "1", "--button", button, "--account", account.id, "--option", "auto_answer=false"
        ) as caller,
    ):
        assert caller.stdout is not None
        while "rings" not in (line := caller.stdout.readline()):
            assert line, "it ended before the phone rang"
        caller.send_signal(signal.SIGINT)
        out, _ = caller.communicate(timeout=20)
        assert caller.returncode == 14, out
        assert "canceled (ORIGINATOR_CANCEL" in out


def test_wrong_options_and_refusals_are_told(server: Server, account: Account) -> None:
    nobody = offhook(server, "call", "1")
    assert (nobody.returncode, "one of --button" in nobody.stderr) == (1, True)
    unknown = offhook(server, "call", "1", "--button", "f" * 32)
    assert (unknown.returncode, "404 bad_identifier" in unknown.stderr) == (1, True)
    stranger = offhook(server, "call", "1", "--button", "x", "--api-key", "0" * 64)
    assert (stranger.returncode, "404" in stranger.stderr) == (1, True)
    nowhere = offhook(server, "tail", "--server", "http://127.0.0.1:1")
    assert (nowhere.returncode, "127.0.0.1" in nowhere.stderr) == (1, True)
    refused = offhook(server, "tail", "nonsense")
    assert (refused.returncode, "offhook tail:" in refused.stderr) == (1, True)


def test_events_are_followed(server: Server, account: Account) -> None:
    watched = ("tail", "object.*.*", "--account", account.id, "--count", "1", "--json")
    with started(server, *watched) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("following")
        button = account.create_button("1001")
        out, _ = process.communicate(timeout=20)
    event: dict[str, Any] = json.loads(out)
    assert (process.returncode, event["name"], event["data"]["id"]) == (0, "doc_created", button)


def test_the_conformance_kit_is_green(server: Server, master: KazooClient) -> None:
    done = offhook(server, "conform", "--target", f"http://{server.host}:{server.http_port}", "--json")
    rows = json.loads(done.stdout)
    assert [row for row in rows if not row["ok"]] == []
    assert done.returncode == 0
    assert len(rows) > 180
    left = [item["name"] for item in master.request("GET", f"/v2/accounts/{master.account_id}/children").data]
    assert not any(name.startswith("Conformance") for name in left)


def test_the_kit_keeps_to_the_rate_limit_of_the_server(tmp_path: Path) -> None:
    with Server(tmp_path, OFFHOOK_RATE_BUCKET="100", OFFHOOK_RATE_REFILL="30") as server:
        done = offhook(server, "conform", "--target", f"http://{server.host}:{server.http_port}", "--json")
    assert [row for row in json.loads(done.stdout) if not row["ok"]] == []


def test_the_kit_needs_a_server_and_a_key(server: Server) -> None:
    target = f"http://{server.host}:{server.http_port}"
    assert offhook(server, "conform", "--target", target, "--api-key", "0" * 64).returncode == 2
    assert offhook(server, "conform", "--target", "http://127.0.0.1:1").returncode == 2
