"""The server half of a user agent core: requests from peers, and our answers (RFC 3261 8.2, 9.2, 12.2.2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from .client_side import ClientSide
from .commands import HeaderLines
from .config import MIN_SESSION_S
from .core_state import CoreState
from .dialogs import Dialog, DialogState, contact_of
from .events import AckReceived, Cancelled, DialogEndReason, RequestReceived
from .flows import Flow
from .gate import Gate, OpenGate
from .message import Request, Response, response_to, serialize
from .received_invites import ReceivedInvite
from .server_offers import ServerOffers, sets_timer, takes_sessions
from .session_headers import is_too_short
from .session_timer import follow_request
from .success_repeater import SuccessRepeater
from .transaction_layer import reply_flow
from .transaction_tables import Input
from .transactions import ServerTransaction
from .validation import request_fault, unsupported_options

SUPPORTED: Final[frozenset[str]] = frozenset({"path", "outbound", "100rel"})
"""Option tags that Require may name: Path concerns registrars (RFC 3327), 100rel is RFC 3262."""
SESSION_TIMER: Final = "timer"
"""Option tag of RFC 4028, if session timers are on."""
RETRY_AFTER_S: Final = 5
"""Said with 503 when full: a call set-up lasts about that long."""
MAX_AMPLIFICATION: Final = 3
"""An answer over UDP to whom we do not know has at most so many times the bytes of its request: we are no use
to who forges the address of a victim. A phone sends 300 bytes and more, a challenge has 640."""
_IN_DIALOG_ONLY: Final = frozenset(("BYE", "UPDATE", "PRACK", "INFO", "REFER"))
"""Methods that mean nothing to us outside a dialog: 481."""


class ServerSide:
    """Receives requests, answers those the caller need not see, and hands up the rest."""

    __slots__ = ("_abilities", "_client", "_core", "_handlers", "_offers", "_supported", "gate", "size")

    def __init__(self, core: CoreState, client: ClientSide) -> None:
        self._core = core
        self._client = client
        self._offers = ServerOffers(core, self)
        self.gate: Gate = OpenGate()
        self.size = 0
        """Bytes of the message that is being looked at, as they came."""
        self._abilities: HeaderLines = (("Allow", core.allow), ("Accept", "application/sdp"))
        has_timers = core.config.session_expires_s > 0
        self._supported = SUPPORTED | {SESSION_TIMER} if has_timers else SUPPORTED
        self._handlers: dict[str, Callable[[ServerTransaction, Dialog | None, float], None]] = {
            "INVITE": self._on_invite,
            "BYE": self._on_bye,
            "OPTIONS": self._on_options,
            "UPDATE": self._offers.on_update,
            "PRACK": self._offers.on_prack,
        }

    # --- receiving ---

    def receive(self, request: Request, source: Flow, now: float) -> None:
        """Sort a request: repeated, ACK, CANCEL, in a dialog, or new. Raises RemoteMalformed if garbled."""
        note_source(request, source)
        method = request.method
        if method == "ACK":
            self._on_ack(request, source, now)
            return
        layer = self._core.layer
        known = layer.find_server(request, method)
        if known is not None:
            known.apply(Input.REQUEST, request, now)
            return
        fault = request_fault(request, supported=self._supported)
        if fault is not None:
            if self.gate.answers_fault(request, source, now):
                self.refuse(request, source, fault.status, unsupported_options(request, self._supported))
        elif method == "CANCEL":
            self._on_cancel(request, source, now)
        elif request.to_tag:
            self._receive_in_dialog(request, source, now)
        else:
            self._receive_new(request, source, now)

    def refuse(
        self, request: Request, source: Flow, status: int, unsupported: list[str], headers: HeaderLines = ()
    ) -> None:
        """Answer without a transaction; repeats are answered again. Never answers an ACK."""
        if request.method == "ACK":
            return
        if status == 420:
            headers = (*headers, ("Unsupported", ", ".join(unsupported)))
        self._answer_once(request, source, status, headers)
        self._core.statistics["requests_refused"] += 1

    def _answer_once(self, request: Request, source: Flow, status: int, headers: HeaderLines) -> None:
        """Answer and keep nothing (8.2.7)."""
        response = response_to(request, status, to_tag=self._core.new_tag())
        for name, value in headers:
            response.headers.add(name, value)
        data = serialize(response)
        if not source.is_reliable and len(data) > MAX_AMPLIFICATION * self.size:
            self._core.statistics["answers_too_large"] += 1
            return
        self._core.layer.transmit(data, reply_flow(request.via, source))

    def _receive_new(self, request: Request, source: Flow, now: float) -> None:
        layer, config = self._core.layer, self._core.config
        turned_away = self.gate.judge(request, source, now)
        if turned_away is not None:
            if turned_away.status:
                self.refuse(request, source, turned_away.status, [], turned_away.headers)
        elif request.method == "OPTIONS":  # a probe: the same for everybody and everything (11.2)
            self._answer_once(request, source, 200, (*self._abilities, ("Server", config.user_agent)))
        elif request.method not in config.allow:
            self.refuse(request, source, 405, [], (("Allow", self._core.allow),))
        elif request.method in _IN_DIALOG_ONLY:
            self.refuse(request, source, 481, [])
        elif layer.is_merged(request):
            self.refuse(request, source, 482, [])
        elif layer.is_full or len(self._core.dialogs) >= config.max_dialogs:
            self.refuse(request, source, 503, [], (("Retry-After", str(RETRY_AFTER_S)),))
        else:
            self._hand_up(layer.accept(request, self, source), None, now)

    def _receive_in_dialog(self, request: Request, source: Flow, now: float) -> None:
        dialog = self._core.dialogs.get((request.call_id, request.to_tag, request.from_tag))
        if dialog is None:
            self.refuse(request, source, 481, [])
            return
        if request.method not in self._core.config.allow:
            self.refuse(request, source, 405, [], (("Allow", self._core.allow),))
            return
        if request.cseq.number <= dialog.remote_cseq:  # out of order (12.2.2)
            self.refuse(request, source, 500, [])
            return
        dialog.remote_cseq = request.cseq.number
        transaction = self._core.layer.accept(request, self, source)
        transaction.dialog = dialog
        transaction.to_tag = dialog.local_tag
        self._hand_up(transaction, dialog, now)

    def _hand_up(self, transaction: ServerTransaction, dialog: Dialog | None, now: float) -> None:
        if (
            self._core.session_lines
            and takes_sessions(transaction.request)
            and is_too_short(transaction.request)
        ):
            self.respond(transaction, 422, headers=(("Min-SE", str(MIN_SESSION_S)),), now=now)
            return
        handler = self._handlers.get(transaction.request.method)
        if handler is not None:
            handler(transaction, dialog, now)
            return
        transaction.guard(now)
        self._core.events.append(RequestReceived(transaction, transaction.request, dialog))

    # --- methods ---

    def _on_invite(self, transaction: ServerTransaction, dialog: Dialog | None, now: float) -> None:
        if dialog is not None and not self._may_change(transaction, dialog, now):
            return
        transaction.guard(now)
        self.respond(transaction, 100, now=now)
        if dialog is not None:
            dialog.server_invite = transaction
            dialog.take_target(transaction.request, transaction.source)
        self._core.events.append(RequestReceived(transaction, transaction.request, dialog))

    def _may_change(self, transaction: ServerTransaction, dialog: Dialog, now: float) -> bool:
        """Refuse a re-INVITE in an early dialog, or one that meets another offer (14.2)."""
        if dialog.state is DialogState.EARLY:
            self.respond(transaction, 500, now=now)
            return False
        return self._offers.may_offer(transaction, dialog, now)

    def _on_bye(self, transaction: ServerTransaction, dialog: Dialog | None, now: float) -> None:
        assert dialog is not None  # a BYE without a dialog was refused
        self.respond(transaction, 200, now=now)
        pending = dialog.server_invite
        if pending is not None and not pending.is_answered:
            self._terminate(pending, transaction.request, now)
        if dialog.state is DialogState.CONFIRMED:
            self._core.end_dialog(
                dialog, now, by_peer=True, reason=DialogEndReason.BYE, request=transaction.request
            )
        # ENDING: our own BYE crossed it, and its end is the end.

    def _on_options(self, transaction: ServerTransaction, dialog: Dialog | None, now: float) -> None:
        self.respond(transaction, 200, headers=self._abilities, now=now)

    def _on_cancel(self, request: Request, source: Flow, now: float) -> None:
        invite = self._core.layer.find_server(request, "INVITE")
        if invite is None:
            self.refuse(request, source, 481, [])
            return
        cancel = self._core.layer.accept(request, self, source)
        invite.to_tag = cancel.to_tag = invite.to_tag or self._core.new_tag()
        self.respond(cancel, 200, now=now)
        if not invite.is_answered:
            self._terminate(invite, request, now)

    def give_up_invite(self, transaction: ServerTransaction, now: float, *, status: int) -> None:
        """Refuse an INVITE although our caller did not, and tell it."""
        self._terminate(transaction, None, now, status=status)

    def _terminate(
        self, invite: ServerTransaction, request: Request | None, now: float, status: int = 487
    ) -> None:
        self.respond(invite, status, now=now)
        self._core.events.append(Cancelled(invite, request))

    def _on_ack(self, request: Request, source: Flow, now: float) -> None:
        transaction = self._core.layer.find_server(request, "INVITE")
        if transaction is not None:
            transaction.apply(Input.ACK, request, now)
        else:
            self._acknowledge(request, now)

    def on_ack(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """An ACK of a 2xx that bears the branch of its INVITE, as RFC 2543 had it."""
        self._acknowledge(request, now)

    def _acknowledge(self, request: Request, now: float) -> None:
        dialog = self._core.dialogs.get((request.call_id, request.to_tag, request.from_tag))
        waiting = dialog.unacknowledged if dialog is not None else None
        if dialog is None or waiting is None or waiting.cseq != request.cseq.number:
            return  # repeated, late, or for nobody: an ACK is never answered
        self._core.events.append(AckReceived(dialog, request, request.body))
        waiting.acknowledge(now)

    def on_unanswered(self, transaction: ServerTransaction, now: float) -> None:
        """Our caller has forgotten an INVITE."""
        self._core.statistics["invites_unanswered"] += 1
        self._terminate(transaction, None, now, status=480)

    # --- answering ---

    def respond(
        self,
        transaction: ServerTransaction,
        status: int,
        reason: str = "",
        *,
        headers: HeaderLines = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
        now: float,
    ) -> Dialog | None:
        """Answer a request; return the dialog it is in, or makes.

        After a final answer it does nothing: the CANCEL may have come first. A 2xx to an INVITE waits for the
        PRACK of a provisional answer; Cancelled follows in place of DialogEnded if neither comes to be.
        """
        if transaction.is_answered:
            return None
        dialog = transaction.dialog
        if transaction.is_invite and dialog is not None and dialog.is_over and status < 300:
            # the call ended while its re-INVITE was thought over
            status, reason, headers, body = 487, "", (), b""
        if status > 100 and not transaction.to_tag:
            transaction.to_tag = self._core.new_tag()
        response = response_to(transaction.request, status, reason, to_tag=transaction.to_tag)
        if transaction.is_invite and 100 < status < 300:
            dialog = dialog or self._make_dialog(transaction, response)
            response.headers.add("Contact", dialog.contact)
        if transaction.is_invite and status == 200:
            response.headers.add("Allow", self._core.allow)
        response.headers.add("Server", self._core.config.user_agent)
        for name, value in headers:
            response.headers.add(name, value)
        if body:
            response.headers.add("Content-Type", content_type)
            response.body = body
            if dialog is not None:
                dialog.local_session = body
        reliable = transaction.reliable
        if transaction.is_invite and 100 < status < 200:
            self._offers.send_provisional(transaction, response, now)
        elif reliable is not None and reliable.is_waiting and 200 <= status < 300:
            reliable.finish_after(partial(self._send, transaction, response))
        else:
            self._send(transaction, response, now)
        return dialog

    def _send(self, transaction: ServerTransaction, response: Response, now: float) -> None:
        """Send an answer, unless a final one was sent meanwhile; a 2xx may set the session timer."""
        if transaction.is_answered:
            return
        dialog, status = transaction.dialog, response.status
        if self._core.session_lines and 200 <= status < 300 and sets_timer(transaction):
            assert dialog is not None  # INVITE has made one, UPDATE is in one
            for name, value in follow_request(self._client, dialog, transaction.request, now):
                response.headers.add(name, value)
        data = serialize(response)
        transaction.send_response(status, data, now)
        if status >= 200:
            self._note_final(transaction, dialog, status, data, now)

    def _note_final(
        self, transaction: ServerTransaction, dialog: Dialog | None, status: int, data: bytes, now: float
    ) -> None:
        if transaction.reliable is not None:
            transaction.reliable.stop()
        if transaction.is_invite:
            self._finish_invite(transaction, dialog, status, data, now)
        elif dialog is not None and dialog.server_update is transaction:
            dialog.server_update = None
            if status < 300 and dialog.state is DialogState.EARLY:
                dialog.early_session = transaction.request.body

    # --- INVITEs that wait ---

    def received_invite(self, record: ReceivedInvite) -> ServerTransaction | None:
        """Return the transaction of an INVITE that still waits for its answer."""
        transaction = self._core.layer.find_server(record.request(), "INVITE")
        return None if transaction is None or transaction.is_answered else transaction

    def resume_received(self, record: ReceivedInvite, to_tag: str, now: float) -> ServerTransaction:
        """Take up an INVITE that came to an earlier process."""
        transaction = self.received_invite(record)
        if transaction is None:
            transaction = self._core.layer.accept(record.request(), self, record.source_anew())
            transaction.guard(now)
        transaction.to_tag = to_tag
        return transaction

    def _make_dialog(self, transaction: ServerTransaction, response: Response) -> Dialog:
        request = transaction.request
        dialog = Dialog(
            call_id=request.call_id,
            local=response.headers.get("To") or "",
            local_tag=transaction.to_tag,
            remote=request.headers.get("From") or "",
            remote_tag=request.from_tag,
            local_cseq=0,
            remote_cseq=request.cseq.number,
            remote_target=contact_of(request) or request.from_.uri,
            route_set=tuple([str(route) for route in request.record_route]),
            flow=transaction.source,
            contact=self._core.contact(
                transaction.source, secure=transaction.request.uri.startswith("sips:")
            ),
            is_caller=False,
        )
        dialog.allowed = request.headers.lines("Allow")
        dialog.server_invite = transaction
        transaction.dialog = dialog
        self._core.add_dialog(dialog)
        return dialog

    def _finish_invite(
        self, transaction: ServerTransaction, dialog: Dialog | None, status: int, data: bytes, now: float
    ) -> None:
        """Confirm the dialog and repeat the 2xx; or drop an early one."""
        if dialog is None:
            return
        if dialog.server_invite is transaction:
            dialog.server_invite = None
        if status < 300:
            dialog.state = DialogState.CONFIRMED
            dialog.is_reported = dialog.is_agreed = True
            dialog.unacknowledged = SuccessRepeater(self._client, transaction, dialog, data, now)
        elif dialog.state is DialogState.EARLY and not dialog.is_caller:  # else our own INVITE goes on in it
            self._core.drop_dialog(dialog)


def note_source(request: Request, source: Flow) -> None:
    """Write into the top Via where the request came from (RFC 3261 18.2.1, RFC 3581)."""
    via = request.via
    host, port = source.remote
    params = via.params
    if "rport" in params:
        params = params.with_("rport", str(port)).without("received").with_("received", host)
    elif via.host.strip("[]") != host:
        params = params.without("received").with_("received", host)
    else:
        return
    request.headers.replace_first("Via", f"SIP/2.0/{via.transport} {via.sent_by}{params}")
