"""The call machine, by behaviour."""

import pytest

from offhook.calls import Call, CallState, IllegalTransition, policy
from offhook.calls.call import TABLE
from offhook.calls.commands import DialLeg, HangUpLeg, JoinLegs, PassEarlyMedia, PlayToLeg, StartTimer
from offhook.calls.events import (
    CallEnded,
    CallInput,
    EndRequested,
    LegAnswered,
    LegEnded,
    LegRinging,
    LegsJoined,
    TimerFired,
)
from offhook.calls.model import By, EndpointKind, LegState, Outcome, Party, Side

from .calls_language import commands, plan, step, two_party_plan


def given_call(call_plan=None) -> Call:
    call = Call(call_plan or two_party_plan(), 1000.0)
    call.start(1000.0)
    return call


def given_second_rings(call_plan=None) -> Call:
    call = given_call(call_plan)
    call.receive(LegAnswered("a"), 1002.0)
    return call


def given_joined(call_plan=None) -> Call:
    call = given_second_rings(call_plan)
    call.receive(LegAnswered("b"), 1004.0)
    call.receive(LegsJoined("a", "b"), 1004.0)
    return call


def end_of(call: Call, *events: CallInput) -> tuple[Outcome, Party, Side, By, str, int]:
    for event in events:
        call.receive(event, 1010.0)
    while call.live_legs():
        call.receive(LegEnded(call.live_legs()[0].leg_id, "NORMAL_CLEARING", 200), 1011.0)
    assert call.state is CallState.ENDED
    assert call.ending is not None
    ending = call.ending
    return ending.outcome, ending.party, ending.side, ending.by, ending.hangup_cause, ending.sip_code


def busy(leg_id: str) -> LegEnded:
    return LegEnded(leg_id, "USER_BUSY", 486, "Busy Here", by_peer=True)


def test_first_answer_rings_the_second_and_plays_ringback() -> None:
    call = given_call(two_party_plan(ringback="us"))
    outputs = call.receive(LegAnswered("a"), 1002.0)
    assert commands(outputs, PlayToLeg) == [PlayToLeg("a", "us")]
    assert [dial.endpoint.leg_id for dial in commands(outputs, DialLeg)] == ["b"]
    assert commands(outputs, DialLeg)[0].peer_leg_id == "a"
    assert call.state is CallState.RINGING_SECOND


def test_both_answered_are_joined_and_a_hang_up_ends_the_other() -> None:
    call = given_joined()
    assert call.times.bridged == 1004.0
    outputs = call.receive(LegEnded("a", "NORMAL_CLEARING", 200, by_peer=True), 1010.0)
    assert commands(outputs, HangUpLeg) == [HangUpLeg("b", "NORMAL_CLEARING")]
    assert not commands(outputs, CallEnded)
    outputs = call.receive(LegEnded("b", "NORMAL_CLEARING", 200), 1010.1)
    assert len(commands(outputs, CallEnded)) == 1
    assert call.ending is not None
    assert (call.ending.outcome, call.ending.by) == (Outcome.CONNECTED, By.EXTENSION)


