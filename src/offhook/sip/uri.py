"""SIP and SIPS URIs (RFC 3261 section 19.1); escapes are kept as written."""

import re
from typing import Final, Self

import msgspec

from .errors import RemoteMalformed
from .grammar import MAX_PORT, Parameters, parse_digits

SIP_SCHEMES: Final = frozenset(("sip", "sips"))
OPAQUE_SCHEMES: Final = frozenset(("tel",))
"""Schemes we pass on without looking inside (RFC 3966)."""

_PLAIN: Final = r"A-Za-z0-9\-_.!~*'()%"
_scheme = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):").match
_is_user = re.compile(rf"[{_PLAIN}&=+$,;?/\[\]#]+").fullmatch  # # and [ ] are not allowed, but dialled
_is_password = re.compile(rf"[{_PLAIN}&=+$,]*").fullmatch
_is_parameters = re.compile(rf"(?:;[{_PLAIN}\[\]/:&+$]+(?:=[{_PLAIN}\[\]/:&+$]*)?)*").fullmatch
_is_headers = re.compile(rf"[{_PLAIN}\[\]/?:+$]+=[{_PLAIN}\[\]/?:+$]*"
                         rf"(?:&[{_PLAIN}\[\]/?:+$]+=[{_PLAIN}\[\]/?:+$]*)*").fullmatch  # fmt: skip
_host_port = re.compile(r"([A-Za-z0-9\-._]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]+))?").fullmatch
_plain_uri = re.compile(  # what nearly all peers write: no password, escapes, headers or IPv6
    r"(sips?):(?:([A-Za-z0-9\-_.!~*'()&=+$]++)@)?([A-Za-z0-9\-._]++)(?::([1-9][0-9]{0,4}))?"
    r"((?:;[A-Za-z0-9\-_.!~*'()]++(?:=[A-Za-z0-9\-_.!~*'():]*+)?)*+)"
).fullmatch
_bad_escape = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_escape = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()")
_MUST_MATCH: Final = ("user", "ttl", "method", "maddr", "transport")
"""Parameters that make URIs differ when only one has them (19.1.4 and its examples)."""


def scheme_of(uri: str) -> str:
    """Return the scheme in lower case, or "" if there is none."""
    found = _scheme(uri)
    return found[1].lower() if found else ""


class SipUri(msgspec.Struct, frozen=True):
    """A SIP URI in its parts. `==` compares what was written; is_equivalent follows the RFC."""

    scheme: str
    """`sip` or `sips`, lower case."""
    user: str
    """With its escapes; "" if there is none."""
    password: str | None
    host: str
    """As written; IPv6 keeps its brackets."""
    port: int | None = None
    params: Parameters = Parameters()
    headers: str = ""
    """What follows the question mark, as written."""

    @classmethod
    def parse(cls, text: str, header: str = "URI") -> Self:
        """Parse a sip: or sips: URI. Raises RemoteMalformed: status 416 if the scheme is another."""
        plain = _plain_uri(text)
        if plain is not None:
            scheme, user, host, digits, params = plain.groups("")
            port = int(digits) if digits else None
            if port is None or port <= MAX_PORT:
                return cls(scheme, user, None, host, port, _split_parameters(params))
        return cls._parse_slowly(text, header)

    @classmethod
    def _parse_slowly(cls, text: str, header: str) -> Self:
        scheme = scheme_of(text)
        if scheme not in SIP_SCHEMES:
            raise RemoteMalformed(header, "not a SIP URI", status=416 if scheme else 400)
        userinfo, at, rest = text[len(scheme) + 1 :].rpartition("@")
        user, password = _split_userinfo(userinfo, header) if at else ("", None)
        rest, question, headers = rest.partition("?")
        host_port, semicolon, tail = rest.partition(";")
        found = _host_port(host_port)
        params = semicolon + tail
        if found is None or not _is_parameters(params) or (question and not _is_headers(headers)):
            raise RemoteMalformed(header, "bad host, parameter or header in a SIP URI")
        if "%" in text and _bad_escape(text):
            raise RemoteMalformed(header, "a percent sign without two hex digits")
        host, digits = found.groups()
        port = None
        if digits is not None and not (port := parse_digits(digits, MAX_PORT)):
            raise RemoteMalformed(header, "bad port in a SIP URI")
        return cls(scheme, user, password, host, port, _split_parameters(params), headers)

    @property
    def transport(self) -> str:
        """The transport parameter in lower case, or ""."""
        return (self.params.get("transport") or "").lower()

    @property
    def host_port(self) -> str:
        """`host` or `host:port`."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def address_of_record(self) -> str:
        """`sip:user@host` that is the same for all spellings of an address (RFC 3261 10.3 step 5)."""
        user = f"{_normal(self.user)}@" if self.user else ""
        return f"{self.scheme}:{user}{self.host.lower()}"

    def with_params(self, **params: str | None) -> Self:
        """Return a copy with these parameters set; None removes one, "" leaves it without a value."""
        changed = self.params
        for name, value in params.items():
            changed = changed.without(name) if value is None else changed.with_(name, value or None)
        return msgspec.structs.replace(self, params=changed)

    def is_equivalent(self, other: "SipUri") -> bool:
        """Compare as RFC 3261 19.1.4 says. Not transitive, hence not `==`."""
        return (
            self.scheme == other.scheme
            and _normal(self.user) == _normal(other.user)
            and _normal(self.password) == _normal(other.password)
            and (self.password is None) == (other.password is None)
            and self.host.lower() == other.host.lower()
            and self.port == other.port
            and _same_parameters(self.params, other.params)
            and _header_pairs(self.headers) == _header_pairs(other.headers)
        )

    def __str__(self) -> str:
        password = "" if self.password is None else f":{self.password}"
        at = "@" if self.user else ""
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{self.user}{password}{at}{self.host_port}{self.params}{headers}"


def _split_userinfo(text: str, header: str) -> tuple[str, str | None]:
    user, colon, password = text.partition(":")
    if not _is_user(user) or not _is_password(password):
        raise RemoteMalformed(header, "bad user part in a SIP URI")
    return user, password if colon else None


def _split_parameters(text: str) -> Parameters:
    return Parameters(text[1:].split(";")) if text else Parameters()


def _normal(text: str | None) -> str:
    """Return text where equal strings are equal: unreserved characters plain, other escapes upper case."""
    if not text or "%" not in text:
        return text or ""

    def plain(found: re.Match[str]) -> str:
        char = chr(int(found[1], 16))
        return char if char in _UNRESERVED else found[0].upper()

    return _escape.sub(plain, text)


def _same_parameters(ours: Parameters, theirs: Parameters) -> bool:
    left = {_normal(name).lower(): _normal(value).lower() for name, value in ours.pairs()}
    right = {_normal(name).lower(): _normal(value).lower() for name, value in theirs.pairs()}
    if any((name in left) != (name in right) for name in _MUST_MATCH):
        return False
    return all(value == right.get(name, value) for name, value in left.items())


def _header_pairs(text: str) -> list[tuple[str, str]]:
    pairs = [item.partition("=") for item in text.split("&")] if text else []
    return sorted((_normal(name).lower(), _normal(value)) for name, _, value in pairs)
