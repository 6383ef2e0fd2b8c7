"""`offhook tail`: the events of an account, from the websocket."""

import json
import sys
import time
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from rich.console import Console
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from offhook.client import ApiRefused, ApiUnreachable, Json

from .remote import Access, Wrong

OPEN_TIMEOUT_S: Final = 10.0
FRAME_MAX_BYTES: Final = 4_000_000
"""An event of a document is as large as the document."""

_SHOWN: Final = (
    "direction", "call_direction", "from", "to", "hangup_cause", "duration_seconds", "outcome", "type", "id",
)  # fmt: skip


class SubscriptionRefused(Exception):
    """The server does not give these events."""


def run_tail(access: Access, bindings: tuple[str, ...], *, count: int, as_json: bool) -> int:
    """Print events until so many have come, or Ctrl-C, which is the usual end."""
    try:
        client = access.client()
        account_id = access.account_id or client.account_id
        with connect(
            _address(access.server), open_timeout=OPEN_TIMEOUT_S, max_size=FRAME_MAX_BYTES
        ) as socket:
            _subscribe(socket, client.token, account_id, bindings)
            _print_events(socket, count=count, as_json=as_json)
    except KeyboardInterrupt:
        return 0
    except (ApiRefused, ApiUnreachable, Wrong, ValueError, SubscriptionRefused) as error:
        print(f"offhook tail: {error}", file=sys.stderr)
        return 1
    except (OSError, InvalidHandshake, ConnectionClosed) as error:
        print(f"offhook tail: the connection is lost: {error}", file=sys.stderr)
        return 1
    return 0


def _address(server: str) -> str:
    parts = urlsplit(server if "//" in server else f"http://{server}")
    scheme = "wss" if parts.scheme == "https" else "ws"
    path = parts.path.rstrip("/").removesuffix("/v2")
    return urlunsplit((scheme, parts.netloc, f"{path}/websocket", "", ""))


def _subscribe(socket: ClientConnection, token: str, account_id: str, bindings: tuple[str, ...]) -> None:
    for binding in bindings:
        data = {"account_id": account_id, "binding": binding}
        socket.send(
            json.dumps({"action": "subscribe", "auth_token": token, "data": data, "name": "offhook tail"})
        )
        reply = _frame(socket)
        while reply.get("action") == "event":
            reply = _frame(socket)
        if reply.get("status") != "success":
            raise SubscriptionRefused("; ".join(map(str, reply.get("data", {}).get("errors", ["refused"]))))
    print(f"following {', '.join(bindings)} of {account_id}", file=sys.stderr, flush=True)


def _print_events(socket: ClientConnection, *, count: int, as_json: bool) -> None:
    out, seen = Console(highlight=False, soft_wrap=True), 0
    while not count or seen < count:
        event = _frame(socket)
        if event.get("action") != "event":
            continue
        seen += 1
        if as_json:
            print(json.dumps(event), flush=True)
        else:
            out.print(_line(event), markup=False)


def _frame(socket: ClientConnection) -> Json:
    found: Any = json.loads(socket.recv())
    return found if isinstance(found, dict) else {}


def _line(event: Json) -> str:
    """Return an event in a line: `23:00:18 CHANNEL_DESTROY c2c-… to=… hangup_cause=…`."""
    data = event.get("data", {})
    name = str(event.get("name", ""))
    call_id = str(data.get("call_id", ""))
    details = " ".join(f"{key}={data[key]}" for key in _SHOWN if data.get(key) not in (None, ""))
    return " ".join(part for part in (time.strftime("%H:%M:%S"), name, call_id, details) if part)
