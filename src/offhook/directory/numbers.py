"""The form in which numbers are stored and found (kazoo-behaviour 6.7)."""

import re
from typing import Final

_NORTH_AMERICAN: Final = re.compile(r"(?:\+?1)?([2-9][0-9]{2}[2-9][0-9]{6})")
_INTERNATIONAL_PREFIX: Final = re.compile(r"(?:011|00)([0-9]{5,})")
_LONG_NUMBER: Final = re.compile(r"[2-9][0-9]{7,}")


def normalise(number: str) -> str:
    """Return the E.164 form of what looks like a public number; extensions and `+…` come back unchanged."""
    if number.startswith("+"):
        return number
    if match := _NORTH_AMERICAN.fullmatch(number):
        return f"+1{match[1]}"
    if match := _INTERNATIONAL_PREFIX.fullmatch(number):
        return f"+{match[1]}"
    return f"+{number}" if _LONG_NUMBER.fullmatch(number) else number
