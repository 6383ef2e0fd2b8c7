"""SIP messages from bytes, to bytes, and the response to a request (RFC 3261 7, 8.2.6, 18.3).

A message is split into lines once and nothing more; it is written back as it came.
"""

import re
from typing import Final

from .errors import LocalHeaderInjection, RemoteMalformed
from .grammar import is_token, parse_digits
from .headers import Headers, header_key, known_key
from .model import MAX_MESSAGE_BYTES, Request, Response, SipMessage, parse_expires

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

MAX_HEAD_BYTES: Final = 32_768
"""Start line and headers; real INVITEs, and RFC 4475's longest, stay below 4 KiB."""
MAX_LINE_CHARS: Final = 8_192
"""One unfolded header line; tokens for identity (STIR) reach about 1 KiB."""
MAX_HEADERS: Final = 256
"""Lines; RFC 4475's longreq has 43, a long way through proxies adds two a hop."""

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

Field = tuple[str, str, str]


def parse_message(data: bytes) -> Request | Response:
    """Return the message in a datagram, or one cut from a stream by StreamFramer.

    What follows Content-Length is ignored (18.3), CRLF before the start line too (7.5). Raises
    RemoteMalformed; its `request` is set when there is enough to answer. Other than the start line,
    Content-Length and the header names nothing is parsed: see validate_request. Whatever was parsed,
    serialize(response_to(request, …)) works.
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
    if _has_bare_nul(text):  # not even an answer may carry it back
        raise RemoteMalformed("message", "a NUL outside a quoted pair")
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
    if len(words) > 1 and (words[0] == "SIP/2.0" or _is_version(words[0])):
        return _parse_status_line(words, headers), None
    if len(words) == 3 and _is_version(words[2]) and is_token(words[0]) and words[1]:
        return Request(words[0], words[1], headers, version=words[2].upper()), None
    words = line.split()
    if len(words) < 3 or not _is_version(words[-1]) or not is_token(words[0]):
        raise RemoteMalformed("start-line", "neither a request line nor a status line")
    fault = RemoteMalformed("request-line", "not method, URI and version with one space between")
    return Request(words[0], " ".join(words[1:-1]), headers, version=words[-1].upper()), fault


def _parse_status_line(words: list[str], headers: Headers) -> Response:
    version, status, *reason = words
    code = parse_digits(status, 699) or 0
    if version.upper() != "SIP/2.0" or len(status) != 3 or code < 100:
        raise RemoteMalformed("status-line", "not SIP/2.0 and a status from 100 to 699")
    return Response(code, " ".join(reason), headers)


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

    Raises LocalHeaderInjection if anything but the body holds CR, LF, a NUL that is not quoted, or
    half a surrogate pair.
    """
    start_line = message.start_line
    lines = [f"{name}: {value}" for key, name, value in message.headers.fields() if key != "content-length"]
    head = "\r\n".join([start_line, *lines, f"Content-Length: {len(message.body)}\r\n\r\n"])
    breaks = len(lines) + 3
    if head.count("\r") != breaks or head.count("\n") != breaks or _has_bare_nul(head):
        raise LocalHeaderInjection(_guilty_field(message))
    try:
        return head.encode("utf-8", "surrogateescape") + message.body
    except UnicodeEncodeError as error:  # half a character, from JSON's \\ud800
        raise LocalHeaderInjection(f"{head[error.start : error.end]!r}") from error


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
