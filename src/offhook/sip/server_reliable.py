"""Provisional answers of ours that the caller must acknowledge (RFC 3262 3), for one received INVITE."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from offhook.kernel import Timer

from .errors import RemoteMalformed
from .grammar import parse_digits
from .message import Request, Response, serialize
from .transactions import ServerTransaction

if TYPE_CHECKING:
    from .core_state import CoreState

MAX_WAITING: Final = 8
"""Provisional answers that wait for the PRACK of the one before: ringing and progress, once or twice."""
FIRST_RSEQ: Final = 1
"""Any number up to 2**31 - 1 will do (3); they only ever grow by one."""
MAX_NUMBER: Final = 2**32 - 1


def must_be_reliable(request: Request) -> bool:
    """Tell whether a caller takes no other provisional answers."""
    return request.has_option("require", "100rel")


class ReliableProvisionals:
    """Sends one at a time, repeated until its PRACK; a 2xx waits for that of a session description."""

    __slots__ = (
        "_core",
        "_data",
        "_final",
        "_give_up",
        "_give_up_at",
        "_next",
        "_pause",
        "_timer",
        "_transaction",
        "_waiting",
        "carries_session",
    )

    def __init__(
        self, core: CoreState, transaction: ServerTransaction, give_up: Callable[[float], None]
    ) -> None:
        """give_up(now) is called when a PRACK has not come for 64*T1."""
        self._core = core
        self._transaction = transaction
        self._give_up = give_up
        self._next = FIRST_RSEQ
        self._data = b""
        """What is repeated; empty when nothing waits for a PRACK."""
        self.carries_session = False
        """It has a session description in it."""
        self._waiting: deque[Response] = deque()
        self._final: Callable[[float], None] | None = None
        self._timer: Timer | None = None
        self._pause = 0.0
        self._give_up_at = 0.0

    @property
    def is_waiting(self) -> bool:
        """Tell whether a PRACK is due."""
        return bool(self._data)

    def send(self, response: Response, now: float) -> None:
        """Send it, or keep it until the one before is acknowledged; more than MAX_WAITING are dropped."""
        if self._data:
            if len(self._waiting) < MAX_WAITING:
                self._waiting.append(response)
            return
        response.headers.add("Require", "100rel")
        response.headers.add("RSeq", str(self._next))
        self.carries_session = bool(response.body)
        self._data = serialize(response)
        self._transaction.send_response(response.status, self._data, now)
        config = self._core.config
        self._pause, self._give_up_at = config.t1, now + config.give_up
        self._timer = self._core.wheel.start(now + self._pause, self._repeat)

    def finish_after(self, final: Callable[[float], None]) -> None:
        """Call final(now) when the PRACK is here: a 2xx must not overtake a session description."""
        self._final = final

    def then(self, action: Callable[[float], None]) -> None:
        """Do something after that 2xx, if one waits."""
        final = self._final
        if final is None:
            return

        def both(now: float) -> None:
            final(now)
            action(now)

        self._final = both

    def take(self, request: Request, now: float) -> bool:
        """Take a PRACK; False if it is for none that waits (481)."""
        if not self._data or not self._matches(request):
            return False
        self.stop()
        self._next += 1
        return True

    def go_on(self, now: float) -> None:
        """After a PRACK: send what waited for it."""
        final, self._final = self._final, None
        if final is not None:
            final(now)
        elif self._waiting:
            self.send(self._waiting.popleft(), now)

    def stop(self) -> None:
        """Repeat no more."""
        self._data = b""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _matches(self, request: Request) -> bool:
        words = (request.headers.get("rack") or "").split()
        if len(words) != 3 or words[2] != "INVITE":
            return False
        numbers = [parse_digits(word, MAX_NUMBER) for word in words[:2]]
        try:
            return numbers == [self._next, self._transaction.request.cseq.number]
        except RemoteMalformed:
            return False

    def _repeat(self, now: float) -> None:
        """Timer with T1, doubled each time, for 64*T1 (3)."""
        if now >= self._give_up_at:
            self.stop()
            self._give_up(now)
            return
        self._core.layer.transmit(self._data, self._transaction.flow)
        self._core.statistics["answers_repeated"] += 1
        self._pause *= 2
        self._timer = self._core.wheel.start(min(now + self._pause, self._give_up_at), self._repeat)
