"""What the outcome must be when nothing goes wrong: worked out from the scripts alone, for plain calls.

A call is plain when each party is one phone that keeps to the rules, on a good network, and nobody asks for
its end. Where two things happen within a margin of each other either may come first: nothing is foretold.
"""

from typing import Final

from offhook.calls.model import By, Ending, EndpointKind, MediaMode, Outcome, Party, PartyPlan, Side

from .far_ends import FarEnd
from .judge import CallRecord

MARGIN_S: Final = 0.7
"""Slots of two timer wheels, a busy loop, a stalled disk, and a desk that plans a call that came in."""

WAYS: Final = 4
"""A caller's INVITE comes in and goes on, the answer comes in and goes back: so late it hears of that."""

NEVER: Final = 1e9

OUTCOME_OF_CODE: Final = {
    302: Outcome.FAILED,
    404: Outcome.UNREACHABLE,
    408: Outcome.NO_ANSWER,
    480: Outcome.NO_ANSWER,
    486: Outcome.BUSY,
    488: Outcome.FAILED,
    500: Outcome.FAILED,
    503: Outcome.FAILED,
    600: Outcome.BUSY,
    603: Outcome.REJECTED,
}
"""As docs/topics/outcomes.md words it; not taken from the code under test."""

Foretold = tuple[Outcome, Party, By, int]


class _Unclear(Exception):
    """Two things are too close, or the call is not plain."""


def foretell(record: CallRecord) -> Foretold | None:
    """Return outcome, party, by and SIP code of a plain call (0 where nobody said one); None if unclear."""
    try:
        return _foretell(record)
    except _Unclear:
        return None


def agrees(ending: Ending, foretold: Foretold) -> bool:
    """Compare; a SIP code of 0 is not compared."""
    outcome, party, by, code = foretold
    same = (ending.outcome, ending.party, ending.by) == (outcome, party, by)
    return same and code in (0, ending.sip_code)


def _foretell(record: CallRecord) -> Foretold:
    plan, margin_s = record.plan, _margin_s(record)
    if record.asked_to_end or record.asked_twice or plan.media is not MediaMode.PROCESS:
        raise _Unclear
    if plan.caller is not None:
        return _foretell_caller(record)
    failure = _failure(plan.first, Party.FIRST, record)
    if failure is not None:
        return failure
    first = record.cast.parties["first"][0]
    if not plan.second.steps:
        return Outcome.UNREACHABLE, Party.SECOND, By.PLATFORM, 0
    second = _only(plan.second, Party.SECOND, record)
    patience = first.script.hangs_up_after
    settled = min(second.script.answers_after if second.script.status else NEVER, _rings_for(plan.second))
    if patience is not None and patience < settled + margin_s:
        if patience > settled - margin_s:
            raise _Unclear
        return Outcome.CANCELED, Party.FIRST, _by(plan.first), 200
    failure = _failure(plan.second, Party.SECOND, record)
    return failure or _end_of_talk(record, first, second, settled)


def _foretell_caller(record: CallRecord) -> Foretold:
    """The same of a call that came in; seconds count from the INVITE."""
    plan, margin_s = record.plan, _margin_s(record)
    caller = _only(plan.first, Party.FIRST, record).script
    if caller.offers_late or caller.forgets_ack or caller.body not in ("ours", "alaw"):
        raise _Unclear
    settled, talk = 0.0, None
    if plan.second.steps:
        script = _only(plan.second, Party.SECOND, record).script
        settled = min(script.answers_after if script.status else NEVER, _rings_for(plan.second))
        talk = script.hangs_up_after
    if caller.gives_up_after < settled + margin_s:
        if caller.gives_up_after > settled - margin_s:
            raise _Unclear
        return Outcome.CANCELED, Party.FIRST, _by(plan.first), 0
    failure = _failure(plan.second, Party.SECOND, record)
    if failure is not None:
        return failure
    ends = sorted(
        [
            (NEVER if caller.hangs_up_after is None else caller.hangs_up_after, Party.FIRST, _by(plan.first)),
            (NEVER if talk is None else talk, Party.SECOND, _by(plan.second)),
            (plan.max_duration_s, Party.NONE, By.POLICY),
        ]
    )
    if ends[1][0] - ends[0][0] < margin_s or ends[0][0] < margin_s:
        raise _Unclear
    return Outcome.CONNECTED, ends[0][1], ends[0][2], 0


def _failure(party: PartyPlan, which: Party, record: CallRecord) -> Foretold | None:
    """Return how the call ends because a party is not reached; None if it answers."""
    if not party.steps:
        return Outcome.UNREACHABLE, which, By.PLATFORM, 0
    script, limit, margin_s = _only(party, which, record).script, _rings_for(party), _margin_s(record)
    if not script.status or script.answers_after > limit + margin_s:
        return Outcome.NO_ANSWER, which, By.POLICY, 0
    if script.answers_after > limit - margin_s:
        raise _Unclear
    if script.status != 200:
        is_gateway = party.steps[0].endpoints[0].kind is EndpointKind.GATEWAY
        by = By.CARRIER if is_gateway else _by(party)
        return OUTCOME_OF_CODE[script.status], which, by, script.status
    if script.body not in ("ours", "alaw"):
        return Outcome.FAILED, which, By.PLATFORM, 200
    return None


def _end_of_talk(record: CallRecord, first: FarEnd, second: FarEnd, answered_after: float) -> Foretold:
    """Return who ends the talk; seconds count from the answer of the first."""
    patience = first.script.hangs_up_after
    talk = second.script.hangs_up_after
    plan, margin_s = record.plan, _margin_s(record)
    ends = sorted(
        [
            (NEVER if patience is None else patience, Party.FIRST, _by(plan.first)),
            (NEVER if talk is None else answered_after + talk, Party.SECOND, _by(plan.second)),
            (answered_after + plan.max_duration_s, Party.NONE, By.POLICY),
        ]
    )
    if ends[1][0] - ends[0][0] < margin_s or (talk is not None and talk < margin_s):
        raise _Unclear
    return Outcome.CONNECTED, ends[0][1], ends[0][2], 0


def _margin_s(record: CallRecord) -> float:
    """Return how far apart two things must be for one to come first for certain."""
    return MARGIN_S + WAYS * record.longest_way_s


def _only(party: PartyPlan, which: Party, record: CallRecord) -> FarEnd:
    """Return the party's one far end, if it is plain."""
    far_ends = record.cast.parties[which.value]
    if len(party.steps) != 1 or len(party.steps[0].endpoints) != 1 or len(far_ends) != 1:
        raise _Unclear
    endpoint, script = party.steps[0].endpoints[0], far_ends[0].script
    odd = script.forks or script.name or script.tcp or script.away or script.babbles or script.challenges
    if odd or endpoint.delay_s or endpoint.progress_timeout_s:
        raise _Unclear
    return far_ends[0]


def _by(party: PartyPlan) -> By:
    return By.EXTENSION if party.side is Side.EXTENSION else By.CONTACT


def _rings_for(party: PartyPlan) -> float:
    step = party.steps[0]
    return min(step.timeout_s, step.endpoints[0].timeout_s or step.timeout_s)
