"""What became of an import."""

from collections import Counter
from typing import Final, NamedTuple

from .kazoo_form import Deleted, NotTaken

REFUSED_MAX: Final = 100_000
"""Refusals that are kept with their reasons (some 20 MB); beyond it they are only counted."""

FIELDS_MAX: Final = 200
"""Names of private fields that are kept."""


class Refused(NamedTuple):
    """A line, or a part of it, that was not taken."""

    line: int
    id: str
    reason: str


class Report:
    """Counts by type, and every refusal with its reason."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.unchanged: Counter[str] = Counter()
        """There already, with the same revision."""
        self.newer: Counter[str] = Counter()
        """Changed here after the copy was made; left as they are."""
        self.deleted = 0
        self.refused: list[Refused] = []
        self.refused_count = 0
        self.fields_left: Counter[str] = Counter()
        """KAZOO's private fields that mean nothing here."""

    def take(self, type: str) -> None:
        """Count a record that was stored."""
        self.taken[type] += 1

    def skip(self, type: str) -> None:
        """Count a record that was there already."""
        self.unchanged[type] += 1

    def newer_here(self, type: str) -> None:
        """Count a document that was changed here since."""
        self.newer[type] += 1

    def refuse(self, line: int, id: str, error: NotTaken, *, part: bool = False) -> None:
        """Remember what was not taken; part: the rest of the document was."""
        if isinstance(error, Deleted):
            self.deleted += 1
            return
        self.refused_count += 1
        if len(self.refused) < REFUSED_MAX:
            self.refused.append(Refused(line, id, error.reason + (" (the rest was taken)" if part else "")))

    def leave_behind(self, fields: set[str]) -> None:
        """Count private fields that are not taken."""
        for name in fields:
            if name in self.fields_left or len(self.fields_left) < FIELDS_MAX:
                self.fields_left[name] += 1

    @property
    def is_complete(self) -> bool:
        """Tell whether nothing was refused."""
        return not self.refused_count
