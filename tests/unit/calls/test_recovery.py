"""A call whose process died: replayed, settled, its legs ended, its one outcome written."""

import random

import pytest

from offhook.calls import Call, CallState
from offhook.calls.commands import EndLostLeg
from offhook.calls.errors import IllegalTransition
from offhook.calls.events import (
    CallEnded,
    Fact,
    LegAnswered,
    LegDialed,
    LegEnded,
    LegOver,
    LegsJoined,
    TimerFired,
    decode_fact,
    encode_fact,
)
from offhook.calls.model import By, Outcome
from offhook.calls.replay import replay

from .calls_language import ModelEngine, commands, two_party_plan
from .test_call_interleavings import PLANS
from .test_replay import COMMANDS


def recovered(*events, call_plan=None):
    """Return a call of which the journal holds what these events wrote, and what recover() asks for."""
    call = Call(call_plan or two_party_plan(), 1000.0)
    facts = _facts(call.start(1000.0))
    for event in events:
        facts += _facts(call.receive(event, 1001.0))
    twin = replay(call.plan, 1000.0, [(1001.0, fact) for fact in facts])
    return twin, twin.recover({}, 1010.0)


def _facts(outputs) -> list[Fact]:
    return [output for output in outputs if not isinstance(output, COMMANDS)]


def test_every_leg_of_the_plan_is_ended_known_or_not() -> None:
    call, outputs = recovered()
    assert [command.endpoint.leg_id for command in commands(outputs, EndLostLeg)] == ["a", "b"]
    assert call.state is CallState.ENDING


def test_a_leg_that_was_over_is_left_alone() -> None:
    call_plan = PLANS["two phones, then one"]
    _, outputs = recovered(LegEnded("a1", "USER_BUSY", 486, by_peer=True), call_plan=call_plan)
    assert [command.endpoint.leg_id for command in commands(outputs, EndLostLeg)] == ["a2", "b"]


def test_a_leg_the_far_end_never_knew_leaves_no_trace() -> None:
    call, _ = recovered()
    call.receive(LegEnded("a", "CRASH", 487), 1011.0)
    outputs = call.receive(LegEnded("b", "CRASH", 0), 1012.0)
    assert commands(outputs, LegOver) == []
    assert call.state is CallState.ENDED
    assert [leg.leg_id for leg in call.legs.values() if leg.created_at] == ["a"]


def test_a_leg_the_journal_lost_is_told_when_the_far_end_knew_it() -> None:
    call, _ = recovered()
    outputs = call.receive(LegEnded("b", "CRASH", 487), 1011.0)
    assert commands(outputs, LegDialed) == [LegDialed("b", "second", "contact", "")]
    assert commands(outputs, LegOver) == [LegOver("b", "CRASH", 487, "", False)]


def test_a_call_that_is_over_is_not_recovered() -> None:
    call = replay(two_party_plan(), 1000.0, [])
    call.state = CallState.ENDED
    with pytest.raises(IllegalTransition):
        call.recover({}, 1001.0)


def test_the_bound_ends_a_recovery_whose_far_ends_are_gone() -> None:

    call, _ = recovered()
    outputs = call.receive(TimerFired("ending"), 1111.0)
    assert commands(outputs, CallEnded)
    assert call.ending is not None
    assert call.ending.outcome is Outcome.PLATFORM_ERROR


@pytest.mark.parametrize("seed", range(200))
def test_a_crash_at_any_instant_gives_one_outcome(seed: int) -> None:
    dice = random.Random(seed)
    call_plan = dice.choice(list(PLANS.values()))
    call, engine, at = Call(call_plan, 1000.0), ModelEngine(), 1000.0
    entries: list[tuple[float, bytes]] = []
    outputs = call.start(at)
    for _ in range(dice.randrange(12)):
        engine.take(outputs)
        entries += [(at, encode_fact(fact)) for fact in _facts(outputs)]
        if call.state is CallState.ENDED:
            break
        event = dice.choice(list(engine.possible_inputs()))
        engine.note(event)
        at += 1.0
        outputs = call.receive(event, at)
    known = [(at, decode_fact(data)) for at, data in entries[: dice.randrange(len(entries) + 1)]]
    if known and isinstance(known[-1][1], CallEnded):
        return
    successor = replay(call_plan, 1000.0, known)
    outputs = successor.recover({}, at)
    lost = [command.endpoint.leg_id for command in commands(outputs, EndLostLeg)]
    over = {fact.leg_id for _, fact in known if isinstance(fact, LegOver)}
    planned = {endpoint.leg_id for endpoint in call_plan.first.endpoints + call_plan.second.endpoints}
    assert set(lost) == planned - over
    finals = len(commands(outputs, CallEnded))
    for leg_id in lost:
        finals += len(
            commands(successor.receive(LegEnded(leg_id, "CRASH", dice.choice([0, 200, 487])), at), CallEnded)
        )
    assert finals == 1
    assert successor.ending is not None
    assert successor.ending.outcome in (Outcome.PLATFORM_ERROR, Outcome.CONNECTED)


def test_a_joined_call_that_a_party_hung_up_before_the_crash_was_connected() -> None:

    call, outputs = recovered(
        LegAnswered("a"),
        LegAnswered("b"),
        LegsJoined("a", "b"),
        LegEnded("b", "NORMAL_CLEARING", 200, by_peer=True),
    )
    assert [command.endpoint.leg_id for command in commands(outputs, EndLostLeg)] == ["a"]
    assert call.ending is not None
    assert (call.ending.outcome, call.ending.by) == (Outcome.CONNECTED, By.CONTACT)
