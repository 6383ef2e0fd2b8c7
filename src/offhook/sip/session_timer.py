"""The session timer of one dialog: refreshes it, or ends it when nobody does (RFC 4028 7.2, 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from offhook.kernel import Timer

from .client_request import ClientRequest
from .commands import EndReason, HeaderLines
from .config import MIN_SESSION_S
from .core_state import with_content
from .dialogs import Dialog, DialogState
from .events import DialogEndReason, EndCause
from .message import Request, Response
from .session_headers import (
    UAC,
    UAS,
    agreed_session,
    answer_lines,
    min_session_of,
    session_expires_of,
    session_lines,
)

if TYPE_CHECKING:
    from .client_side import ClientSide

LAST_MOMENT_S: Final = 32.0
"""RFC 4028 10: the BYE goes out so long before the session expires, or a third of it if that is less."""
RETRIES: Final = 10
"""A refresh that failed is tried again after a tenth of the interval, until the last moment."""
GONE: Final = (408, 481)
"""The peer has lost the dialog (RFC 3261 12.2.1.2)."""
EXPIRED: Final = (("Reason", str(EndReason("SIP", 408, "Session expired"))),)


class SessionTimer:
    """Runs from one 2xx to the next. Made when both sides agree on an interval."""

    __slots__ = ("_dialog", "_ends_at", "_is_refresher", "_side", "_takes_update", "_timer", "interval_s")

    def __init__(self, side: ClientSide, dialog: Dialog) -> None:
        self._side = side
        self._dialog = dialog
        self._timer: Timer | None = None
        self._ends_at = 0.0
        self._is_refresher = False
        self._takes_update = dialog.allows("UPDATE")
        self.interval_s = 0

    def restart(self, interval_s: int, now: float, *, is_refresher: bool) -> None:
        """A 2xx has begun a new interval."""
        self.stop()
        self.interval_s = max(interval_s, MIN_SESSION_S)
        self._is_refresher = is_refresher
        self._ends_at = now + self.interval_s - min(LAST_MOMENT_S, self.interval_s / 3)
        first = now + self.interval_s / 2 if is_refresher else self._ends_at
        self._timer = self._side.core.wheel.start(first, self._on_due)

    def stop(self) -> None:
        """Let it be."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def request_lines(self) -> HeaderLines:
        """Return what a re-INVITE or UPDATE of ours says: it is a refresh too, and who refreshes stays so."""
        refresher = UAC if self._is_refresher else UAS
        return (("Supported", "timer"), *session_lines(self.interval_s, MIN_SESSION_S, refresher))

    def _on_due(self, now: float) -> None:
        self._timer = None
        dialog = self._dialog
        if dialog.state is not DialogState.CONFIRMED:
            return
        if now >= self._ends_at:
            self._side.bye(dialog, now, EXPIRED, reason=DialogEndReason.EXPIRED)
            return
        again = min(self._ends_at, now + self.interval_s / RETRIES)
        self._timer = self._side.core.wheel.start(again, self._on_due)
        self._refresh(now)

    def _refresh(self, now: float) -> None:
        """Send UPDATE if the peer takes it, else the session as it is in a re-INVITE."""
        dialog = self._dialog
        if dialog.has_our_offer or dialog.has_their_offer:
            return  # what is under way refreshes too, or it is tried again
        if not self._takes_update:
            if dialog.local_session:
                self._side.refresh(dialog, now)
            return

        def build() -> Request:
            extra = (("Contact", dialog.contact), *self.request_lines())
            return with_content(dialog.request("UPDATE"), extra, b"", "")

        core = self._side.core
        ClientRequest(core, build, self._on_update_done, flow=dialog.next_hop(), digest=dialog.digest).start(
            now
        )

    def _on_update_done(
        self,
        request: ClientRequest,
        status: int,
        response: Response | None,
        cause: EndCause | None,
        now: float,
    ) -> None:
        if response is not None and status < 300:
            follow_response(self._side, self._dialog, response, now)
        else:
            self.note_refusal(status, response, now, by_update=True)

    def note_refusal(self, status: int, response: Response | None, now: float, *, by_update: bool) -> None:
        """A refresh was refused: the next try is due by itself, unless the peer knows no such dialog."""
        if status in GONE:
            reason = DialogEndReason.GONE if status == 481 else DialogEndReason.EXPIRED
            self._side.bye(self._dialog, now, EXPIRED, reason=reason)
        elif status == 422 and response is not None:
            self.interval_s = max(self.interval_s, min_session_of(response))
        elif by_update and status not in (491, 500, 503):
            self._takes_update = False


def follow_response(side: ClientSide, dialog: Dialog, response: Response, now: float) -> None:
    """Start, restart or end the timer as a 2xx to a request of ours says (7.2)."""
    agreed = session_expires_of(response)
    if agreed is None:
        _forget(dialog)
        return
    _timer_of(side, dialog).restart(agreed.interval_s, now, is_refresher=agreed.refresher != UAS)


def follow_request(side: ClientSide, dialog: Dialog, request: Request, now: float) -> HeaderLines:
    """Start, restart or end the timer with our 2xx to a request, and return what that says (9)."""
    wanted_s = side.core.config.session_expires_s
    agreed = agreed_session(request, wanted_s) if wanted_s else None
    if agreed is None:
        _forget(dialog)
        return ()
    _timer_of(side, dialog).restart(agreed.interval_s, now, is_refresher=agreed.refresher == UAS)
    return answer_lines(agreed)


def _timer_of(side: ClientSide, dialog: Dialog) -> SessionTimer:
    if dialog.session_timer is None:
        dialog.session_timer = SessionTimer(side, dialog)
    return dialog.session_timer


def _forget(dialog: Dialog) -> None:
    if dialog.session_timer is not None:
        dialog.session_timer.stop()
        dialog.session_timer = None
