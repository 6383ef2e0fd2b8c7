"""The embedded engine: turns the call machine's commands into SIP and media, and back.

Third-party call control as in RFC 3725. With a relay the first leg is offered the relay's port and
acknowledged at once, so both legs have media before they are joined and no phone sees a late offer.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol

import structlog

from offhook.app.ports import TraceLine
from offhook.calls import policy
from offhook.calls.commands import (
    AlertLeg,
    AnswerLeg,
    AnswerReferral,
    ConfirmLeg,
    DialLeg,
    EndLostLeg,
    EngineCommand,
    HangUpLeg,
    HangUpSurplus,
    HoldLeg,
    JoinLegs,
    LegCommand,
    LinkLegs,
    PassEarlyMedia,
    PlayOnce,
    PlayToLeg,
    StartRecording,
    StopPlaying,
    StopRecording,
    TakeLeg,
    TellReferrer,
    UnholdLeg,
    leg_id_of,
)
from offhook.calls.events import LegAnswered, LegEnded, LegEvent, LegRinging
from offhook.calls.model import CallPlan
from offhook.kernel import Clock, Random
from offhook.sip.events import (
    AckReceived,
    Cancelled,
    DialogEnded,
    DialogEndReason,
    EndCause,
    InviteAnswered,
    InviteEnded,
    InviteProgress,
    ReinviteAnswered,
    ReinviteFailed,
    RequestReceived,
    ResponseReceived,
    SessionRefreshed,
    SipEvent,
    SurplusAnswered,
    UpdateAnswered,
)
from offhook.sip.message import Response

from .call_media import CallMedia, CallMediaFactory, MediaIncompatible
from .callers import Callers
from .dialling import Dialling
from .hearing import Hearing
from .identities import LegIdentities
from .infos import Infos
from .joins import Joins
from .legs import EngineLeg, Stage
from .reasons import bye_headers, cause_of_bye, cause_of_refusal, reason_of, retry_after_of
from .recovery import LostLeg, Recovery
from .redirects import RedirectRules, targets_of
from .referrals import Referrals
from .relay import RelaySide
from .resolver import Resolver
from .sessions import Sessions
from .surplus import SurplusAnswers, to_journal
from .trace import SipTrace
from .transports import SipEndpoint

_log = structlog.get_logger("offhook.engine")

Report = Callable[[LegEvent], None]


class Inbound(Protocol):
    """Takes what comes to the SIP port outside the dialogs of the engine's legs."""

    def take(self, event: SipEvent) -> None:
        """Answer a request; leave other events alone."""
        ...


STOP_BOUND_S: Final = 3.0
"""Far ends that have not answered our BYE by then are left to notice by themselves."""


