"""Requests for calls are refused unread while there is no room; everything else passes."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from offhook.api.shedding import Shedding, is_call
from offhook.system import SystemClock, SystemRandom

BUTTON = f"/v2/accounts/{'a' * 32}/clicktocall/{'b' * 32}"
DEVICE = f"/v2/accounts/{'a' * 32}/devices/{'b' * 32}"


def scope_of(method: str, path: str, query: bytes = b"") -> dict[str, Any]:
    return {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query,
        "headers": [(b"origin", b"https://example.com")], "client": ("192.0.2.9", 4000),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", f"{BUTTON}/connect", b"contact=%2B15551234567", True),
        ("POST", f"{BUTTON}/connect/", b"", True),
        ("GET", f"{DEVICE}/quickcall/1002", b"", True),
        ("GET", f"{BUTTON}/connect", b"contact=1&dry_run=true", False),
        ("GET", f"{BUTTON}/history", b"", False),
        ("OPTIONS", f"{BUTTON}/connect", b"", False),
        ("DELETE", f"/v2/accounts/{'a' * 32}/calls/c", b"", False),
        ("GET", "/metrics", b"", False),
    ],
)
def test_calls_are_known_by_their_path(method: str, path: str, query: bytes, expected: bool) -> None:
    assert is_call(scope_of(method, path, query)) is expected


class Door:
    """Shedding before an application that says 200."""

    def __init__(self, *, has_room: bool) -> None:
        self.sent: list[dict[str, Any]] = []
        self.registry = CollectorRegistry()
        services = SimpleNamespace(
            metrics=self.registry, clock=SystemClock(), random=SystemRandom(), node="node",
            settings=SimpleNamespace(trusted_proxies=()),
        )  # fmt: skip
        overload = SimpleNamespace(has_room=lambda now: has_room)
        self._app = Shedding(self._inner, services, overload)  # type: ignore[arg-type]

    async def _inner(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    def request(self, method: str, path: str) -> int:
        async def run() -> None:
            async def send(message: Any) -> None:
                self.sent.append(message)

            await self._app(scope_of(method, path), None, send)  # type: ignore[arg-type]

        self.sent.clear()
        asyncio.run(run())
        return int(self.sent[0]["status"])


def test_a_call_is_refused_with_the_time_to_come_again() -> None:
    door = Door(has_room=False)
    assert door.request("GET", f"{BUTTON}/connect") == 503
    headers = dict(door.sent[0]["headers"])
    assert headers[b"retry-after"] == b"2"
    assert b"access-control-allow-origin" in headers
    body = door.sent[1]["body"]
    assert int(headers[b"content-length"]) == len(body)
    envelope = json.loads(body)
    assert (envelope["error"], envelope["message"], envelope["status"]) == ("503", "overloaded", "error")
    assert door.registry.get_sample_value("offhook_calls_shed_total") == 1


def test_everything_else_passes_and_so_does_a_call_when_there_is_room() -> None:
    assert Door(has_room=False).request("GET", f"{BUTTON}/history") == 200
    assert Door(has_room=True).request("GET", f"{BUTTON}/connect") == 200
