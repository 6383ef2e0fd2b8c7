"""A request that is no INVITE: sent, its challenge answered, and its end told to one callback."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .credentials import Answered, DigestClient
from .events import EndCause
from .flows import Flow
from .message import Request, Response
from .transactions import ClientTransaction

if TYPE_CHECKING:
    from .core_state import CoreState

STATUS_OF_CAUSE: Final = {EndCause.TIMEOUT: 408, EndCause.TRANSPORT: 503}
"""RFC 3261 8.1.3.1: what a transaction without an answer counts as."""

Done = Callable[["ClientRequest", int, Response | None, EndCause | None, float], None]


class ClientRequest:
    """One request until its final answer. `context` is free for the caller."""

    __slots__ = ("_answered", "_build", "_core", "_digest", "_done", "context", "flow", "sent")

    def __init__(
        self,
        core: CoreState,
        build: Callable[[], Request],
        done: Done,
        *,
        flow: Flow,
        digest: DigestClient | None = None,
    ) -> None:
        """build makes the request, with a sequence number that it counts; done is told the end, once."""
        self._core = core
        self._build = build
        self._done = done
        self._digest = digest
        self._answered: Answered = ()
        self.flow = flow
        self.context: object = None
        self.sent: Request
        """The request as last sent: its `cseq.number` is the one to continue from."""

    def start(self, now: float, *, branch: str = "") -> None:
        """Send it (again, after a challenge)."""
        self.sent = self._build()
        if self._digest is not None:
            self._digest.sign(self.sent)
        self._core.layer.send(self.sent, self.flow, self, now, branch=branch)

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """Answer a challenge; any other final answer is the end."""
        if response.status < 200:
            return
        digest = self._digest
        if digest is not None and response.status in (401, 407):
            answered = digest.learn(response, self._answered)
            if answered is not None:
                self._answered = answered
                self.start(now)
                return
        elif digest is not None and response.status < 300:
            digest.note_next(response)
        self._done(self, response.status, response, None, now)

    def on_failure(self, transaction: ClientTransaction, cause: EndCause, now: float) -> None:
        """Give up."""
        self._done(self, STATUS_OF_CAUSE[cause], None, cause, now)

    def on_no_final(self, transaction: ClientTransaction, now: float) -> None:
        """Only INVITEs have a timer C."""

    def on_forgotten(self, transaction: ClientTransaction) -> None:
        """Nothing is kept for repeats."""
