"""What must be true of a call that is over: compared with the journal, the live machine and the far ends."""

from collections.abc import Sequence
from types import UnionType
from typing import Final

import msgspec

from offhook.app.ports import JournalEntry
from offhook.calls import Call
from offhook.calls.events import (
    CallBridged,
    CallEnded,
    Fact,
    LegDialed,
    LegOver,
    LegPickedUp,
    LegRang,
    SurplusNoted,
    decode_fact,
)
from offhook.calls.model import By, CallPlan, Ending, MediaMode, Outcome, Party, PartyPlan
from offhook.calls.policy import CRASH
from offhook.calls.replay import replay

from .far_ends import MEDIA_PORT, FarEnd
from .scenario import FOREVER, Cast
from .virtual_disk import CallOnDisk
from .virtual_time import WorldBroken


class CallRecord(msgspec.Struct, kw_only=True):
    """What the world knows about a call from outside."""

    plan: CallPlan
    cast: Cast
    has_relay: bool = True
    longest_way_s: float = 0.0
    """What a packet takes at most, as a rule."""
    accepted: bool = False
    """The client has its 202."""
    refused: bool = False
    asked_to_end: bool = False
    """A DELETE was sent, or a waiting client left."""
    asked_twice: bool = False
    """Two requests bear its Idempotency-Key; `…-again` is the other one's call."""
    crashed_at: list[float] = msgspec.field(default_factory=list)
    """When the node was killed while it lived."""
    was_stopped: bool = False
    """The node was stopped in order while it lived."""
    lost_relay: bool = False
    lost_disk: bool = False
    finals: int = 0
    outcome: str = ""


_LEG_ORDER: Final = {LegDialed: 0, LegRang: 1, LegPickedUp: 2, LegOver: 3}

_BUSY_CODES: Final = frozenset({486, 600})
_REJECTED_CODES: Final = frozenset({603, 403})
_UNREACHABLE_CODES: Final = frozenset({404, 410, 484, 485, 604})

USABLE: Final = ("ours", "alaw")
"""Bodies of a 200 that a call can be had with."""

SPOILS_A_STREAM: Final = ("noise", "cut", "wrong length")
"""Nonsense after which nobody can tell where the next message of a TCP connection starts."""


def judge(stored: CallOnDisk, record: CallRecord, live: Call | None, joined: set[frozenset[int]]) -> Ending:
    """Return the ending if everything about it holds. Raises WorldBroken.

    live is the machine that executed it; None if a later process settled it.
    """
    facts = [decode_fact(entry.fact) for entry in stored.entries]
    ending = _check_facts(facts, record)
    if live is not None:
        _check_replay(stored, live, facts)
    _check_times(stored.entries, stored.accepted_at)
    _check_ending(ending, facts, record, joined)
    return ending


# --- the journal --------------------------------------------------------------------------------------


def _check_facts(facts: Sequence[Fact], record: CallRecord) -> Ending:
    """One end, last; each leg dialled, then perhaps rung, answered, over; a bridge of two answered legs."""
    reached: dict[str, int] = {}
    for number, fact in enumerate(facts):
        if isinstance(fact, CallEnded):
            _must(number == len(facts) - 1, "something comes after the end")
        elif isinstance(fact, CallBridged):
            both = [reached.get(leg_id) for leg_id in (fact.first_leg_id, fact.second_leg_id)]
            _must(both == [2, 2], f"legs in states {both} were joined")
        elif type(fact) in _LEG_ORDER:
            order = _LEG_ORDER[type(fact)]
            before = reached.get(fact.leg_id, -1)
            _must(order > before and (order == 0) == (before == -1), f"{fact} after state {before}")
            reached[fact.leg_id] = order
    last = facts[-1]
    _must(isinstance(last, CallEnded), "the final entry is no end")
    assert isinstance(last, CallEnded)
    open_legs = [leg_id for leg_id, order in reached.items() if order != 3]
    _must(not open_legs, f"legs {open_legs} are not over")
    return last.ending


