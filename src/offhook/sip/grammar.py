"""The values of structured headers: parameters, Via, name-addr, CSeq (RFC 3261 section 25).

What a peer wrote is kept: order and case of parameters, escapes, quoted values. Names are matched
without case. Parsers take one value with folding undone and raise RemoteMalformed. Every pattern
is possessive or has disjoint neighbours, so that no input makes matching slower than linear.
"""

import re
from collections.abc import Iterable
from typing import Final, Self

import msgspec

from .errors import RemoteMalformed

MAX_CSEQ: Final = 2**31 - 1
"""RFC 3261 8.1.1.5: a sequence number is less than 2**31."""
MAX_PORT: Final = 65535
BRANCH_COOKIE: Final = "z9hG4bK"
"""Start of a branch that is unique as RFC 3261 8.1.1.7 asks."""

_TOKEN: Final = r"[A-Za-z0-9\-.!%*_+`'~]++"  # noqa: S105 (the grammar's word, no secret)
_URI: Final = r"[A-Za-z][A-Za-z0-9+.\-]*+:[!#-;=?-~]++"
_PARAMETERS: Final = rf'(?:;{_TOKEN}(?:=[^\s;,"<>]*+)?)*+'
_is_token = re.compile(_TOKEN).fullmatch
_is_plain_parameters = re.compile(_PARAMETERS).fullmatch
_is_plain_value = re.compile(r'[^\s;,"<>]*+').fullmatch
_quoted = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL).match
_separators = re.compile(r'["\\<>,;]').finditer
_is_loose_display = re.compile(r'[^",;<>\\\x00-\x08\x0a-\x1f\x7f]*+').fullmatch
_is_uri = re.compile(_URI).fullmatch
_plain_name_addr = re.compile(  # what nearly all peers write: "Name" <uri>;params
    rf'(?:"([^"\\]*+)"[ \t]*+)?<({_URI})>({_PARAMETERS})'
).fullmatch
_plain_via = re.compile(
    rf"SIP/2\.0/({_TOKEN}) ([A-Za-z0-9\-.]++)(?::([1-9][0-9]{{0,4}}))?({_PARAMETERS})"
).fullmatch
_plain_cseq = re.compile(rf"([0-9]{{1,9}}) ({_TOKEN})").fullmatch
_via = re.compile(
    rf"[Ss][Ii][Pp]/2\.0/({_TOKEN})[ \t]++([A-Za-z0-9\-._]++|\[[0-9A-Fa-f:.]++\])"
    r"(?::([0-9]++))?[ \t]*+(;.*)?",
    re.DOTALL,
).fullmatch


def is_token(text: str) -> bool:
    """Tell whether text is a token: a method, a header name, an option tag."""
    return _is_token(text) is not None


def parse_digits(text: str, limit: int) -> int | None:
    """Return a decimal number from 0 to limit, or None; any count of leading zeros is allowed."""
    if not (text.isascii() and text.isdigit()):
        return None
    if len(text) > 18:  # int() refuses thousands of digits, and is slow before that
        text = text.lstrip("0") or "0"
        if len(text) > 18:
            return None
    number = int(text)
    return number if number <= limit else None


def split_outside(text: str, separator: str) -> list[str]:
    """Split at a comma or semicolon that stands outside quotes and angle brackets."""
    if '"' not in text and "<" not in text:
        return text.split(separator)
    parts: list[str] = []
    start = skip_to = 0
    in_quotes = in_brackets = False
    for found in _separators(text):
        at = found.start()
        mark = text[at]
        if at < skip_to:
            continue
        if in_quotes:
            if mark == "\\":
                skip_to = at + 2
            in_quotes = mark != '"'
        elif mark == '"':
            in_quotes = not in_brackets
        elif mark in "<>":
            in_brackets = mark == "<"
        elif mark == separator and not in_brackets:
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return parts


def quote(text: str) -> str:
    """Return text as a quoted-string; a NUL stands in a quoted pair, as it came (RFC 4475 3.1.1.2)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\0", "\\\0") + '"'


def unquote(text: str) -> str:
    """Return what a quoted-string stands for; other text comes back as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    inner = text[1:-1]
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL) if "\\" in inner else inner


