"""Classes of numbers, for call_restriction and carrier selection (KAZOO's default classifiers)."""

import re
from typing import Final

UNKNOWN: Final = "unknown"
EMERGENCY: Final = "emergency"

_CARIBBEAN: Final = (
    "684|264|268|242|246|441|284|345|767|809|829|849|473|671|876|664|670|787|939|869|758|784|721|868|649|340"
)

_CLASSIFIERS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("tollfree_us", re.compile(r"\+1(?:800|888|877|866|855|844|833)[0-9]{7}")),
    ("toll_us", re.compile(r"\+1900[0-9]{7}")),
    (EMERGENCY, re.compile(r"911|112")),
    ("caribbean", re.compile(rf"\+1(?:{_CARIBBEAN})[0-9]{{7}}")),
    ("did_us", re.compile(r"\+1[2-9][0-9]{2}[2-9][0-9]{6}")),
    ("international", re.compile(r"\+[0-9]+|(?:011|00)[0-9]*")),
)
"""In order; the first that matches the normalised number names its class."""


def classify(number: str) -> str:
    """Return the class of a normalised number; `unknown` for extensions and the rest."""
    return next((name for name, pattern in _CLASSIFIERS if pattern.fullmatch(number)), UNKNOWN)