def test_all_phones_of_a_party_ring_and_the_losers_are_hung_up() -> None:
    call = Call(plan(first=(step("a1", "a2", "a3"),), second=(step("b"),)), 1000.0)
    assert len(commands(call.start(1000.0), DialLeg)) == 3
    outputs = call.receive(LegAnswered("a2"), 1002.0)
    assert commands(outputs, HangUpLeg) == [HangUpLeg("a1", "LOSE_RACE"), HangUpLeg("a3", "LOSE_RACE")]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([busy("a")], (Outcome.BUSY, Party.FIRST, Side.EXTENSION, By.EXTENSION, "USER_BUSY", 486)),
        (
            [LegAnswered("a"), busy("b")],
            (Outcome.BUSY, Party.SECOND, Side.CONTACT, By.CONTACT, "USER_BUSY", 486),
        ),
        (
            [LegAnswered("a"), LegEnded("b", "CALL_REJECTED", 603, "Decline", by_peer=True)],
            (Outcome.REJECTED, Party.SECOND, Side.CONTACT, By.CONTACT, "CALL_REJECTED", 603),
        ),
        (
            [LegAnswered("a"), LegEnded("b", "CALL_REJECTED", 401, "Unauthorized", by_peer=True)],
            (Outcome.FAILED, Party.SECOND, Side.CONTACT, By.CONTACT, "CALL_REJECTED", 401),
        ),
        (
            [LegRinging("a"), TimerFired("no_answer")],
            (Outcome.NO_ANSWER, Party.FIRST, Side.EXTENSION, By.POLICY, "NO_ANSWER", 0),
        ),
        (
            [TimerFired("no_answer")],
            (Outcome.NO_ANSWER, Party.FIRST, Side.EXTENSION, By.POLICY, "NO_USER_RESPONSE", 0),
        ),
        (
            [LegEnded("a", "UNALLOCATED_NUMBER", 404, "Not Found", by_peer=True)],
            (Outcome.UNREACHABLE, Party.FIRST, Side.EXTENSION, By.EXTENSION, "UNALLOCATED_NUMBER", 404),
        ),
        (
            [LegAnswered("a"), LegRinging("b"), LegEnded("a", "NORMAL_CLEARING", 200, by_peer=True)],
            (Outcome.CANCELED, Party.FIRST, Side.EXTENSION, By.EXTENSION, "ORIGINATOR_CANCEL", 200),
        ),
        (
            [LegRinging("a"), EndRequested(By.VISITOR)],
            (Outcome.CANCELED, Party.NONE, Side.NONE, By.VISITOR, "ORIGINATOR_CANCEL", 0),
        ),
        (
            [EndRequested(By.PLATFORM, "SYSTEM_SHUTDOWN")],
            (Outcome.PLATFORM_ERROR, Party.NONE, Side.NONE, By.PLATFORM, "SYSTEM_SHUTDOWN", 0),
        ),
    ],
)
def test_how_an_unjoined_call_ends(events: list[CallInput], expected: tuple) -> None:
    assert end_of(given_call(), *events) == expected


def test_nobody_registered_ends_at_once_as_unreachable() -> None:
    call = Call(plan(second=(step("b"),)), 1000.0)
    outputs = call.start(1000.0)
    assert commands(outputs, DialLeg) == []
    assert commands(outputs, CallEnded)
    assert end_of(call) == (
        Outcome.UNREACHABLE, Party.FIRST, Side.EXTENSION, By.PLATFORM, "USER_NOT_REGISTERED", 0,
    )  # fmt: skip


def test_an_unknown_contact_is_told_after_the_first_answered_as_kazoo_does() -> None:
    call = given_call(plan(first=(step("a"),)))
    outputs = call.receive(LegAnswered("a"), 1002.0)
    assert commands(outputs, HangUpLeg) == [HangUpLeg("a", "NO_ROUTE_DESTINATION")]
    assert end_of(call)[:2] == (Outcome.UNREACHABLE, Party.SECOND)


def test_a_carrier_that_fails_is_blamed_and_the_next_is_tried() -> None:
    gateways = (
        step("g1", hunt="carriers", kind=EndpointKind.GATEWAY),
        step("g2", hunt="carriers", kind=EndpointKind.GATEWAY),
    )
    call = given_second_rings(plan(first=(step("a"),), second=gateways))
    outputs = call.receive(
        LegEnded("g1", "NORMAL_TEMPORARY_FAILURE", 503, "Unavailable", by_peer=True), 1003.0
    )
    assert [dial.endpoint.leg_id for dial in commands(outputs, DialLeg)] == ["g2"]
    ending = end_of(call, LegEnded("g2", "NORMAL_TEMPORARY_FAILURE", 503, "Unavailable", by_peer=True))
    assert ending[:4] == (Outcome.FAILED, Party.SECOND, Side.CONTACT, By.CARRIER)


def test_a_leg_that_we_lost_makes_it_our_fault() -> None:
    call = given_second_rings(plan(first=(step("a"),), second=(step("b1", "b2"),)))
    call.receive(busy("b1"), 1003.0)
    ending = end_of(call, LegEnded("b2", "CRASH", 407, "", by_peer=False))  # whatever it said last
    assert ending[:4] == (Outcome.PLATFORM_ERROR, Party.SECOND, Side.CONTACT, By.PLATFORM)


def test_an_answered_leg_that_we_lost_makes_it_our_fault() -> None:
    call = given_second_rings(two_party_plan())
    ending = end_of(call, LegEnded("a", "CRASH", 200, "", by_peer=False))
    assert ending[:4] == (Outcome.PLATFORM_ERROR, Party.FIRST, Side.EXTENSION, By.PLATFORM)


