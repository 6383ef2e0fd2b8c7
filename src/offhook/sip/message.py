"""SIP requests and responses: read lazily, written back as they came (RFC 3261 sections 7 and 18.3).

A message is split into lines once; a header is parsed when somebody asks for it, and once.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final, TypeVar, cast

from .errors import LocalHeaderInjection, RemoteMalformed
from .grammar import WILDCARD, CSeq, NameAddr, Via, is_token, parse_addresses, parse_digits
from .headers import Headers, header_key, known_key

__all__ = [
    "MAX_HEAD_BYTES",
    "MAX_MESSAGE_BYTES",
    "REASONS",
    "Headers",
    "Request",
    "Response",
    "SipMessage",
    "parse_expires",
    "parse_message",
    "response_to",
    "serialize",
]

MAX_MESSAGE_BYTES: Final = 65_536
"""More than a datagram can carry."""
MAX_HEAD_BYTES: Final = 32_768
"""Start line and headers; real INVITEs stay below 4 KiB, RFC 4475's longest below 3."""
MAX_LINE_CHARS: Final = 8_192
"""One unfolded header line; tokens for identity (STIR) reach about 1 KiB."""
MAX_HEADERS: Final = 256
"""Lines; RFC 4475's longreq has 42, a long way through proxies adds two a hop."""
MAX_FORWARDS_LIMIT: Final = 255
MAX_EXPIRES_S: Final = 2**32 - 1
DEFAULT_EXPIRES_S: Final = 3600
"""RFC 3261 10.2.1.1: what a malformed expiry means."""

REASONS: Final = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
    200: "OK", 202: "Accepted", 300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily",
    305: "Use Proxy", 380: "Alternative Service", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
    407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone",
    412: "Conditional Request Failed",
    413: "Request Entity Too Large", 414: "Request-URI Too Long", 415: "Unsupported Media Type",
    416: "Unsupported URI Scheme", 420: "Bad Extension", 421: "Extension Required",
    422: "Session Interval Too Small", 423: "Interval Too Brief", 430: "Flow Failed",
    439: "First Hop Lacks Outbound Support", 480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops",
    484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here", 487: "Request Terminated",
    488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending", 493: "Undecipherable",
    500: "Server Internal Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Server Time-out", 505: "Version Not Supported", 513: "Message Too Large", 600: "Busy Everywhere",
    603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable",
}  # fmt: skip

_fold = re.compile(r"\r\n[ \t]+")
_is_version = re.compile(r"SIP/[0-9]+\.[0-9]+", re.IGNORECASE).fullmatch
_is_call_id = re.compile(r"[!-~]+").fullmatch

T = TypeVar("T")
Field = tuple[str, str, str]


