"""A request as endpoints see it: method, path tokens, query, envelope, `data` (kazoo-behaviour 1.1-1.7)."""

import re
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec

from offhook.app.call_tokens import CallPass
from offhook.app.tokens import Principal
from offhook.directory.model import Document, Json

from .errors import ApiError, bad_json, field_fault, plain

BODY_MAX_BYTES: Final = 8_000_000
"""KAZOO's bound."""

QUERY_FIELDS_MAX: Final = 200
"""Every parameter may become an application variable; nobody has this many."""

DEPTH_MAX: Final = 64
"""Nesting of JSON that is read; documents nest about ten deep, callflows a few dozen."""

REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}\Z")

METHODS: Final = frozenset({"GET", "PUT", "POST", "PATCH", "DELETE"})

_FORM_ENVELOPE: Final = frozenset({"auth_token", "verb", "accept", "authorization"})
"""Fields of an HTML form that belong to the envelope; all others are data."""


class ClientGone(Exception):
    """The client closed the connection before the answer was ready; nobody reads an answer."""


class Request:
    """One HTTP request. The gate fills `principal`, `account` and `arguments` before an endpoint sees it."""

    __slots__ = (
        "_raw_query",
        "account",
        "account_id",
        "address",
        "arguments",
        "call_pass",
        "data",
        "envelope",
        "headers",
        "http_method",
        "is_cors",
        "is_foreign",
        "method",
        "path",
        "principal",
        "query",
        "receive",
        "request_id",
        "route",
        "segments",
        "tokens_left",
        "tokens_taken",
    )

    def __init__(self, scope: Any, *, request_id: str, trusted_proxies: frozenset[str]) -> None:
        self.http_method: str = scope["method"]
        self.method = self.http_method
        self.headers = _headers(scope)
        self.path = _raw_path(scope)
        tokens = tuple(token for token in self.path.split("/") if token)
        self.segments = tuple(unquote(token) for token in tokens) if "%" in self.path else tokens
        self._raw_query: bytes = scope.get("query_string", b"")
        self.query: dict[str, str] = {}
        given_id = self.headers.get("x-request-id", "")
        self.request_id = given_id if REQUEST_ID.match(given_id) else request_id
        self.address = _address(scope, self.headers, trusted_proxies)
        self.is_cors = (
            "origin" in self.headers
            or "access-control-request-method" in self.headers
            or "access-control-request-headers" in self.headers
        )
        self.envelope: Json = {}
        self.data: Json = {}
        self.principal: Principal | None = None
        self.call_pass: CallPass | None = None
        """What opened the call of the path, if it was a visitor's call token."""
        self.account_id = ""
        self.account: Document | None = None
        self.is_foreign = False
        """The caller's account does not reach the one of the path."""
        self.arguments: dict[str, str] = {}
        self.route = ""
        self.tokens_taken = 1
        self.tokens_left = 0
        self.receive: Any = None
        """ASGI receive: tells when the client goes away."""

    def take_query(self) -> None:
        """Read the query string. Raises ApiError 400."""
        self.query = parse_query(self._raw_query)

    def take_body(self, body: bytes) -> None:
        """Read envelope and data. Raises ApiError 400 or 415."""
        if not body.strip():
            return
        self.envelope = _normalised(decode_body(body, self.headers.get("content-type", "")))
        if "data" not in self.envelope:
            raise field_fault("data", "required", "Field is required but missing", value="data")
        data = self.envelope.pop("data")
        if not isinstance(data, dict):
            raise field_fault(
                "data", "type", "Value did not match type(s): object", target="object", value=_short(data)
            )
        if "auth_token" in data:  # never to be stored with a document
            self.envelope.setdefault("auth_token", data.pop("auth_token"))
        self.data = data

    def tunnel(self) -> None:
        """Let `verb` replace the method (kazoo-behaviour 1.4). Unknown verbs are ignored."""
        verb = self.query.get("verb") or self.envelope.get("verb")
        if verb is None and self.http_method == "POST":
            verb = self.data.get("verb")
        if isinstance(verb, str) and verb.upper() in METHODS:
            self.method = verb.upper()

    def value(self, name: str) -> Any:
        """Return a request value: from data, else the query, else the envelope; None if nowhere."""
        for source in (self.data, self.query, self.envelope):
            found = source.get(name)
            if found is not None:
                return found
        return None

    def text_value(self, name: str) -> str:
        """Return a request value if it is text, else an empty string."""
        found = self.value(name)
        return found if isinstance(found, str) else ""

    def is_true(self, name: str) -> bool:
        """Tell whether a request value says yes: true, "true", 1 or "1" (KAZOO takes only the first two)."""
        found = self.value(name)
        return found is True or found == 1 or (isinstance(found, str) and found.lower() in ("true", "1"))

    @property
    def is_visitor(self) -> bool:
        """Tell whether the caller has no rights in the account of the path."""
        return self.principal is None or self.is_foreign

    @property
    def caller(self) -> Principal:
        """Return who is asking, on paths that need a token."""
        assert self.principal is not None
        return self.principal

    @property
    def target(self) -> Document:
        """Return the account of the path, on paths that have one."""
        assert self.account is not None
        return self.account


