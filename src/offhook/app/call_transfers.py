"""Transfers of joined calls: over HTTP (kazoo-behaviour 8) and by phones that send REFER.

Each is planned as a call is, then given to the call service, which replaces one party by the target.
"""

import asyncio
from contextlib import ExitStack
from typing import ClassVar, Final, Protocol

import structlog

from offhook.calls.events import LegReferred
from offhook.calls.model import By, EndpointKind, Handover, Leg, LegState, PartyPlan, Transfer
from offhook.calls.policy import refusal_of, side_as_by
from offhook.directory.model import Document
from offhook.kernel import Clock

from .account_calls import AccountUsage, goes_out, leaves_account, limits_of, refuse_party
from .accounts import refuse_closed
from .dial_out import Dialler, DialOut
from .errors import AppError, CallLimitReached, InvalidDocument, NoCredit, TooManyRequests
from .own_media import foreign_media, party_with_own_media
from .planning import (
    CallRestricted,
    DialOutBarred,
    NumberInvalid,
    Planning,
    Replacement,
    SipUriNotAllowed,
    plan_callflow,
    plan_number,
    plan_phones,
)
from .planning.account_directory import AccountDirectory
from .planning.classifiers import EMERGENCY, classify
from .ports import CallView

_log = structlog.get_logger("offhook.calls")

REFERRALS_MAX: Final = 256
"""Being planned at a time: each takes a millisecond or two. More is no office's doing."""

REFERRAL_BOUND_S: Final = 10.0
"""To plan one; a phone gives its REFER up after 32 s (timer F)."""

ACCEPTED: Final = 202
OVERLOADED: Final = 503
DECLINED: Final = 603

_STATUS_OF_REFUSAL: Final[dict[type[AppError], int]] = {
    CallRestricted: 403,
    DialOutBarred: 403,
    SipUriNotAllowed: 403,
    InvalidDocument: 403,  # the account is disabled, or its time is over
    NumberInvalid: 484,
    CallLimitReached: 503,
    NoCredit: 503,
    TooManyRequests: 503,
}
"""What a phone hears of a target that is refused; 603 of anything else."""


class NotTransferable(AppError):
    """The call cannot be transferred now, or not at all; reason says why. Maps to 400."""

    code: ClassVar[str] = "not-transferable"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class NotBridged(NotTransferable):
    """Nobody is on the other side. Maps to KAZOO's 400 `other_leg_call_id.required`."""

    code = "not-bridged"

    def __init__(self) -> None:
        super().__init__("Channel is not bridged")


class NotReached(NotTransferable):
    """Nothing is there to ring. A phone hears what that means, before its own call is touched."""

    code = "not-reached"

    def __init__(self, hangup_cause: str) -> None:
        super().__init__(f"nobody is reached there: {hangup_cause}")
        self.hangup_cause = hangup_cause


class TransferableCalls(Protocol):
    """What is needed of the call service."""

    def transfer(self, account_id: str, transfer: Transfer) -> bool:
        """Begin to replace a party; False if it is not joined, or its media cannot be cut."""
        ...

    def link(self, account_id: str, leaving_leg_id: str, replaced_leg_id: str) -> bool:
        """Join the far parties of two calls that a phone talks in; False if that cannot be."""
        ...

    def answer_referral(self, leg_id: str, sip_code: int, sip_reason: str = "") -> None:
        """Accept or refuse what a phone has asked for."""
        ...

    def usage(self, account_id: str) -> AccountUsage:
        """Return what an account's calls take of its limits."""
        ...


