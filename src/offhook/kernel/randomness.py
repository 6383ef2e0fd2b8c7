"""The port through which randomness enters, so that a failing run replays from its seed."""

from typing import Protocol


class Random(Protocol):
    """Source of identifiers and jitter."""

    def hex(self, length: int) -> str:
        """Return `length` lower-case hex digits that nobody can guess."""
        ...

    def uniform(self) -> float:
        """Return a float in [0, 1)."""
        ...
