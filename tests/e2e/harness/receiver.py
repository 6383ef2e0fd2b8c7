"""A receiver of webhooks, as an integrator would write it: a web server of its own."""

import json
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from standardwebhooks import Webhook

from .waiting import wait_for

RECEIVER_HOST: Final = "127.0.0.2"
"""Loopback, and not where the server itself listens."""


@dataclass(frozen=True)
class Received:
    """One request, as it came."""

    at: float
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The body as JSON."""
        return dict(json.loads(self.body))


class Listener(ThreadingHTTPServer):
    """Says nothing of connections that break: the servers of these tests are killed while they send."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Receiver:
    """Listens on RECEIVER_HOST. Statuses in `answers` are given one after the other, the last for ever."""

    def __init__(self, *answers: int, headers: dict[str, str] | None = None, delay_s: float = 0.0) -> None:
        self.received: list[Received] = []
        self.answers = list(answers or (200,))
        self._headers = headers or {}
        self._delay_s = delay_s
        self._lock = threading.Lock()
        self._server = self._listen(0)
        self.port: int = self._server.server_address[1]

    @property
    def uri(self) -> str:
        """Where it listens."""
        return f"http://{RECEIVER_HOST}:{self.port}/events"

    def _listen(self, port: int) -> ThreadingHTTPServer:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = receiver.take(Received(time.time(), headers, body))
                self.send_response(status)
                for name, value in receiver._headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        server = Listener((RECEIVER_HOST, port), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def take(self, received: Received) -> int:
        """Note a request and return the status to answer with."""
        time.sleep(self._delay_s)
        with self._lock:
            self.received.append(received)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def go_away(self) -> None:
        """Stop listening: connections are refused."""
        self._server.shutdown()
        self._server.server_close()

    def come_back(self) -> None:
        """Listen again on the same port."""
        self._server = self._listen(self.port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_away()

    # --- what came ------------------------------------------------------------------------------------

    def events_of(self, call_id: str) -> list[dict[str, Any]]:
        """Return the events of a call in the order they came, each id once."""
        seen: dict[str, dict[str, Any]] = {}
        for received in list(self.received):
            if (event := received.event).get("origin_call_id") == call_id:
                seen.setdefault(received.headers["webhook-id"], event)
        return list(seen.values())

    def wait_for_outcome(self, call_id: str, *, timeout_s: float = 10.0) -> list[dict[str, Any]]:
        """Return all events of a call once its final one has come."""
        return wait_for(
            lambda: events if (events := self.events_of(call_id)) and events[-1]["final"] else None,
            timeout_s=timeout_s,
            what=f"the final event of {call_id}",
        )

    def assert_signed(self, secret: str) -> None:
        """Raise unless Standard Webhooks' own library accepts every request."""
        assert self.received
        for received in self.received:
            Webhook(secret).verify(received.body, received.headers)


def assert_whole(events: list[dict[str, Any]]) -> None:
    """Raise unless these are all events of a call: contiguous, in order, one of them final, the last."""
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert [event["final"] for event in events] == [False] * (len(events) - 1) + [True]
