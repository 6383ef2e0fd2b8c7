"""A party of a joined call is replaced: blind, referred, intercepted; at any instant anything may end it."""

import pytest

from offhook.calls import Call, CallState
from offhook.calls.commands import (
    DialLeg,
    EndLostLeg,
    HangUpLeg,
    HoldLeg,
    JoinLegs,
    StartTimer,
    TellReferrer,
    UnholdLeg,
)
from offhook.calls.events import (
    CallEnded,
    EndRequested,
    Fact,
    HoldRequested,
    LegAnswered,
    LegEnded,
    LegHolds,
    LegRinging,
    LegsJoined,
    TimerFired,
    TransferBegun,
    TransferFailed,
    TransferStored,
)
from offhook.calls.model import By, Handover, LegState, Outcome, Side
from offhook.calls.replay import replay
from offhook.calls.states import MAX_TRANSFERS, Output
from offhook.calls.transferring import can_transfer

from .calls_language import commands, step, transfer_of, two_party_plan

BUSY = LegEnded("c", "USER_BUSY", 486, "Busy Here", by_peer=True)


class Told:
    """A call with all it has put out, so that its journal can be read again at any instant."""

    def __init__(self) -> None:
        self.call = Call(two_party_plan(), 1000.0)
        self.now = 1000.0
        self.outputs: list[Output] = self.call.start(self.now)
        self.facts: list[tuple[float, Fact]] = [(self.now, fact) for fact in facts_of(self.outputs)]

    def give(self, *events) -> list[Output]:
        outputs: list[Output] = []
        for event in events:
            self.now += 1
            outputs += self.call.receive(event, self.now)
        self.facts += [(self.now, fact) for fact in facts_of(outputs)]
        return outputs

    def replayed(self) -> Call:
        return replay(self.call.plan, 1000.0, self.facts)


def facts_of(outputs: list[Output]) -> list[Fact]:
    return [output for output in outputs if isinstance(output, Fact)]


def given_joined_call() -> Told:
    told = Told()
    told.give(LegAnswered("a"), LegAnswered("b"), LegsJoined("a", "b"))
    assert told.call.state is CallState.BRIDGED
    return told


def given_transfer(handover: Handover, *steps, staying: str = "a", leaving: str = "b") -> Told:
    told = given_joined_call()
    told.give(transfer_of(staying, leaving, handover, *(steps or (step("c"),))))
    told.give(TransferStored())
    return told


def test_nobody_is_rung_before_the_journal_has_the_transfer() -> None:
    told = given_joined_call()
    begun = told.give(transfer_of("a", "b", Handover.BLIND, step("c")))
    assert not commands(begun, DialLeg)
    dial = commands(told.give(TransferStored()), DialLeg)
    assert [(command.endpoint.leg_id, command.peer_leg_id, command.replaces_leg_id) for command in dial] == [
        ("c", "a", "b")
    ]


def test_a_blind_transfer_hangs_up_who_leaves_and_lets_who_stays_hear_ringback() -> None:
    told = given_joined_call()
    outputs = told.give(transfer_of("a", "b", Handover.BLIND, step("c")))
    assert commands(outputs, HangUpLeg) == [HangUpLeg("b", "BLIND_TRANSFER")]
    assert commands(outputs, HoldLeg) == [HoldLeg("a", "us")]
    told.give(TransferStored(), LegEnded("b", "NORMAL_CLEARING", 200, "", by_peer=False), LegRinging("c"))
    assert commands(told.give(LegAnswered("c")), JoinLegs) == [JoinLegs("a", "c")]
    told.give(LegsJoined("a", "c"))
    assert told.call.state is CallState.BRIDGED
    assert told.call.second is told.call.legs["c"]
    assert (told.call.legs["a"].joined_to, told.call.legs["b"].joined_to) == ("c", "a")


def test_the_first_party_is_replaced_in_its_own_place() -> None:
    told = given_transfer(Handover.BLIND, staying="b", leaving="a")
    told.give(LegAnswered("c"), LegsJoined("b", "c"))
    assert told.call.first is told.call.legs["c"]
    assert told.call.second is told.call.legs["b"]


def test_time_runs_from_the_first_join() -> None:
    told = given_transfer(Handover.BLIND)
    outputs = told.give(LegAnswered("c"), LegsJoined("a", "c"))
    assert not [timer for timer in commands(outputs, StartTimer) if timer.name == "max_duration"]
    told.give(TimerFired("max_duration"))
    assert told.call.ending is not None
    assert told.call.ending.hangup_cause == "ALLOTTED_TIMEOUT"


@pytest.mark.parametrize("when", ["stored", "ringing", "joining"])
def test_max_duration_ends_a_transfer_at_any_instant(when: str) -> None:
    told = given_transfer(Handover.BLIND)
    if when != "stored":
        told.give(LegRinging("c"))
    if when == "joining":
        told.give(LegAnswered("c"))
    told.give(TimerFired("max_duration"))
    assert told.call.ending is not None
    assert (told.call.ending.outcome, told.call.ending.by) == (Outcome.CONNECTED, By.POLICY)