class Parameters(tuple[str, ...]):
    """Parameters in order, each as it is written: `tag=abc`, `rport`, `x="a;b"`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str, header: str) -> Self:
        """Parse `;name=value;name` or nothing."""
        if not text:
            return cls()
        if _is_plain_parameters(text):
            return cls(text[1:].split(";"))
        first, *items = split_outside(text, ";")
        if first.strip(" \t"):
            raise RemoteMalformed(header, "text where parameters should start")
        return cls([_parse_parameter(item, header) for item in items])

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return a parameter's value without its quotes, "" if it has none, or default if absent."""
        wanted = name.lower()
        for item in self:
            key, _, value = item.partition("=")
            if key == wanted or key.lower() == wanted:
                return unquote(value) if '"' in value else value
        return default

    def pairs(self) -> list[tuple[str, str | None]]:
        """Return (name, value as written); None where no `=` stands."""
        parts = [item.partition("=") for item in self]
        return [(name, value if equals else None) for name, equals, value in parts]

    def with_(self, name: str, value: str | None = None) -> Self:
        """Return a copy where the parameter has this raw value, in its old place if it had one."""
        new = name if value is None else f"{name}={value}"
        wanted = name.lower()
        if name not in self:
            return type(self)((*self, new))
        return type(self)([new if _name(item) == wanted else item for item in self])

    def without(self, name: str) -> Self:
        """Return a copy that lacks the parameter."""
        wanted = name.lower()
        return type(self)([item for item in self if _name(item) != wanted])

    def __contains__(self, name: object) -> bool:
        """Tell whether a parameter of this name is there, with or without a value."""
        return isinstance(name, str) and self.get(name) is not None

    def __str__(self) -> str:
        return "".join([f";{item}" for item in self])


def _name(item: str) -> str:
    return item.partition("=")[0].lower()


def _parse_parameter(item: str, header: str) -> str:
    """Return one parameter without the white space that the grammar allows around `=`."""
    name, equals, value = item.partition("=")
    name, value = name.strip(" \t"), value.strip(" \t")
    if not _is_token(name):
        raise RemoteMalformed(header, "a parameter without a proper name")
    if equals and not _is_plain_value(value) and not _is_quoted(value):
        raise RemoteMalformed(header, f"bad value of parameter {name}")
    return f"{name}={value}" if equals else name


def _is_quoted(text: str) -> bool:
    found = _quoted(text)
    return found is not None and found.end() == len(text)


_NO_PARAMETERS: Final = Parameters()


def _split(text: str) -> Parameters:
    """Return parameters of text that a pattern has checked."""
    return Parameters(text[1:].split(";")) if text else _NO_PARAMETERS


