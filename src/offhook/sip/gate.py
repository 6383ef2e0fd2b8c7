"""The port of whoever keeps the door: asked about each new request before anything is kept of it."""

from typing import Protocol

import msgspec

from .commands import HeaderLines
from .flows import Flow
from .message import Request


class TurnedAway(msgspec.Struct, frozen=True):
    """How a request is turned away: answered without a transaction, so that nothing is kept or repeated."""

    status: int = 0
    """0: not answered at all."""
    headers: HeaderLines = ()


SILENTLY = TurnedAway()


class Gate(Protocol):
    """Judges requests outside dialogs. Must not block or raise."""

    def judge(self, request: Request, source: Flow, now: float) -> TurnedAway | None:
        """Return None to let a valid new request in; repeats of one that was let in are not asked about."""
        ...

    def answers_fault(self, request: Request, source: Flow, now: float) -> bool:
        """Tell whether a request that is malformed, or that we do not understand, gets its 4xx."""
        ...


class OpenGate:
    """Lets everything in: for user agents that only call, and for tests."""

    def judge(self, request: Request, source: Flow, now: float) -> TurnedAway | None:
        """Let it in."""
        return None

    def answers_fault(self, request: Request, source: Flow, now: float) -> bool:
        """Answer."""
        return True
