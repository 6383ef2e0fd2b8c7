"""Callers: legs that rang us. They wait, hear that the other party rings, and are answered or refused.

The other way round than a leg that we ring: the INVITE is theirs, its answers are ours. A caller hears its
own phone's ringback on 180, or ours, or the other party's early media after 183 with a session. It gets its
200 once the answer of the other party is in the journal, and has answered when its ACK is here.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol

import msgspec
import structlog

from offhook.calls import policy
from offhook.calls.commands import DialLeg, TakeLeg
from offhook.calls.events import LegAnswered, LegEnded, LegEvent
from offhook.kernel import Clock
from offhook.sip.commands import HeaderLines
from offhook.sip.events import AckReceived, Cancelled
from offhook.sip.flows import WEBSOCKETS
from offhook.sip.message import serialize
from offhook.sip.received_invites import ReceivedInvite
from offhook.sip.transactions import ServerTransaction

from .call_media import MediaIncompatible
from .identities import LegIdentities
from .legs import EngineLeg, Stage
from .reasons import cause_in, refusal_headers
from .relay import MediaError, RelaySide
from .surplus import to_journal
from .trace import SipTrace
from .transports import SipEndpoint

_log = structlog.get_logger("offhook.engine")

CANCELED: Final = "ORIGINATOR_CANCEL"


class Caller:
    """What a caller's leg has beside the others."""

    __slots__ = ("body", "refusal", "transaction")

    def __init__(self, transaction: ServerTransaction) -> None:
        self.transaction = transaction
        self.body = b""
        """Our session, once it was said: the same in 183 and 200 (RFC 3264 4)."""
        self.refusal = 0
        """The status that the other party refused with."""

    @property
    def offer(self) -> bytes:
        """What the INVITE offers; empty: it wants our offer."""
        return self.transaction.request.body


