"""The CANCEL of an INVITE (RFC 3261 9.1), sent until a connection carries it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .client_request import ClientRequest
from .commands import EndReason
from .config import RECONNECT_PAUSES
from .events import EndCause
from .message import Headers, Request, Response
from .transaction_tables import State
from .transactions import ClientTransaction

if TYPE_CHECKING:
    from .core_state import CoreState


class ClientCancel:
    """One CANCEL. Its end means little: the INVITE has an end of its own."""

    __slots__ = ("_core", "_done", "_flow", "_invite", "_lost", "_reason", "_transaction")

    def __init__(
        self,
        core: CoreState,
        invite: Request,
        transaction: ClientTransaction,
        reason: EndReason | None,
        done: Callable[[Response | None, EndCause | None, float], None],
    ) -> None:
        """invite is the request as sent, transaction its own; done(response, cause, now) is called once."""
        self._core = core
        self._invite = invite
        self._transaction = transaction
        self._flow = transaction.flow
        self._reason = reason
        self._done = done
        self._lost = 0
        """Connections that were lost under it."""

    def start(self, now: float) -> None:
        """Send it where the INVITE went."""
        request = ClientRequest(self._core, self._build, self._on_done, flow=self._flow)
        request.start(now, branch=self._transaction.branch)

    def start_anew(self, now: float) -> None:
        """Send it to the same address over another connection, unless the INVITE has its final answer."""
        if self._transaction.state not in (State.PROCEEDING, State.TERMINATED):
            return
        self._flow = self._flow.without_connection()
        self.start(now)

    def _on_done(
        self,
        request: ClientRequest,
        status: int,
        response: Response | None,
        cause: EndCause | None,
        now: float,
    ) -> None:
        """Try again when the connection was lost: the far end must not ring on."""
        if cause is not EndCause.TRANSPORT or self._lost >= len(RECONNECT_PAUSES):
            self._done(response, cause, now)
            return
        pause = RECONNECT_PAUSES[self._lost] * self._core.config.t1
        self._lost += 1
        self._core.wheel.start(now + pause, self.start_anew)

    def _build(self) -> Request:
        """Return the CANCEL: the INVITE's Request-URI, Route, From, To, Call-ID and CSeq number."""
        invite, headers = self._invite, Headers()
        for name in ("Max-Forwards", "Route", "From", "To", "Call-ID"):
            for line in invite.headers.lines(name):
                headers.add(name, line)
        headers.add("CSeq", f"{invite.cseq.number} CANCEL")
        if self._reason is not None:
            headers.add("Reason", str(self._reason))
        return Request("CANCEL", invite.uri, headers)
