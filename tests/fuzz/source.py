"""The bytes of one input, read as decisions: the same input always makes the same ones."""

from collections.abc import Sequence
from typing import TypeVar

Choice = TypeVar("Choice")


class Source:
    """Reads an input from its start; once it is used up, every further decision is 0."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing is left."""
        return self._at >= len(self._data)

    def byte(self) -> int:
        """Return the next byte, or 0."""
        if self.is_empty:
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def choice(self, options: Sequence[Choice]) -> Choice:
        """Return one of at most 256 options."""
        return options[self.byte() % len(options)]

    def take(self, length: int) -> bytes:
        """Return the next bytes, fewer if there are not so many."""
        taken = self._data[self._at : self._at + length]
        self._at += len(taken)
        return taken

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(len(self._data))
