"""Every interleaving of leg events, timers and requests, from the start to the end of a call.

Two histories that lead to the same shape have the same future, so the walk comes to an end by itself: what
it has not seen cannot happen to these plans. Nothing is sampled, and there is no bound on the depth.
"""

import copy
import random

import pytest

from offhook.calls import Call, CallState
from offhook.calls.events import LinkLost
from offhook.calls.model import Handover

from .calls_language import (
    ModelEngine,
    assert_clean_end,
    inbound_plan,
    link_of,
    plan,
    step,
    transfer_of,
    two_party_plan,
)

LONGEST_HISTORY = 100
"""Inputs; the walk is complete long before, or the machine has a loop."""

PLANS = {
    "one phone each": two_party_plan(),
    "two phones, then one": plan(first=(step("a1", "a2"),), second=(step("b"),)),
    "a carrier hunt": plan(
        first=(step("a"),),
        second=(step("g1", hunt="x", progress_timeout_s=5.0), step("g2", hunt="x"), step("v", delay_s=1.0)),
    ),
    "two phones each": plan(first=(step("a1", "a2"),), second=(step("b1", "b2"),)),
    "a phone that rings later": plan(
        first=(step("a"),), second=(step("b1"), step("b2", delay_s=1.0, timeout_s=9.0))
    ),
    "early media is heard": two_party_plan(ignore_early_media=False),
    "nobody to ring first": plan(second=(step("b"),)),
    "nobody to ring second": plan(first=(step("a"),)),
    "a caller and one phone": inbound_plan(step("b")),
    "a caller and two phones": inbound_plan(step("b1", "b2"), ignore_early_media=False),
    "a caller, a phone, then a carrier hunt": inbound_plan(
        step("b", timeout_s=5.0), step("g1", hunt="x", progress_timeout_s=5.0), step("g2", hunt="x")
    ),
    "a caller for nobody": inbound_plan(),
}

TRANSFERS = {
    "blind, of the second party": transfer_of("a", "b", Handover.BLIND, step("c")),
    "blind, of the first party, to two phones": transfer_of("b", "a", Handover.BLIND, step("c1", "c2")),
    "blind, one way after another": transfer_of("a", "b", Handover.BLIND, step("c1"), step("c2")),
    "blind, to nobody": transfer_of("a", "b", Handover.BLIND),
    "referred by the second party": transfer_of("a", "b", Handover.REFERRED, step("c")),
    "referred by the first party": transfer_of("b", "a", Handover.REFERRED, step("c1", "c2")),
    "referred to nobody": transfer_of("a", "b", Handover.REFERRED),
    "intercepted": transfer_of("a", "b", Handover.INTERCEPT, step("c")),
    "put through by the second party": link_of("a", "b"),
    "put through by the first party": link_of("b", "a"),
}


def begin(call_plan) -> tuple[Call, ModelEngine]:
    call, engine = Call(call_plan, 1000.0), ModelEngine()
    engine.take(call.start(1000.0))
    return call, engine


def feed(call: Call, engine: ModelEngine, event, at: float) -> None:
    engine.note(event)
    engine.take(call.receive(event, at))
    if call.state is CallState.ENDED:
        assert_clean_end(call, engine)


@pytest.mark.parametrize("name", PLANS)
def test_every_interleaving_keeps_the_promises(name: str) -> None:
    ends = walk(PLANS[name])
    assert ends or PLANS[name].first.steps == ()


@pytest.mark.parametrize("name", TRANSFERS)
def test_every_interleaving_of_a_transfer_keeps_the_promises(name: str) -> None:
    assert walk(two_party_plan(), TRANSFERS[name])


def walk(call_plan, transfer=None) -> int:
    """Walk every history, with the transfer requested at any instant of the joined call; return the ends."""
    seen: set[tuple] = set()
    frontier = [begin(call_plan)]
    ends = depth = 0
    while frontier:
        depth += 1
        assert depth < LONGEST_HISTORY
        following = []
        for call, engine in frontier:
            inputs = list(engine.possible_inputs())
            if (
                transfer is not None
                and call.state is CallState.BRIDGED
                and not call.transfers
                and not call.link
            ):
                inputs.append(transfer)
            if call.link is not None:
                inputs.append(LinkLost("NORMAL_CLEARING"))
            for event in inputs:
                twin, twin_engine = copy.deepcopy(call), engine.copy()
                feed(twin, twin_engine, event, 1001.0 + depth)
                ends += twin.state is CallState.ENDED
                shape = shape_of(twin, twin_engine)
                if twin.state is not CallState.ENDED and shape not in seen:
                    seen.add(shape)
                    following.append((twin, twin_engine))
        frontier = following
    return ends


def shape_of(call: Call, engine: ModelEngine) -> tuple:
    """What decides the future of a call: two histories with the same shape need not both be walked."""
    return (
        call.state,
        call.step,
        tuple((leg.leg_id, leg.state, leg.hangup_cause, leg.sip_code) for leg in call.legs.values()),
        tuple(sorted(engine.legs.items())),
        tuple(sorted(engine.timers)),
        tuple(sorted(engine.joins)),
        engine.stores,
        call.transfer,
        call.link,
        len(call.transfers),
        call.ending,
    )


@pytest.mark.parametrize("seed", range(300))
def test_random_walks_end_once_and_clean(seed: int) -> None:
    dice = random.Random(seed)
    call, engine = begin(dice.choice(list(PLANS.values())))
    for tick in range(200):
        if call.state is CallState.ENDED:
            break
        events = list(engine.possible_inputs())
        if len(events) > 1 and dice.random() < 0.9:
            events.pop()  # requests to end are rarer than what phones do
        feed(call, engine, dice.choice(events), 1001.0 + tick)
    assert_clean_end(call, engine)
