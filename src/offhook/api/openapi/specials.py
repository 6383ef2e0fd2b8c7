"""What path and handler of an operation do not tell: options, statuses, bodies, a better title."""

from dataclasses import dataclass, field
from typing import Any, Final

from offhook.app.media import CONTENT_TYPES
from offhook.app.photos import PICTURE_TYPES

from .components import Schema, parameter

_TEXT: Final[Schema] = {"type": "string"}

_ACTIONS: Final = (
    "hangup", "break", "transfer", "callflow", "intercept", "hold", "unhold", "resume", "play", "record",
    "record_call",
)  # fmt: skip
"""What can be done to a live leg."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Special:
    """Adds to, or replaces, what was found out."""

    title: str = ""
    success: dict[int, str] = field(default_factory=dict)
    errors: frozenset[int] = frozenset()
    empty: dict[int, str] = field(default_factory=dict)
    parameters: tuple[Schema, ...] = ()
    request: str = ""
    """Name of a schema."""
    fields: Schema | None = None
    """Schema of `data` that has no name."""
    files: tuple[str, ...] = ()
    """Content types of a body that is a file."""
    answers: tuple[str, ...] = ()
    """Content types of the answer, if it is not JSON alone."""
    call: str = ""
    """Name of the options of a call; they may stand in the query."""
    example: Any = None
    """`data` of an answer."""


def _object(required: tuple[str, ...] = (), **fields: Schema) -> Schema:
    found: Schema = {"type": "object", "properties": fields}
    return found | ({"required": list(required)} if required else {})


_ID: Final = "0f8c5d3ab9e14d0fa1b7c0d8a4a0b1c2"
_CALL: Final = f"c2c-{_ID}-a1b2c3d4e5"

ATTEMPT_EXAMPLE: Final = {
    "id": "6f1d0c3ab9e14d0fa1b7c0d8a4a0b1c2",
    "timestamp": 63876500000,
    "contact": "+14158867900",
    "call_id": _CALL,
    "result": "error",
    "cause": "NO_ANSWER",
    "outcome": "no_answer",
}

CONNECT_EXAMPLE: Final = {
    "application_name": "transfer",
    "application_data": {"route": "+14158867900"},
    "call_id": _CALL,
    "outbound_call_id": _CALL,
    "custom_application_vars": {"contact": "14158867900"},
    "custom_channel_vars": {"account_id": _ID, "authorizing_id": _ID, "authorizing_type": "clicktocall"},
    "dial_endpoint_method": "single",
    "endpoints": [{"invite_format": "loopback", "route": "1001", "to_did": "1001"}],
    "outbound_caller_id_name": "Support button",
    "timeout": 30,
}

LOGIN_EXAMPLE: Final = {
    "account_id": _ID,
    "account_name": "Acme",
    "apps": [],
    "is_reseller": False,
    "language": "en-us",
    "reseller_id": _ID,
}

_CARRIERS: Final[Schema] = {"type": "array", "maxItems": 100, "items": {"type": "object"}}

_CONNECT: Final = {202: "The call is placed", 200: "Blocking, or a dry run"}

BY_PATH: Final[dict[tuple[str, str], Special]] = {
    ("PUT", "user_auth"): Special(request="user_auth", errors=frozenset({401}), example=LOGIN_EXAMPLE),
    ("PUT", "api_auth"): Special(request="api_auth", errors=frozenset({404}), example=LOGIN_EXAMPLE),
    ("PUT", "user_auth/recovery"): Special(request="user_auth_recovery"),
    ("POST", "user_auth/recovery"): Special(
        title="Log in once, with what the mail's link brought",
        fields=_object(("reset_id",), reset_id=_TEXT),
        errors=frozenset({401}),
    ),
    ("DELETE", "accounts/{account_id}"): Special(errors=frozenset({500})),
    ("GET", "webhooks"): Special(title="What a webhook may ask for"),
    ("GET", "schemas/{name}"): Special(title="One schema"),
    ("GET", "channels"): Special(title="Live legs of all accounts; for the master account, if set so"),
    ("GET", "registrations/count"): Special(
        title="How many phones are registered at all; for the master account", example={"count": 2}
    ),
    ("PUT", "accounts/{account_id}/devices/{id}"): Special(
        title="Send the phone a SIP NOTIFY",
        success={202: "It is sent"},
        fields=_object(
            ("action", "data"),
            action={"const": "notify"},
            data={"$ref": "#/components/schemas/DevicesNotify"},
        ),
        example="NOTIFY sent",
    ),
    ("GET", "accounts/{account_id}/users/{id}/channels"): Special(title="Live legs of the user"),
    ("GET", "accounts/{account_id}/devices/{id}/channels"): Special(title="Live legs of the device"),
}
"""By method and path."""

BY_WORD: Final[dict[tuple[str, str], Special]] = {
    ("GET", "connect"): Special(
        title="Press the button", success=_CONNECT, call="connect", example=CONNECT_EXAMPLE
    ),
    ("POST", "connect"): Special(
        title="Press the button",
        success=_CONNECT,
        call="connect",
        request="connect",
        example=CONNECT_EXAMPLE,
    ),
    ("GET", "quickcall"): Special(
        title="Call the number; answers at once",
        success={202: "The call is placed", 200: "A dry run"},
        call="quickcall",
    ),
    ("POST", "quickcall"): Special(
        title="Call the number; answers when a phone has answered, or failed",
        success={202: "A phone has answered", 200: "A dry run"},
        call="quickcall",
        request="quickcall",
        errors=frozenset({500}),
    ),
    ("GET", "history"): Special(example=[ATTEMPT_EXAMPLE]),
    ("POST", "redeliver"): Special(
        title="Send the event again, under the same id",
        success={202: "The event is sent again"},
        errors=frozenset({409}),
    ),
    ("GET", "events"): Special(
        empty={204: "The end was told already"},
        answers=("text/event-stream",),
        parameters=(parameter("Last-Event-ID", "header", "Go on after this event", {"type": "integer"}),),
    ),
    ("GET", "timeline"): Special(
        title="What happened, in order: request, decisions, SIP, media, webhooks",
        answers=("application/json", "text/plain", "application/vnd.tcpdump.pcap"),
        parameters=(
            parameter("format", "query", "json, a ladder, or a capture", {"enum": ["json", "text", "pcap"]}),
        ),
    ),
    ("PATCH", "webhooks"): Special(
        title="Start all again that were stopped because they failed",
        fields=_object(("re-enable",), **{"re-enable": {"const": True}}),
    ),
    ("GET", "samples"): Special(title="Names of the sample payloads"),
    ("GET", "count"): Special(title="How many phones are registered", example={"count": 2}),
    ("GET", "api_key"): Special(example={"api_key": "5" * 64}),
    ("PUT", "api_key"): Special(title="Make a new API key", example={"api_key": "5" * 64}),
    ("POST", "limits"): Special(request="limits"),
    ("POST", "move"): Special(
        title="Put the account below another; for the master account", fields=_object(("to",), to=_TEXT)
    ),
    ("POST", "trial"): Special(
        title="Let the account end at a time; for accounts above it",
        fields=_object(("expires",), expires={"type": ["integer", "null"]}),
    ),
    ("DELETE", "reseller"): Special(title="Let it be a reseller no longer"),
    ("POST", "channels"): Special(
        title="Act on a live leg: hang up, transfer, play …",
        success={202: "Done"},
        fields=_object(
            ("action",),
            action={"enum": [name for name in _ACTIONS if name != "record_call"]},
            target=_TEXT,
            id=_TEXT,
            target_type={"enum": ["device", "user"]},
            target_id=_TEXT,
            leg={"enum": ["self", "peer", "both"]},
            record_action={"enum": ["start", "stop"]},
        ),
        example="hangup initiated",
    ),
    ("PUT", "channels"): Special(
        title="Run a module on a live leg: hangup, hold, unhold …",
        fields=_object(
            ("module",),
            module={"enum": [name for name in _ACTIONS if name != "record"]},
            data=_object(),
        ),
        example="metaflow sent",
    ),
    ("POST", "sync"): Special(
        title="Let the phone fetch its configuration",
        success={202: "It is told"},
        example="sync request sent",
    ),
    ("PUT", "collection"): Special(title="Create several carriers at once", fields=_CARRIERS),
    ("POST", "collection"): Special(title="Change several carriers at once", fields=_CARRIERS),
    ("PATCH", "collection"): Special(title="Change several carriers at once", fields=_CARRIERS),
    ("GET", "photo"): Special(title="The picture", answers=(*PICTURE_TYPES, "application/base64")),
    ("POST", "photo"): Special(title="Set the picture", files=(*PICTURE_TYPES, "application/base64")),
    ("DELETE", "photo"): Special(title="Remove the picture"),
    ("GET", "vcard"): Special(title="The user as a vCard", answers=("text/x-vcard",)),
    ("GET", "raw"): Special(answers=(*CONTENT_TYPES, "application/octet-stream")),
    ("POST", "raw"): Special(title="Upload the sound", files=tuple(CONTENT_TYPES)),
    ("PUT", "validation"): Special(title="Check a document and store nothing"),
    ("GET", "search"): Special(
        parameters=(
            parameter("t", "query", "Type", {"enum": ["account", "user", "device", "callflow"]}),
            parameter("q", "query", "View", {"enum": ["name", "realm", "id"]}),
            parameter("v", "query", "Beginning of the value"),
        )
    ),
}
"""By method and the last word of the path."""


def special_of(method: str, path: str) -> Special | None:
    """Return what is special about an operation."""
    found = BY_PATH.get((method, path))
    if found is None and path not in ("user_auth", "webhooks"):
        words = [word for word in path.split("/") if not word.startswith("{")]
        found = BY_WORD.get((method, words[-1]))
    return found
