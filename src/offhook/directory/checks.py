"""What JSON Schema cannot say: regular expressions, header names, addresses, fields that need each other."""

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, ip_network
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
import re2

from .faults import Path

PATTERN_MAX: Final = 256
"""Characters of a user's regular expression."""

PATTERN_MEMORY_BYTES: Final = 1 << 20
"""RE2's budget per pattern: `(.{1,1000}){1,1000}` is refused instead of compiled."""

TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]{1,64}")
"""RFC 3261 section 25.1; the length is ours."""

_OWNED: Final = """
via from to call-id cseq contact content-length content-type content-encoding content-disposition
route record-route max-forwards authorization proxy-authorization www-authenticate proxy-authenticate
authentication-info require proxy-require supported unsupported allow expires min-expires session-expires
min-se rack rseq event subscription-state refer-to replaces path service-route mime-version
v f t i m l c e k x o r
"""
OWNED_HEADERS: Final = frozenset(_OWNED.split())
"""Header fields, and compact forms, that only the SIP stack may write: with them a client could redirect,
end or impersonate calls."""

PRESENCE_ID: Final = re.compile(r"[^\s<>\"@,;:?&]{1,128}(@[A-Za-z0-9._-]{1,128})?")
SIP_USER: Final = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/%#]+")
URI_CHARACTERS: Final = re.compile(r"[!-~]+")
"""Of a URI that goes into a request line: others must be percent-encoded."""

WEBHOOK_MODIFIERS: Final = {
    "type": ("account", "callflow", "clicktocall", "device", "resource", "user", "webhook", "all"),
    "action": ("doc_created", "doc_edited", "doc_deleted", "all"),
}
"""What an `object` webhook chooses its documents by (kazoo-behaviour 10.1)."""

CUSTOM_DATA_MAX_BYTES: Final = 16_384
"""As JSON: it goes into every event of a webhook."""

WIDEST_NETWORKS: Final = {4: 16, 6: 32}
"""Shortest prefix of a network that a carrier may call from: who trusts more trusts anybody."""

URI_PART: Final = re.compile(r"[^\s<>\"]*")

MESSAGES: Final = {
    "pattern": "invalid regular expression",
    "header_owned": "this header field belongs to the SIP stack",
    "header_token": "not the name of a header field (RFC 3261 token)",
    "presence": "not a presence id: user or user@realm",
    "sip_user": "not a SIP user name",
    "uri": "not part of a SIP URI",
    "playable": "neither a country code, a tone nor a media id",
    "network": "not an address or network such as 192.0.2.0/28, or too wide (/16; IPv6: /32)",
    "control": "control characters are not allowed",
}


class Fault(NamedTuple):
    """One field that is wrong."""

    path: Path
    """Below the value that was checked; empty for the value itself."""
    code: str
    message: str
    value: Any


Check = Callable[[Any], Iterator[Fault]]
"""Yields what is wrong with a value; a value of the wrong JSON type is not its business."""


def is_pattern(pattern: str) -> bool:
    """Tell whether RE2 can run a user's regular expression."""
    if len(pattern) > PATTERN_MAX:
        return False
    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_MEMORY_BYTES
    try:
        re2.compile(pattern, options)
    except (re2.error, ValueError):
        return False
    return True


def has_control_characters(text: str) -> bool:
    """Tell whether a text would break a header line: CR, LF, NUL and their like."""
    return not text.isprintable() and any(character < " " or character == "\x7f" for character in text)


def _regex(value: Any) -> Iterator[Fault]:
    if isinstance(value, str) and not is_pattern(value):
        yield Fault((), "error", MESSAGES["pattern"], value)


def _number_filter(value: Any) -> Iterator[Fault]:
    if isinstance(value, str) and value not in ("true", "false"):
        yield from _regex(value)


def _regex_names(value: Any) -> Iterator[Fault]:
    if isinstance(value, dict):
        for pattern in value:
            if pattern != "system" and not is_pattern(pattern):
                yield Fault((pattern,), "error", MESSAGES["pattern"], pattern)