class SipMessage:
    """What requests and responses share. Properties raise RemoteMalformed if a header is bad."""

    __slots__ = ("body", "headers", "version")

    headers: Headers
    body: bytes
    """Verbatim."""
    version: str
    """As written; anything but SIP/2.0 is answered with 505."""

    def _one(self, key: str, parse: Callable[[str, str], T]) -> T:
        """Return the parsed value of a header that must be there once."""
        parsed = self.headers.parsed
        value = parsed.get(key)
        if value is None:
            lines = self.headers.by_key().get(key, ())
            if len(lines) != 1:
                raise RemoteMalformed(key, "repeated" if lines else "missing")
            value = parsed[key] = parse(lines[0], key)
        return cast(T, value)

    def _many(self, key: str, parse: Callable[[Iterable[str], str], T]) -> T:
        """Return the parsed elements of a list header."""
        parsed = self.headers.parsed
        value = parsed.get(key)
        if value is None:
            value = parsed[key] = parse(self.headers.get_all(key), key)
        return cast(T, value)

    @property
    def vias(self) -> tuple[Via, ...]:
        """Every hop, the nearest first; at least one."""
        return self._many("via", _parse_vias)

    @property
    def via(self) -> Via:
        """The hop the message came from."""
        return self.vias[0]

    @property
    def from_(self) -> NameAddr:
        """The From header."""
        return self._one("from", NameAddr.parse)

    @property
    def to(self) -> NameAddr:
        """The To header."""
        return self._one("to", NameAddr.parse)

    @property
    def from_tag(self) -> str:
        """The From tag; "" from RFC 2543 peers."""
        return self.from_.tag

    @property
    def to_tag(self) -> str:
        """The To tag, or ""."""
        return self.to.tag

    @property
    def call_id(self) -> str:
        """The Call-ID, compared byte by byte."""
        return self._one("call-id", _parse_call_id)

    @property
    def cseq(self) -> CSeq:
        """Sequence number and method."""
        return self._one("cseq", CSeq.parse)

    @property
    def contacts(self) -> tuple[NameAddr, ...]:
        """Every Contact; `(WILDCARD,)` for `*`, which stands alone or is malformed."""
        return self._many("contact", _parse_contacts)

    @property
    def route(self) -> tuple[NameAddr, ...]:
        """The Route headers, top first."""
        return self._many("route", parse_addresses)

    @property
    def record_route(self) -> tuple[NameAddr, ...]:
        """The Record-Route headers, top first."""
        return self._many("record-route", parse_addresses)

    @property
    def max_forwards(self) -> int | None:
        """Hops left, or None if the header is absent (RFC 2543)."""
        if "max-forwards" not in self.headers.by_key():
            return None
        return self._one("max-forwards", _parse_max_forwards)

    @property
    def content_length(self) -> int | None:
        """The Content-Length header, or None if absent."""
        if "content-length" not in self.headers.by_key():
            return None
        return self._one("content-length", _parse_content_length)

    @property
    def expires(self) -> int | None:
        """The Expires header in seconds, None if absent, 3600 if it makes no sense."""
        text = self.headers.get("expires")
        return None if text is None else parse_expires(text)

    @property
    def content_type(self) -> str:
        """Type and subtype in lower case without parameters; "" if absent."""
        text = self.headers.get("content-type") or ""
        return "".join(text.partition(";")[0].lower().split())


class Request(SipMessage):
    """A request. Changing its headers is allowed until it is sent."""

    __slots__ = ("method", "uri")

    def __init__(
        self, method: str, uri: str, headers: Headers, body: bytes = b"", *, version: str = "SIP/2.0"
    ) -> None:
        self.method = method
        self.uri = uri
        self.headers = headers
        self.body = body
        self.version = version

    @property
    def start_line(self) -> str:
        """The first line, without its line break."""
        return f"{self.method} {self.uri} {self.version}"

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.uri}>"