class EmbeddedEngine:
    """Implements the Engine port over a SipEndpoint and a relay (or none)."""

    def __init__(
        self,
        *,
        endpoint: SipEndpoint,
        media: CallMediaFactory,
        inbound: Inbound,
        resolver: Resolver,
        trace: SipTrace,
        clock: Clock,
        random: Random,
        identities: LegIdentities,
        redirects: RedirectRules | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._core = endpoint.core
        self._media = media
        self._inbound = inbound
        self._trace = trace
        self._clock = clock
        self._random = random
        self._identities = identities
        self._redirects = redirects or RedirectRules()
        self._legs: dict[str, EngineLeg] = {}
        self._calls: dict[str, CallMedia] = {}
        self.report: Report = lambda event: None
        """Set by `start`: tells the call machine."""
        self._queued: list[LegEvent] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._joins = Joins(self, endpoint, clock)
        self._referrals = Referrals(self, endpoint, clock)
        self._sessions = Sessions(self, endpoint, clock)
        self._infos = Infos(self, endpoint, clock)
        self._in_dialog = {
            "INVITE": self._sessions.on_offer,
            "UPDATE": self._sessions.on_offer,
            "PRACK": self._sessions.on_offer,
            "INFO": self._infos.take,
            "REFER": self._referrals.take,
        }
        self._surplus = SurplusAnswers(self, self._core, clock)
        self._callers = Callers(self, endpoint, clock, identities, trace)
        self._dialling = Dialling(self, endpoint, resolver, clock, identities)
        self._recovery = Recovery(self, endpoint, clock, identities, self._dialling.flows_to)
        self._hearing = Hearing(self, self._callers, trace, clock)
        self._of_none: dict[type, Callable[[Any], None]] = {
            DialLeg: self._dial,
            TakeLeg: self._callers.take,
            EndLostLeg: self._end_lost,
            HangUpSurplus: self._surplus.hang_up,
        }
        """What brings its leg along, or has none any more."""
        self._of_leg = self._commands_of_legs()

    def _commands_of_legs(self) -> dict[type, Callable[[EngineLeg, Any], None]]:
        hearing = self._hearing
        return {
            AlertLeg: lambda leg, command: self._callers.alert(leg),
            AnswerLeg: self._answer,
            ConfirmLeg: lambda leg, command: self._confirm(leg),
            HangUpLeg: self._hang_up,
            JoinLegs: self._join,
            LinkLegs: self._link,
            PlayToLeg: hearing.play,
            PlayOnce: hearing.play_once,
            StopPlaying: hearing.stop_playing,
            HoldLeg: hearing.hold,
            UnholdLeg: hearing.unhold,
            PassEarlyMedia: hearing.pass_early_media,
            StartRecording: hearing.start_recording,
            StopRecording: hearing.stop_recording,
            AnswerReferral: self._referrals.answer,
            TellReferrer: self._referrals.tell,
        }

    # --- the port -----------------------------------------------------------------------------------

    async def start(self, report: Report) -> None:
        """Bring the relay up, then open the SIP sockets. Raises RelayLost or OSError."""
        self.report = report
        self._endpoint.on_event = self.on_sip_event
        await self._media.start(self._on_media_lost, self.report)
        await self._endpoint.start()

    async def stop(self) -> None:
        """Hang up what is left, give the far ends a moment to hear it, close. Idempotent."""
        for leg in list(self._legs.values()):
            self.end_leg(leg, "SYSTEM_SHUTDOWN")
            self._confirm(leg)
        self._surplus.hang_up_all()
        if self._legs:
            self._empty.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_BOUND_S):
                    await self._empty.wait()
        for task in self._tasks:
            task.cancel()
        await self._endpoint.stop()
        await self._media.stop()

    def open_call(self, plan: CallPlan) -> None:
        """Nothing to do: its first leg opens what it needs."""

    def close_call(self, call_id: str) -> None:
        """Nothing to do: its last leg closed all."""

    def perform(self, command: EngineCommand) -> None:
        """Begin to do it. What comes of it is reported from a later turn of the loop."""
        try:
            self._perform(command)
        except Exception:  # the machine goes on: its other commands, and its bounds
            _log.exception("a command was not carried out", command=type(command).__name__)

    def _perform(self, command: EngineCommand) -> None:
        if isinstance(command, LegCommand):
            leg = self._legs.get(leg_id_of(command))
            if leg is not None:  # else it is over, and its LegEnded is on the way or was delivered
                self._of_leg[type(command)](leg, command)
        else:
            self._of_none[type(command)](command)
        self._endpoint.flush()

    def _hang_up(self, leg: EngineLeg, command: HangUpLeg) -> None:
        if leg.caller is not None:
            leg.caller.refusal = command.sip_code
        self.end_leg(leg, command.hangup_cause)

    def _answer(self, leg: EngineLeg, command: AnswerLeg) -> None:
        self._callers.answer(leg, self._legs.get(command.peer_leg_id))

    def _join(self, leg: EngineLeg, command: JoinLegs) -> None:
        self._joins.join(leg, self._legs.get(command.second_leg_id))

    def _link(self, leg: EngineLeg, command: LinkLegs) -> None:
        self._trace.remark(leg.leg_id, "hears the party of another call", self._clock.epoch())
        self._joins.link(leg, self._legs.get(command.other_leg_id))

    def _end_lost(self, command: EndLostLeg) -> None:
        self._trace.follow(command.endpoint.leg_id)
        self._recovery.end(command)

    def can_hold(self, leg_id: str) -> bool:
        """Tell whether the leg's media passes through the relay."""
        leg = self._legs.get(leg_id)
        return leg is not None and leg.stage is Stage.ANSWERED and leg.media.can_answer

    def can_link(self, leg_id: str, other_leg_id: str) -> bool:
        """Tell whether the media of both passes through the relay."""
        return self.can_hold(leg_id) and self.can_hold(other_leg_id)

    async def trace(self, leg_id: str) -> list[TraceLine]:
        """Return the SIP messages of a recent leg."""
        return self._trace.lines(leg_id)

    def count(self) -> int:
        """Return how many legs are on the wire (for metrics and leak tests)."""
        return len(self._legs)

    # --- legs and their media -----------------------------------------------------------------------

    def _dial(self, command: DialLeg) -> None:
        leg = self.add_leg(command, self._side_of(command))
        self._trace.follow(leg.leg_id)
        self._dialling.dial(leg)

    def add_leg(self, command: DialLeg, side: RelaySide) -> EngineLeg:
        """Open a leg, and the media of its call with the first."""
        media = self._calls.get(command.call_id)
        if media is None:
            media = self._calls[command.call_id] = self._media.open(self._random.hex(24), command.media)
            media.call_id = command.call_id
        leg = EngineLeg(command, media, side)
        media.legs.add(leg.leg_id)
        self._legs[leg.leg_id] = leg
        return leg

    def move(self, leg: EngineLeg, media: CallMedia, side: RelaySide) -> None:
        """Let a leg use a place in the media of another call, and its own no more."""
        left = leg.media
        left.legs.discard(leg.leg_id)
        leg.media, leg.side = media, side
        media.legs.add(leg.leg_id)
        if not left.legs:
            self._close(left)

    def _close(self, media: CallMedia) -> None:
        if self._calls.get(media.call_id) is media:
            del self._calls[media.call_id]
        media.close()

    def _side_of(self, command: DialLeg) -> RelaySide:
        """Return which side of the relay a leg is on: opposite the one that waits for it."""
        if not command.peer_leg_id:
            return RelaySide.FIRST
        peer = self._legs.get(command.peer_leg_id)
        return peer.side.other if peer is not None else RelaySide.SECOND

    def other_of(self, leg: EngineLeg) -> EngineLeg | None:
        """Return the answered leg on the other side of the same media, or None."""
        for leg_id in leg.media.legs:
            other = self._legs.get(leg_id)
            if other is not None and other.side is not leg.side and other.stage is Stage.ANSWERED:
                return other
        return None

    def leg_of_dialog(self, call_id: str, local_tag: str, remote_tag: str) -> EngineLeg | None:
        """Return the live leg that a dialog carries, or None."""
        dialog = self._core.find_dialog(call_id, local_tag, remote_tag)
        leg = dialog.context if dialog is not None else None
        return leg if isinstance(leg, EngineLeg) and leg.stage is Stage.ANSWERED else None

    # --- what the core tells ------------------------------------------------------------------------

    def on_sip_event(self, event: SipEvent) -> None:
        """Take one event of the core (the endpoint's callback)."""
        if isinstance(event, InviteProgress):
            leg = _leg_of(event.invite.context)
            if event.invite is leg.invite:
                self._on_progress(leg, event)
        elif isinstance(event, InviteAnswered):
            self._on_answer(_leg_of(event.invite.context), event)
        elif isinstance(event, InviteEnded):
            if isinstance(event.invite.context, LostLeg):
                self._recovery.on_invite_ended(event.invite.context, event)
            else:
                self._on_invite_ended(_leg_of(event.invite.context), event)
        elif isinstance(event, SurplusAnswered):
            self._on_surplus(event)
        elif isinstance(event, DialogEnded):
            self._on_dialog_ended(event)
        elif isinstance(event, ReinviteAnswered):
            if not self._sessions.on_answered(event):
                self._joins.on_answered(event)
        elif isinstance(event, ReinviteFailed):
            if not self._sessions.on_failed(event):
                self._joins.on_failed(event)
        elif (
            isinstance(event, RequestReceived)
            and event.dialog is not None
            and event.request.method in self._in_dialog
        ):
            self._in_dialog[event.request.method](event)
        elif isinstance(event, AckReceived):
            if not self._callers.on_ack(event):
                self._sessions.on_ack(event)
        elif isinstance(event, Cancelled) and self._callers.on_cancelled(event):
            pass
        elif isinstance(event, UpdateAnswered):
            self._sessions.on_updated(event)
        elif isinstance(event, SessionRefreshed):
            self._sessions.on_refreshed(event)
        elif isinstance(event, ResponseReceived) and (
            self._referrals.on_response(event) or self._infos.on_response(event)
        ):
            pass
        else:
            self._inbound.take(event)

    def _on_progress(self, leg: EngineLeg, event: InviteProgress) -> None:
        has_media = False
        if event.has_sdp and leg.offer and not leg.command.replaces_leg_id:
            has_media = leg.media.take_early_answer(leg.side, leg.offer, event.response.body)
        self.report(LegRinging(leg.leg_id, event.response.status, has_media))

    def _on_answer(self, leg: EngineLeg, event: InviteAnswered) -> None:
        leg.dialog = event.dialog
        event.dialog.context = leg
        if leg.offer is None:
            self._on_late_offer(leg, event.response)
            return
        self.acknowledge(leg, b"")
        try:
            body = event.response.body or event.dialog.early_session
            words = leg.media.take_answer(leg.side, leg.offer, body)
        except MediaIncompatible as error:
            self._refuse_answer(leg, str(error))
            return
        self.report(LegAnswered(leg.leg_id, words, to_journal(event.dialog)))

    def _on_late_offer(self, leg: EngineLeg, response: Response) -> None:
        """A 200 that brings the offer: the second party of a bypass, or the first without any relay."""
        leg.remote_offer = response.body
        leg.stage = Stage.ANSWERED_LATE
        try:
            words = leg.media.take_offer(response.body)
        except MediaIncompatible as error:
            self._refuse_answer(leg, str(error))
            return
        if not leg.command.peer_leg_id:
            self.acknowledge(leg, leg.media.hold_answer(response.body))
        assert leg.dialog is not None
        self.report(LegAnswered(leg.leg_id, words, to_journal(leg.dialog)))

    def acknowledge(self, leg: EngineLeg, answer: bytes) -> None:
        """Send the ACK of the 200, as soon as the journal has the answer: no far end is left without us."""
        leg.stage = Stage.ANSWERED
        leg.ack_body = answer
        if leg.is_confirmed:
            self._send_ack(leg)

    def _send_ack(self, leg: EngineLeg) -> None:
        assert leg.dialog is not None
        if leg.ack_body is None or not leg.dialog.needs_ack:
            return
        branch = self._identities.of(leg.leg_id).ack_branch
        self._core.send_ack(leg.dialog, leg.ack_body, self._clock.monotonic(), branch=branch)
        leg.ack_body = None

    def _confirm(self, leg: EngineLeg) -> None:
        """The journal has the answer: do what waited for that."""
        if leg.is_confirmed or leg.dialog is None:
            return
        leg.is_confirmed = True
        self._send_ack(leg)
        waiting, leg.when_confirmed = leg.when_confirmed, None
        if leg.stage is Stage.ENDING:
            self._send_bye(leg)
        elif waiting is not None:
            waiting()
        self._endpoint.flush()

    def _refuse_answer(self, leg: EngineLeg, why: str) -> None:
        """The 200 has no SDP, or none we can use: acknowledge it and hang up, when the journal has it."""
        _log.info("answer without usable media", leg_id=leg.leg_id, reason=why)
        assert leg.dialog is not None
        self.end_leg(leg, "INCOMPATIBLE_DESTINATION")
        leg.end_code = 200
        self._surplus.hold(leg.leg_id, leg.dialog, partial(self._confirm, leg))

    def _on_surplus(self, event: SurplusAnswered) -> None:
        """Somebody answered beside the one we talk to, or after we had cancelled."""
        context = event.invite.context
        if isinstance(context, LostLeg):
            context.was_answered = True
            command = context.command
            self._surplus.take(event, command.endpoint.leg_id, command.hangup_cause)
        else:
            leg = _leg_of(context)
            self._surplus.take(event, leg.leg_id, leg.end_cause)

    def _on_invite_ended(self, leg: EngineLeg, event: InviteEnded) -> None:
        if event.invite is not leg.invite:
            return  # its server was silent, and another was asked
        if self._dialling.next(leg, event):
            return
        if event.cause is EndCause.REJECTED:
            cause = leg.end_cause or cause_of_refusal(event)
            leg.retry_after_s = retry_after_of(event.response)
            leg.targets = targets_of(self._redirects, leg.command.endpoint, event.response)
            self.finish(leg, cause, event.status, event.reason, by_peer=True)
        elif event.cause is EndCause.CANCELED:
            self.finish(leg, leg.end_cause, event.status, event.reason, by_peer=False)
        elif event.cause is EndCause.TIMEOUT:
            self.finish(leg, leg.end_cause or "RECOVERY_ON_TIMER_EXPIRE", 408, event.reason, by_peer=False)
        else:
            self.finish(leg, leg.end_cause or "DESTINATION_OUT_OF_ORDER", 0, event.reason, by_peer=False)

    def _on_dialog_ended(self, event: DialogEnded) -> None:
        self._surplus.on_dialog_ended(event.dialog)
        leg = event.dialog.context
        if isinstance(leg, LostLeg):
            self._recovery.on_dialog_ended(leg, event)
        if not isinstance(leg, EngineLeg):
            return
        has_left = leg.has_left or (event.reason is DialogEndReason.GONE and not leg.end_cause)
        if event.by_peer or has_left:
            cause = cause_of_bye(event) if not leg.end_cause else leg.end_cause
            self.finish(leg, cause, 200, "", by_peer=True)
            return
        is_silent = event.reason in (DialogEndReason.EXPIRED, DialogEndReason.NO_ACK)
        own = "RECOVERY_ON_TIMER_EXPIRE" if is_silent else "NORMAL_CLEARING"
        self.finish(leg, leg.end_cause or own, leg.end_code or 200, "", by_peer=False)

    # --- ending -------------------------------------------------------------------------------------

    def end_leg(self, leg: EngineLeg, cause: str) -> None:
        """End a leg in whatever stage it is; LegEnded comes when the far end is clean."""
        if leg.stage in (Stage.ENDING, Stage.OVER):
            return
        leg.end_cause = cause
        now = self._clock.monotonic()
        stage, leg.stage = leg.stage, Stage.ENDING
        if stage is Stage.INVITING:
            assert leg.invite is not None
            self._core.cancel(leg.invite, now, reason_of(cause))
        elif stage is Stage.CALLING:
            self._callers.refuse(leg)
        elif stage is Stage.ANSWERING:
            self._send_bye(leg)  # as soon as the ACK is here (RFC 3261 15)
        elif stage in (Stage.ANSWERED, Stage.ANSWERED_LATE):
            if stage is Stage.ANSWERED_LATE:
                leg.ack_body = leg.media.hold_answer(leg.remote_offer)
            if leg.is_confirmed:
                self._send_bye(leg)
        self._endpoint.flush()

    def _send_bye(self, leg: EngineLeg) -> None:
        assert leg.dialog is not None
        self._send_ack(leg)
        self._core.bye(leg.dialog, self._clock.monotonic(), bye_headers(leg.end_cause))

    def finish(self, leg: EngineLeg, cause: str, code: int, reason: str, *, by_peer: bool) -> None:
        """Report the end of a leg, once; close the media of a call with its last leg."""
        if self._legs.pop(leg.leg_id, None) is None:
            return
        if not self._legs:
            self._empty.set()
        leg.stage = Stage.OVER
        media = leg.media
        media.legs.discard(leg.leg_id)
        if not media.legs:
            self._close(media)
        self.report_later(LegEnded(leg.leg_id, cause, code, reason, by_peer, leg.retry_after_s, leg.targets))

    def _on_media_lost(self, session_id: str) -> None:
        """The relay died under a call: its legs are ended, and the outcome says that it was us."""
        for leg in [leg for leg in self._legs.values() if leg.media.session_id == session_id]:
            if not leg.media.is_direct:
                self.end_leg(leg, policy.CRASH)

    # --- turns of the loop --------------------------------------------------------------------------

    def report_later(self, event: LegEvent) -> None:
        """Report from a later turn: the call machine may be in the middle of its outputs."""
        if not self._queued:
            asyncio.get_running_loop().call_soon(self._deliver)
        self._queued.append(event)

    def _deliver(self) -> None:
        queued, self._queued = self._queued, []
        for event in queued:
            try:
                self.report(event)
            except Exception:  # one call must not take along the others' events
                _log.exception("an event was not taken", reported=type(event).__name__)
        self._endpoint.flush()

    def run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run what has to wait; owned by this engine and cancelled by `stop`."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _leg_of(context: object) -> EngineLeg:
    assert isinstance(context, EngineLeg), "every INVITE of the engine belongs to a leg"
    return context
