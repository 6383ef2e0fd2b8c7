"""Refuses calls before anything is spent on them, while the node has more than it can bear."""

from typing import Any, Final

from prometheus_client import Counter
from starlette.types import ASGIApp, Receive, Scope, Send

from offhook.app.overload import RETRY_AFTER_S, Overload

from .envelope import render_error
from .errors import fault
from .request import Request
from .services import ApiServices

METHODS: Final = ("GET", "POST")
"""By which calls are placed."""


class Shedding:
    """Pure ASGI application around the API: connect and quickcall get 503 when load demands it."""

    def __init__(self, app: ASGIApp, services: ApiServices, overload: Overload) -> None:
        self._app = app
        self._services = services
        self._overload = overload
        self._refused = Counter(
            "offhook_calls_shed", "Requests for a call refused unread, by load.", registry=services.metrics
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 503, or pass the request on."""
        if not is_call(scope) or self._overload.has_room(self._services.clock.monotonic()):
            await self._app(scope, receive, send)
            return
        self._refused.inc()
        services = self._services
        request = Request(
            scope,
            request_id=services.random.hex(32),
            trusted_proxies=services.settings.trusted_proxies,
        )
        error = fault("overloaded", retry_after_s=RETRY_AFTER_S)
        now = services.clock.epoch()
        answer = render_error(request, error, node=services.node, now=now, methods=METHODS)
        length = (b"content-length", str(len(answer.body)).encode())
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, length]}
        )
        await send({"type": "http.response.body", "body": answer.body})


def is_call(scope: Any) -> bool:
    """Tell whether a request may place a call: by its path alone; a dry run places none."""
    if scope["type"] != "http" or scope["method"] not in METHODS:
        return False
    path: str = scope["path"]
    places = path.rstrip("/").endswith("/connect") or "/quickcall/" in path
    return places and b"dry_run=true" not in scope["query_string"]
