"""What may be done to joined calls while they stand: hold, play, record, transfer, link.

Each method looks whether the call and its media allow it, then feeds the call machine. False: they do not.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from offhook.calls import Call, CallState
from offhook.calls.commands import AnswerReferral
from offhook.calls.events import (
    BreakRequested,
    CallInput,
    HoldRequested,
    LinkRequested,
    PlayRequested,
    RecordRequested,
    TransferRequested,
    UnholdRequested,
)
from offhook.calls.joined import can_record
from offhook.calls.model import Handover, Link, Transfer
from offhook.calls.transferring import can_transfer, other_leg_id

from .account_calls import AccountCalls, AccountUsage
from .live_call import LiveCall
from .ports import Engine

ACCEPTED: Final = 202


class JoinedCalls:
    """Part of the call service: it shares its calls, by leg, and feeds their machines."""

    def __init__(
        self,
        engine: Engine,
        by_leg: Mapping[str, LiveCall],
        by_account: AccountCalls,
        feed: Callable[[LiveCall, CallInput], None],
    ) -> None:
        self._engine = engine
        self._by_leg = by_leg
        self._by_account = by_account
        self._feed = feed

    def hold(self, account_id: str, leg_id: str, media: str = "") -> bool:
        """Put a party of a joined call on hold; False if it is not joined, or its media cannot be cut."""
        live = self._joined(account_id, leg_id)
        if live is None or not self._engine.can_hold(leg_id):
            return False
        self._feed(live, HoldRequested(leg_id, media))
        return True

    def unhold(self, account_id: str, leg_id: str) -> bool:
        """Take a party back; return False if it is not on hold."""
        live = self._joined(account_id, leg_id)
        if live is None or not live.call.legs[leg_id].is_held:
            return False
        self._feed(live, UnholdRequested(leg_id))
        return True

    def play(self, account_id: str, leg_ids: Sequence[str], media: str) -> bool:
        """Play something, once, to parties of a joined call; False if one does not talk, or it cannot be."""
        live = self._joined(account_id, leg_ids[0]) if leg_ids else None
        if live is None or not all(
            self._engine.can_hold(leg_id) and not live.call.legs[leg_id].is_held for leg_id in leg_ids
        ):
            return False
        self._feed(live, PlayRequested(tuple(leg_ids), media))
        return True

    def stop_playing(self, account_id: str, leg_id: str) -> bool:
        """Stop what is played to the parties of a call; False if nothing is."""
        live = self._joined(account_id, leg_id)
        if live is None or not any(leg.is_played_to for leg in live.call.legs.values()):
            return False
        self._feed(live, BreakRequested())
        return True

    def record(self, account_id: str, leg_id: str, recording_id: str) -> bool:
        """Begin to record a joined call; False if it is not joined, is recorded already, or cannot be."""
        live = self._joined(account_id, leg_id)
        if live is None or not can_record(live.call) or not self._engine.can_hold(leg_id):
            return False
        self._feed(live, RecordRequested(recording_id, True))
        return True

    def stop_recording(self, account_id: str, leg_id: str) -> bool:
        """End the recording of a call; False if there is none."""
        live = self._joined(account_id, leg_id)
        if live is None or not live.call.recording:
            return False
        self._feed(live, RecordRequested(live.call.recording, False))
        return True

    def transfer(self, account_id: str, transfer: Transfer) -> bool:
        """Begin to replace a party; False if it is not joined, or its media cannot be cut."""
        live = self._joined(account_id, transfer.leaving_leg_id)
        if live is None or not self._may_transfer(live, transfer.leaving_leg_id):
            return False
        leaving = live.call.legs[transfer.leaving_leg_id].endpoint
        by_device = leaving.endpoint_id if transfer.handover is Handover.REFERRED else ""
        self._by_account.add_party(live.call.plan, transfer.target, by_device)
        self._feed(live, TransferRequested(transfer))
        return True

    def link(self, account_id: str, leaving_leg_id: str, replaced_leg_id: str) -> bool:
        """Join the far parties of two calls that one phone talks in, and hang up its two legs.

        False if they are not two joined calls of this phone, or their media cannot be cut.
        """
        first, second = self._joined(account_id, leaving_leg_id), self._joined(account_id, replaced_leg_id)
        if first is None or second is None or first is second:
            return False
        phones = {
            live.call.legs[leg_id].endpoint.endpoint_id
            for live, leg_id in ((first, leaving_leg_id), (second, replaced_leg_id))
        }
        if len(phones) > 1 or not (
            can_transfer(first.call, leaving_leg_id)
            and can_transfer(second.call, replaced_leg_id)
            and self._engine.can_link(leaving_leg_id, replaced_leg_id)
        ):
            return False
        there = _link(first.call, leaving_leg_id, second.call, replaced_leg_id)
        back = _link(second.call, replaced_leg_id, first.call, leaving_leg_id)
        self.answer_referral(leaving_leg_id, ACCEPTED)
        self._feed(second, LinkRequested(back, is_referrer=False))
        self._feed(first, LinkRequested(there, is_referrer=True))
        return True

    def answer_referral(self, leg_id: str, sip_code: int, sip_reason: str = "") -> None:
        """Accept or refuse what a phone has asked for by REFER; harmless if it has hung up."""
        self._engine.perform(AnswerReferral(leg_id, sip_code, sip_reason))

    def usage(self, account_id: str) -> AccountUsage:
        """Return what an account's calls take of its limits."""
        return self._by_account.usage(account_id)

    def _may_transfer(self, live: LiveCall, leg_id: str) -> bool:
        return can_transfer(live.call, leg_id) and self._engine.can_hold(leg_id)

    def _joined(self, account_id: str, leg_id: str) -> LiveCall | None:
        live = self._by_leg.get(leg_id)
        if live is None or live.call.plan.account_id != account_id:
            return None
        return live if live.call.state is CallState.BRIDGED else None


def _link(call: Call, leaving_leg_id: str, other: Call, other_leaving_leg_id: str) -> Link:
    return Link(
        staying_leg_id=other_leg_id(call, leaving_leg_id),
        leaving_leg_id=leaving_leg_id,
        other_call_id=other.plan.call_id,
        other_leg_id=other_leg_id(other, other_leaving_leg_id),
    )
