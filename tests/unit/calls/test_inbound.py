"""A call that came in: its first party is the caller, who is answered when the second has answered."""

import pytest

from offhook.calls import Call, CallState
from offhook.calls.commands import (
    AlertLeg,
    AnswerLeg,
    DialLeg,
    EndLostLeg,
    HangUpLeg,
    JoinLegs,
    PassEarlyMedia,
    PlayToLeg,
    TakeLeg,
)
from offhook.calls.events import (
    CallEnded,
    EndRequested,
    LegAnswered,
    LegDialed,
    LegEnded,
    LegRinging,
    LegsJoined,
    TimerFired,
)
from offhook.calls.model import By, LegState, Outcome, Party
from offhook.calls.policy import refusal_of
from offhook.calls.replay import replay

from .calls_language import commands, inbound_plan, step
from .test_recovery import _facts


def started(*second, **fields):
    call = Call(inbound_plan(*(second or (step("b"),)), **fields), 1000.0)
    return call, call.start(1000.0)


def test_the_caller_waits_while_the_other_party_is_rung() -> None:
    call, outputs = started()
    assert call.state is CallState.RINGING_SECOND
    [taken], [dialed] = commands(outputs, TakeLeg), commands(outputs, DialLeg)
    assert (taken.endpoint.leg_id, dialed.endpoint.leg_id, dialed.peer_leg_id) == ("a", "b", "a")
    assert [fact.leg_id for fact in commands(outputs, LegDialed)] == ["a", "b"]
    assert call.legs["a"].state is LegState.WAITING
    assert commands(outputs, AnswerLeg) == []


def test_the_caller_hears_once_that_it_rings() -> None:
    call, _ = started(step("b1", "b2"))
    assert commands(call.receive(LegRinging("b1"), 1001.0), AlertLeg) == [AlertLeg("a")]
    assert commands(call.receive(LegRinging("b2"), 1002.0), AlertLeg) == []
    assert call.times.second_ringing == 1001.0


def test_the_accounts_ringback_is_played_to_the_caller() -> None:
    call, _ = started(ringback="de")
    outputs = call.receive(LegRinging("b"), 1001.0)
    assert commands(outputs, PlayToLeg) == [PlayToLeg("a", "de")]
    assert commands(outputs, AlertLeg) == []


def test_early_media_is_passed_to_the_caller_if_the_plan_says_so() -> None:
    call, _ = started(ignore_early_media=False)
    outputs = call.receive(LegRinging("b", 183, has_media=True), 1001.0)
    assert commands(outputs, PassEarlyMedia) == [PassEarlyMedia("a", "b")]


def test_the_caller_is_answered_when_the_other_party_has_answered_and_joined_when_it_knows() -> None:
    call, _ = started()
    outputs = call.receive(LegAnswered("b"), 1003.0)
    assert commands(outputs, AnswerLeg) == [AnswerLeg("a", "b")]
    assert commands(outputs, JoinLegs) == []
    assert (call.state, call.times.first_answered) == (CallState.JOINING, 0.0)
    assert commands(call.receive(LegAnswered("a", dialog="d"), 1004.0), JoinLegs) == [JoinLegs("a", "b")]
    assert call.times.first_answered == 1004.0
    call.receive(LegsJoined("a", "b"), 1004.0)
    assert call.state is CallState.BRIDGED


def test_a_caller_that_gives_up_cancels_the_call() -> None:
    call, _ = started()
    outputs = call.receive(LegEnded("a", "ORIGINATOR_CANCEL", 487, by_peer=True), 1002.0)
    assert commands(outputs, HangUpLeg) == [HangUpLeg("b", "ORIGINATOR_CANCEL")]
    [ended] = commands(call.receive(LegEnded("b", "ORIGINATOR_CANCEL", 487), 1003.0), CallEnded)
    ending = ended.ending
    assert (ending.outcome, ending.by, ending.party) == (Outcome.CANCELED, By.EXTENSION, Party.FIRST)