def _check_replay(stored: CallOnDisk, live: Call, facts: Sequence[Fact]) -> None:
    """The journal tells the same as the machine knew."""
    times = [entry.at for entry in stored.entries]
    twin = replay(stored.plan, stored.accepted_at, zip(times, facts, strict=True))
    for name in ("state", "ending", "times"):
        ours, theirs = getattr(live, name), getattr(twin, name)
        _must(ours == theirs, f"{name}: {ours} in the machine, {theirs} in the journal")
    legs = {leg_id: leg for leg_id, leg in live.legs.items() if leg.created_at}
    _must(legs == twin.legs, f"legs: {legs} in the machine, {twin.legs} in the journal")


def _check_times(entries: Sequence[JournalEntry], accepted_at: float) -> None:
    before = accepted_at
    for entry in entries:
        _must(entry.at >= before, f"entry {entry.sequence} is before the one ahead of it")
        before = entry.at


# --- the outcome --------------------------------------------------------------------------------------


def _check_ending(
    ending: Ending, facts: Sequence[Fact], record: CallRecord, joined: set[frozenset[int]]
) -> None:
    bridges = [fact for fact in facts if isinstance(fact, CallBridged)]
    outcome = ending.outcome
    _must(len(bridges) <= 1, "joined twice")
    if bridges:
        died_meanwhile = (
            record.lost_relay and ending.hangup_cause == CRASH
        )  # noticed a turn of the loop later
        if not died_meanwhile:
            _check_bridge(bridges[0], record, joined)
        died = record.crashed_at or record.was_stopped  # before it could tell
        allowed = (Outcome.CONNECTED, Outcome.PLATFORM_ERROR) if died else (Outcome.CONNECTED,)
        _must(outcome in allowed, f"{outcome}, although they were joined")
    else:
        _must(outcome is not Outcome.CONNECTED, "connected, although they were not joined")
    if ending.party is not Party.NONE:
        _must(ending.side is _party_plan(record.plan, ending.party).side, "party and side disagree")
    reason = _reason_missing(ending, facts, record)
    _must(not reason, f"{ending.outcome} by {ending.by} ({ending.hangup_cause} {ending.sip_code}): {reason}")


def _check_bridge(bridge: CallBridged, record: CallRecord, joined: set[frozenset[int]]) -> None:
    by_leg = {far_end.leg_id: far_end for far_end in record.cast.all}
    first, second = by_leg.get(bridge.first_leg_id), by_leg.get(bridge.second_leg_id)
    _must(first is not None and second is not None, "joined legs that nobody heard of")
    assert first is not None
    assert second is not None
    _must(first.answered_at is not None and second.answered_at is not None, "joined one who did not answer")
    if record.plan.media is MediaMode.BYPASS or first.hears is None or second.hears is None:
        return
    through_relay = frozenset((first.hears[1], second.hears[1])) in joined
    direct = second.hears == (first.address[0], MEDIA_PORT)
    _must(through_relay or direct, "joined, but they cannot hear each other")


def _reason_missing(ending: Ending, facts: Sequence[Fact], record: CallRecord) -> str:
    """Return why the outcome cannot be, by what the far ends saw and did; empty if it can."""
    outcome = ending.outcome
    if outcome is Outcome.PLATFORM_ERROR:
        return _reason_for_platform_error(ending, record)
    if ending.hangup_cause == CRASH and outcome is not Outcome.CONNECTED:
        return "our fault, and not called so"
    if outcome is Outcome.CONNECTED:
        return _reason_for_end(ending, record)
    if outcome is Outcome.CANCELED:
        return _reason_for_giving_up(ending, record)
    if ending.party is Party.NONE:
        return _reason_for_no_join(ending, record)
    plan, far_ends = _party_plan(record.plan, ending.party), record.cast.parties[ending.party.value]
    codes = {code for far_end in far_ends for code in far_end.codes}
    if outcome is Outcome.BUSY:
        return "" if codes & _BUSY_CODES else "no phone was busy"
    if outcome is Outcome.REJECTED:
        return "" if codes & _REJECTED_CODES else "no phone declined"
    if outcome is Outcome.UNREACHABLE:
        unreached = [one for one in far_ends if one.invited_at is None or one.lost_connections]
        return "" if not plan.steps or unreached or codes & _UNREACHABLE_CODES else "all were reached"
    if outcome is Outcome.NO_ANSWER:
        answered = [fact for fact in facts if isinstance(fact, LegPickedUp)]
        expected = 0 if ending.party is Party.FIRST or record.plan.caller is not None else 1
        return "" if len(answered) == expected else "that party answered"
    return _reason_for_failure(ending, far_ends, record)


