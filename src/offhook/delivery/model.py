"""What a webhook is, what it is told, and what came back."""

from typing import Any

import msgspec

Json = dict[str, Any]


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook document as delivery needs it (kazoo-behaviour 10.1)."""

    id: str
    account_id: str
    event: str
    """`channel_create`, …, `object`, or `all`."""
    uri: str
    verb: str = "post"
    """`get`, `post` or `put`."""
    format: str = "form-data"
    """`form-data` or `json`; nothing to a `get`."""
    retries: int = 2
    """Fast tries after the first one."""
    include_subaccounts: bool = False
    include_internal_legs: bool = True
    custom_data: Json = {}
    """Merged over every event; `type` and `action` in it choose the documents of `object`."""
    secret: str = ""
    """`whsec_…`: key of the signature."""
    is_enabled: bool = True
    """Events are sent now."""
    is_recording: bool = True
    """Events are kept for it: it is enabled, or we stopped it because it failed."""
    log_successes: bool = False
    """Also deliveries that succeed are kept as attempts."""


class OutboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event that one webhook is to be told."""

    hook_id: str
    account_id: str
    """The account that the webhook belongs to."""
    lane: str
    """Rows of one hook and lane are delivered one after the other: id of the call, or of the document."""
    webhook_id: str
    """The same however often it is delivered. A second row of one hook with the same id is not stored."""
    event: str
    """`channel_create`"""
    created_at: float
    """Unix seconds."""
    payload: bytes
    """JSON of the event, without the webhook's own `custom_data`."""


class Reception(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver answered."""

    status: int
    headers: dict[str, str] = {}
    """Names in lower case."""
    body: str = ""
    """Its beginning."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one try: an answer, or the reason why there is none."""

    reception: Reception | None = None
    client_error: str = ""
    """`econnrefused`, `timeout`, …: see `errors`."""
