"""The four transactions of RFC 3261 section 17: the tables of transaction_tables.py with their actions.

An action runs after the state has changed. It queues bytes in the layer, starts timers, and tells
the user of the transaction; it does no input or output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from .events import EndCause
from .flows import Flow, flow_anew
from .message import Request, Response
from .transaction_base import Resolved, Transaction, resolved
from .transaction_tables import (
    INVITE_CLIENT,
    INVITE_SERVER,
    NON_INVITE_CLIENT,
    NON_INVITE_SERVER,
    Input,
    State,
)

if TYPE_CHECKING:
    from .dialogs import Dialog
    from .server_reliable import ReliableProvisionals
    from .transaction_layer import TransactionLayer


class ClientUser(Protocol):
    """Who sent a request. Callbacks come in the order things happen."""

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """A response that is not a repeat; for INVITE every 2xx, repeated or not."""

    def on_failure(self, transaction: ClientTransaction, cause: EndCause, now: float) -> None:
        """No final response will come: TIMEOUT or TRANSPORT."""

    def on_no_final(self, transaction: ClientTransaction, now: float) -> None:
        """An INVITE has only had provisional answers for the time of timer C."""

    def on_forgotten(self, transaction: ClientTransaction) -> None:
        """The transaction has left the layer after its final response."""


class ServerUser(Protocol):
    """Who answers requests."""

    def on_ack(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """An ACK with the branch of an INVITE that had a 2xx."""

    def on_unanswered(self, transaction: ServerTransaction, now: float) -> None:
        """A received INVITE has waited too long for an answer."""


class ClientTransaction(Transaction):
    """A request of ours on its way. `key` is (branch, method)."""

    __slots__ = ("_c_due", "_fallback", "ack", "request", "user")

    _invite_table: Final[Resolved] = {}
    _other_table: Final[Resolved] = {}

    def __init__(
        self, layer: TransactionLayer, request: Request, user: ClientUser, flow: Flow, branch: str
    ) -> None:
        super().__init__(layer, flow)
        self.request = request
        self.user = user
        self.key = (branch, request.method)
        self.ack = b""
        """The ACK of a failure."""
        self._c_due = 0.0
        self._fallback: Flow | None = None
        is_invite = request.method == "INVITE"
        self._table = self._invite_table if is_invite else self._other_table
        self.state = State.CALLING if is_invite else State.TRYING

    @property
    def branch(self) -> str:
        """The branch parameter of its Via."""
        return str(self.key[0])

    @property
    def is_invite(self) -> bool:
        """Tell which of the two machines runs."""
        return self._table is self._invite_table

    def start(self, data: bytes, now: float, *, fallback: Flow | None = None) -> None:
        """Send the request and start timers A and B, or E and F.

        fallback is the UDP flow to try if the TCP flow, chosen for size alone, cannot be opened.
        """
        self.data = data
        self._fallback = fallback
        self.transmit()
        config = self.layer.config
        self.start_timer(Input.TIMER_B if self.is_invite else Input.TIMER_F, config.give_up, now)
        if not self.flow.is_reliable:
            self.start_resending(Input.TIMER_A if self.is_invite else Input.TIMER_E, config.t1, now)

    def abandon(self, now: float) -> None:
        """Give up an INVITE that has no final answer, as if its time had run out; else do nothing."""
        if self.state in (State.CALLING, State.PROCEEDING):
            self.apply(Input.ABANDON, None, now)

    def _forget(self, message: Any, now: float) -> None:
        """Leave the layer, and say so if nothing else was said."""
        super()._forget(message, now)
        self.user.on_forgotten(self)

    def _leave_layer(self) -> None:
        self.layer.drop_client(self)

    # --- actions ---

    def _pass_up(self, response: Response, now: float) -> None:
        self.user.on_response(self, response, now)

    def _proceed(self, response: Response, now: float) -> None:
        self.stop_resending()
        first = self._c_due == 0.0
        self._c_due = now + self.layer.config.timer_c
        if first:
            self.start_timer(Input.TIMER_C, self.layer.config.timer_c, now)
        self.user.on_response(self, response, now)

    def _report_no_final(self, message: None, now: float) -> None:
        if now < self._c_due:  # a provisional came since
            self.start_timer(Input.TIMER_C, self._c_due - now, now)
        else:
            self.user.on_no_final(self, now)

    def _accept(self, response: Response, now: float) -> None:
        self.stop_resending()
        self.data = b""  # it is not sent again, and would stay for 32 s of each call
        self.start_timer(Input.TIMER_M, self.layer.config.give_up, now)
        self.user.on_response(self, response, now)

    def _acknowledge(self, response: Response, now: float) -> None:
        self.ack = self.layer.failure_ack(self, response)
        self.layer.transmit(self.ack, self.flow)
        try:
            self.user.on_response(self, response, now)
        finally:  # timer D: at least 32 seconds over UDP (RFC 3261 17.1.1.2)
            self.linger(Input.TIMER_D, self.layer.config.give_up, now)

    def _resend_ack(self, response: Response, now: float) -> None:
        self.layer.transmit(self.ack, self.flow)

    def _complete(self, response: Response, now: float) -> None:
        self.user.on_response(self, response, now)
        self.linger(Input.TIMER_K, self.layer.config.t4, now)

    def _resend(self, message: None, now: float) -> None:
        """Timer A doubles without end; timer E up to T2."""
        self.transmit()
        self.layer.statistics["requests_resent"] += 1
        if self.is_invite:
            self.start_resending(Input.TIMER_A, self._pause * 2, now)
        else:
            self.start_resending(Input.TIMER_E, min(self._pause * 2, self.layer.config.t2), now)

    def _resend_slowly(self, message: None, now: float) -> None:
        self.transmit()
        self.layer.statistics["requests_resent"] += 1
        self.start_resending(Input.TIMER_E, self.layer.config.t2, now)

    def _report_timeout(self, message: None, now: float) -> None:
        super()._forget(None, now)
        self.user.on_failure(self, EndCause.TIMEOUT, now)

    def _report_transport_error(self, message: None, now: float) -> None:
        super()._forget(None, now)
        if self._fallback is not None:
            self.layer.send_again(self, self._fallback, now)
        else:
            self.user.on_failure(self, EndCause.TRANSPORT, now)


ClientTransaction._invite_table.update(resolved(INVITE_CLIENT, ClientTransaction))
ClientTransaction._other_table.update(resolved(NON_INVITE_CLIENT, ClientTransaction))


class ServerTransaction(Transaction):
    """A received request and its answers. `context` is free for the caller."""

    __slots__ = ("context", "dialog", "merge_key", "reliable", "reply_flow", "request", "source", "to_tag",
                 "user")  # fmt: skip

    _invite_table: Final[Resolved] = {}
    _other_table: Final[Resolved] = {}

    def __init__(
        self,
        layer: TransactionLayer,
        request: Request,
        user: ServerUser,
        *,
        key: tuple[Any, ...],
        source: Flow,
        reply_flow: Flow,
    ) -> None:
        super().__init__(layer, reply_flow)
        self.key = key
        self.request = request
        self.user = user
        self.source = source
        """Where the request came from."""
        self.to_tag = ""
        """Our tag, made with the first answer above 100."""
        self.merge_key: tuple[Any, ...] | None = None
        self.dialog: Dialog | None = None
        self.reliable: ReliableProvisionals | None = None
        """The provisional answers that its caller wants to acknowledge."""
        self.context: object = None
        is_invite = request.method == "INVITE"
        self._table = self._invite_table if is_invite else self._other_table
        self.state = State.PROCEEDING if is_invite else State.TRYING

    @property
    def is_invite(self) -> bool:
        """Tell which of the two machines runs."""
        return self._table is self._invite_table

    @property
    def is_answered(self) -> bool:
        """Tell whether a final answer was sent."""
        return self.state not in (State.TRYING, State.PROCEEDING)

    def guard(self, now: float) -> None:
        """Bound how long the caller may take to answer."""
        config = self.layer.config
        self.start_timer(Input.UNANSWERED, config.unanswered if self.is_invite else config.give_up, now)

    def forget_request(self) -> None:
        """Give up the request: once answered it is not needed, and 4 KB would stay for 32 s."""
        del self.request

    def send_response(self, status: int, data: bytes, now: float) -> None:
        """Send it, unless a final answer was sent before (a race that is nobody's fault)."""
        if status < 200:
            self.apply(Input.PROVISIONAL, data, now)
        else:
            self.apply(Input.SUCCESS if status < 300 else Input.FAILURE, data, now)

    def _leave_layer(self) -> None:
        self.layer.drop_server(self)

    # --- actions ---

    def _send(self, data: bytes, now: float) -> None:
        self.data = data
        self.transmit()

    def _resend(self, message: Request, now: float) -> None:
        self.layer.statistics["requests_repeated"] += 1
        if self.data:
            self.transmit()

    def _send_success(self, data: bytes, now: float) -> None:
        self._send(data, now)
        self.start_timer(Input.TIMER_L, self.layer.config.give_up, now)

    def _send_failure(self, data: bytes, now: float) -> None:
        self._send(data, now)
        config = self.layer.config
        self.start_timer(Input.TIMER_H, config.give_up, now)
        if not self.flow.is_reliable:
            self.start_resending(Input.TIMER_G, config.t1, now)

    def _send_final(self, data: bytes, now: float) -> None:
        self._send(data, now)
        self.linger(Input.TIMER_J, self.layer.config.give_up, now)

    def _resend_doubling(self, message: None, now: float) -> None:
        self.transmit()
        self.start_resending(Input.TIMER_G, min(self._pause * 2, self.layer.config.t2), now)

    def _confirm(self, request: Request, now: float) -> None:
        self.linger(Input.TIMER_I, self.layer.config.t4, now)

    def _leave_connection(self, message: None, now: float) -> None:
        """The caller's connection is lost: answer over a new one to where its Via points (18.2.2).

        Only what somebody here holds; a stranger cannot have us open connections.
        """
        if not self.flow.id or self.flow.transport != "tcp" or (self.context is None and self.dialog is None):
            return
        self.flow = flow_anew(self.source, self.request.via.port)
        if self.state is State.COMPLETED:
            self.start_resending(Input.TIMER_G, self.layer.config.t1, now)
        elif self.state is State.PROCEEDING and self.to_tag:
            self.transmit()  # a 2xx is repeated anyway

    def _pass_up_ack(self, request: Request, now: float) -> None:
        self.user.on_ack(self, request, now)

    def _report_unanswered(self, message: None, now: float) -> None:
        self.user.on_unanswered(self, now)


ServerTransaction._invite_table.update(resolved(INVITE_SERVER, ServerTransaction))
ServerTransaction._other_table.update(resolved(NON_INVITE_SERVER, ServerTransaction))
