"""Offers and provisional answers inside a dialog, the server's half: re-INVITE, UPDATE and PRACK.

RFC 3261 14.2, RFC 3311 5.2, RFC 3262 3 and 5: who may offer when, and what the peer hears otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from .dialogs import Dialog, DialogState
from .events import AckReceived, RequestReceived
from .message import Request, Response, serialize
from .server_reliable import ReliableProvisionals, must_be_reliable
from .transactions import ServerTransaction

if TYPE_CHECKING:
    from .commands import HeaderLines
    from .core_state import CoreState

BUSY_RETRY_S: Final = 10
"""Upper end of the random Retry-After of RFC 3261 14.2."""


class Answerer(Protocol):
    """What sends the answers."""

    def respond(
        self,
        transaction: ServerTransaction,
        status: int,
        reason: str = "",
        *,
        headers: HeaderLines = (),
        now: float,
    ) -> Dialog | None:
        """Answer a request."""
        ...

    def give_up_invite(self, transaction: ServerTransaction, now: float, *, status: int) -> None:
        """Refuse an INVITE that the caller has not been told to be over, and tell it."""
        ...


class ServerOffers:
    """Sorts requests that bring an offer, or may."""

    __slots__ = ("_answerer", "_core")

    def __init__(self, core: CoreState, answerer: Answerer) -> None:
        self._core = core
        self._answerer = answerer

    def may_offer(self, transaction: ServerTransaction, dialog: Dialog, now: float) -> bool:
        """Refuse an offer that meets another one, or a dialog that is ending; return False then."""
        respond = self._answerer.respond
        is_first = dialog.state is DialogState.EARLY and not dialog.is_agreed
        if dialog.is_over:
            respond(transaction, 481, now=now)
        elif dialog.has_our_offer or (is_first and dialog.is_caller):
            # Ours is under way; or the ACK of the last one was lost, and the peer may try again.
            respond(transaction, 491, now=now)
        elif dialog.has_their_offer or is_first:
            seconds = int(self._core.random.uniform() * (BUSY_RETRY_S + 1))
            respond(transaction, 500, headers=(("Retry-After", str(seconds)),), now=now)
        else:
            return True
        return False

    def on_update(self, transaction: ServerTransaction, dialog: Dialog | None, now: float) -> None:
        """Take an UPDATE: without a body it only refreshes the session and the peer's Contact."""
        assert dialog is not None  # one without a dialog was refused
        request = transaction.request
        if dialog.is_over:
            self._answerer.respond(transaction, 481, now=now)
        elif not request.body:
            dialog.take_target(request, transaction.source)
            self._answerer.respond(transaction, 200, now=now)
        elif self.may_offer(transaction, dialog, now):
            dialog.take_target(request, transaction.source)
            self._hand_up(transaction, dialog, now)

    def on_prack(self, transaction: ServerTransaction, dialog: Dialog | None, now: float) -> None:
        """Take a PRACK: alone, with the answer to our offer, or with another offer."""
        assert dialog is not None
        request, invite = transaction.request, dialog.server_invite
        reliable = invite.reliable if invite is not None else None
        if invite is None or reliable is None or not reliable.take(request, now):
            self._answerer.respond(transaction, 481, now=now)
            return
        has_offered = reliable.carries_session and not invite.request.body
        dialog.is_agreed = dialog.is_agreed or (
            reliable.carries_session and (not has_offered or bool(request.body))
        )
        if request.body and not has_offered and self.may_offer(transaction, dialog, now):
            self._hand_up(transaction, dialog, now)
        elif not transaction.is_answered:
            self._answerer.respond(transaction, 200, now=now)
            if request.body:
                self._core.events.append(AckReceived(dialog, request, request.body))
        reliable.go_on(now)

    def _hand_up(self, transaction: ServerTransaction, dialog: Dialog, now: float) -> None:
        transaction.guard(now)
        dialog.server_update = transaction
        self._core.events.append(RequestReceived(transaction, transaction.request, dialog))

    # --- provisional answers ---

    def send_provisional(self, transaction: ServerTransaction, response: Response, now: float) -> None:
        """Send one from 101 to 199: so that it must be acknowledged, if the caller takes no other."""
        if not self._must_be_reliable(transaction):
            transaction.send_response(response.status, serialize(response), now)
            return
        if transaction.reliable is None:

            def give_up(now: float) -> None:
                self._answerer.give_up_invite(transaction, now, status=504)

            transaction.reliable = ReliableProvisionals(self._core, transaction, give_up)
        transaction.reliable.send(response, now)

    def _must_be_reliable(self, transaction: ServerTransaction) -> bool:
        dialog = transaction.dialog
        return (
            dialog is not None and dialog.state is DialogState.EARLY and must_be_reliable(transaction.request)
        )


def takes_sessions(request: Request) -> bool:
    """Tell whether it may speak of the session timer."""
    return request.method in ("INVITE", "UPDATE")


def sets_timer(transaction: ServerTransaction) -> bool:
    """Tell whether our 2xx to it starts the session timer anew; an UPDATE in an early dialog does not."""
    dialog, method = transaction.dialog, transaction.request.method
    return method == "INVITE" or (
        method == "UPDATE" and dialog is not None and dialog.state is DialogState.CONFIRMED
    )
