"""An event as it goes over the wire: KAZOO's encodings and headers, the signature of Standard Webhooks."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote_plus

import msgspec
from standardwebhooks import Webhook

from .model import Hook, Json, OutboxRow

MODIFIERS: Final = frozenset({"type", "action"})
"""Keys of custom_data that choose events and are no part of the payload."""

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"

DEPTH_MAX: Final = 16
"""Nesting of a form; custom data below that is left out."""

_decode = msgspec.json.Decoder(Json).decode


class PreparedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request to a receiver."""

    method: str
    """`POST`"""
    uri: str
    """With the query of a `get`."""
    headers: dict[str, str]
    body: bytes

    @property
    def signed(self) -> bytes:
        """What the signature covers: the body, or the query string if there is none."""
        return self.body or self.uri.partition("?")[2].encode()


def prepare(hook: Hook, row: OutboxRow, *, now: float, cluster_id: str) -> PreparedRequest:
    """Return the request that tells a hook of an event, signed. now is Unix seconds."""
    event = _decode(row.payload) | {"cluster_id": cluster_id} | _own(hook)
    method, uri, body, headers = hook.verb.upper(), hook.uri, b"", {}
    if method == "GET":
        uri = hook.uri.partition("#")[0]
        uri += ("&" if "?" in uri else "?") + form(event)
    elif hook.format == "json":
        body, headers = msgspec.json.format(msgspec.json.encode(event), indent=2), {"content-type": JSON}
    else:
        body, headers = form(event).encode("ascii"), {"content-type": FORM}
    request = PreparedRequest(
        method=method,
        uri=uri,
        body=body,
        headers=headers
        | {
            "x-hook-id": hook.id,
            "x-account-id": row.account_id,
            "user-agent": "offhook",
            "webhook-id": row.webhook_id,
            "webhook-timestamp": str(int(now)),
        },
    )
    request.headers["webhook-signature"] = sign(hook.secret, row.webhook_id, now, request.signed)
    return request


def sign(secret: str, webhook_id: str, now: float, content: bytes) -> str:
    """Return `v1,<base64>` over id, timestamp and content (Standard Webhooks)."""
    return Webhook(secret).sign(webhook_id, datetime.fromtimestamp(int(now), UTC), content.decode())


def form(event: Json) -> str:
    """Return an event as form fields; what is nested becomes `custom_channel_vars[foo]=bar`."""
    return "&".join(f"{name}={quote_plus(value)}" for name, value in _fields(event))


def _fields(event: Json) -> Iterator[tuple[str, str]]:
    for key, value in event.items():
        yield from _field(quote_plus(str(key)), value, DEPTH_MAX)


def _field(name: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if depth:
            for key, inner in value.items():
                yield from _field(f"{name}[{quote_plus(str(key))}]", inner, depth - 1)
    elif isinstance(value, list):
        if depth:
            for inner in value:
                yield from _field(f"{name}[]", inner, depth - 1)
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    elif value is not None:
        yield name, str(value)


def _own(hook: Hook) -> Json:
    """Return what the hook adds; it wins over the event."""
    return {key: value for key, value in hook.custom_data.items() if key not in MODIFIERS}
