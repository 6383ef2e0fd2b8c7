"""Clients that others wrote for KAZOO do their work here unchanged."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from .harness import Account, Server

SESSION = Path(__file__).parent / "harness" / "kazoo_sdk_session.py"
PYKAZOO_SESSION = Path(__file__).parent / "harness" / "pykazoo_session.py"
NODE_SESSION = Path(__file__).parent / "harness" / "crossbar_session.js"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_kazoo_sdk_for_python(server: Server, version: str) -> None:
    """The SDK of 2600hz on the package index; its default is /v1."""
    base = f"http://{server.host}:{server.http_port}/{version}"
    done = subprocess.run(
        [sys.executable, str(SESSION), base, server.api_key], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "login: api_auth",
        "user: create, get, list, update, delete",
        "device: create, get, list, update, delete",
        "callflow: create, get, list, update, delete",
        "webhook: create, get, list, update, delete",
        "local_resource: create, get, list, update, delete",
        "media: create, get, list, update, delete",
        "login: user_auth",
        "account: get, update, children, descendants, limits, phone_numbers",
        "error: the field that is missing",
        "call: connect, quickcall, history, cdrs, channels",
        "account: delete",
    ]


def test_pykazoo(tmp_path: Path) -> None:
    """It takes 200 and 201 alone for success, as KAZOO's servers answer: there is a switch for that."""
    with Server(tmp_path, OFFHOOK_KAZOO_QUIRKS="accepted_is_200") as server:
        base = f"http://{server.host}:{server.http_port}/v2"
        done = subprocess.run(
            [sys.executable, str(PYKAZOO_SESSION), base, server.api_key],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "login: api_auth",
        "users: create, get, list, update, delete",
        "devices: create, get, list, update, delete",
        "callflows: create, get, list, update, delete",
        "clicktocalls: create, get, list, update, delete",
        "resources: create, get, list, update, delete",
        "webhooks: create, get, list, update, delete",
        "calls: connect, history, quickcall",
    ]


NPM_S = 180.0
CROSSBAR = "crossbar@1.0.0"
UNREACHABLE = ("EAI_AGAIN", "ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "ENETUNREACH", "ETIMEDOUT")
"""What npm prints when it finds no registry; whatever else it says is a failure."""


@pytest.fixture(scope="module")
def crossbar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the SDK for Node, fresh from the registry."""
    folder = tmp_path_factory.mktemp("node")
    words = [
        "npm",
        "install",
        "--loglevel=error",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
        str(folder),
    ]
    try:
        done = subprocess.run([*words, CROSSBAR], capture_output=True, text=True, timeout=NPM_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"the npm registry said nothing for {NPM_S:.0f} s")
    if any(code in done.stderr for code in UNREACHABLE):
        pytest.skip("the npm registry is out of reach")
    assert done.returncode == 0, done.stderr
    return folder / "node_modules" / "crossbar"


@pytest.mark.needs("npm", "node")
def test_crossbar_for_node(server: Server, account: Account, crossbar: Path) -> None:
    """It knows logins, accounts, users and devices; no other SDK for KAZOO is on the npm registry."""
    user = {"first_name": "Jane", "last_name": "Doe", "username": "jane", "password": "correct horse"}
    account.create("users", {**user, "priv_level": "admin"})
    digest = hashlib.md5(b"jane:correct horse").hexdigest()
    words = [str(crossbar), str(server.http_port), account.id, account.realm, digest]
    done = subprocess.run(
        ["node", "--no-deprecation", str(NODE_SESSION), *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "user_auth: login",
        "users: create, get, list, update, delete",
        "devices: create, get, list, update, delete",
        "accounts: get, update, create, children, descendants, siblings, ancestors, channels, delete",
        "users: quickcall",
        "error: the field that is missing",
    ]
