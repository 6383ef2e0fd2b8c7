"""Conversions between the calendars that meet here."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

GREGORIAN_OFFSET_S: Final = 62_167_219_200
"""Seconds from year 0 to 1970: KAZOO's timestamps count from year 0."""


def gregorian_s(epoch_s: float) -> int:
    """Return KAZOO's timestamp (whole seconds since year 0) of a Unix time."""
    return int(epoch_s) + GREGORIAN_OFFSET_S


@lru_cache(maxsize=256)  # the records of a call, written together, name the same six times again and again
def iso8601_ms(epoch_s: float) -> str:
    """Return `2026-11-24T21:14:32.125Z` for a Unix time, rounded to milliseconds."""
    moment = datetime.fromtimestamp(round(epoch_s, 3), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