class Via(msgspec.Struct, frozen=True):
    """One hop of a Via header."""

    transport: str
    """As written: `UDP`, `tcp`."""
    host: str
    """Name or address; IPv6 keeps its brackets."""
    port: int | None = None
    params: Parameters = _NO_PARAMETERS

    @classmethod
    def parse(cls, text: str, header: str = "Via") -> Self:
        """Parse one element of a Via header."""
        plain = _plain_via(text)
        if plain is not None:
            transport, host, digits, params = plain.groups("")
            port = int(digits) if digits else None
            if port is None or port <= MAX_PORT:
                return cls(transport, host, port, _split(params))
        return cls._parse_slowly(text, header)

    @classmethod
    def _parse_slowly(cls, text: str, header: str) -> Self:
        found = _via(text) or _via(_tighten_via(text))
        if found is None:
            raise RemoteMalformed(header, "not SIP/2.0/transport host:port")
        transport, host, digits, params = found.groups()
        port = None
        if digits is not None and not (port := parse_digits(digits, MAX_PORT)):
            raise RemoteMalformed(header, "bad port")
        return cls(transport, host, port, Parameters.parse(params or "", header))

    @property
    def branch(self) -> str:
        """The transaction's id as the sender chose it, or ""."""
        return self.params.get("branch") or ""

    @property
    def has_unique_branch(self) -> bool:
        """False: match as RFC 2543 did (17.2.3); a bare cookie says nothing either."""
        branch = self.branch
        return branch.startswith(BRANCH_COOKIE) and len(branch) > len(BRANCH_COOKIE)

    @property
    def received(self) -> str:
        """The address the next hop saw, or ""."""
        return self.params.get("received") or ""

    @property
    def rport(self) -> int | None:
        """The port the next hop saw (RFC 3581); None if absent or still without a value."""
        return parse_digits(self.params.get("rport") or "", MAX_PORT)

    @property
    def sent_by(self) -> str:
        """`host` or `host:port`, as the sender names itself."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {self.sent_by}{self.params}"


def _tighten_via(text: str) -> str:
    """Return a Via without the white space that the grammar allows around slashes and colons."""
    before, semicolon, params = text.partition(";")
    pieces = before.split("/", 2)
    words = pieces[-1].split(None, 1)
    if len(pieces) != 3 or len(words) != 2:
        return ""
    protocol, version = pieces[0].strip(), pieces[1].strip()
    sent_by = ":".join([part.strip() for part in words[1].split(":")])
    return f"{protocol}/{version}/{words[0]} {sent_by}{semicolon}{params}"


class NameAddr(msgspec.Struct, frozen=True):
    """A display name, a URI as written and header parameters: From, To, Contact, Route…"""

    display: str
    """Without quotes and escapes; "" if there is none."""
    uri: str
    """Never decoded; `*` only in Contact."""
    params: Parameters = _NO_PARAMETERS

    @classmethod
    def parse(cls, text: str, header: str = "address") -> Self:
        """Parse `"Name" <uri>;params` or `uri;params`."""
        plain = _plain_name_addr(text)
        if plain is not None:
            display, uri, params = plain.groups("")
            return cls(display, uri, _split(params))
        return cls._parse_slowly(text.strip(" \t"), header)

    @classmethod
    def _parse_slowly(cls, text: str, header: str) -> Self:
        display, at = "", 0
        if text[:1] == '"':
            found = _quoted(text)
            if found is None:
                raise RemoteMalformed(header, "unbalanced quotes")
            at = found.end()
            display = unquote(text[:at])
        start = text.find("<", at)
        if start < 0:
            return cls._parse_bare(text, header)
        between = text[at:start].strip(" \t")
        if (at and between) or not _is_loose_display(between):
            raise RemoteMalformed(header, "a display name that needs quotes")
        end = text.find(">", start)
        uri = text[start + 1 : end]
        if end < 0 or not _is_uri(uri):
            raise RemoteMalformed(header, "no URI between angle brackets")
        rest = text[end + 1 :].lstrip(" \t")
        return cls(display or between, uri, Parameters.parse(rest, header))

    @classmethod
    def _parse_bare(cls, text: str, header: str) -> Self:
        """Parse the form without brackets: what follows a semicolon belongs to the header (20.10)."""
        uri, semicolon, rest = text.partition(";")
        uri = uri.rstrip(" \t")
        if not _is_uri(uri) or "?" in uri or "," in uri:
            raise RemoteMalformed(header, "no URI, or one that needs angle brackets")
        return cls("", uri, Parameters.parse(semicolon + rest, header))

    @property
    def tag(self) -> str:
        """The tag parameter, or ""."""
        return self.params.get("tag") or ""

    def __str__(self) -> str:
        display = f"{quote(self.display)} " if self.display else ""
        return f"{display}<{self.uri}>{self.params}"


WILDCARD: Final = NameAddr("", "*")
"""`Contact: *`, which removes every binding (RFC 3261 10.2.2)."""


class CSeq(msgspec.Struct, frozen=True):
    """Sequence number and method."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str, header: str = "CSeq") -> Self:
        """Parse `314159 INVITE`."""
        plain = _plain_cseq(text)
        if plain is not None:
            return cls(int(plain[1]), plain[2])
        words = text.split()
        number = parse_digits(words[0], MAX_CSEQ) if len(words) == 2 else None
        if number is None or not _is_token(words[1]):
            raise RemoteMalformed(header, "not a number below 2**31 and a method")
        return cls(number, words[1])

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


def parse_addresses(values: Iterable[str], header: str) -> tuple[NameAddr, ...]:
    """Parse the elements of Contact, Route, Record-Route or Path."""
    return tuple([NameAddr.parse(value, header) for value in values])