def test_a_blind_transfer_that_fails_ends_a_connected_call_with_the_cause() -> None:
    told = given_transfer(Handover.BLIND)
    outputs = told.give(BUSY)
    assert HangUpLeg("a", "USER_BUSY") in commands(outputs, HangUpLeg)
    ending = told.call.ending
    assert ending is not None
    assert (ending.outcome, ending.hangup_cause, ending.sip_code) == (Outcome.CONNECTED, "USER_BUSY", 486)
    assert (ending.side, ending.by) == (Side.CONTACT, By.CONTACT)
    assert [fact.ending for _, fact in told.facts if isinstance(fact, TransferFailed)] == [ending]


def test_a_target_that_nobody_answers_is_given_up_by_the_step() -> None:
    told = given_transfer(Handover.BLIND)
    outputs = told.give(LegRinging("c"), TimerFired("no_answer"))
    assert HangUpLeg("c", "NO_ANSWER") in commands(outputs, HangUpLeg)
    assert told.call.ending is not None
    assert told.call.ending.hangup_cause == "NO_ANSWER"


def test_a_referrer_hears_of_progress_and_leaves_when_the_target_answers() -> None:
    told = given_joined_call()
    begun = told.give(transfer_of("a", "b", Handover.REFERRED, step("c")))
    assert not commands(begun, HangUpLeg)
    assert commands(told.give(TransferStored(), LegRinging("c", 183)), TellReferrer) == [
        TellReferrer("b", 183)
    ]
    outputs = told.give(LegAnswered("c"))
    asked = [output for output in outputs if isinstance(output, TellReferrer | HangUpLeg | JoinLegs)]
    assert asked == [TellReferrer("b", 200, "OK"), HangUpLeg("b", "BLIND_TRANSFER"), JoinLegs("a", "c")]


def test_a_referrer_that_waits_is_taken_back() -> None:
    told = given_transfer(Handover.REFERRED)
    outputs = told.give(BUSY)
    assert commands(outputs, TellReferrer) == [TellReferrer("b", 486)]
    assert commands(outputs, UnholdLeg) == [UnholdLeg("a")]
    assert told.call.state is CallState.BRIDGED
    told.give(LegEnded("a", "NORMAL_CLEARING", 200, "", by_peer=True))
    assert told.call.ending is not None
    assert told.call.ending.by is By.EXTENSION


def test_a_referrer_that_holds_finds_the_other_on_hold_again() -> None:
    told = given_joined_call()
    told.give(LegHolds("b", True), transfer_of("a", "b", Handover.REFERRED, step("c")))
    assert not told.call.legs["a"].is_held
    outputs = told.give(TransferStored(), BUSY)
    assert commands(outputs, UnholdLeg | HoldLeg) == [UnholdLeg("a"), HoldLeg("a", "")]
    assert commands(told.give(LegHolds("b", False)), UnholdLeg) == [UnholdLeg("a")]


def test_a_referrer_may_hang_up_and_the_transfer_goes_on() -> None:
    told = given_transfer(Handover.REFERRED)
    told.give(LegEnded("b", "NORMAL_CLEARING", 200, "", by_peer=True), LegRinging("c"))
    assert not commands(told.give(LegAnswered("c")), TellReferrer)
    told.give(LegsJoined("a", "c"))
    assert told.call.state is CallState.BRIDGED


def test_a_transfer_whose_referrer_has_gone_ends_the_call_if_it_fails() -> None:
    told = given_transfer(Handover.REFERRED)
    told.give(LegEnded("b", "NORMAL_CLEARING", 200, "", by_peer=True), BUSY)
    assert told.call.ending is not None
    assert told.call.ending.hangup_cause == "USER_BUSY"


def test_an_intercepted_pair_talks_on_until_the_target_answers() -> None:
    told = given_joined_call()
    outputs = told.give(transfer_of("a", "b", Handover.INTERCEPT, step("c")))
    assert not commands(outputs, HoldLeg | HangUpLeg)
    told.give(TransferStored())
    outputs = told.give(LegAnswered("c"))
    assert commands(outputs, HangUpLeg | JoinLegs) == [HangUpLeg("b", "PICKED_OFF"), JoinLegs("a", "c")]


def test_an_intercept_that_fails_changes_nothing() -> None:
    told = given_transfer(Handover.INTERCEPT)
    outputs = told.give(BUSY)
    assert not commands(outputs, HangUpLeg | UnholdLeg | TellReferrer)
    assert told.call.state is CallState.BRIDGED


def test_who_stays_hears_ringback_when_the_other_leaves_an_intercept() -> None:
    told = given_transfer(Handover.INTERCEPT)
    outputs = told.give(LegEnded("b", "NORMAL_CLEARING", 200, "", by_peer=True))
    assert commands(outputs, HoldLeg) == [HoldLeg("a", "us")]