def test_a_busy_destination_is_not_hunted_through_other_carriers() -> None:
    hunted = (step("g1", hunt="carriers"), step("g2", hunt="carriers"), step("v"))
    call = given_second_rings(plan(first=(step("a"),), second=hunted))
    outputs = call.receive(busy("g1"), 1003.0)
    assert [dial.endpoint.leg_id for dial in commands(outputs, DialLeg)] == ["v"]


def test_a_delayed_endpoint_rings_when_its_delay_is_over() -> None:
    call = Call(plan(first=(step("a", delay_s=3.0),), second=(step("b"),)), 1000.0)
    outputs = call.start(1000.0)
    assert commands(outputs, DialLeg) == []
    assert StartTimer("delay:a", 3.0) in outputs
    assert commands(call.receive(TimerFired("delay:a"), 1003.0), DialLeg)


def test_no_progress_gives_up_a_carrier_but_a_ringing_one_is_left_alone() -> None:
    hunted = (step("g1", hunt="x", progress_timeout_s=5.0), step("g2", hunt="x", progress_timeout_s=5.0))
    call = given_second_rings(plan(first=(step("a"),), second=hunted))
    outputs = call.receive(TimerFired("progress:g1"), 1007.0)
    assert HangUpLeg("g1", "PROGRESS_TIMEOUT") in outputs
    call.receive(LegRinging("g2"), 1008.0)
    assert call.receive(TimerFired("leg:other"), 1012.0) == []


def test_early_media_of_the_second_is_passed_only_when_not_ignored() -> None:
    heard = given_second_rings(two_party_plan(ignore_early_media=False))
    assert PassEarlyMedia("a", "b") in heard.receive(LegRinging("b", 183, has_media=True), 1003.0)
    ignored = given_second_rings()
    assert not commands(ignored.receive(LegRinging("b", 183, has_media=True), 1003.0), PassEarlyMedia)


def test_a_talk_longer_than_the_limit_is_ended_by_policy() -> None:
    assert end_of(given_joined(), TimerFired("max_duration"))[0::3] == (Outcome.CONNECTED, By.POLICY)


def test_first_hangs_up_in_the_instant_the_second_answers() -> None:
    call = given_second_rings()
    outputs = call.receive(LegAnswered("b"), 1004.0)
    assert commands(outputs, JoinLegs)
    ending = end_of(call, LegEnded("a", "NORMAL_CLEARING", 200, by_peer=True))
    assert ending[:4] == (Outcome.CANCELED, Party.FIRST, Side.EXTENSION, By.EXTENSION)


def test_an_engine_that_loses_a_leg_does_not_keep_the_call_open() -> None:
    call = given_joined()
    call.receive(EndRequested(By.API), 1010.0)
    outputs = call.receive(TimerFired("ending"), 1110.0)
    assert commands(outputs, CallEnded)
    assert {leg.state for leg in call.legs.values()} == {LegState.ENDED}


def test_what_the_table_does_not_list_raises_and_changes_nothing() -> None:
    call = given_call()
    with pytest.raises(IllegalTransition):
        call.receive(LegsJoined("a", "b"), 1001.0)
    assert call.state is CallState.RINGING_FIRST


def test_every_state_lists_ends_timers_and_requests() -> None:
    for state in set(CallState) - {CallState.PLACED}:
        for event in (LegEnded, TimerFired, EndRequested):
            assert (state, event) in TABLE


@pytest.mark.parametrize(
    ("status", "cause"),
    [(486, "USER_BUSY"), (480, "NO_USER_RESPONSE"), (404, "UNALLOCATED_NUMBER"), (603, "CALL_REJECTED"),
     (415, "SERVICE_NOT_IMPLEMENTED"), (420, "INTERWORKING"), (399, "NORMAL_UNSPECIFIED"),
     (302, "REDIRECTION_TO_NEW_DESTINATION"), (301, "REDIRECTION_TO_NEW_DESTINATION"),
     (503, "NORMAL_TEMPORARY_FAILURE"), (488, "INCOMPATIBLE_DESTINATION"), (408, "RECOVERY_ON_TIMER_EXPIRE")],
)  # fmt: skip
def test_sip_codes_become_kazoo_causes(status: int, cause: str) -> None:
    assert policy.cause_of_sip(status) == cause
