"""What a SIP message is: start line, headers, body; headers are parsed when asked for, and once."""

import re
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from .errors import RemoteMalformed
from .grammar import WILDCARD, CSeq, NameAddr, Via, parse_addresses, parse_digits
from .headers import Headers

MAX_MESSAGE_BYTES: Final = 65_536
"""More than a datagram can carry."""
MAX_FORWARDS_LIMIT: Final = 255
MAX_EXPIRES_S: Final = 2**32 - 1
DEFAULT_EXPIRES_S: Final = 3600
"""RFC 3261 10.2.1.1: what a malformed expiry means."""

_is_call_id = re.compile(r"[!-~]+").fullmatch

T = TypeVar("T")


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
        parsed: dict[str, T] = self.headers.parsed
        value = parsed.get(key)
        if value is None:
            lines = self.headers.by_key().get(key, ())
            if len(lines) != 1:
                raise RemoteMalformed(key, "repeated" if lines else "missing")
            value = parsed[key] = parse(lines[0], key)
        return value

    def _many(self, key: str, parse: Callable[[Iterable[str], str], T]) -> T:
        """Return the parsed elements of a list header."""
        parsed: dict[str, T] = self.headers.parsed
        value = parsed.get(key)
        if value is None:
            value = parsed[key] = parse(self.headers.get_all(key), key)
        return value

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

    def has_option(self, header: str, tag: str) -> bool:
        """Tell whether Require or Supported names an option tag (lower case), however it is written."""
        return any(option.lower() == tag for option in self.headers.get_all(header))

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
