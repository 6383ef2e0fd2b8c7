"""A call rebuilt from its journal equals the call that wrote it."""

import random

import pytest

from offhook.calls import Call, CallState
from offhook.calls.commands import EngineCommand, TimerCommand
from offhook.calls.events import decode_fact, encode_fact
from offhook.calls.replay import replay

from .calls_language import ModelEngine
from .test_call_interleavings import PLANS

COMMANDS = EngineCommand | TimerCommand


@pytest.mark.parametrize("seed", range(100))
def test_replayed_facts_give_the_same_legs_times_and_ending(seed: int) -> None:
    dice = random.Random(seed)
    call_plan = dice.choice(list(PLANS.values()))
    call, engine, at = Call(call_plan, 1000.0), ModelEngine(), 1000.0
    entries: list[tuple[float, bytes]] = []
    outputs = call.start(at)
    while True:
        engine.take(outputs)
        entries += [(at, encode_fact(output)) for output in outputs if not isinstance(output, COMMANDS)]
        if call.state is CallState.ENDED:
            break
        event = dice.choice(list(engine.possible_inputs()))
        engine.note(event)
        at += 1.0
        outputs = call.receive(event, at)
    twin = replay(call_plan, 1000.0, ((at, decode_fact(data)) for at, data in entries))
    assert twin.ending == call.ending
    assert twin.times == call.times
    assert twin.legs == {leg_id: leg for leg_id, leg in call.legs.items() if leg.created_at}
    assert twin.state is call.state
