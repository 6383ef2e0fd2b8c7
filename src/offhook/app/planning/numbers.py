"""Numbers and extensions: how they are cleaned, normalised, formatted (kazoo-behaviour 6.4 to 6.7).

Numbers are compared, stored and dialled in the form of directory.numbers.normalise: what looks like a public
number is E.164, an extension stays as it is.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from offhook.directory.numbers import normalise

from .errors import BadNumberFilter
from .patterns import first_capture, pattern_fault

__all__ = [
    "MAX_NUMBER_LENGTH",
    "NUMBER_FORMATS",
    "apply_dial_plan",
    "filter_number",
    "has_controls",
    "is_reconcilable",
    "normalise",
    "strip_separators",
    "tidy_contact",
    "uri_user",
]

MAX_NUMBER_LENGTH: Final = 128
"""E.164 has 15 digits; extensions and user names of SIP URIs are longer, but not this long."""

_FORMATTED: Final = re.compile(r"\+?[0-9]{7,}")
_RECONCILABLE: Final = re.compile(r"(?:\+?1)?[0-9]{10}|\+[2-9][0-9]{7,}|011[0-9]*|00[0-9]*")
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SEPARATORS: Final = str.maketrans("", "", " ,.-()")


def has_controls(text: str) -> bool:
    """Tell whether text has line breaks, control characters or halves of characters: no header may."""
    return _CONTROLS.search(text) is not None


def is_reconcilable(number: str) -> bool:
    """Tell whether a number looks like one of the public telephone network."""
    return _RECONCILABLE.fullmatch(number) is not None


def strip_separators(number: str) -> str:
    """Return it without space `,` `.` `-` `(` `)`: number_filter=true. `/` `+` `*` `#` stay."""
    return number.translate(_SEPARATORS)


def tidy_contact(number: str) -> str:
    """Return a public number without the separators people type; an extension comes back unchanged."""
    stripped = strip_separators(number)
    return stripped if _FORMATTED.fullmatch(stripped) else number


def filter_number(number: str, number_filter: bool | str) -> str:
    """Return the number to dial after number_filter (kazoo-behaviour 6.4).

    True strips separators, False keeps everything, a regular expression keeps its first group, or
    everything if it does not match. Raises BadNumberFilter.
    """
    if isinstance(number_filter, bool):
        return strip_separators(number) if number_filter else number
    if fault := pattern_fault(number_filter):
        raise BadNumberFilter(fault)
    return first_capture(number_filter, number) or number


def apply_dial_plan(number: str, dial_plan: Mapping[str, Any]) -> str:
    """Return the number that a dial plan makes of it: the first rule that matches, prefix + group + suffix.

    Rules are `regex: {prefix, suffix}`. Other keys (KAZOO's `system`) are not rules.
    """
    for pattern, rule in dial_plan.items():
        if not isinstance(rule, Mapping):
            continue
        captured = first_capture(pattern, number)
        if captured is not None:
            return f"{rule.get('prefix') or ''}{captured}{rule.get('suffix') or ''}"
    return number


def _one_npan(number: str) -> str:
    full = normalise(number)
    return full[1:] if full.startswith("+1") else number


def _npan(number: str) -> str:
    full = normalise(number)
    return full[2:] if full.startswith("+1") else number


NUMBER_FORMATS: Final[Mapping[str, Callable[[str], str]]] = {
    "e164": normalise,
    "npan": _npan,
    "1npan": _one_npan,
    "strip_plus": lambda number: normalise(number).removeprefix("+"),
}
"""invite_format → the user part of the Request-URI (kazoo-behaviour 6.5)."""

_URI_USER: Final = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/]*")
_UNSAFE_IN_URI_USER: Final = re.compile(r"[^A-Za-z0-9\-_.!~*'()&=+$,;?/]")


def uri_user(text: str) -> str:
    """Return text as the user part of a SIP URI (RFC 3261 section 25.1): what is not allowed is escaped."""
    if _URI_USER.fullmatch(text):
        return text
    return _UNSAFE_IN_URI_USER.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)
