"""Refuses calls before anything is spent on them, while the node has more than it can bear.

The answer is made once in a second; what differs between two is put in. A refusal must cost next to nothing:
at five times the bearable load four of five requests are refused.
"""

from typing import Any, Final

from prometheus_client import Counter

from offhook.app.overload import RETRY_AFTER_S, Overload

from .envelope import render_error
from .errors import fault
from .request import Request
from .services import ApiServices

METHODS: Final = ("GET", "POST")
"""By which calls are placed."""
PLACEHOLDER: Final = "0" * 32
"""Stands for the request id in the answer that is kept."""


class Shedding:
    """Answers requests for calls with 503 and Retry-After, as load demands."""

    def __init__(self, services: ApiServices, overload: Overload) -> None:
        self._services = services
        self._overload = overload
        self._refused = Counter(
            "offhook_calls_shed", "Requests for a call refused unread, by load.", registry=services.metrics
        )
        self._kept = (0, b"")

    def refusal(self, method: bytes, url: bytes) -> bytes | None:
        """Return a whole answer, or None if the request may pass. url is as in the request line."""
        services = self._services
        if not is_call(method, url) or self._overload.has_room(services.clock.monotonic()):
            return None
        self._refused.inc()
        return self._answer().replace(PLACEHOLDER.encode(), services.random.hex(32).encode())

    def _answer(self) -> bytes:
        """Return the answer of this second: it tells the time."""
        now = self._services.clock.epoch()
        if self._kept[0] != int(now):
            self._kept = (int(now), self._render(now))
        return self._kept[1]

    def _render(self, now: float) -> bytes:
        scope: dict[str, Any] = {
            "method": "GET",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "headers": [],
            "client": None,
        }
        request = Request(scope, request_id=PLACEHOLDER, trusted_proxies=frozenset())
        error = fault("overloaded", retry_after_s=RETRY_AFTER_S)
        answer = render_error(request, error, node=self._services.node, now=now, methods=METHODS)
        fields = [*answer.headers, (b"content-length", str(len(answer.body)).encode())]
        lines = b"".join(b"%s: %s\r\n" % field for field in fields)
        return b"HTTP/1.1 503 Service Unavailable\r\n" + lines + b"\r\n" + answer.body


def is_call(method: bytes, url: bytes) -> bool:
    """Tell whether a request may place a call: by its path alone; a dry run places none."""
    path, _, query = url.partition(b"?")
    places = path.rstrip(b"/").endswith(b"/connect") or b"/quickcall/" in path
    return places and method in (b"GET", b"POST") and b"dry_run=true" not in query
