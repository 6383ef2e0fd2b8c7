"""A re-INVITE of ours: an INVITE inside a dialog (RFC 3261 section 14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .client_request import STATUS_OF_CAUSE
from .commands import HeaderLines
from .config import RECONNECT_PAUSES
from .core_state import with_content
from .credentials import Answered, credentials_in
from .dialogs import Dialog, DialogState
from .events import EndCause, ReinviteAnswered, ReinviteFailed, SessionRefreshed
from .message import Request, Response
from .session_timer import GONE, follow_response
from .transaction_tables import State
from .transactions import ClientTransaction

if TYPE_CHECKING:
    from .client_side import ClientSide

MAX_GLARES: Final = 8
"""Re-INVITEs that crossed the peer's are sent again so often, over 32 s at most: as long as timer B would
have waited for an answer. After that the caller is told 491."""
GLARE_OWNER_S: Final = (2.1, 1.9)
"""RFC 3261 14.1: whoever made the Call-ID waits 2.1 to 4.0 s (start, width)."""
GLARE_OTHER_S: Final = (0.0, 2.0)


class ClientReinvite:
    """The handle of reinvite(). `context` is free for the caller. One of its two events comes, once."""

    __slots__ = ("_answered", "_body", "_glares", "_headers", "_is_done", "_is_refresh", "_lost", "_sent",
                 "_side", "context", "cseq", "dialog", "is_waiting", "transaction")  # fmt: skip

    transaction: ClientTransaction
    _sent: Request

    def __init__(
        self,
        side: ClientSide,
        dialog: Dialog,
        body: bytes,
        headers: HeaderLines,
        *,
        is_refresh: bool = False,
    ) -> None:
        """is_refresh: the session stays as it is; the session timer is told of the end, not our caller."""
        self._side = side
        self._body = body
        self._headers = headers
        self._is_done = False
        self._is_refresh = is_refresh
        self._answered: Answered = ()
        self._glares = 0
        self._lost = 0
        """Connections that were lost under it."""
        self.is_waiting = False
        """A glare or a lost connection is being sat out: meanwhile the peer's re-INVITE is welcome."""
        self.dialog = dialog
        self.cseq = 0
        self.context: object = None

    def start(self, now: float) -> None:
        """Send it (again, after a challenge or a glare)."""
        dialog, core = self.dialog, self._side.core
        self._sent = dialog.request("INVITE")
        self.cseq = dialog.local_cseq
        timer = dialog.session_timer
        extra = (("Contact", dialog.contact), ("Allow", core.allow), *self._headers)
        extra = (*extra, *timer.request_lines()) if timer is not None else extra
        with_content(self._sent, extra, self._body, "application/sdp")
        if dialog.digest is not None:
            dialog.digest.sign(self._sent)
            dialog.authorization = credentials_in(self._sent)
        self.transaction = core.layer.send(
            self._sent, dialog.next_hop(), self, now, same_flow=dialog.same_flow
        )

    def start_in_turn(self, now: float) -> None:
        """Send it, or let the peer's own change of the session pass first (14.1)."""
        dialog = self.dialog
        if not (dialog.has_their_offer or dialog.unacknowledged is not None or dialog.update is not None):
            self.start(now)
        elif not self._waits(now):
            self.give_up(491, "Request Pending", now)

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """Pass on the first 2xx, acknowledge repeated ones again, deal with refusals."""
        if response.status < 200:
            return
        if response.status < 300:
            self._on_success(response, now)
        elif not self._is_done and not self._tries_again(response, now):
            self.give_up(response.status, response.reason, now)
            if self._is_refresh and self.dialog.session_timer is not None:
                self.dialog.session_timer.note_refusal(response.status, response, now, by_update=False)
            elif response.status in GONE:
                self._side.bye(self.dialog, now)

    def on_failure(self, transaction: ClientTransaction, cause: EndCause, now: float) -> None:
        """Silence counts as 408, which ends the dialog (12.2.1.2); a lost connection is replaced."""
        if self._is_done:
            return
        if cause is EndCause.TRANSPORT and self._reconnects(now):
            return
        self.give_up(STATUS_OF_CAUSE[cause], "", now)
        if self._is_refresh and self.dialog.session_timer is not None:
            self.dialog.session_timer.note_refusal(STATUS_OF_CAUSE[cause], None, now, by_update=False)
        else:
            self._side.bye(self.dialog, now)

    def on_forgotten(self, transaction: ClientTransaction) -> None:
        """No 2xx can be repeated any more: the ACK is not needed again."""
        if self.dialog.invite_cseq == self.cseq:
            self.dialog.ack = None

    def on_no_final(self, transaction: ClientTransaction, now: float) -> None:
        """A phone asks a person, and the person does not answer: that counts as silence."""
        transaction.abandon(now)

    def give_up(self, status: int, reason: str, now: float) -> None:
        """Tell the caller that it failed, unless it was told."""
        if self._is_done:
            return
        self._is_done = True
        if self.dialog.reinvite is self:
            self.dialog.reinvite = None
            if self.cseq and self.transaction.state in (State.CALLING, State.PROCEEDING):
                # The final answer may never come: a peer repeats none after its BYE, and its 100 may be late.
                wheel, give_up = self._side.core.wheel, self._side.core.config.give_up
                wheel.start(now + give_up, self.transaction.abandon)
        if not self._is_refresh:
            self._side.core.events.append(ReinviteFailed(self, self.dialog, status, reason))

    def _on_success(self, response: Response, now: float) -> None:
        dialog = self.dialog
        if self._is_done:
            if dialog.ack is not None and dialog.invite_cseq == self.cseq:
                self._side.core.layer.transmit(*dialog.ack)
            elif dialog.state is not DialogState.CONFIRMED:
                self._side.send_ack(dialog, b"", now, cseq=self.cseq)
            return
        self._is_done = True
        dialog.reinvite = None
        dialog.ack = None
        dialog.needs_ack = True
        dialog.invite_cseq = self.cseq
        dialog.take_target(response, dialog.flow)
        dialog.local_session = self._body or dialog.local_session
        if dialog.session_timer is not None:
            follow_response(self._side, dialog, response, now)
        if self._is_refresh:
            self._side.send_ack(dialog, b"", now)
            self._side.core.events.append(SessionRefreshed(dialog, response))
        else:
            self._side.core.events.append(ReinviteAnswered(self, dialog, response))

    def _tries_again(self, response: Response, now: float) -> bool:
        if self.dialog.state is not DialogState.CONFIRMED:
            return False
        if response.status in (401, 407):
            digest = self.dialog.digest
            answered = digest.learn(response, self._answered) if digest is not None else None
            if answered is not None:
                self._answered = answered
                self.start(now)
            return answered is not None
        return response.status == 491 and self._waits(now)

    def _waits(self, now: float) -> bool:
        """Sit a glare out, then try again; False after MAX_GLARES of them."""
        if self._glares >= MAX_GLARES:
            return False
        self._glares += 1
        self.is_waiting = True
        core = self._side.core
        start, width = GLARE_OWNER_S if self.dialog.is_caller else GLARE_OTHER_S
        core.wheel.start(now + start + width * core.random.uniform(), self._start_after_glare)
        return True

    def _reconnects(self, now: float) -> bool:
        """Try again over a new connection, at once or after a pause; False after the last of them."""
        if self._lost >= len(RECONNECT_PAUSES) or self.dialog.state is not DialogState.CONFIRMED:
            return False
        core = self._side.core
        pause = RECONNECT_PAUSES[self._lost] * core.config.t1
        self._lost += 1
        self.is_waiting = True
        self.dialog.leave_connection()
        core.wheel.start(now + pause, self._send_anew)
        return True

    def _send_anew(self, now: float) -> None:
        """Send the very same request: a peer that has it already takes it for a repeat, and answers again."""
        self.is_waiting = False
        dialog, branch = self.dialog, self.transaction.branch
        if self._is_done or dialog.state is not DialogState.CONFIRMED:
            return
        self._sent.headers.remove("Via")
        self.transaction = self._side.core.layer.send(
            self._sent, dialog.next_hop(), self, now, branch=branch, same_flow=dialog.same_flow
        )

    def _start_after_glare(self, now: float) -> None:
        self.is_waiting = False
        if self._is_done or self.dialog.state is not DialogState.CONFIRMED:
            return
        self.start_in_turn(now)
