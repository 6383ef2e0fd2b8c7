"""How two answered legs come to hear each other; sessions.py has what phones change afterwards.

With the relay in the path a join is one command to it. A bypass carries the second party's offer to the
first in a re-INVITE and the answer back in the ACK (RFC 3725 flow IV); a first party that refuses it is
joined through the relay after all.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol

import structlog

from offhook.calls import policy
from offhook.calls.events import LegEvent, LegsJoined
from offhook.kernel import Clock
from offhook.sip.errors import SipError
from offhook.sip.events import ReinviteAnswered, ReinviteFailed

from .call_media import CallMedia, MediaIncompatible
from .legs import EngineLeg, Stage
from .relay import MediaError, RelaySide
from .transports import SipEndpoint

_log = structlog.get_logger("offhook.engine")

_RETRY_WITH_RELAY: Final = frozenset({406, 415, 488})
"""A phone that refuses the other's SDP with one of these may take the relay's."""


class LegControl(Protocol):
    """What a join needs of the engine."""

    report: Callable[[LegEvent], None]

    def report_later(self, event: LegEvent) -> None:
        """Tell the call machine in a later turn of the loop."""
        ...

    def end_leg(self, leg: EngineLeg, cause: str) -> None:
        """Hang up."""
        ...

    def acknowledge(self, leg: EngineLeg, answer: bytes) -> None:
        """Send the ACK that a late offer waits for."""
        ...

    def move(self, leg: EngineLeg, media: CallMedia, side: RelaySide) -> None:
        """Let a leg use a place in the media of another call, and its own no more."""
        ...

    def run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run what has to wait."""
        ...