class CallerControl(Protocol):
    """What it needs of the engine."""

    report: Callable[[LegEvent], None]

    def report_later(self, event: LegEvent) -> None:
        """Tell the call machine in a later turn of the loop."""
        ...

    def add_leg(self, command: DialLeg, side: RelaySide) -> EngineLeg:
        """Open a leg, and the media of its call."""
        ...

    def end_leg(self, leg: EngineLeg, cause: str) -> None:
        """Hang up or refuse."""
        ...

    def finish(self, leg: EngineLeg, cause: str, code: int, reason: str, *, by_peer: bool) -> None:
        """Report the end of a leg."""
        ...

    def run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run what has to wait."""
        ...


class Callers:
    """Performs what the call machine wants of callers, and takes what they do."""

    def __init__(
        self,
        legs: CallerControl,
        endpoint: SipEndpoint,
        clock: Clock,
        identities: LegIdentities,
        trace: SipTrace,
    ) -> None:
        self._legs = legs
        self._endpoint = endpoint
        self._core = endpoint.core
        self._clock = clock
        self._identities = identities
        self._trace = trace

    # --- what the call machine wants ----------------------------------------------------------------

    def take(self, command: TakeLeg) -> None:
        """Hold a caller. One that has given up meanwhile is over at once."""
        leg_id = command.endpoint.leg_id
        record = msgspec.json.decode(command.endpoint.received, type=ReceivedInvite)
        transaction = self._core.received_invite(record)
        if transaction is None or transaction.context is not None:
            self._legs.report_later(LegEnded(leg_id, CANCELED, 487, by_peer=True))
            return
        self._follow(leg_id, transaction)
        leg = self._legs.add_leg(DialLeg(command.call_id, command.endpoint, command.media), RelaySide.FIRST)
        transaction.context = leg
        transaction.to_tag = transaction.to_tag or self._identities.of(leg_id).tag
        leg.caller = Caller(transaction)
        leg.stage = Stage.CALLING
        leg.is_confirmed = True  # the plan names it: a crash loses no caller
        leg.media.face(leg.side, self._core.own_address(transaction.source)[0])
        try:
            leg.media.take_caller(leg.side, transaction.request.body, command.endpoint.codecs)
        except MediaIncompatible as error:
            _log.info("a caller without usable media", leg_id=leg_id, reason=str(error))
            self._legs.end_leg(leg, "INCOMPATIBLE_DESTINATION")

    def _follow(self, leg_id: str, transaction: ServerTransaction) -> None:
        """Remember what is said with the caller's Call-ID; its INVITE has already come."""
        request, source = transaction.request, transaction.source
        self._trace.follow(leg_id, sip_call_id=request.call_id)
        self._trace.note(serialize(request), source, self._clock.epoch(), outgoing=False)

    def alert(self, leg: EngineLeg) -> None:
        """Let a caller know that it rings, unless it hears more already."""
        if leg.stage is Stage.CALLING and leg.caller is not None and not leg.caller.body:
            self._respond(leg, 180)

    def open_early(self, leg: EngineLeg, then: Callable[[], None]) -> None:
        """Give a caller a session before it is answered, then do what lets it hear something."""
        self._legs.run(self._open_early(leg, then), f"early media {leg.leg_id}")

    async def _open_early(self, leg: EngineLeg, then: Callable[[], None]) -> None:
        caller = leg.caller
        if caller is None or not caller.offer:
            return self.alert(leg)  # our offer belongs into the 200: many phones take none in a 183
        if not caller.body and not await self._prepare(leg):
            return
        if leg.stage is Stage.CALLING:
            self._respond(leg, 183, caller.body)
            then()
            self._endpoint.flush()

    def answer(self, leg: EngineLeg, peer: EngineLeg | None) -> None:
        """Answer a caller, as soon as the journal has the answer of the other party."""
        if peer is None or leg.stage is not Stage.CALLING:
            return  # one of them is over, and its LegEnded is on the way
        if peer.is_confirmed:
            self._legs.run(self._answer(leg), f"answer {leg.leg_id}")
        else:
            peer.when_confirmed = partial(self.answer, leg, peer)

    async def _answer(self, leg: EngineLeg) -> None:
        caller = leg.caller
        assert caller is not None
        if (caller.body or await self._prepare(leg)) and leg.stage is Stage.CALLING:
            leg.stage = Stage.ANSWERING
            self._respond(leg, 200, caller.body)
            self._endpoint.flush()

    async def _prepare(self, leg: EngineLeg) -> bool:
        """Make our session; a caller that cannot have one is refused."""
        caller = leg.caller
        assert caller is not None
        try:
            if caller.offer:
                body = await leg.media.answer_caller(leg.side, caller.offer)
            else:
                secure = caller.transaction.source.transport in WEBSOCKETS
                leg.offer = await leg.media.offer(leg.side, (), secure=secure)
                body = leg.offer.to_bytes()
            caller.body = caller.body or body  # 183 and 200 carry the same, whichever was begun first
        except MediaIncompatible as error:
            _log.info("no media in common with a caller", leg_id=leg.leg_id, reason=str(error))
            self._legs.end_leg(leg, "INCOMPATIBLE_DESTINATION")
        except MediaError as error:
            _log.error("no media for a caller", leg_id=leg.leg_id, reason=str(error))
            self._legs.end_leg(leg, policy.CRASH)
        return bool(caller.body)

    def refuse(self, leg: EngineLeg) -> None:
        """End a caller that was not answered; the core repeats the refusal until it is acknowledged."""
        caller = leg.caller
        assert caller is not None
        status = policy.refusal_of(leg.end_cause, caller.refusal)
        self._respond(leg, status, headers=refusal_headers(leg.end_cause, status))
        self._legs.finish(leg, leg.end_cause, status, "", by_peer=False)

    def _respond(self, leg: EngineLeg, status: int, body: bytes = b"", *, headers: HeaderLines = ()) -> None:
        assert leg.caller is not None
        dialog = self._core.respond(
            leg.caller.transaction, status, body=body, headers=headers, now=self._clock.monotonic()
        )
        if dialog is not None:
            leg.dialog, dialog.context = dialog, leg

    # --- what callers do ----------------------------------------------------------------------------

    def on_cancelled(self, event: Cancelled) -> bool:
        """Take the end of an INVITE that we did not answer; False if it is none of ours."""
        leg = event.transaction.context
        if not isinstance(leg, EngineLeg) or leg.caller is None:
            return False
        if event.request is not None:
            elsewhere = cause_in(event.request) == "LOSE_RACE"
            cause = leg.end_cause or ("LOSE_RACE" if elsewhere else CANCELED)
            self._legs.finish(leg, cause, 487, "", by_peer=True)
        else:
            cause = leg.end_cause or "RECOVERY_ON_TIMER_EXPIRE"
            self._legs.finish(leg, cause, 480, "", by_peer=False)
        return True

    def on_ack(self, event: AckReceived) -> bool:
        """Take the ACK of the 200 to a caller; False if it is another."""
        leg = event.dialog.context
        if (
            not isinstance(leg, EngineLeg)
            or leg.stage is not Stage.ANSWERING
            or event.request.method != "ACK"
        ):
            return False
        leg.stage = Stage.ANSWERED
        try:
            words = self._agree(leg, event.body)
        except MediaIncompatible as error:
            _log.info("a caller acknowledged without usable media", leg_id=leg.leg_id, reason=str(error))
            self._legs.end_leg(leg, "INCOMPATIBLE_DESTINATION")
        else:
            self._legs.report(LegAnswered(leg.leg_id, words, to_journal(event.dialog)))
        return True

    def _agree(self, leg: EngineLeg, body: bytes) -> str:
        """Return what was agreed; the ACK brings the answer to an offer in our 200."""
        if leg.offer is not None:
            return leg.media.take_answer(leg.side, leg.offer, body)
        assert leg.caller is not None
        return leg.media.take_offer(leg.caller.offer)
