"""The user agent core: SIP without input and output (RFC 3261 sections 8, 12, 13, 15, 17)."""

from __future__ import annotations

from collections.abc import Mapping

from offhook.kernel import Random

from .client_invite import ClientInvite
from .client_reinvite import ClientReinvite
from .client_request import ClientRequest
from .client_side import ClientSide
from .commands import EndReason, HeaderLines, InviteRequest, OutgoingRequest
from .config import UserAgentConfig
from .core_state import CoreState
from .dialogs import Dialog
from .errors import LocalHeaderInjection, RemoteMalformed
from .events import InviteProgress, SipEvent
from .flows import Flow
from .gate import Gate
from .message import Request, Response, parse_message
from .received_invites import ReceivedInvite
from .records import DialogRecord, InviteRecord
from .server_side import ServerSide
from .transactions import ServerTransaction


class UserAgentCore:
    """SIP user agent: transactions and dialogs (RFC 3261 section 17 and 12).

    Inputs: calls on this object, receive_message(), flow_failed(), handle_timer().
    After any input, drain next_event() and messages_to_send(), then arm next_timer().
    Times are monotonic seconds (float). Never blocks, never raises on what a peer sends.
    """

    __slots__ = ("_client", "_server", "_state")

    def __init__(self, config: UserAgentConfig, random: Random) -> None:
        self._state = CoreState(config, random)
        self._client = ClientSide(self._state)
        self._server = ServerSide(self._state, self._client)

    # --- inputs from below ---

    def receive_message(self, data: bytes, source: Flow, now: float) -> None:
        """Take one message: a datagram, or what StreamFramer has cut from a stream."""
        statistics = self._state.statistics
        statistics["messages_received"] += 1
        self._server.size = len(data)
        try:
            message = parse_message(data)
            if isinstance(message, Request):
                self._server.receive(message, source, now)
            else:
                self._receive_response(message, now)
        except RemoteMalformed as fault:
            statistics["messages_malformed"] += 1
            self._answer_malformed(fault, source, now)
        except LocalHeaderInjection:  # what it says cannot be said again, and a peer crashes nobody
            statistics["messages_unrepeatable"] += 1

    def _receive_response(self, response: Response, now: float) -> None:
        # Read all that will be needed first: a transaction must not take half of a garbled answer.
        _ = response.to_tag, response.call_id
        if 200 <= response.status < 300 or "rseq" in response.headers.by_key():
            _ = response.record_route
        vias = response.vias
        if len(vias) > 1:  # it has lost its way (8.1.3.3)
            self._state.statistics["responses_unmatched"] += 1
        elif not self._state.layer.receive_response(response, vias[0].branch, now):
            self._client.receive_stray(response, now)

    def _answer_malformed(self, fault: RemoteMalformed, source: Flow, now: float) -> None:
        """Answer what was wrong with a request, if it says where to."""
        if fault.request is None or not self._server.gate.answers_fault(fault.request, source, now):
            return
        try:
            self._server.refuse(fault.request, source, fault.status, [])
        except RemoteMalformed:
            return  # not even the Via can be read

    def guard(self, gate: Gate) -> None:
        """Ask gate about each new request from now on."""
        self._server.gate = gate

    def advertise_port(self, port: int) -> None:
        """Put the port the system chose in place of port 0 (the shell calls it when it has bound)."""
        advertised = self._state.config.advertised
        for transport, (host, configured) in advertised.items():
            advertised[transport] = (host, configured or port)

    def own_address(self, flow: Flow) -> tuple[str, int]:
        """Return the host and port that the peer of a flow reaches us at."""
        return self._state.config.own_address(flow)

    def flow_failed(self, flow: Flow, now: float) -> None:
        """A connection is lost, or could not be opened: what waits on it fails, or goes over UDP."""
        self._state.layer.flow_failed(flow, now)
        self._client.acks.flow_failed(flow, now)

    def handle_timer(self, now: float) -> None:
        """Do what is due."""
        self._state.wheel.advance(now)

    # --- outputs ---

    def next_timer(self) -> float | None:
        """Return when to call handle_timer, or None."""
        return self._state.wheel.next_due()

    def next_event(self) -> SipEvent | None:
        """Return the next thing that happened, or None."""
        events = self._state.events
        while events:
            event = events.popleft()
            if isinstance(event, InviteProgress) and event.invite.cancel_cause is not None:
                continue  # cancelled since: the caller has lost interest
            return event
        return None

    def messages_to_send(self) -> list[tuple[bytes, Flow]]:
        """Return what to transmit, in order; the next call returns what came since."""
        layer = self._state.layer
        outbox, layer.outbox = layer.outbox, []
        layer.statistics["messages_sent"] += len(outbox)
        return outbox

    # --- client ---

    def invite(self, request: InviteRequest, now: float) -> ClientInvite:
        """Send an INVITE. InviteProgress*, then InviteAnswered or InviteEnded follow.

        Raises LocalOverload when full, LocalHeaderInjection for a line break in a header.
        """
        return self._client.invite(request, now)

    def cancel(self, invite: ClientInvite, now: float, reason: EndReason | None = None) -> None:
        """Give an INVITE up; InviteEnded follows when the far end is clean. Harmless when it is over."""
        invite.cancel(reason, now)

    def send_ack(self, dialog: Dialog, body: bytes, now: float, *, branch: str = "") -> None:
        """Acknowledge the 2xx of invite() or reinvite(); the core repeats it for repeated 2xx.

        A branch of the caller's own lets a later process send the very same ACK.
        """
        self._client.send_ack(dialog, body, now, branch=branch)

    def bye(self, dialog: Dialog, now: float, headers: HeaderLines = ()) -> None:
        """End a dialog. DialogEnded follows; harmless when it is over."""
        self._client.bye(dialog, now, headers)

    def reinvite(self, dialog: Dialog, body: bytes, now: float, headers: HeaderLines = ()) -> ClientReinvite:
        """Offer a new session. ReinviteAnswered or ReinviteFailed follows. Raises LocalDialogOver."""
        return self._client.reinvite(dialog, body, now, headers)

    def update(self, dialog: Dialog, body: bytes, now: float, headers: HeaderLines = ()) -> ClientRequest:
        """Offer a new session by UPDATE, in an early dialog too. UpdateAnswered follows, once.

        Only for a peer that `dialog.allows("UPDATE")`. Raises LocalDialogOver.
        """
        return self._client.update(dialog, body, now, headers)

    def request(self, request: OutgoingRequest, now: float) -> ClientRequest:
        """Send REGISTER, OPTIONS… outside a dialog. ResponseReceived follows, once. Raises LocalOverload."""
        return self._client.request(request, now)

    def request_in_dialog(
        self,
        dialog: Dialog,
        method: str,
        now: float,
        *,
        headers: HeaderLines = (),
        body: bytes = b"",
        content_type: str = "",
    ) -> ClientRequest:
        """Send INFO, OPTIONS… in a dialog. ResponseReceived follows, once. Raises LocalDialogOver."""
        return self._client.request_in_dialog(
            dialog, method, now, headers=headers, body=body, content_type=content_type
        )

    def resume_invite(self, record: InviteRecord, now: float) -> ClientInvite:
        """Take up an INVITE that a process before us sent, to cancel() it. InviteEnded follows that.

        Make the record when the INVITE is sent: InviteRecord.of(invite). If it was answered meanwhile,
        the peer's repeated 2xx is acknowledged and hung up.
        """
        return self._client.resume_invite(record, now)

    def resume_dialog(self, record: DialogRecord) -> Dialog:
        """Take up a dialog of a process before us, to end it with bye(). DialogEnded follows that.

        Make the record when it is answered: DialogRecord.of(dialog).
        """
        return self._client.resume_dialog(record)

    # --- server ---

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
        """Answer a request; return the dialog it is in, or makes. Nothing happens after a final answer."""
        return self._server.respond(
            transaction, status, reason, headers=headers, body=body, content_type=content_type, now=now
        )

    def record_of(self, transaction: ServerTransaction) -> ReceivedInvite:
        """Return what to keep of a received INVITE, to answer it later: by this process, or by the next."""
        return ReceivedInvite.of(transaction, self._state.contact(transaction.source))

    def received_invite(self, record: ReceivedInvite) -> ServerTransaction | None:
        """Return an INVITE that still waits for respond(); None if it is cancelled, answered or forgotten."""
        return self._server.received_invite(record)

    def resume_received(self, record: ReceivedInvite, to_tag: str, now: float) -> ServerTransaction:
        """Take up an INVITE that a process before us received, to respond() to it with the tag it was given.

        If our 2xx may be out, end that too: resume_dialog(record.dialog(to_tag)), bye().
        """
        return self._server.resume_received(record, to_tag, now)

    def find_dialog(self, call_id: str, local_tag: str, remote_tag: str) -> Dialog | None:
        """Return the dialog that a Replaces names (RFC 3891 3), or None."""
        return self._state.dialogs.get((call_id, local_tag, remote_tag))

    # --- for metrics and tests ---

    @property
    def statistics(self) -> Mapping[str, int]:
        """Counters since the start, by name."""
        return self._state.statistics

    @property
    def transaction_count(self) -> int:
        """Transactions that live."""
        return len(self._state.layer)

    @property
    def dialog_count(self) -> int:
        """Dialogs that live, early ones too."""
        return len(self._state.dialogs)

    @property
    def timer_count(self) -> int:
        """Timers that will still fire (walks the wheel)."""
        return len(self._state.wheel)

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing of any call is left."""
        return not (
            self.transaction_count or self.dialog_count or self._state.events or not self._client.is_idle
        )