def _header_names(value: Any) -> Iterator[Fault]:
    if not isinstance(value, dict):
        return
    for name in value:
        if not TOKEN.fullmatch(name):
            yield Fault((name,), "error", MESSAGES["header_token"], name)
        elif name.lower().replace("_", "-") in OWNED_HEADERS:
            yield Fault((name,), "error", MESSAGES["header_owned"], name)


def _matching(pattern: re.Pattern[str], message: str) -> Check:
    def check(value: Any) -> Iterator[Fault]:
        if isinstance(value, str) and value and not pattern.fullmatch(value):
            yield Fault((), "error", message, value)

    return check


def _device(data: Any) -> Iterator[Fault]:
    sip = data.get("sip")
    if not isinstance(sip, dict):
        return
    if sip.get("method") == "ip":
        if not sip.get("ip"):
            yield Fault(("sip", "ip"), "required", "Field is required but missing", "ip")
        elif not _is_ipv4(sip["ip"]):
            yield Fault(("sip", "ip"), "error", "Must be a valid IPv4 address", sip["ip"])
    if sip.get("invite_format") == "route" and not sip.get("route"):
        yield Fault(("sip", "route"), "required", "Field is required but missing", "route")


def _is_ipv4(text: Any) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return isinstance(text, str)


def _callflow(data: Any) -> Iterator[Fault]:
    if not data.get("numbers") and not data.get("patterns"):
        message = "Callflows must be assigned at least one number or pattern"
        yield Fault(("numbers",), "required", message, "numbers")


def _webhook(data: Any) -> Iterator[Fault]:
    custom_data = data.get("custom_data", {})
    if not isinstance(custom_data, dict):
        return
    if data.get("hook") == "object":
        for name, known in WEBHOOK_MODIFIERS.items():
            if name not in custom_data:
                yield Fault(("custom_data", name), "required", "missing required modifier", name)
            elif custom_data[name] not in known:
                message = "value not found in enumerated list of values"
                yield Fault(("custom_data", name), "enum", message, custom_data[name])
    if len(msgspec.json.encode(custom_data)) > CUSTOM_DATA_MAX_BYTES:
        message = f"custom data must not be more than {CUSTOM_DATA_MAX_BYTES} bytes"
        yield Fault(("custom_data",), "maxLength", message, custom_data)


def _webhook_uri(value: Any) -> Iterator[Fault]:
    if not isinstance(value, str):
        return
    try:
        parts = urlsplit(value)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        is_good = False
    if not is_good or not URI_CHARACTERS.fullmatch(value):
        yield Fault((), "error", "invalid client URL", value)


def _network(value: Any) -> Iterator[Fault]:
    if not isinstance(value, str):
        return
    try:
        network = ip_network(value, strict=False)
        is_good = network.prefixlen >= WIDEST_NETWORKS[network.version]
    except ValueError:
        is_good = False
    if not is_good:
        yield Fault((), "error", MESSAGES["network"], value)


def _inbound(value: Any) -> Iterator[Fault]:
    if isinstance(value, dict) and bool(value.get("username")) != bool(value.get("password")):
        missing = "password" if value.get("username") else "username"
        yield Fault((missing,), "required", "Field is required but missing", missing)


CHECKS: Final[dict[str, Check]] = {
    "regex": _regex,
    "regex_names": _regex_names,
    "number_filter": _number_filter,
    "header_names": _header_names,
    "presence_id": _matching(PRESENCE_ID, MESSAGES["presence"]),
    "sip_user": _matching(SIP_USER, MESSAGES["sip_user"]),
    "uri_part": _matching(URI_PART, MESSAGES["uri"]),
    "device": _device,
    "callflow": _callflow,
    "inbound": _inbound,
    "network": _network,
    "webhook": _webhook,
    "webhook_uri": _webhook_uri,
}
"""`x-check` in a schema; `playable` and `module_data` are `validation`'s own."""
