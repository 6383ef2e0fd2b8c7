"""A websocket client without sockets: it speaks ASGI to the node's application."""

import asyncio
import json
from typing import Any

from .node import ApiNode

SOON_S = 30.0


class Socket:
    """One client. Every method blocks until it is done."""

    def __init__(
        self, node: ApiNode, *, token: str = "", address: str = "10.0.0.9", port: int = 41234,
        headers: dict[str, str] | None = None, path: str = "/websocket",
    ) -> None:  # fmt: skip
        self._node = node
        self.token = token
        self.takes = True
        """False: it reads nothing any more."""
        self.sent: list[dict[str, Any]] = []
        """What the application has sent, in ASGI's words."""
        self._seen = 0
        node.run(self._open(address, port, headers or {}, path))

    async def _open(self, address: str, port: int, headers: dict[str, str], path: str) -> None:
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._changed = asyncio.Event()
        scope = {
            "type": "websocket", "path": path, "raw_path": path.encode(), "root_path": "",
            "query_string": b"",
            "client": (address, port), "server": ("127.0.0.1", 8000), "scheme": "ws", "subprotocols": [],
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "extensions": {"websocket.http.response": {}},
        }  # fmt: skip

        async def send(message: Any) -> None:
            while not self.takes and message["type"] == "websocket.send":
                await asyncio.sleep(0.01)
            self.sent.append(message)
            self._changed.set()

        self._incoming.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.ensure_future(self._node.app(scope, self._incoming.get, send))
        await self._until(lambda: bool(self.sent))

    async def _until(self, condition: Any) -> None:
        async with asyncio.timeout(SOON_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    @property
    def frames(self) -> list[dict[str, Any]]:
        """All frames so far."""
        return [json.loads(message["text"]) for message in self.sent if message["type"] == "websocket.send"]

    @property
    def closing(self) -> dict[str, Any] | None:
        """How the server closed it."""
        return next((message for message in self.sent if message["type"] == "websocket.close"), None)

    def say(self, frame: Any) -> None:
        """Send a frame: an object, or text as it is."""
        text = frame if isinstance(frame, str) else json.dumps(frame)
        self._incoming.put_nowait({"type": "websocket.receive", "text": text})

    def ask(self, frame: Any) -> dict[str, Any]:
        """Send a frame and return the reply."""
        before = len(self.replies)
        self.say(frame)
        self._node.run(self._until(lambda: len(self.replies) > before))
        return self.replies[-1]

    def action(self, action: str, data: Any = None, **more: Any) -> dict[str, Any]:
        """Send a request with the token and return the reply."""
        frame = {"action": action, "auth_token": self.token, "request_id": "r1", **more}
        return self.ask(frame if data is None else {**frame, "data": data})

    def subscribe(self, account_id: str, *bindings: str) -> dict[str, Any]:
        return self.action("subscribe", {"account_id": account_id, "bindings": list(bindings)})

    @property
    def replies(self) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["action"] == "reply"]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["action"] == "event"]

    def wait_events(self, count: int) -> list[dict[str, Any]]:
        """Return the events once there are so many."""
        self._node.run(self._until(lambda: len(self.events) >= count))
        return self.events

    def wait_closed(self) -> tuple[int, str]:
        """Return code and reason once the server has closed it."""
        self._node.run(self._until(lambda: self.closing is not None))
        assert self.closing is not None
        return self.closing["code"], self.closing["reason"]

    def leave(self) -> None:
        """Close it from the client's side."""
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        self._node.run(asyncio.wait_for(asyncio.shield(self.task), SOON_S))
