"""Regular expressions that users write, in linear time (RE2)."""

from functools import lru_cache
from typing import Any, Final

import re2

MAX_PATTERN_LENGTH: Final = 256
"""Long enough for any list of prefixes; a longer one is a mistake or an attack."""
_MAX_COMPILED: Final = 1_024
"""Compiled patterns kept: those of the busiest buttons and carriers. A miss costs 20 µs."""
_MAX_PATTERN_MEMORY_BYTES: Final = 1 << 20
"""RE2's budget per pattern: `(.{1,1000}){1,1000}` is refused instead of compiled."""


def pattern_fault(pattern: str) -> str:
    """Return why a pattern cannot be used, or an empty string."""
    if len(pattern) > MAX_PATTERN_LENGTH:
        return f"is longer than {MAX_PATTERN_LENGTH} characters"
    return "" if _compiled(pattern) is not None else "is not a regular expression"


def first_capture(pattern: str, text: str) -> str | None:
    """Return what the first group that took part matched, else the whole match; None without a match.

    The pattern is searched, as KAZOO does with rules and callflow patterns. A bad pattern matches nothing.
    """
    compiled = _compiled(pattern)
    match = compiled.search(text) if compiled is not None else None
    if match is None:
        return None
    captures = [group for group in match.groups() if group is not None]
    return str(captures[0] if captures else match.group(0))


def captures_group(pattern: str) -> bool:
    """Tell whether a pattern has a group at all."""
    compiled = _compiled(pattern)
    return compiled is not None and compiled.groups > 0


def matches_fully(pattern: str, text: str) -> bool:
    """Tell whether the pattern matches the whole text. A bad pattern matches nothing."""
    compiled = _compiled(pattern)
    return compiled is not None and compiled.fullmatch(text) is not None


def matches_somewhere(pattern: str, text: str) -> bool:
    """Tell whether the pattern matches a part of the text. A bad pattern matches nothing."""
    compiled = _compiled(pattern)
    return compiled is not None and compiled.search(text) is not None


@lru_cache(maxsize=_MAX_COMPILED)
def _compiled(pattern: str) -> Any:
    if len(pattern) > MAX_PATTERN_LENGTH:
        return None
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_PATTERN_MEMORY_BYTES
    try:
        return re2.compile(pattern, options)
    except (re2.error, ValueError, UnicodeError):
        return None