def test_a_refusal_is_passed_back_with_its_code() -> None:
    call, _ = started()
    outputs = call.receive(LegEnded("b", "USER_BUSY", 486, "Busy Here", by_peer=True), 1002.0)
    assert commands(outputs, HangUpLeg) == [HangUpLeg("a", "USER_BUSY", 486)]
    [ended] = commands(call.receive(LegEnded("a", "USER_BUSY", 486), 1002.0), CallEnded)
    assert (ended.ending.outcome, ended.ending.party) == (Outcome.BUSY, Party.SECOND)


def test_nobody_answers() -> None:
    call, _ = started()
    call.receive(LegRinging("b"), 1001.0)
    outputs = call.receive(TimerFired("no_answer"), 1030.0)
    assert commands(outputs, HangUpLeg) == [HangUpLeg("b", "NO_ANSWER"), HangUpLeg("a", "NO_ANSWER")]


def test_nobody_is_there() -> None:
    call = Call(inbound_plan(), 1000.0)
    outputs = call.start(1000.0)
    assert commands(outputs, HangUpLeg) == [HangUpLeg("a", "NO_ROUTE_DESTINATION")]
    assert call.state is CallState.ENDING


def test_the_api_hangs_up_a_caller_that_waits() -> None:
    call, _ = started()
    outputs = call.receive(EndRequested(By.API), 1002.0)
    assert {command.leg_id for command in commands(outputs, HangUpLeg)} == {"a", "b"}


def test_a_caller_that_never_acknowledges_was_not_connected() -> None:
    call, _ = started()
    call.receive(LegAnswered("b"), 1003.0)
    outputs = call.receive(LegEnded("a", "RECOVERY_ON_TIMER_EXPIRE", 200), 1035.0)
    assert commands(outputs, HangUpLeg) == [HangUpLeg("b", "RECOVERY_ON_TIMER_EXPIRE")]
    [ended] = commands(call.receive(LegEnded("b", "NORMAL_CLEARING", 200), 1036.0), CallEnded)
    assert ended.ending.outcome is Outcome.FAILED


def test_the_other_party_hangs_up_before_the_caller_knows() -> None:
    call, _ = started()
    call.receive(LegAnswered("b"), 1003.0)
    outputs = call.receive(LegEnded("b", "NORMAL_CLEARING", 200, by_peer=True), 1003.5)
    assert [command.leg_id for command in commands(outputs, HangUpLeg)] == ["a"]


@pytest.mark.parametrize("answers", [(), (LegAnswered("b"),), (LegAnswered("b"), LegAnswered("a"))])
def test_a_crash_tells_the_engine_whether_the_caller_may_be_answered(answers) -> None:
    call, outputs = started()
    facts = _facts(outputs)
    for event in answers:
        facts += _facts(call.receive(event, 1001.0))
    twin = replay(call.plan, 1000.0, [(1001.0, fact) for fact in facts])
    assert twin.state is call.state
    [caller, _] = commands(twin.recover({}, 1010.0), EndLostLeg)
    assert (caller.endpoint.leg_id, caller.may_be_answered) == ("a", bool(answers))


@pytest.mark.parametrize(
    ("cause", "code", "status"),
    [
        ("USER_BUSY", 486, 486),
        ("USER_BUSY", 600, 600),
        ("CALL_REJECTED", 603, 603),
        ("CALL_REJECTED", 403, 603),
        ("CALL_REJECTED", 407, 603),
        ("NO_ANSWER", 487, 480),
        ("NO_ANSWER", 0, 480),
        ("USER_NOT_REGISTERED", 0, 480),
        ("UNALLOCATED_NUMBER", 404, 404),
        ("INCOMPATIBLE_DESTINATION", 0, 488),
        ("NORMAL_TEMPORARY_FAILURE", 503, 503),
        ("CRASH", 0, 500),
        ("ORIGINATOR_CANCEL", 0, 480),
        ("REDIRECTION_TO_NEW_DESTINATION", 302, 480),
    ],
)
def test_what_a_caller_is_told(cause: str, code: int, status: int) -> None:
    assert refusal_of(cause, code) == status