class Response(SipMessage):
    """A response."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str, headers: Headers, body: bytes = b"") -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body
        self.version = "SIP/2.0"

    @property
    def start_line(self) -> str:
        """The first line, without its line break."""
        return f"{self.version} {self.status} {self.reason}"

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"


def parse_expires(text: str) -> int:
    """Return seconds of an Expires header or expires parameter; 3600 if it makes no sense (10.2.1.1)."""
    seconds = parse_digits(text.strip(" \t"), MAX_EXPIRES_S)
    return DEFAULT_EXPIRES_S if seconds is None else seconds


def _parse_vias(values: Iterable[str], header: str) -> tuple[Via, ...]:
    vias = tuple([Via.parse(value, header) for value in values])
    if not vias:
        raise RemoteMalformed(header, "missing")
    return vias


def _parse_contacts(values: Iterable[str], header: str) -> tuple[NameAddr, ...]:
    texts = list(values)
    return (WILDCARD,) if texts == ["*"] else parse_addresses(texts, header)


def _parse_call_id(text: str, header: str) -> str:
    if not _is_call_id(text):
        raise RemoteMalformed(header, "empty, or holds spaces")
    return text


def _parse_max_forwards(text: str, header: str) -> int:
    hops = parse_digits(text, MAX_FORWARDS_LIMIT)
    if hops is None:
        raise RemoteMalformed(header, "not a number from 0 to 255")
    return hops


def _parse_content_length(text: str, header: str) -> int:
    length = parse_digits(text, MAX_MESSAGE_BYTES)
    if length is None:
        digits = text.isascii() and text.isdigit()
        raise RemoteMalformed(
            header, "too large" if digits else "not a number", status=413 if digits else 400
        )
    return length


def parse_message(data: bytes) -> Request | Response:
    """Return the message in a datagram, or one cut from a stream by StreamFramer.

    What follows Content-Length is ignored (18.3), CRLF before the start line too (7.5). Raises
    RemoteMalformed; its `request` is set when there is enough to answer. Other than the start line,
    Content-Length and the header names nothing is parsed: see validate_request.
    """
    if data[:2] == b"\r\n":
        data = data.lstrip(b"\r\n")
    if len(data) > MAX_MESSAGE_BYTES:
        raise RemoteMalformed("message", f"longer than {MAX_MESSAGE_BYTES} bytes", status=513)
    head_end = data.find(b"\r\n\r\n")
    if (len(data) if head_end < 0 else head_end) > MAX_HEAD_BYTES:
        raise RemoteMalformed("message", f"headers longer than {MAX_HEAD_BYTES} bytes", status=513)
    head = data[:head_end] if head_end >= 0 else data.rstrip(b"\r\n")
    fault = RemoteMalformed("message", "no empty line after the headers") if head_end < 0 else None
    text = head.decode("utf-8", "surrogateescape")
    fields, field_fault = _parse_fields(text)
    message, line_fault = _parse_start_line(text.partition("\r\n")[0], Headers.of_parsed(fields))
    fault = line_fault or fault or field_fault
    if fault is None:
        fault = _cut_body(message, data, head_end + 4)
    if fault is not None:
        fault.request = message if isinstance(message, Request) else None
        raise fault
    return message


def _parse_fields(text: str) -> tuple[list[Field], RemoteMalformed | None]:
    """Split every line but the first; return also the first fault, so that the rest can be answered."""
    lines = text.split("\r\n")
    breaks = len(lines) - 1
    if breaks > MAX_HEADERS:
        raise RemoteMalformed("message", f"more than {MAX_HEADERS} lines", status=513)
    if len(text) > MAX_LINE_CHARS or not (text.count("\r") == breaks == text.count("\n")):
        return _parse_fields_slowly(text)
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(": ")
        key = known_key(name) or header_key(name)
        if not key or not colon:
            return _parse_fields_slowly(text)
        fields.append((key, name, value.strip(" \t")))
    return fields, None


def _parse_fields_slowly(text: str) -> tuple[list[Field], RemoteMalformed | None]:
    """Do the same for messages with folded lines, faults or unusual spaces."""
    lines = _fold.sub(" ", text).split("\r\n")
    is_folded = lines[0] != text.partition("\r\n")[0]
    fault = RemoteMalformed("start-line", "continued on the next line") if is_folded else None
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t")
        key = header_key(name)
        if key and colon and len(line) <= MAX_LINE_CHARS and "\r" not in value and "\n" not in value:
            fields.append((key, name, value.strip(" \t")))
        else:
            fault = fault or RemoteMalformed("message", "a line that is no header, or too long")
    return fields, fault


def _parse_start_line(line: str, headers: Headers) -> tuple[Request | Response, RemoteMalformed | None]:
    """Return the empty-bodied message and what is wrong. Raises RemoteMalformed if it is no SIP."""
    if "\r" in line or "\n" in line:
        raise RemoteMalformed("start-line", "a bare CR or LF")
    words = line.split(" ")
    if len(words) == 3 and words[2] == "SIP/2.0" and words[1] and is_token(words[0]):
        return Request(words[0], words[1], headers), None
    if _is_version(words[0]) and len(words) > 1:
        status = words[1]
        code = parse_digits(status, 699) or 0
        if words[0].upper() != "SIP/2.0" or len(status) != 3 or code < 100:
            raise RemoteMalformed("status-line", "not SIP/2.0 and a status from 100 to 699")
        return Response(code, " ".join(words[2:]), headers), None
    if len(words) == 3 and _is_version(words[2]) and is_token(words[0]) and words[1]:
        return Request(words[0], words[1], headers, version=words[2].upper()), None
    words = line.split()
    if len(words) < 3 or not _is_version(words[-1]) or not is_token(words[0]):
        raise RemoteMalformed("start-line", "neither a request line nor a status line")
    fault = RemoteMalformed("request-line", "not method, URI and version with one space between")
    return Request(words[0], " ".join(words[1:-1]), headers, version=words[-1].upper()), fault


def _cut_body(message: Request | Response, data: bytes, start: int) -> RemoteMalformed | None:
    try:
        length = message.content_length
    except RemoteMalformed as fault:
        return fault
    body = data[start:]
    if length is not None and length > len(body):
        return RemoteMalformed("content-length", f"says {length}, {len(body)} bytes came")
    message.body = body if length is None else body[:length]
    return None


def serialize(message: Request | Response) -> bytes:
    """Return the bytes to send, with a Content-Length that is right.

    Raises LocalHeaderInjection if anything but the body holds CR, LF or a NUL that is not quoted.
    """
    start_line = message.start_line
    lines = [f"{name}: {value}" for key, name, value in message.headers.fields() if key != "content-length"]
    head = "\r\n".join([start_line, *lines, f"Content-Length: {len(message.body)}\r\n\r\n"])
    breaks = len(lines) + 3
    if head.count("\r") != breaks or head.count("\n") != breaks or _has_bare_nul(head):
        raise LocalHeaderInjection(_guilty_field(message))
    return head.encode("utf-8", "surrogateescape") + message.body


def _has_bare_nul(text: str) -> bool:
    """Tell whether a NUL stands outside a quoted pair: RFC 4475 3.1.1.2 allows one inside."""
    return "\0" in text and "\0" in text.replace("\\\0", "")


def _guilty_field(message: Request | Response) -> str:
    for name, value in message.headers:
        if "\r" in value or "\n" in value or _has_bare_nul(value):
            return name
    return "start line"


def response_to(request: Request, status: int, reason: str = "", *, to_tag: str = "") -> Response:
    """Return the response with Via, From, To, Call-ID and CSeq of a request (RFC 3261 8.2.6.2).

    to_tag is added if the request's To has none. Responses from 101 to 299 keep Record-Route (12.1.1);
    a 100 keeps Timestamp. Works for requests that are malformed: their headers are copied unread.
    """
    wanted = _COPIED_TO_DIALOG if 100 < status < 300 else _COPIED_TO_TRYING if status == 100 else _COPIED
    fields = [field for field in request.headers.fields() if field[0] in wanted]
    if to_tag and status != 100:
        fields = [_with_tag(field, request, to_tag) if field[0] == "to" else field for field in fields]
    return Response(status, reason or REASONS.get(status, "Unknown"), Headers.of_parsed(fields))


_COPIED: Final = frozenset(("via", "from", "to", "call-id", "cseq"))
_COPIED_TO_DIALOG: Final = _COPIED | {"record-route"}
_COPIED_TO_TRYING: Final = _COPIED | {"timestamp"}


def _with_tag(field: tuple[str, str, str], request: Request, to_tag: str) -> tuple[str, str, str]:
    key, name, value = field
    try:
        has_tag = bool(request.to_tag)
    except RemoteMalformed:
        return field
    return field if has_tag else (key, name, f"{value};tag={to_tag}")
