"""An INVITE of ours from the first packet to the end: forks, challenges, CANCEL and its crossings.

RFC 3261 9.1, 13.2 and RFC 6026. Whatever happens, the caller is told once: InviteAnswered, or
InviteEnded when nothing of it is left at the far end (or the far end has been silent for 64*T1).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from .client_forks import Forks, has_session
from .client_request import STATUS_OF_CAUSE
from .client_withdrawal import Withdrawal
from .commands import EndReason, HeaderLines, InviteRequest
from .config import MIN_SESSION_S
from .credentials import Answered, DigestClient, credentials_in
from .dialogs import Dialog, DialogState
from .events import EndCause, InviteAnswered, InviteEnded, InviteProgress, SurplusAnswered
from .message import Request, Response
from .session_headers import min_session_of, session_lines
from .session_timer import follow_response
from .transactions import ClientTransaction

if TYPE_CHECKING:
    from .client_side import ClientSide


class InviteState(StrEnum):
    """What the caller was told."""

    PENDING = "pending"
    """Nothing final yet; answers, failures and timeouts move it on."""
    ANSWERED = "answered"
    """InviteAnswered was queued; the dialog goes on by itself."""
    ENDED = "ended"
    """InviteEnded was queued."""


class ClientInvite:
    """The handle of invite(). `context` is free for the caller; the rest is to be read only."""

    __slots__ = (
        "_answered",
        "_forks",
        "_session_lines",
        "_side",
        "_withdrawal",
        "authorization",
        "call_id",
        "context",
        "cseq",
        "digest",
        "is_heard",
        "is_resumed",
        "is_unknown",
        "local_tag",
        "request",
        "sent",
        "state",
        "transaction",
    )

    transaction: ClientTransaction
    """Gone, like `sent`, once nothing can be repeated any more."""
    sent: Request

    def __init__(self, side: ClientSide, request: InviteRequest, *, call_id: str, local_tag: str) -> None:
        self._side = side
        self.request = request
        self.call_id = call_id
        self.local_tag = local_tag
        self.cseq = request.cseq
        self.state = InviteState.PENDING
        self.context: object = None
        self.is_unknown = False
        """After resume(): the far end has not shown yet that it ever had this INVITE."""
        self.is_resumed = False
        """A process before us sent it."""
        self.is_heard = False
        """The far end has said anything to it, be it 100."""
        self._withdrawal: Withdrawal | None = None
        self.digest = DigestClient.of(request, side.core.random)
        self.authorization: HeaderLines = ()
        """What credentials the INVITE carried."""
        self._answered: Answered = ()
        self._session_lines = side.core.session_lines
        self._forks = Forks(side, self)

    def start(self, now: float) -> None:
        """Send the INVITE (again, when a challenge is answered)."""
        core = self._side.core
        self.sent = core.build(
            self.request,
            call_id=self.call_id,
            tag=self.local_tag,
            cseq=self.cseq,
            extra=self._session_lines,
        )
        if self.digest is not None:
            self.digest.sign(self.sent)
            self.authorization = credentials_in(self.sent)
        self.is_heard = False
        self.transaction = core.layer.send(
            self.sent,
            self.request.flow,
            self,
            now,
            branch=branch_of(self.request.branch, self.cseq) if self.request.branch else "",
            same_flow=self.request.same_flow,
        )

    def resume(self, branch: str, now: float) -> None:
        """Take up an INVITE that an earlier process sent with this branch; nothing is sent."""
        core = self._side.core
        self.sent = core.build(self.request, call_id=self.call_id, tag=self.local_tag, cseq=self.cseq)
        self.is_resumed = self.is_unknown = self.is_heard = True
        self.transaction = core.layer.adopt(self.sent, self.request.flow, self, branch, now)

    # --- what the transaction tells ---

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """Sort by class."""
        self.is_unknown = False
        status = response.status
        if status < 200:
            self._on_provisional(response, now)
        elif status < 300:
            self.on_success(response, now)
        elif transaction is self.transaction:
            self._on_refusal(response, now)

    def on_failure(self, transaction: ClientTransaction, cause: EndCause, now: float) -> None:
        """No final answer: give up, but clean up after a late 2xx for as long as one may come."""
        self._side.watch_for_stray(self, transaction.branch, now)
        self._forks.drop_early()
        withdrawal = self._withdrawal or self._withdraw()
        if not (withdrawal.is_sent or self.is_resumed):
            withdrawal.send_unheard(transaction, cause, now)
        if self._forks.surplus == 0:
            self._end(STATUS_OF_CAUSE[cause], cause)

    def on_forgotten(self, transaction: ClientTransaction) -> None:
        """No 2xx can be repeated any more: drop the ACKs, forks that came to nothing, and the INVITE.

        A handle lives as long as its call; 3 KB of sent bytes need not.
        """
        if transaction is not self.transaction:
            return
        del self.transaction, self.sent
        self._forks.forget()

    def on_no_final(self, transaction: ClientTransaction, now: float) -> None:
        """Timer C: it has only rung, for minutes."""
        self._withdraw().begin(EndCause.TIMEOUT, EndReason("SIP", 408, "Request Timeout"), now)

    def _on_provisional(self, response: Response, now: float) -> None:
        self.is_heard = True
        if self._withdrawal is not None:
            self._withdrawal.note_provisional(now)
            return
        if response.status == 100:
            return
        if self._forks.take_provisional(response, now):
            self._side.core.events.append(InviteProgress(self, response, has_session(response)))

    def on_success(self, response: Response, now: float) -> None:
        """A 2xx: the first one answers; a repeated one gets its ACK again; a surplus one ACK and BYE."""
        tag = response.to_tag
        dialog = self._forks.get(tag)
        if dialog is not None and dialog.state is not DialogState.EARLY:
            if dialog.ack is not None:
                self._side.core.layer.transmit(*dialog.ack)
            return
        dialog = dialog or self._forks.make(response, tag)
        if dialog is None:
            return  # a fork beyond the bound: it hangs up when no ACK comes
        self._stop_waiting()
        self.is_unknown = False
        self._forks.confirm(dialog, response)
        if self.state is InviteState.PENDING and self.cancel_cause is None:
            self.state = InviteState.ANSWERED
            dialog.is_reported = True
            if self.digest is not None:
                self.digest.note_next(response)
            if self._session_lines:
                follow_response(self._side, dialog, response, now)
            self._side.core.events.append(InviteAnswered(self, dialog, response))
        else:
            self.hang_up(dialog, now)

    def _on_refusal(self, response: Response, now: float) -> None:
        self._stop_waiting()
        self._forks.drop_early()
        if self.state is not InviteState.PENDING:
            return
        if self.cancel_cause is None and self._is_worth_another(response):
            self.cseq += 1
            self.start(now)
            return
        self._end(response.status, EndCause.REJECTED, response)

    def _is_worth_another(self, response: Response) -> bool:
        """Tell whether the INVITE goes out again as its refusal asks: credentials, a longer session."""
        if response.status in (401, 407) and self.digest is not None:
            answered = self.digest.learn(response, self._answered)
            self._answered = answered or self._answered
            return answered is not None
        if response.status == 422 and self._session_lines == self._side.core.session_lines != ():
            shortest_s = min_session_of(response)
            wanted_s = max(self._side.core.config.session_expires_s, shortest_s)
            self._session_lines = session_lines(wanted_s, max(shortest_s, MIN_SESSION_S))
            return self._session_lines != self._side.core.session_lines
        return False

    def _end(self, status: int, cause: EndCause, response: Response | None = None) -> None:
        """Tell the caller, unless it was told."""
        self._stop_waiting()
        if self.state is not InviteState.PENDING:
            return
        self.state = InviteState.ENDED
        if self.cancel_cause is not None:
            cause = self.cancel_cause
            if response is None:
                status = 408 if cause is EndCause.TIMEOUT else 487
        reason = response.reason if response is not None else ""
        self._side.core.events.append(InviteEnded(self, status, reason, response, cause))

    # --- taken back ---

    @property
    def cancel_cause(self) -> EndCause | None:
        """CANCELED after cancel(), TIMEOUT after timer C; then InviteAnswered never comes."""
        return None if self._withdrawal is None else self._withdrawal.cause

    @property
    def is_pending(self) -> bool:
        """Tell whether the caller still waits for its end."""
        return self.state is InviteState.PENDING

    def cancel(self, reason: EndReason | None, now: float) -> None:
        """Give up the INVITE; it waits for a provisional answer first (9.1)."""
        if self.state is InviteState.ANSWERED:
            self._take_back_answer(now)
        elif self.state is InviteState.PENDING and self.cancel_cause is None:
            self._withdraw().begin(EndCause.CANCELED, reason, now)

    def _withdraw(self) -> Withdrawal:
        if self._withdrawal is None:
            self._withdrawal = Withdrawal(self._side, self)
        return self._withdrawal

    def _take_back_answer(self, now: float) -> None:
        """Turn an answer that the caller has not seen yet into a crossing."""
        events = self._side.core.events
        for event in events:
            if isinstance(event, InviteAnswered) and event.invite is self:
                events.remove(event)
                self.state = InviteState.PENDING
                self._withdraw().cause = EndCause.CANCELED
                event.dialog.is_reported = False
                self.hang_up(event.dialog, now)
                return

    def _stop_waiting(self) -> None:
        if self._withdrawal is not None:
            self._withdrawal.stop()

    def dialog_of(self, response: Response) -> Dialog | None:
        """Return the dialog of a response's To tag, a new one if need be; None beyond the bound."""
        tag = response.to_tag
        return self._forks.get(tag) or self._forks.make(response, tag)

    def hang_up(
        self,
        dialog: Dialog,
        now: float,
        *,
        then: Callable[[float], None] | None = None,
        is_acknowledged: bool = False,
    ) -> None:
        """Answer a 2xx nobody waits for with ACK and BYE; the end of the INVITE waits for that."""
        self._forks.surplus += 1
        self._side.core.statistics["surplus_answers"] += 1
        dialog.on_surplus_over = partial(self._surplus_over, then)
        if self._side.core.config.holds_surplus:
            dialog.is_reported = True
            self._side.core.events.append(SurplusAnswered(self, dialog))
            return
        if not is_acknowledged:
            self._side.send_ack(dialog, b"", now)
        self._side.bye(dialog, now, self._withdrawal.bye_headers() if self._withdrawal is not None else ())

    def _surplus_over(self, then: Callable[[float], None] | None, now: float) -> None:
        self._forks.surplus -= 1
        if self._forks.surplus == 0 and self.cancel_cause is not None:
            self._end(487, self.cancel_cause)
        if then is not None:
            then(now)


def branch_of(beginning: str, cseq: int) -> str:
    """Return the branch of an INVITE with this sequence number: each challenge makes a new one."""
    return f"{beginning}-{cseq}"