def _reason_for_platform_error(ending: Ending, record: CallRecord) -> str:
    """Return why it cannot have been our fault."""
    if ending.hangup_cause == CRASH:
        ours = record.crashed_at or record.was_stopped or record.lost_relay
        return "" if ours else "nothing of ours failed"
    return "" if record.was_stopped else "nobody stopped the node"


def _reason_for_giving_up(ending: Ending, record: CallRecord) -> str:
    """Return why nobody can have given up as it says."""
    if ending.by in (By.EXTENSION, By.CONTACT):
        return "" if _has_hung_up(ending.by, record) else "that party did not give up"
    return "" if record.asked_to_end else "nobody asked for it"


def _reason_for_end(ending: Ending, record: CallRecord) -> str:
    """Return why a joined call cannot have ended by whom it says."""
    if ending.by in (By.EXTENSION, By.CONTACT):
        return "" if _has_hung_up(ending.by, record) else "that party did not hang up"
    if ending.by in (By.API, By.VISITOR):
        return "" if record.asked_to_end else "nobody asked for it"
    if ending.by is By.POLICY:
        return ""
    if ending.hangup_cause == CRASH:
        return "" if record.lost_relay else "nothing of ours failed"
    if record.was_stopped:
        return ""
    # A 200 of ours to a re-INVITE that is never acknowledged ends the dialog (RFC 3261 14.2), and so does
    # silence to one of ours. A party's wish is passed on without a relay, and a new codec with one.
    passes_on = record.plan.media is MediaMode.BYPASS or not record.has_relay or _narrows(record)
    asking = record.cast.all if passes_on else _of_party(ending.party, record)
    changed = any(one.script.reinvites_after is not None for one in asking)
    return "" if changed else "the platform had no reason"


def _has_hung_up(by: By, record: CallRecord) -> bool:
    party = Party.FIRST if by.value == record.plan.first.side.value else Party.SECOND
    return any(one.hung_up for one in _of_party(party, record))


def _of_party(party: Party, record: CallRecord) -> Sequence[FarEnd]:
    return record.cast.parties.get(party.value, [])


def _reason_for_failure(ending: Ending, far_ends: Sequence[FarEnd], record: CallRecord) -> str:
    """Return why no far end of the party can have failed as it says."""
    if ending.by is not By.PLATFORM:
        said = {code for far_end in far_ends for code in far_end.codes if code != 200}
        said |= {407 for far_end in far_ends if far_end.script.challenges}
        return "" if ending.sip_code in said else "no far end said that"
    if ending.hangup_cause == "INCOMPATIBLE_DESTINATION":
        useless = any(one.script.body not in USABLE or one.script.babbles for one in record.cast.all)
        return "" if useless or _may_not_agree(record) else "all of them had usable media"
    if ending.hangup_cause == "RECOVERY_ON_TIMER_EXPIRE" and record.plan.caller is not None:
        silent = any(one.script.forgets_ack or one.script.away for one in far_ends)
        return "" if silent else "the caller acknowledged its answer"
    if ending.hangup_cause == "RECOVERY_ON_TIMER_EXPIRE" and any(_changed_unheard(one) for one in far_ends):
        return ""
    return "nobody failed"


def _changed_unheard(far_end: FarEnd) -> bool:
    """Tell whether our 200 to its re-INVITE may be lost: without an ACK we hang up (RFC 3261 14.2)."""
    return far_end.script.reinvites_after is not None and bool(
        far_end.lost_connections or far_end.script.away
    )


