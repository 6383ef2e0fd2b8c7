"""Validation faults in KAZOO's form: dotted path → code → details (kazoo-behaviour 2.4)."""

from typing import Any, Final

from .model import Json

Faults = dict[str, dict[str, Json]]

Path = tuple[str | int, ...]

FAULTS_MAX: Final = 100
"""Fields named in one answer; somebody who sends a thousand wrong ones has another problem."""

ECHO_MAX: Final = 256
"""Characters of a wrong text that are sent back."""


def dotted(path: Path) -> str:
    """Return `flow.children._.module`; a dot inside a key is written `%2E`."""
    return ".".join(str(part).replace(".", "%2E") for part in path)


def add_fault(faults: Faults, path: Path, code: str, message: str, **details: Any) -> None:
    """Note that a field is wrong. Beyond the bound nothing is noted."""
    if len(faults) < FAULTS_MAX:
        faults.setdefault(dotted(path), {})[code] = {"message": message, **details}


def echo(value: Any) -> Any:
    """Return a wrong value as it may be sent back: long texts are cut, containers only named."""
    if isinstance(value, str):
        return value[:ECHO_MAX]
    if isinstance(value, dict):
        return "(object)"
    if isinstance(value, list):
        return "(array)"
    return value
