"""Clients that listen: server-sent events as a browser reads them, websockets as KAZOO's clients speak."""

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from websockets.sync.client import ClientConnection, connect

Json = dict[str, Any]

SILENCE_S: Final = 10.0
"""Longer than any call of these tests is silent."""


@dataclass(frozen=True)
class StreamEvent:
    """One server-sent event."""

    id: str
    name: str
    data: Json


class EventSource:
    """One connection to an event stream; iterate over it, leave the `with` to hang up."""

    def __init__(self, host: str, port: int, path: str, headers: Mapping[str, str]) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=SILENCE_S)
        self._connection.request("GET", path, headers={"accept": "text/event-stream", **headers})
        self._response = self._connection.getresponse()
        self.status = self._response.status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._response.close()
        self._connection.close()

    def __iter__(self) -> Iterator[StreamEvent]:
        fields: dict[str, str] = {}
        for raw in self._response:
            line = raw.decode().rstrip("\n")
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
            elif "data" in fields:
                yield StreamEvent(fields.get("id", ""), fields["event"], json.loads(fields["data"]))
                fields = {}


class KazooSocket:
    """A websocket client with KAZOO's frames."""

    def __init__(self, uri: str, token: str, **options: Any) -> None:
        self._opening = connect(uri, open_timeout=5, compression=None, **options)
        self.connection: ClientConnection
        self._token = token
        self._early: list[Json] = []

    def __enter__(self) -> Self:
        self.connection = self._opening.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._opening.__exit__(*error)

    def ask(self, action: str, data: Json | None = None) -> Json:
        """Send a request and return the data of its reply."""
        self.connection.send(
            json.dumps({"action": action, "auth_token": self._token, "request_id": "r1", "data": data or {}})
        )
        while (frame := self._receive())["action"] != "reply":
            self._early.append(frame)
        assert frame["status"] == "success", frame
        return dict(frame["data"])

    def subscribe(self, account_id: str, *bindings: str) -> None:
        """Listen to an account."""
        self.ask("subscribe", {"account_id": account_id, "bindings": list(bindings)})

    def events_until_final(self) -> list[Json]:
        """Return the event frames up to a call's last."""
        events: list[Json] = []
        while not events or not events[-1]["data"]["final"]:
            frame = self._early.pop(0) if self._early else self._receive()
            if frame["action"] == "event":
                events.append(frame)
        return events

    def _receive(self) -> Json:
        return dict(json.loads(self.connection.recv(SILENCE_S)))