class Joins:
    """Joins legs."""

    def __init__(self, legs: LegControl, endpoint: SipEndpoint, clock: Clock) -> None:
        self._legs = legs
        self._endpoint = endpoint
        self._core = endpoint.core
        self._clock = clock

    def join(self, first: EngineLeg, second: EngineLeg | None) -> None:
        """Let two answered legs hear each other; LegsJoined is reported when they do."""
        if second is None or Stage.ENDING in (first.stage, second.stage):
            return None
        if second.stage is Stage.ANSWERED:
            if first.media.must_narrow(first.side):
                if not first.is_confirmed:
                    first.when_confirmed = partial(self.join, first, second)
                    return None
                return self._legs.run(self._narrow(first, second), f"narrow {first.leg_id}")
            first.media.join()
            return self._legs.report_later(LegsJoined(first.leg_id, second.leg_id))
        if not first.is_confirmed:
            first.when_confirmed = partial(self.join, first, second)
            return None
        assert first.dialog is not None
        if first.media.needs_relay(first.side, second.remote_offer):
            return self._legs.run(self._join_by_relay(first, second), f"join {first.leg_id}")
        offer = first.media.foreign(first.side, second.remote_offer)
        try:
            invite = self._core.reinvite(first.dialog, offer, self._clock.monotonic())
        except SipError as error:  # the first party's BYE is being handled, or it is changing its session
            _log.info("no re-INVITE now", leg_id=first.leg_id, reason=str(error))
            return self._legs.end_leg(second, "NORMAL_TEMPORARY_FAILURE")
        invite.context = second

    def link(self, leg: EngineLeg, guest: EngineLeg | None) -> None:
        """Let legs of two calls hear each other: the guest moves to the place of the first one's partner."""
        if guest is not None and Stage.ENDING not in (leg.stage, guest.stage):
            self._legs.run(self._move(leg, guest), f"move {guest.leg_id}")

    async def _move(self, leg: EngineLeg, guest: EngineLeg) -> None:
        """Offer the guest the port that the leg's partner had, in a re-INVITE."""
        side = leg.side.other
        try:
            offer = await leg.media.offer_place(side, guest.media, guest.side)
            if guest.dialog is None or guest.stage is not Stage.ANSWERED:
                return
            invite = self._core.reinvite(guest.dialog, offer.to_bytes(), self._clock.monotonic())
        except (MediaError, MediaIncompatible, SipError) as error:
            _log.info("no common media", leg_id=guest.leg_id, reason=str(error))
            return self._legs.end_leg(guest, "INCOMPATIBLE_DESTINATION")
        invite.context = guest  # nobody else waits for it
        guest.offer = offer
        self._legs.move(guest, leg.media, side)
        self._endpoint.flush()

    def _on_moved(self, guest: EngineLeg, body: bytes) -> None:
        """The guest sends to its new place: join it there."""
        assert guest.offer is not None
        try:
            guest.media.take_answer(guest.side, guest.offer, body)
        except MediaIncompatible as error:
            _log.info("an answer without usable media", leg_id=guest.leg_id, reason=str(error))
            return self._legs.end_leg(guest, "INCOMPATIBLE_DESTINATION")
        guest.media.join()

    async def _narrow(self, first: EngineLeg, second: EngineLeg) -> None:
        """The second party took none of what the first sends best: ask the first to change, then join."""
        try:
            first.offer = await first.media.narrowed_offer(first.side)
            if first.dialog is not None and first.stage is Stage.ANSWERED:
                body = first.offer.to_bytes()
                invite = self._core.reinvite(first.dialog, body, self._clock.monotonic())
                invite.context = second
        except (MediaError, MediaIncompatible, SipError) as error:
            _log.info("codecs stay as they are", leg_id=first.leg_id, reason=str(error))
            self._join_through_relay(first, second)
        self._endpoint.flush()

    def _join_through_relay(self, first: EngineLeg, second: EngineLeg) -> None:
        if first.stage is Stage.ANSWERED and second.stage is Stage.ANSWERED:
            first.media.join()
            self._legs.report(LegsJoined(first.leg_id, second.leg_id))

    def _on_narrowed(self, first: EngineLeg, second: EngineLeg, body: bytes) -> None:
        assert first.offer is not None
        try:
            first.media.take_answer(first.side, first.offer, body)
        except MediaIncompatible as error:
            _log.info("an answer of no use to a narrower offer", leg_id=first.leg_id, reason=str(error))
        self._join_through_relay(first, second)

    def on_answered(self, event: ReinviteAnswered) -> None:
        """The first party took the second's offer: pass its answer on, let the relay go."""
        first, second = event.dialog.context, event.invite.context
        self._core.send_ack(event.dialog, b"", self._clock.monotonic())
        if not isinstance(first, EngineLeg) or not isinstance(second, EngineLeg):
            return
        if first is second:
            return self._on_moved(first, event.response.body)
        if second.stage is Stage.ANSWERED:
            return self._on_narrowed(first, second, event.response.body)
        if second.stage is not Stage.ANSWERED_LATE or first.stage is not Stage.ANSWERED:
            return  # one of them hung up meanwhile
        if not event.response.body:
            return self._legs.end_leg(first, "INCOMPATIBLE_DESTINATION")
        self._legs.acknowledge(second, first.media.foreign(second.side, event.response.body))
        first.media.go_direct()
        self._legs.report(LegsJoined(first.leg_id, second.leg_id))

    def on_failed(self, event: ReinviteFailed) -> None:
        """The first party refused the second's SDP: fall back to the relay if there is one."""
        first, second = event.dialog.context, event.invite.context
        if not isinstance(first, EngineLeg) or not isinstance(second, EngineLeg):
            return
        if event.dialog.is_over:
            return first.note_gone(event.status)
        if first is second:
            return self._legs.end_leg(first, policy.cause_of_sip(event.status))
        if second.stage is Stage.ANSWERED:
            return self._join_through_relay(first, second)  # most phones take what they did not list
        if second.stage is not Stage.ANSWERED_LATE or first.stage is not Stage.ANSWERED:
            return
        if event.status not in _RETRY_WITH_RELAY or not first.media.has_relay:
            self._legs.end_leg(first, policy.cause_of_sip(event.status))
            return
        self._legs.run(self._join_by_relay(first, second), f"join {first.leg_id}")

    async def _join_by_relay(self, first: EngineLeg, second: EngineLeg) -> None:
        try:
            answer = await second.media.answer(second.side, second.remote_offer)
        except (MediaIncompatible, MediaError) as error:
            _log.info("no common media", leg_id=second.leg_id, reason=str(error))
            return self._legs.end_leg(second, "INCOMPATIBLE_DESTINATION")
        if second.stage is Stage.ANSWERED_LATE and first.stage is Stage.ANSWERED:
            self._legs.acknowledge(second, answer)
            first.media.join()
            self._endpoint.flush()
            self._legs.report(LegsJoined(first.leg_id, second.leg_id))
