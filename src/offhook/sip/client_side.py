"""The client half of a user agent core: INVITE and what follows from it, BYE, other requests."""

from __future__ import annotations

from functools import partial

from .client_acks import ClientAcks
from .client_invite import ClientInvite
from .client_reinvite import ClientReinvite
from .client_request import ClientRequest
from .commands import HeaderLines, InviteRequest, OutgoingRequest
from .config import RECONNECT_PAUSES
from .core_state import CALL_ID_HEX, CoreState, with_content
from .credentials import DigestClient
from .dialogs import Dialog, DialogState
from .errors import LocalDialogOver, LocalOverload
from .events import DialogEndReason, EndCause, ResponseReceived, UpdateAnswered
from .message import Request, Response
from .records import DialogRecord, InviteRecord
from .session_timer import GONE, follow_response


class ClientSide:
    """Sends requests and follows them to their end."""

    __slots__ = ("_strays", "acks", "core")

    def __init__(self, core: CoreState) -> None:
        self.core = core
        self.acks = ClientAcks(core)
        self._strays: dict[str, ClientInvite] = {}

    def invite(self, request: InviteRequest, now: float) -> ClientInvite:
        """Send an INVITE. Raises LocalOverload, LocalHeaderInjection."""
        self._refuse_overload()
        invite = ClientInvite(
            self,
            request,
            call_id=request.call_id or self.core.random.hex(CALL_ID_HEX),
            local_tag=request.local_tag or self.core.new_tag(),
        )
        invite.start(now)
        return invite

    def resume_invite(self, record: InviteRecord, now: float) -> ClientInvite:
        """Take up an INVITE of an earlier process."""
        invite = ClientInvite(self, record.request(), call_id=record.call_id, local_tag=record.local_tag)
        invite.resume(record.branch, now)
        return invite

    def resume_dialog(self, record: DialogRecord) -> Dialog:
        """Take up a dialog of an earlier process."""
        dialog = record.dialog()
        self.core.add_dialog(dialog)
        return dialog

    def request(self, wanted: OutgoingRequest, now: float) -> ClientRequest:
        """Send another request outside a dialog. ResponseReceived follows, once."""
        self._refuse_overload()
        core, tag = self.core, self.core.new_tag()
        call_id = wanted.call_id or core.random.hex(CALL_ID_HEX)
        next_cseq = iter(range(wanted.cseq, wanted.cseq + 1_000)).__next__

        def build() -> Request:
            return core.build(wanted, call_id=call_id, tag=tag, cseq=next_cseq())

        digest = DigestClient.of(wanted, core.random)
        request = ClientRequest(core, build, self._report_response, flow=wanted.flow, digest=digest)
        request.start(now)
        return request

    def request_in_dialog(
        self, dialog: Dialog, method: str, now: float, *, headers: HeaderLines, body: bytes, content_type: str
    ) -> ClientRequest:
        """Send INFO, OPTIONS… in a dialog. ResponseReceived follows, once."""
        self._refuse_ended(dialog)

        def build() -> Request:
            return with_content(dialog.request(method), headers, body, content_type)

        def done(
            request: ClientRequest, status: int, response: Response | None, cause: EndCause | None, now: float
        ) -> None:
            self._report_response(request, status, response, cause, now)
            if status in GONE and method != "NOTIFY":  # of a subscription, not of the call (RFC 5057 5.1)
                self.bye(dialog, now)

        request = ClientRequest(self.core, build, done, flow=dialog.next_hop(), digest=dialog.digest)
        request.start(now)
        return request

    def reinvite(self, dialog: Dialog, body: bytes, now: float, headers: HeaderLines = ()) -> ClientReinvite:
        """Offer a new session in a dialog. Raises LocalDialogOver; one at a time (14.1).

        While the peer changes the session itself, or an UPDATE of ours does, it waits for its turn.
        """
        self._refuse_ended(dialog)
        reinvite = ClientReinvite(self, dialog, body, headers)
        if dialog.reinvite:
            reinvite.give_up(491, "Request Pending", now)
            return reinvite
        self._acknowledge_if_due(dialog, now)
        dialog.reinvite = reinvite
        reinvite.start_in_turn(now)
        return reinvite

    def refresh(self, dialog: Dialog, now: float) -> None:
        """Send the session as it is in a re-INVITE, to show that both ends are there (RFC 4028)."""
        self._acknowledge_if_due(dialog, now)
        dialog.reinvite = ClientReinvite(self, dialog, dialog.local_session, (), is_refresh=True)
        dialog.reinvite.start(now)

    def update(self, dialog: Dialog, body: bytes, now: float, headers: HeaderLines = ()) -> ClientRequest:
        """Offer a new session by UPDATE (RFC 3311). UpdateAnswered follows. Raises LocalDialogOver.

        In an early dialog the first offer must have been answered reliably before.
        """
        if dialog.state is not DialogState.CONFIRMED and not (
            dialog.state is DialogState.EARLY and dialog.is_agreed
        ):
            raise LocalDialogOver(dialog.call_id)

        def build() -> Request:
            timer = dialog.session_timer
            extra = (*headers, *timer.request_lines()) if timer is not None else headers
            fields = (("Contact", dialog.contact), *extra)
            return with_content(dialog.request("UPDATE"), fields, body, "application/sdp")

        request = ClientRequest(
            self.core,
            build,
            partial(self._on_update_done, dialog, body),
            flow=dialog.next_hop(),
            digest=dialog.digest,
        )
        if dialog.reinvite or dialog.has_our_offer or dialog.has_their_offer:
            self.core.events.append(UpdateAnswered(request, dialog, 491, None))
            return request
        dialog.update = request
        request.start(now)
        return request

    def _on_update_done(
        self,
        dialog: Dialog,
        offer: bytes,
        request: ClientRequest,
        status: int,
        response: Response | None,
        cause: EndCause | None,
        now: float,
    ) -> None:
        if dialog.update is request:
            dialog.update = None
        if response is not None and status < 300:
            dialog.local_session = offer
            dialog.take_target(response, dialog.flow)
            if dialog.session_timer is not None and dialog.state is DialogState.CONFIRMED:
                follow_response(self, dialog, response, now)
        self.core.events.append(UpdateAnswered(request, dialog, status, response))
        if status in GONE:
            self.bye(dialog, now)

    def send_ack(self, dialog: Dialog, body: bytes, now: float, *, cseq: int = 0, branch: str = "") -> None:
        """Acknowledge a 2xx (13.2.2.4): new branch, through the route set, repeated for repeated 2xx."""
        if dialog.state is DialogState.ENDED:
            return
        ack = with_content(
            dialog.request("ACK", cseq=cseq or dialog.invite_cseq),
            dialog.authorization,
            body,
            "application/sdp",
        )
        dialog.local_session = body or dialog.local_session
        dialog.ack = self.core.layer.send_without_transaction(ack, dialog.next_hop(), branch=branch)
        self.acks.sent(dialog, now)
        dialog.authorization = ()
        dialog.needs_ack = False

    def bye(
        self,
        dialog: Dialog,
        now: float,
        headers: HeaderLines = (),
        *,
        reason: DialogEndReason = DialogEndReason.BYE,
    ) -> None:
        """End a dialog; DialogEnded comes when the far end has answered. Repeating it is harmless."""
        if dialog.state is not DialogState.CONFIRMED:
            self._hang_up_early(dialog, headers)
            return
        if dialog.unacknowledged is not None:  # the callee must not send BYE before the ACK (15)
            dialog.unacknowledged.hang_up_after(headers)
            return
        dialog.state = DialogState.ENDING
        self._acknowledge_if_due(dialog, now)
        self.send_bye(dialog, now, headers, reason)

    def _hang_up_early(self, dialog: Dialog, headers: HeaderLines) -> None:
        """Our 2xx waits for a PRACK: the BYE follows it."""
        invite = dialog.server_invite
        if dialog.state is DialogState.EARLY and invite is not None and invite.reliable is not None:
            invite.reliable.then(lambda now: self.bye(dialog, now, headers))

    def send_bye(self, dialog: Dialog, now: float, headers: HeaderLines, reason: DialogEndReason) -> None:
        """Send the BYE of a dialog that is ending."""
        dialog.state = DialogState.ENDING

        def build() -> Request:
            return with_content(dialog.request("BYE"), headers, b"", "")

        done = partial(self._on_bye_done, dialog, headers, reason)
        ClientRequest(self.core, build, done, flow=dialog.next_hop(), digest=dialog.digest).start(now)

    def _on_bye_done(
        self,
        dialog: Dialog,
        headers: HeaderLines,
        reason: DialogEndReason,
        request: ClientRequest,
        status: int,
        response: Response | None,
        cause: EndCause | None,
        now: float,
    ) -> None:
        if cause is EndCause.TIMEOUT:
            reason = DialogEndReason.TIMEOUT if reason is DialogEndReason.BYE else reason
        elif cause is EndCause.TRANSPORT:
            if dialog.lost_byes < len(RECONNECT_PAUSES):
                self._send_bye_anew(dialog, headers, reason, now)
                return
            reason = DialogEndReason.TRANSPORT if reason is DialogEndReason.BYE else reason
        elif status in GONE and reason is DialogEndReason.BYE:
            reason = DialogEndReason.GONE
        self.core.end_dialog(dialog, now, by_peer=False, reason=reason)

    def _send_bye_anew(
        self, dialog: Dialog, headers: HeaderLines, reason: DialogEndReason, now: float
    ) -> None:
        """The connection of a BYE is lost: send it over a new one, at once or after a pause."""
        pause = RECONNECT_PAUSES[dialog.lost_byes] * self.core.config.t1
        dialog.lost_byes += 1
        dialog.leave_connection()

        def send(now: float) -> None:
            if dialog.state is DialogState.ENDING:
                self.send_bye(dialog, now, headers, reason)

        if pause:
            self.core.wheel.start(now + pause, send)
        else:
            send(now)

    def _acknowledge_if_due(self, dialog: Dialog, now: float) -> None:
        """Send the ACK that the caller did not: a 2xx without one would be repeated after the BYE."""
        if dialog.needs_ack:
            self.send_ack(dialog, b"", now)

    def _report_response(
        self,
        request: ClientRequest,
        status: int,
        response: Response | None,
        cause: EndCause | None,
        now: float,
    ) -> None:
        self.core.events.append(ResponseReceived(request, status, response))

    def _refuse_overload(self) -> None:
        if self.core.layer.is_full or len(self.core.dialogs) >= self.core.config.max_dialogs:
            raise LocalOverload()

    def _refuse_ended(self, dialog: Dialog) -> None:
        if dialog.state is not DialogState.CONFIRMED:
            raise LocalDialogOver(dialog.call_id)

    # --- answers that come too late ---

    def watch_for_stray(self, invite: ClientInvite, branch: str, now: float) -> None:
        """Remember an INVITE that was given up: a late 2xx to it gets ACK and BYE."""
        if len(self._strays) >= self.core.config.max_transactions:
            return
        self._strays[branch] = invite
        self.core.wheel.start(now + self.core.config.give_up, partial(self._forget_stray, branch))

    def _forget_stray(self, branch: str, now: float) -> None:
        self._strays.pop(branch, None)

    def receive_stray(self, response: Response, now: float) -> None:
        """Take a response that has no transaction."""
        invite = self._strays.get(response.via.branch)
        if invite is not None and 200 <= response.status < 300 and response.cseq.method == "INVITE":
            invite.on_success(response, now)
        else:
            self.core.statistics["responses_unmatched"] += 1

    @property
    def is_idle(self) -> bool:
        """Tell whether no INVITE is remembered (for leak tests)."""
        return not self._strays