def _reason_for_no_join(ending: Ending, record: CallRecord) -> str:
    """Return why a join cannot have taken too long: it may if the first party is to change its session."""
    if ending.hangup_cause != "RECOVERY_ON_TIMER_EXPIRE" or ending.outcome is not Outcome.FAILED:
        return "no party is named"
    at_once = record.plan.media is not MediaMode.BYPASS and record.has_relay and record.plan.caller is None
    if at_once and not _narrows(record):
        return "the relay can join at once"
    slow = any(
        one.script.away
        or one.lost_connections
        or one.script.reinvites_after is not None
        or one.script.forgets_ack
        for one in record.cast.parties["first"]
    )
    return "" if slow else "the first party was there"


def _narrows(record: CallRecord) -> bool:
    """Tell whether a far end takes one codec only: then the relay too has to ask the other party for it."""
    return any(far_end.script.body == "alaw" for far_end in record.cast.all)


def _may_not_agree(record: CallRecord) -> bool:
    """Tell whether the parties are to hear each other without the relay, and one of them refuses."""
    first = record.cast.parties["first"]
    refuses = any(one.script.refuses_reinvites or one.script.offers_late for one in first)
    if record.plan.caller is not None and first[0].script.offers_late and first[0].hung_up:
        return True  # the ACK of an answer that crossed its CANCEL has no session
    return refuses and (record.plan.media is MediaMode.BYPASS or not record.has_relay)


def _party_plan(plan: CallPlan, party: Party) -> PartyPlan:
    return plan.first if party is Party.FIRST else plan.second


# --- the far ends -------------------------------------------------------------------------------------


def orphans(record: CallRecord, stored: CallOnDisk) -> list[FarEnd]:
    """Return the far ends where a leg stands although the call is over, and nothing excuses that."""
    return [one for one in record.cast.all if one.is_held and not excuse(one, record, stored)]


def excuse(far_end: FarEnd, record: CallRecord, stored: CallOnDisk) -> str:
    """Return why nobody can be expected to have ended a leg; empty if it should have been."""
    script = far_end.script
    if script.is_lost:
        return "it is out of reach for ever"
    if not far_end.was_heard:
        return "none of its answers has reached the node: it has its CANCEL, or will give up"
    over_at = _over_at(far_end, stored)
    if far_end.heard_at > over_at:
        return "it was first heard when it had been given up: its CANCEL or BYE is on the way"
    if script.ignores_cancel and far_end.acked_at is None:
        return "it says 200 to a CANCEL and rings on"
    came_late = far_end.answer_heard_at is None or far_end.answer_heard_at > over_at
    if script.forks and far_end.answered_at is not None and came_late:
        return "the other phone behind its proxy spoke for it; its own answer is hung up when it comes"
    if script.forks and record.crashed_at and far_end.acked_at is None:
        return "a crash has made the second answer of a fork unknown; without an ACK it is given up"
    if far_end.acked_at and _was_forgotten(record, stored, far_end, LegPickedUp | SurplusNoted):
        return "the disk refused its answer, it was acknowledged all the same, and the process died"
    if script.tcp and script.babbles in SPOILS_A_STREAM:
        return "it spoilt its own TCP stream"
    return ""


def leaves_fork(far_end: FarEnd, record: CallRecord, stored: CallOnDisk) -> bool:
    """Tell whether the first phone behind a proxy stands in a call that is over, and nothing excuses that."""
    if not far_end.fork_acked or far_end.fork_over:
        return False
    return not _was_forgotten(record, stored, far_end, LegPickedUp)


def _over_at(far_end: FarEnd, stored: CallOnDisk) -> float:
    """Return when the machine took a leg for over, in virtual time; its call is durably over just now."""
    ended_at = stored.entries[-1].at
    for entry in stored.entries:
        fact = decode_fact(entry.fact)
        if isinstance(fact, LegOver) and fact.leg_id == far_end.leg_id:
            return far_end.agenda.now - stored.final_took_s - (ended_at - entry.at)
    return FOREVER


def _was_forgotten(record: CallRecord, stored: CallOnDisk, far_end: FarEnd, answers: UnionType) -> bool:
    """Tell whether the disk refused such answers of a leg, and a crash took the memory of them."""
    if not (record.lost_disk and record.crashed_at):
        return False
    facts = (decode_fact(entry.fact) for entry in stored.entries)
    return not any(isinstance(fact, answers) and fact.leg_id == far_end.leg_id for fact in facts)


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise WorldBroken(what)
