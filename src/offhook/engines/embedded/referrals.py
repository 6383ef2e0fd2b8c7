"""REFER from a phone in a call (RFC 3515): taken in, answered when it is decided, and its progress told.

The engine reports whom the phone wants called; whether that may be, and what becomes of it, others decide.
A phone has one transfer under way at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from offhook.calls.commands import AnswerReferral, TellReferrer
from offhook.calls.events import LegEvent, LegReferred
from offhook.kernel import Clock
from offhook.sip.commands import HeaderLines
from offhook.sip.errors import RemoteMalformed, SipError
from offhook.sip.events import RequestReceived, ResponseReceived
from offhook.sip.grammar import NameAddr
from offhook.sip.message import REASONS, Request
from offhook.sip.refer import REFER_EVENT, SIPFRAG, ReferTo, Replaces, SubscriptionState, sipfrag
from offhook.sip.transactions import ServerTransaction

from .legs import EngineLeg, Stage
from .transports import SipEndpoint

_log = structlog.get_logger("offhook.engine")

SUBSCRIPTION_S: Final = 180
"""Told to the phone as the longest wait for the next report: a target rings for a minute or two."""
BUSY_WITH_ONE: Final = 491
DECLINED: Final = 603


class ReferralControl(Protocol):
    """What it needs of the engine."""

    report: Callable[[LegEvent], None]

    def leg_of_dialog(self, call_id: str, local_tag: str, remote_tag: str) -> EngineLeg | None:
        """Return the leg that a dialog of this node carries."""
        ...


@dataclass(slots=True)
class Referral:
    """One REFER of a leg. Kept on the leg until the last report."""

    transaction: ServerTransaction
    event: str
    """Value of Event in its reports."""
    wants_reports: bool
    is_telling: bool = False
    """A report waits for its answer: progress in between is left out, the end is not."""


class Referrals:
    """The transfers that phones ask for."""

    def __init__(self, legs: ReferralControl, endpoint: SipEndpoint, clock: Clock) -> None:
        self._legs = legs
        self._endpoint = endpoint
        self._core = endpoint.core
        self._clock = clock

    def take(self, event: RequestReceived) -> None:
        """A phone asks for a transfer: report it, or refuse what cannot be."""
        leg = event.dialog.context if event.dialog is not None else None
        if not isinstance(leg, EngineLeg) or leg.stage is not Stage.ANSWERED or not leg.media.can_answer:
            return self._respond(event.transaction, DECLINED)
        if leg.referral is not None:
            return self._respond(event.transaction, BUSY_WITH_ONE)
        try:
            reported = self._read(leg, event.request)
        except RemoteMalformed as fault:
            return self._respond(event.transaction, fault.status)
        leg.referral = Referral(
            event.transaction,
            f"{REFER_EVENT};id={event.request.cseq.number}",
            (event.request.headers.get("Refer-Sub") or "").partition(";")[0].strip().lower() != "false",
        )
        self._legs.report(reported)

    def _read(self, leg: EngineLeg, request: Request) -> LegReferred:
        """Return whom a REFER means. Raises RemoteMalformed."""
        values = request.headers.get_all("Refer-To")
        if len(values) != 1:
            raise RemoteMalformed("Refer-To", "must be there once")
        refer_to = ReferTo.parse(values[0])
        if refer_to.method != "INVITE":
            raise RemoteMalformed("Refer-To", "only calls can be transferred", status=501)
        replaces = refer_to.replaces
        other = self._leg_of(replaces) if replaces is not None else None
        return LegReferred(
            leg.leg_id,
            refer_to.uri,
            replaced_leg_id=other.leg_id if other is not None else "",
            replaces=str(replaces) if replaces is not None and other is None else "",
            referred_by=_referred_by(request),
        )

    def _leg_of(self, replaces: Replaces) -> EngineLeg | None:
        """Return the leg of ours that a Replaces names.

        It is written for who would receive the new INVITE: us, so to-tag is ours. Some phones write the
        tags as they see them.
        """
        ours, theirs = replaces.to_tag, replaces.from_tag
        return self._legs.leg_of_dialog(replaces.call_id, ours, theirs) or self._legs.leg_of_dialog(
            replaces.call_id, theirs, ours
        )

    def answer(self, leg: EngineLeg, command: AnswerReferral) -> None:
        """Accept or refuse what a phone asked for."""
        referral = leg.referral
        if referral is None:
            return
        if command.sip_code >= 300:
            leg.referral = None
            return self._respond(referral.transaction, command.sip_code, command.sip_reason)
        headers: HeaderLines = () if referral.wants_reports else (("Refer-Sub", "false"),)
        self._respond(referral.transaction, 202, "Accepted", headers)
        self._notify(leg, referral, 100, "Trying")

    def tell(self, leg: EngineLeg, command: TellReferrer) -> None:
        """Report progress; a final status ends the phone's subscription."""
        referral = leg.referral
        if referral is None or leg.stage is not Stage.ANSWERED:
            return
        if command.sip_code >= 200:
            leg.referral = None
        if command.sip_code >= 200 or not referral.is_telling:
            self._notify(leg, referral, command.sip_code, command.sip_reason)

    def _notify(self, leg: EngineLeg, referral: Referral, status: int, reason: str) -> None:
        if not referral.wants_reports or leg.dialog is None:
            return
        state = (
            SubscriptionState("terminated", reason="noresource")
            if status >= 200
            else SubscriptionState("active", SUBSCRIPTION_S)
        )
        headers = (("Event", referral.event), ("Subscription-State", str(state)))
        try:
            request = self._core.request_in_dialog(
                leg.dialog,
                "NOTIFY",
                self._clock.monotonic(),
                headers=headers,
                body=sipfrag(status, reason or REASONS.get(status, "")),
                content_type=SIPFRAG,
            )
        except SipError as error:  # its BYE is being handled
            _log.info("no report to a referrer", leg_id=leg.leg_id, reason=str(error))
            return
        request.context = referral
        referral.is_telling = True

    def on_response(self, event: ResponseReceived) -> bool:
        """Take the answer to a report, whatever it is; False if the request was none of ours."""
        referral = event.request.context
        if not isinstance(referral, Referral):
            return False
        referral.is_telling = False
        return True

    def _respond(
        self, transaction: ServerTransaction, status: int, reason: str = "", headers: HeaderLines = ()
    ) -> None:
        self._core.respond(transaction, status, reason, headers=headers, now=self._clock.monotonic())
        self._endpoint.flush()


def _referred_by(request: Request) -> str:
    """Return the URI of Referred-By, or of From; empty if neither can be read."""
    value = request.headers.get("Referred-By")
    try:
        return (NameAddr.parse(value, "Referred-By") if value else request.from_).uri
    except RemoteMalformed:
        return ""
