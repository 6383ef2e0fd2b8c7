"""How a phone changes its session during a call, and what the other party notices of it.

With the relay in the path an offer is answered from the relay's side, and only what it means is carried
across: a hold becomes music for the other party, and a codec that the other would not understand is agreed
with it first. In a bypass the offer itself goes to the other party, and its answer comes back (RFC 3261
section 14, RFC 3311).
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from offhook.calls.events import LegEvent, LegHolds
from offhook.kernel import Clock
from offhook.sip.dialogs import Dialog
from offhook.sip.errors import RemoteMalformed, SipError
from offhook.sip.events import (
    AckReceived,
    ReinviteAnswered,
    ReinviteFailed,
    RequestReceived,
    SessionRefreshed,
    UpdateAnswered,
)
from offhook.sip.message import Response
from offhook.sip.sdp import SessionDescription, audio_target
from offhook.sip.session_timer import GONE

from .call_media import MediaIncompatible
from .legs import EngineLeg, Stage
from .relay import MediaError
from .transports import SipEndpoint

_log = structlog.get_logger("offhook.engine")

MAX_HOLDS: Final = 500
"""Holds of one phone in one call that are journalled and told; no person presses the key more often."""

_PASSED_ON: Final = frozenset((488, 491, 415, 486, 603, 606))
"""What a phone may be told of the other's refusal; anything else is between us and the other."""


