"""Our 2xx to an INVITE, sent again until its ACK comes (RFC 3261 13.3.1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .commands import HeaderLines
from .dialogs import Dialog
from .events import DialogEndReason
from .transactions import ServerTransaction

if TYPE_CHECKING:
    from .client_side import ClientSide


class SuccessRepeater:
    """Repeats a 2xx over any transport; without ACK for 64*T1 it ends the dialog with a BYE."""

    __slots__ = (
        "_bye_headers",
        "_client",
        "_data",
        "_dialog",
        "_give_up_at",
        "_pause",
        "_timer",
        "_transaction",
    )

    def __init__(
        self, client: ClientSide, transaction: ServerTransaction, dialog: Dialog, data: bytes, now: float
    ) -> None:
        config = client.core.config
        self._client = client
        self._transaction = transaction
        self._dialog = dialog
        self._data = data
        self._bye_headers: HeaderLines | None = None
        self._pause = config.t1
        self._give_up_at = now + config.give_up
        self._timer = client.core.wheel.start(now + config.t1, self._repeat)

    @property
    def cseq(self) -> int:
        """The sequence number the ACK will bear."""
        return self._transaction.request.cseq.number

    def hang_up_after(self, headers: HeaderLines) -> None:
        """Send a BYE as soon as the ACK comes, or cannot come any more."""
        self._bye_headers = headers

    def acknowledge(self, now: float) -> None:
        """The ACK is here."""
        self.stop()
        if self._bye_headers is not None:
            self._client.bye(self._dialog, now, self._bye_headers)

    def stop(self) -> None:
        """Repeat no more."""
        self._timer.cancel()
        self._dialog.unacknowledged = None

    def _repeat(self, now: float) -> None:
        config = self._client.core.config
        if now >= self._give_up_at:
            self.stop()
            reason = DialogEndReason.NO_ACK if self._bye_headers is None else DialogEndReason.BYE
            self._client.send_bye(self._dialog, now, self._bye_headers or (), reason)
            return
        self._client.core.layer.transmit(self._data, self._transaction.flow)
        self._client.core.statistics["answers_repeated"] += 1
        self._pause = min(self._pause * 2, config.t2)
        self._timer = self._client.core.wheel.start(min(now + self._pause, self._give_up_at), self._repeat)
