"""A request that is no INVITE: sent, its challenge answered, and its end told to one callback."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .credentials import Login, answer_to_challenge
from .events import EndCause
from .flows import Flow
from .message import Request, Response
from .transactions import ClientTransaction

if TYPE_CHECKING:
    from .commands import HeaderLines
    from .core_state import CoreState

STATUS_OF_CAUSE: Final = {EndCause.TIMEOUT: 408, EndCause.TRANSPORT: 503}
"""RFC 3261 8.1.3.1: what a transaction without an answer counts as."""

Done = Callable[["ClientRequest", int, Response | None, EndCause | None, float], None]


class ClientRequest:
    """One request until its final answer. `context` is free for the caller."""

    __slots__ = ("_build", "_core", "_done", "_login", "_rounds", "context", "flow", "method", "sent")

    def __init__(
        self,
        core: CoreState,
        build: Callable[[HeaderLines], Request],
        done: Done,
        *,
        flow: Flow,
        login: Login | None = None,
    ) -> None:
        self._core = core
        self._build = build
        self._done = done
        self._login = login
        self._rounds = 0
        self.flow = flow
        self.context: object = None
        self.sent: Request
        """The request as last sent: its `cseq.number` is the one to continue from."""

    def start(self, now: float, authorization: HeaderLines = (), *, branch: str = "") -> None:
        """Send it, with a sequence number that the builder counts."""
        self.sent = self._build(authorization)
        self._core.layer.send(self.sent, self.flow, self, now, branch=branch)

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """Answer a challenge once; else a final answer is the end."""
        if response.status < 200:
            return
        if response.status in (401, 407):
            answer = answer_to_challenge(
                response, self.sent, self._login, self._core.random, rounds=self._rounds
            )
            if answer is not None:
                self._rounds += 1
                self.start(now, (answer,))
                return
        self._done(self, response.status, response, None, now)

    def on_failure(self, transaction: ClientTransaction, cause: EndCause, now: float) -> None:
        """Give up."""
        self._done(self, STATUS_OF_CAUSE[cause], None, cause, now)

    def on_no_final(self, transaction: ClientTransaction, now: float) -> None:
        """Only INVITEs have a timer C."""

    def on_forgotten(self, transaction: ClientTransaction) -> None:
        """Nothing is kept for repeats."""