@pytest.mark.parametrize("handover", Handover)
def test_who_stays_may_hang_up_while_the_target_rings(handover: Handover) -> None:
    told = given_transfer(handover)
    outputs = told.give(LegEnded("a", "NORMAL_CLEARING", 200, "", by_peer=True))
    assert HangUpLeg("c", "NORMAL_CLEARING") in commands(outputs, HangUpLeg)
    assert told.call.ending is not None
    assert (told.call.ending.outcome, told.call.ending.by) == (Outcome.CONNECTED, By.EXTENSION)
    assert told.call.legs["b"].state is LegState.ENDING


def test_a_disk_that_refuses_a_transfer_lets_nobody_ring() -> None:
    told = given_joined_call()
    told.give(transfer_of("a", "b", Handover.REFERRED, step("c")))
    outputs = told.give(TransferStored(is_durable=False))
    assert not commands(outputs, DialLeg)
    assert told.call.state is CallState.BRIDGED


def test_a_held_party_is_taken_back_before_it_is_put_through() -> None:
    told = given_joined_call()
    told.give(HoldRequested("a"), transfer_of("a", "b", Handover.BLIND, step("c")))
    assert not told.call.legs["a"].is_held


def test_a_call_is_transferred_a_bounded_number_of_times() -> None:
    told = given_joined_call()
    for number in range(MAX_TRANSFERS):
        assert can_transfer(told.call, "b")
        told.give(transfer_of("a", "b", Handover.INTERCEPT, step(f"c{number}")), TransferStored())
        told.give(LegEnded(f"c{number}", "USER_BUSY", 486, "", by_peer=True))
    assert not can_transfer(told.call, "b")
    assert told.give(transfer_of("a", "b", Handover.INTERCEPT, step("d"))) == []


def test_a_stranger_or_a_call_that_is_not_joined_cannot_be_transferred() -> None:
    told = Told()
    assert not can_transfer(told.call, "a")
    told = given_joined_call()
    assert not can_transfer(told.call, "x")
    told.give(EndRequested(By.API))
    assert not can_transfer(told.call, "a")


# --- the journal ------------------------------------------------------------------------------------

HISTORIES = {
    "begun": (),
    "stored": (TransferStored(),),
    "ringing": (TransferStored(), LegRinging("c")),
    "answered": (TransferStored(), LegAnswered("c")),
    "joined": (TransferStored(), LegAnswered("c"), LegsJoined("a", "c")),
    "failed": (TransferStored(), BUSY),
    "leaving gone": (TransferStored(), LegEnded("b", "NORMAL_CLEARING", 200, "", by_peer=True)),
}


@pytest.mark.parametrize("handover", Handover)
@pytest.mark.parametrize("history", HISTORIES)
def test_a_replayed_transfer_is_the_one_that_lived(handover: Handover, history: str) -> None:
    told = given_joined_call()
    told.give(transfer_of("a", "b", handover, step("c")))
    told.give(*HISTORIES[history])
    live, read = told.call, told.replayed()
    assert (read.state, read.transfer, read.transfers) == (live.state, live.transfer, live.transfers)
    assert (read.first, read.second) == (read.legs[live.first.leg_id], read.legs[live.second.leg_id])
    for leg_id, leg in read.legs.items():
        assert (leg.joined_to, leg.number) == (live.legs[leg_id].joined_to, live.legs[leg_id].number)


@pytest.mark.parametrize("handover", Handover)
@pytest.mark.parametrize("history", HISTORIES)
def test_a_crash_ends_every_leg_of_a_transfer_once(handover: Handover, history: str) -> None:
    told = given_joined_call()
    told.give(transfer_of("a", "b", handover, step("c")))
    told.give(*HISTORIES[history])
    read = told.replayed()
    outputs = read.recover({}, told.now + 1)
    ended = {command.endpoint.leg_id for command in commands(outputs, EndLostLeg)}
    over = {leg.leg_id for leg in told.replayed().legs.values() if leg.state is LegState.ENDED}
    assert ended == {"a", "b", "c"} - over
    for leg_id in sorted(ended):
        outputs = read.receive(LegEnded(leg_id, "CRASH", 0, ""), told.now + 2)
    assert len(commands(outputs, CallEnded)) == 1
    was_over = history == "failed" and handover is Handover.BLIND
    assert read.ending is not None
    assert read.ending.outcome is (Outcome.CONNECTED if was_over else Outcome.PLATFORM_ERROR)


def test_a_transfer_is_kept_whole_in_the_journal() -> None:
    told = given_transfer(Handover.BLIND)
    begun = [fact for _, fact in told.facts if isinstance(fact, TransferBegun)]
    assert [fact.transfer.target.number for fact in begun] == ["1003"]
