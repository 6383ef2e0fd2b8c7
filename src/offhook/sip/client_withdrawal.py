"""An INVITE of ours taken back: its CANCEL, how long that is waited for, what crosses it (RFC 3261 9.1)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from offhook.kernel import Timer

from .client_cancel import ClientCancel
from .commands import EndReason, HeaderLines
from .config import CSEQ_MARGIN
from .dialogs import DialogState
from .events import EndCause
from .message import Response
from .transaction_tables import State
from .transactions import ClientTransaction

if TYPE_CHECKING:
    from .client_invite import ClientInvite
    from .client_side import ClientSide


class Withdrawal:
    """What is done to end an INVITE that nobody wants any more. Made when that is known, once per INVITE."""

    __slots__ = ("_invite", "_is_late", "_side", "_timer", "cause", "is_sent", "reason")

    def __init__(self, side: ClientSide, invite: ClientInvite) -> None:
        self._side = side
        self._invite = invite
        self.cause: EndCause | None = None
        """CANCELED by our caller, TIMEOUT by timer C; None: it had no answer, and is cancelled to be sure."""
        self.reason: EndReason | None = None
        self.is_sent = False
        """The CANCEL is out."""
        self._is_late = False
        """A provisional answer came after it was sent."""
        self._timer: Timer | None = None

    def begin(self, cause: EndCause, reason: EndReason | None, now: float) -> None:
        """Send the CANCEL, as soon as the far end has said anything."""
        self.cause = cause
        self.reason = reason
        if self._invite.is_heard:
            self._send(now)

    def note_provisional(self, now: float) -> None:
        """The far end has said something: what waited for that can go."""
        self._is_late = self.is_sent
        self._send(now)

    def _send(self, now: float) -> None:
        transaction = self._invite.transaction
        if self.is_sent or transaction.state is not State.PROCEEDING:
            return
        self.is_sent = True
        self._is_late = False
        self._new_cancel(transaction).start(now)
        self._abandon_after(self._side.core.config.give_up, now)

    def send_unheard(self, transaction: ClientTransaction, cause: EndCause, now: float) -> None:
        """Send a CANCEL although nothing was heard: the INVITE may have arrived all the same.

        RFC 3261 9.1 wants none while the INVITE is under way; here it is over (decision 0006).
        """
        self.is_sent = True
        cancel = self._new_cancel(transaction)
        if cause is EndCause.TRANSPORT:
            cancel.start_anew(now)
        else:
            cancel.start(now)

    def _new_cancel(self, transaction: ClientTransaction) -> ClientCancel:
        return ClientCancel(self._side.core, self._invite.sent, transaction, self.reason, self._on_done)

    def _on_done(self, response: Response | None, cause: EndCause | None, now: float) -> None:
        """Wait no longer than a 2xx repeats for an INVITE that the far end does not know.

        A server that has answered may know the INVITE no more, but then it repeats its 2xx (13.3.1.4).
        """
        if not self._invite.is_resumed:
            return
        core = self._side.core
        if response is not None and response.status < 300:
            self._invite.is_unknown = False
            core.wheel.start(now + core.config.longest_repeat, partial(self._hang_up_acknowledged, response))
        elif cause is not EndCause.TIMEOUT and self._timer is not None:
            # It may have overtaken its INVITE: a provisional answer says so, before this or after it.
            self.is_sent = False
            self._abandon_after(core.config.longest_repeat, now)
            if self._is_late:
                self._send(now)

    def _hang_up_acknowledged(self, response: Response, now: float) -> None:
        """The CANCEL was taken, and no final answer comes: the far end has answered, and has had its ACK.

        The process before us was hanging it up. Its tag is that of its answer to the CANCEL (9.2).
        """
        invite = self._invite
        if not invite.is_pending or invite.transaction.state is not State.PROCEEDING:
            return
        dialog = invite.dialog_of(response)
        if dialog is None or dialog.state is not DialogState.EARLY:
            return
        dialog.state = DialogState.CONFIRMED
        dialog.local_cseq += CSEQ_MARGIN
        invite.hang_up(dialog, now, then=invite.transaction.abandon, is_acknowledged=True)

    def _abandon_after(self, delay: float, now: float) -> None:
        self.stop()
        self._timer = self._side.core.wheel.start(now + delay, self._invite.transaction.abandon)

    def stop(self) -> None:
        """Wait no longer: the INVITE has its final answer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def bye_headers(self) -> HeaderLines:
        """Return why an answer that crossed the CANCEL is hung up."""
        return () if self.reason is None else (("Reason", str(self.reason)),)