class SessionControl(Protocol):
    """What it needs of the engine."""

    report: Callable[[LegEvent], None]

    def other_of(self, leg: EngineLeg) -> EngineLeg | None:
        """Return the answered leg that this one talks to, or will."""
        ...

    def run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run what has to wait."""
        ...


@dataclass(frozen=True, slots=True)
class Sequel:
    """What follows the answer to a re-INVITE or UPDATE of ours; its `context`."""

    on_answer: Callable[[Response], None]
    """Takes a 2xx. Of a re-INVITE without an offer, the ACK is its business too."""
    on_refusal: Callable[[int], None]
    """Takes the status."""
    acknowledges: bool = True
    """The ACK may go out before that."""


class Sessions:
    """Takes INVITE, UPDATE and PRACK of phones in calls."""

    def __init__(self, legs: SessionControl, endpoint: SipEndpoint, clock: Clock) -> None:
        self._legs = legs
        self._endpoint = endpoint
        self._core = endpoint.core
        self._clock = clock

    # --- offers of phones ---------------------------------------------------------------------------

    def on_offer(self, event: RequestReceived) -> None:
        """A phone changes its session: hold, resume, another codec, another address."""
        leg = event.dialog.context if event.dialog is not None else None
        is_prack = event.request.method == "PRACK"  # it is taken, only its offer is not
        if not isinstance(leg, EngineLeg):
            return self._respond(event, 488 if is_prack else 481)
        if leg.stage not in (Stage.ANSWERED, Stage.INVITING):
            return self._respond(event, 488 if is_prack else 491)
        other = self._legs.other_of(leg)
        is_early_in_place_of_another = leg.stage is Stage.INVITING and leg.command.replaces_leg_id
        if leg.media.can_answer and not is_early_in_place_of_another:
            self._legs.run(self._answer(leg, other, event), f"session {leg.leg_id}")
        elif leg.media.is_direct and other is not None:
            self._pass_on(leg, other, event)
        else:  # nobody to talk to yet, and no relay: it is told to wait
            self._answer_silently(leg, event)

    async def _answer(self, leg: EngineLeg, other: EngineLeg | None, event: RequestReceived) -> None:
        """Answer from the relay's side."""
        body = event.request.body
        try:
            answer = await leg.media.take_new_offer(leg.side, body)
        except MediaIncompatible as error:
            if not await self._ask_other(leg, other, event):
                _log.info("no session in common", leg_id=leg.leg_id, reason=str(error))
                self._respond(event, 488)
        except MediaError:
            self._respond(event, 500)
        else:
            self._respond(event, 200, answer)
            self._note_hold(leg, body)
            is_talking = leg.stage is Stage.ANSWERED and not leg.is_holding
            if other is not None and is_talking and leg.media.must_narrow(other.side):
                await self._narrow(other)
        self._endpoint.flush()

    async def _ask_other(self, leg: EngineLeg, other: EngineLeg | None, event: RequestReceived) -> bool:
        """The other party took no codec of this offer: ask it to, then answer. False if that cannot be."""
        if other is None or other.dialog is None or event.request.method == "PRACK":
            return False
        try:
            offer = await leg.media.offer_of(other.side, event.request.body)
            invite = self._core.reinvite(other.dialog, offer.to_bytes(), self._now())
        except (MediaIncompatible, MediaError, SipError):
            return False

        def take(response: Response) -> None:
            try:
                other.media.take_answer(other.side, offer, response.body)
            except MediaIncompatible:
                return self._respond(event, 488)
            self._legs.run(self._answer(leg, None, event), f"session {leg.leg_id}")

        invite.context = Sequel(take, lambda status: self._respond(event, 488))
        return True

    async def _narrow(self, other: EngineLeg) -> None:
        """The other party would send what this one does not take any more: ask it to change."""
        if other.dialog is None:
            return
        try:
            offer = await other.media.narrowed_offer(other.side)
            invite = self._core.reinvite(other.dialog, offer.to_bytes(), self._now())
        except (MediaIncompatible, MediaError, SipError) as error:
            _log.info("codecs stay as they are", leg_id=other.leg_id, reason=str(error))
            return

        def take(response: Response) -> None:
            try:
                other.media.take_answer(other.side, offer, response.body)
            except MediaIncompatible as error:
                _log.info("an answer of no use", leg_id=other.leg_id, reason=str(error))

        invite.context = Sequel(take, lambda status: None)

    def _answer_silently(self, leg: EngineLeg, event: RequestReceived) -> None:
        answer = leg.media.hold_answer(event.request.body)
        if not answer:
            return self._respond(event, 488)
        self._respond(event, 200, answer)
        self._note_hold(leg, event.request.body)

    def _note_hold(self, leg: EngineLeg, body: bytes) -> None:
        """Report when a phone begins or ends to hold the other party."""
        try:
            is_holding = audio_target(SessionDescription.parse(body)).is_held
        except RemoteMalformed:
            return
        if is_holding != leg.is_holding and leg.stage is Stage.ANSWERED and leg.holds < MAX_HOLDS:
            leg.is_holding = is_holding
            leg.holds += not is_holding
            self._legs.report(LegHolds(leg.leg_id, is_holding))

    # --- bypass: from phone to phone ----------------------------------------------------------------

    def _pass_on(self, leg: EngineLeg, other: EngineLeg, event: RequestReceived) -> None:
        """Carry an offer to the other party, or the wish for one; its answer comes back within its timers."""
        assert other.dialog is not None
        if other.dialog.reinvite is not None or other.dialog.has_our_offer or other.dialog.has_their_offer:
            return self._respond(event, 491)  # to wait for each other's answer would take both their time
        body = event.request.body
        sequel = Sequel(
            lambda response: self._pass_back(leg, other, event, response),
            lambda status: self._respond(event, status if status in _PASSED_ON else 488),
            acknowledges=bool(body),
        )
        try:
            offer = other.media.foreign(other.side, body) if body else b""
            by_update = body and event.request.method == "UPDATE" and other.dialog.allows("UPDATE")
            send = self._core.update if by_update else self._core.reinvite
            send(other.dialog, offer, self._now()).context = sequel
        except SipError as error:
            self._respond(event, 488 if isinstance(error, RemoteMalformed) else 491)

    def _pass_back(
        self, leg: EngineLeg, other: EngineLeg, event: RequestReceived, response: Response
    ) -> None:
        """The other party has answered, or made the offer that was wished for."""
        wished = not event.request.body
        body = _foreign(leg, response.body)
        if wished and (not body or event.transaction.is_answered):  # no ACK will bring its answer
            assert other.dialog is not None
            self._core.send_ack(other.dialog, other.media.hold_answer(response.body), self._now())
        elif wished:
            leg.waits_for_ack = other
        self._respond(event, 200 if body else 488, body)
        if not wished and body:
            self._note_hold(leg, event.request.body)

    # --- what comes back ----------------------------------------------------------------------------

    def on_ack(self, event: AckReceived) -> None:
        """Take the answer that an ACK or PRACK brings to an offer of ours, or of the other party."""
        leg = event.dialog.context
        if not isinstance(leg, EngineLeg):
            return
        other, leg.waits_for_ack = leg.waits_for_ack, None
        if other is not None and other.dialog is not None:
            self._core.send_ack(other.dialog, _foreign(other, event.body), self._now())
        elif event.body and leg.media.can_answer:
            leg.media.take_late_answer(leg.side, event.body)
        if event.body:
            self._note_hold(leg, event.body)

    def on_answered(self, event: ReinviteAnswered) -> bool:
        """Take the answer to a re-INVITE of ours; False if it was not."""
        sequel = event.invite.context
        if not isinstance(sequel, Sequel):
            return False
        if sequel.acknowledges:
            self._core.send_ack(event.dialog, b"", self._now())
        sequel.on_answer(event.response)
        return True

    def on_failed(self, event: ReinviteFailed) -> bool:
        """Take the refusal of a re-INVITE of ours; False if it was not."""
        sequel = event.invite.context
        if not isinstance(sequel, Sequel):
            return False
        sequel.on_refusal(event.status)
        self._note_if_gone(event.dialog, event.status)
        return True

    def on_updated(self, event: UpdateAnswered) -> None:
        """Take the end of an UPDATE of ours."""
        sequel = event.request.context
        if not isinstance(sequel, Sequel):
            return
        if event.response is not None and event.status < 300:
            sequel.on_answer(event.response)
        else:
            sequel.on_refusal(event.status)
            self._note_if_gone(event.dialog, event.status)

    def on_refreshed(self, event: SessionRefreshed) -> None:
        """A refresh was answered: the phone may have moved."""
        leg = event.dialog.context
        if isinstance(leg, EngineLeg) and event.response.body and leg.media.can_answer:
            leg.media.take_late_answer(leg.side, event.response.body)

    def _note_if_gone(self, dialog: Dialog, status: int) -> None:
        if isinstance(dialog.context, EngineLeg) and status in GONE:
            dialog.context.note_gone(status)

    # --- within -------------------------------------------------------------------------------------

    def _respond(self, event: RequestReceived, status: int, body: bytes = b"") -> None:
        self._core.respond(event.transaction, status, body=body, now=self._now())

    def _now(self) -> float:
        return self._clock.monotonic()


def _foreign(leg: EngineLeg, body: bytes) -> bytes:
    """Return the other party's session for this leg; empty without one that can be read."""
    try:
        return leg.media.foreign(leg.side, body) if body else b""
    except RemoteMalformed:
        return b""
