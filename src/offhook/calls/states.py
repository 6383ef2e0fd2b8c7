"""Where a call can stand, and the timers that bound how long it may stand there."""

from enum import StrEnum
from typing import Final

from .commands import CallCommand, EngineCommand, TimerCommand
from .events import Fact

Output = EngineCommand | TimerCommand | CallCommand | Fact
"""What the machine answers an input with, in order."""

NO_ANSWER: Final = "no_answer"
JOIN: Final = "join"
MAX_DURATION: Final = "max_duration"
ENDING_BOUND: Final = "ending"

JOIN_BOUND_S: Final = 35.0
"""A join by re-INVITE is over after timer B (32 s), answered or not."""
ENDING_BOUND_S: Final = 100.0
"""CANCEL waits up to 32 s, its 487 up to 32 s, a BYE after a crossing 200 up to 32 s: an engine that has
not reported a leg's end after that has lost it."""


MAX_TRANSFERS: Final = 16
"""Of one call: each may ring dozens of phones, and all of them stay in its journal and records."""


MAX_RECORDINGS: Final = 16
"""Of one call: each becomes a file and a document."""


class CallState(StrEnum):
    """Where a call stands."""

    PLACED = "placed"
    """Accepted and durable; `start` moves it on at once."""
    RINGING_FIRST = "ringing_first"
    """The first party is rung; answers, failures and the step's timer move it on."""
    RINGING_SECOND = "ringing_second"
    """The first party waits and hears ringback; the second is rung."""
    JOINING = "joining"
    """Both answered; the engine joins their media within JOIN_BOUND_S."""
    BRIDGED = "bridged"
    """They talk; a hang-up, a request or max_duration moves it on."""
    TRANSFERRING = "transferring"
    """One party stays; who comes in place of the other is rung. max_duration goes on running."""
    ENDING = "ending"
    """The outcome is settled; the engine ends what is left within ENDING_BOUND_S."""
    ENDED = "ended"
    """The final fact is out. Nothing happens any more."""
