"""Clients that others wrote for KAZOO do their work here unchanged."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from .harness import Server

SESSION = Path(__file__).parent / "harness" / "kazoo_sdk_session.py"


@pytest.mark.skipif(importlib.util.find_spec("kazoo") is None, reason="needs kazoo-sdk")
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