class CallTransfers:
    """Plans transfers and begins them. `stop()` gives up those that are being planned."""

    def __init__(
        self,
        calls: TransferableCalls,
        planning: Planning,
        dial_out: DialOut,
        *,
        clock: Clock,
        own_hosts: frozenset[str] = frozenset(),
    ) -> None:
        self._calls = calls
        self._planning = planning
        self._dial_out = dial_out
        self._clock = clock
        self._documents = planning.documents
        self._own_hosts = own_hosts
        """Names and addresses of this node: a phone's target at one of them is a number it dials."""
        self._tasks: set[asyncio.Task[None]] = set()

    # --- over HTTP ----------------------------------------------------------------------------------

    async def transfer(
        self, account: Document, view: CallView, leg: Leg, target: str, *, ringback: str = ""
    ) -> None:
        """Hang this leg up, and put the other one through to a number, an extension or a SIP URI.

        ringback is what that one hears meanwhile, empty: what the call plays anyhow.
        Raises NotTransferable, PlanRefused, CallLimitReached, NoCredit.
        """
        wanted = Replacement(
            plan=view.plan,
            staying=other_of(view, leg),
            leaving=leg,
            headers=_referred_by(leg.endpoint.to_uri),
        )
        party = await plan_number(
            wanted, target, account=account, world=self._planning, own_hosts=frozenset()
        )
        await self._begin(wanted, party, Handover.BLIND, ringback=ringback)

    async def send_to_callflow(
        self, account: Document, view: CallView, leg: Leg, callflow: Document, captured: str
    ) -> None:
        """Put this leg through to a callflow; the other one is hung up. Raises as transfer does."""
        wanted = Replacement(plan=view.plan, staying=leg, leaving=other_of(view, leg))
        party = await plan_callflow(
            wanted, callflow, captured=captured, account=account, world=self._planning
        )
        await self._begin(wanted, party, Handover.BLIND)

    async def intercept(self, account: Document, view: CallView, leg: Leg, endpoint: Document) -> None:
        """Ring a device or the phones of a user; who answers talks to this leg, and the other is hung up.

        Raises as transfer does.
        """
        wanted = Replacement(plan=view.plan, staying=leg, leaving=other_of(view, leg))
        party = await plan_phones(wanted, endpoint, account=account, world=self._planning)
        await self._begin(wanted, party, Handover.INTERCEPT)

    async def _begin(
        self, wanted: Replacement, party: PartyPlan, handover: Handover, *, ringback: str = ""
    ) -> None:
        plan = wanted.plan
        party = await party_with_own_media(self._documents, plan.account_id, party)
        if await foreign_media(self._documents, plan.account_id, {ringback}):
            ringback = ""
        limits = await limits_of(self._documents, plan.account_id)
        refuse_party(limits, self._calls.usage(plan.account_id), party)
        transfer = Transfer(
            staying_leg_id=wanted.staying.leg_id,
            leaving_leg_id=wanted.leaving.leg_id,
            handover=handover,
            by=side_as_by(wanted.leaving.side) if handover is Handover.REFERRED else By.API,
            target=party,
            ringback=ringback,
        )
        if not self._calls.transfer(plan.account_id, transfer):
            raise NotTransferable("the call cannot be transferred now, or its media do not pass through here")

    # --- by phones ----------------------------------------------------------------------------------

    def take_referral(self, view: CallView, event: LegReferred) -> None:
        """A party of a live call asks to be replaced: plan it, and answer its REFER."""
        if len(self._tasks) >= REFERRALS_MAX:
            return self._calls.answer_referral(event.leg_id, OVERLOADED)
        task = asyncio.get_running_loop().create_task(
            self._refer(view, event), name=f"referral of {event.leg_id}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Give up what is being planned. Idempotent."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _refer(self, view: CallView, event: LegReferred) -> None:
        try:
            async with asyncio.timeout(REFERRAL_BOUND_S):
                await self._carry_out(view, event)
        except TimeoutError:
            self._calls.answer_referral(event.leg_id, OVERLOADED)
        except AppError as refusal:
            _log.info(
                "referral refused",
                call_id=view.plan.call_id,
                leg_id=event.leg_id,
                target=event.target,
                reason=str(refusal),
            )
            self._calls.answer_referral(event.leg_id, _status_of(refusal))
        except Exception:  # the phone must hear something, or it can never ask again
            _log.exception("a referral was not carried out", call_id=view.plan.call_id, leg_id=event.leg_id)
            self._calls.answer_referral(event.leg_id, 500)

    async def _carry_out(self, view: CallView, event: LegReferred) -> None:
        """Do what a phone of the account asks for. Nobody else may: a carrier's REFER would be at our cost.

        Raises AppError if it is not done.
        """
        leg = next((leg for leg in view.legs if leg.leg_id == event.leg_id), None)
        if leg is None or leg.endpoint.kind is not EndpointKind.DEVICE:
            raise NotTransferable("only phones of the account transfer calls")
        if event.replaced_leg_id:
            if not self._calls.link(view.plan.account_id, event.leg_id, event.replaced_leg_id):
                raise NotTransferable("no two joined calls of this phone")
            return
        account = await self._documents.get(view.plan.account_id, view.plan.account_id, type="account")
        if account is None:
            raise NotTransferable("the account is gone")
        refuse_closed(account, self._clock.epoch())
        headers = _referred_by(leg.endpoint.to_uri)
        if event.replaces:
            headers = (*headers, ("Replaces", event.replaces), ("Require", "replaces"))
        wanted = Replacement(
            plan=view.plan, staying=other_of(view, leg), leaving=leg, by_phone=True, headers=headers
        )
        party = await plan_number(
            wanted, event.target, account=account, world=self._planning, own_hosts=self._own_hosts
        )
        if not party.steps:
            raise NotReached(party.unreachable_cause)
        with await self._bounded(account, leg, party):
            await self._begin(wanted, party, Handover.REFERRED)
        self._calls.answer_referral(event.leg_id, ACCEPTED)

    async def _bounded(self, account: Document, leg: Leg, party: PartyPlan) -> ExitStack:
        """Count a target outside against the bounds of the phone that asks. Raises TooManyRequests."""
        device = await self._documents.get(account.id, leg.endpoint.endpoint_id, type="device")
        is_emergency = goes_out(party) and classify(party.number) == EMERGENCY
        if device is None or not leaves_account(party) or is_emergency:
            return ExitStack()
        owner = await AccountDirectory(self._documents, account).owner_of(device)
        return self._dial_out.within(Dialler(account, owner, device), party.number)


def other_of(view: CallView, leg: Leg) -> Leg:
    """Return the leg that this one talks to. Raises NotBridged."""
    for other in view.legs:
        if leg.state is other.state is LegState.JOINED and other.leg_id == leg.joined_to:
            return other
    raise NotBridged


def _referred_by(to_uri: str) -> tuple[tuple[str, str], ...]:
    """Return the header that says whose doing a call is (RFC 3892)."""
    return (("Referred-By", f"<{to_uri}>"),)


def _status_of(refusal: AppError) -> int:
    if isinstance(refusal, NotReached):
        return refusal_of(refusal.hangup_cause)
    return _STATUS_OF_REFUSAL.get(type(refusal), DECLINED)