def parse_query(raw: bytes) -> dict[str, str]:
    """Return the parameters; the last of a name wins.

    A `+` is a space, but one that begins a value stays: people write `?contact=+15551234567`.
    Raises ApiError 400 if there are too many.
    """
    if not raw:
        return {}
    text = _with_plus(raw.decode("utf-8", "replace"))
    try:
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX, errors="replace")
    except ValueError:
        raise plain(400, "too many query parameters", QUERY_FIELDS_MAX) from None
    return dict(fields)


def _with_plus(fields: str) -> str:
    return fields.replace("=+", "=%2B")


def decode_body(body: bytes, content_type: str) -> Json:
    """Return the envelope: JSON whatever the content type says if it begins with `{`, else form fields."""
    kind = content_type.partition(";")[0].strip().lower()
    first = body.lstrip()[:1]
    if first != b"{" and kind == "application/x-www-form-urlencoded":
        return _form(body)
    if first not in (b"{", b"[") and kind not in ("", "application/json", "application/x-json"):
        raise ApiError(415, "unsupported_media_type", {"message": f"cannot read {kind[:100]}"})
    try:
        decoded = msgspec.json.decode(body)
    except RecursionError:
        raise bad_json("nested too deeply") from None
    except (ValueError, msgspec.MsgspecError) as error:
        raise bad_json(f"invalid_json: {str(error)[:200]}") from None
    if not isinstance(decoded, dict):
        raise bad_json("All JSON must be valid: an object is needed")
    if not _fits(decoded, DEPTH_MAX):
        raise bad_json("nested too deeply, or a number is out of range")
    return decoded


def _form(body: bytes) -> Json:
    try:
        text = _with_plus(body.decode("utf-8"))
        fields = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX))
    except ValueError:
        raise bad_json("All JSON must be valid: form fields are not UTF-8, or too many") from None
    envelope: Json = {name: fields.pop(name) for name in tuple(fields) if name in _FORM_ENVELOPE}
    envelope["data"] = fields
    return envelope


def _fits(value: Any, depth: int) -> bool:
    """Tell whether JSON is at most so deep, and its integers fit the 64 bits that validators hold."""
    if isinstance(value, dict):
        return depth > 0 and all(_fits(item, depth - 1) for item in value.values())
    if isinstance(value, list):
        return depth > 0 and all(_fits(item, depth - 1) for item in value)
    return not isinstance(value, int) or -(1 << 63) <= value < 1 << 63


def _normalised(envelope: Json) -> Json:
    return {name.lower().replace("-", "_"): value for name, value in envelope.items()}


def _short(value: Any) -> Any:
    return value[:100] if isinstance(value, (str, list)) else value


def _headers(scope: Any) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _raw_path(scope: Any) -> str:
    raw = scope.get("raw_path")
    path: str = raw.decode("latin-1") if raw else scope["path"]
    return path.partition("?")[0]


def _address(scope: Any, headers: dict[str, str], trusted_proxies: frozenset[str]) -> str:
    """Return the client's address; X-Forwarded-For counts only from a trusted proxy: its last hop."""
    client = scope.get("client")
    peer: str = client[0] if client else ""
    forwarded = headers.get("x-forwarded-for")
    if forwarded is None or peer not in trusted_proxies:
        return peer
    return forwarded.rpartition(",")[2].strip()[:64] or peer
