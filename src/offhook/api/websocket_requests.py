"""What a websocket client asks, read and checked (kazoo-behaviour 11); errors have KAZOO's texts."""

from typing import Any, Final

import msgspec

from offhook.app.live_events import Binding, BindingRefused, parse_binding
from offhook.directory.model import Json

BINDINGS_MAX: Final = 200
"""Per socket. A console binds a dozen; each is compared with every event of its account."""

NAME_MAX: Final = 256
METADATA_MAX_BYTES: Final = 4_096
"""Shown in the list of sockets; enough for a version, a page and a user."""

REQUEST_ID_MAX: Final = 128

_encode: Final = msgspec.json.Encoder().encode


class RequestRefused(Exception):
    """A request got an error reply."""

    def __init__(self, *errors: str) -> None:
        super().__init__(errors)
        self.errors = list(errors)


def decode(frame: str | bytes) -> Json:
    """Return the request in a frame. Raises RequestRefused."""
    try:
        request: Any = msgspec.json.decode(frame)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        request = None
    if not isinstance(request, dict):
        raise RequestRefused("invalid json")
    return request


def request_id_of(request: Json) -> str | int:
    """Return the client's id of a request; empty if it has none that could be repeated."""
    given = request.get("request_id", "")
    is_text = isinstance(given, str) and len(given) <= REQUEST_ID_MAX
    return given if is_text or (isinstance(given, int) and abs(given) < 1 << 63) else ""


def introduction(request: Json, data: Json) -> tuple[str, Json]:
    """Return what the client says of itself, at the top level or in data."""
    name = request.get("name", data.get("name", ""))
    metadata = request.get("metadata", data.get("metadata", {}))
    if not isinstance(name, str) or len(name) > NAME_MAX:
        raise RequestRefused(f"name must be text of at most {NAME_MAX} characters")
    if not isinstance(metadata, dict) or len(_encode(metadata)) > METADATA_MAX_BYTES:
        raise RequestRefused(f"metadata must be an object of at most {METADATA_MAX_BYTES} bytes")
    return name, metadata


def wanted_bindings(data: Json) -> tuple[str, list[Binding]]:
    """Return the account and the bindings a request is about. Raises RequestRefused with every fault."""
    if not data:
        raise RequestRefused("missing required keys in data object")
    texts = _texts(data)
    missing = [
        key
        for key, is_there in (("account_id", "account_id" in data), ("binding", bool(texts)))
        if not is_there
    ]
    if missing:
        raise RequestRefused("missing required keys : " + "".join(missing))
    account_id = data["account_id"]
    if not isinstance(account_id, str):
        raise RequestRefused("unauthorized account id")
    bindings, faults = [], []
    for text in texts:
        try:
            bindings.append(parse_binding(account_id, text))
        except BindingRefused as error:
            faults.append(error.text)
    if faults:
        raise RequestRefused(*faults)
    return account_id, list(dict.fromkeys(bindings))


def _texts(data: Json) -> list[str]:
    several = data.get("bindings", [])
    found = [data["binding"]] if "binding" in data else []
    found += several if isinstance(several, list) else [several]
    if len(found) > BINDINGS_MAX or not all(isinstance(text, str) and text for text in found):
        raise RequestRefused(f"binding must be text, bindings a list of at most {BINDINGS_MAX} texts")
    return found
