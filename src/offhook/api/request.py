"""A request as endpoints see it: method, path tokens, query, envelope, `data` (kazoo-behaviour 1.1-1.7)."""

import re
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from offhook.app.call_tokens import CallPass
from offhook.app.tokens import Principal
from offhook.directory.model import Document, Json

from .bodies import FIELDS_MAX, Upload, read_body, with_plus
from .errors import field_fault, plain

BODY_MAX_BYTES: Final = 8_000_000
"""KAZOO's bound."""

FILE_MAX_BYTES: Final = 11_534_336
"""KAZOO's bound for media."""

REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}\Z")

_NEED_NO_DATA: Final = ("GET", "DELETE")
"""Clients put a body around nothing into these: `{"verb": "DELETE"}`."""

METHODS: Final = frozenset({"GET", "PUT", "POST", "PATCH", "DELETE"})


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
        "items",
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
        "upload",
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
        self.address = client_address(scope, self.headers, trusted_proxies)
        self.is_cors = (
            "origin" in self.headers
            or "access-control-request-method" in self.headers
            or "access-control-request-headers" in self.headers
        )
        self.envelope: Json = {}
        self.data: Json = {}
        self.items: list[Any] = []
        """`data`, where a list is taken."""
        self.upload: Upload | None = None
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

    def take_body(self, body: bytes, *, takes_files: bool = False, takes_lists: bool = False) -> None:
        """Read envelope and data. Raises ApiError 400 or 415."""
        if not body.strip():
            return
        kind = self.headers.get("content-type", "")
        name = self.headers.get("x-file-name") or self.query.get("file_name", "")
        read = read_body(body, kind, file_name=name, takes_files=takes_files)
        self.envelope, self.upload = _normalised(read.envelope), read.upload
        if "data" not in self.envelope:
            if self.upload is not None or self.http_method in _NEED_NO_DATA:
                return
            raise field_fault("data", "required", "Field is required but missing", value="data")
        data = self.envelope.pop("data")
        if takes_lists and isinstance(data, list):
            self.items = data
            return
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
    text = with_plus(raw.decode("utf-8", "replace"))
    try:
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="replace")
    except ValueError:
        raise plain(400, "too many query parameters", FIELDS_MAX) from None
    return dict(fields)


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


def client_address(scope: Any, headers: dict[str, str], trusted_proxies: frozenset[str]) -> str:
    """Return the client's address; X-Forwarded-For counts only from a trusted proxy: its last hop."""
    client = scope.get("client")
    peer: str = client[0] if client else ""
    forwarded = headers.get("x-forwarded-for")
    if forwarded is None or peer not in trusted_proxies:
        return peer
    return forwarded.rpartition(",")[2].strip()[:64] or peer
