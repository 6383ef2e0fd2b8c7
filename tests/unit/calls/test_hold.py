"""A joined party is put on hold and taken back; the outcome knows nothing of it."""

import msgspec
import pytest

from offhook.calls import Call, CallState
from offhook.calls.commands import HoldLeg, UnholdLeg
from offhook.calls.errors import IllegalTransition
from offhook.calls.events import (
    HoldRequested,
    LegAnswered,
    LegEnded,
    LegHeld,
    LegHolds,
    LegsJoined,
    UnholdRequested,
    decode_fact,
    encode_fact,
)
from offhook.calls.model import CallPlan
from offhook.calls.replay import replay
from offhook.calls.states import Output

from .calls_language import two_party_plan


def given_joined_call(plan: CallPlan | None = None) -> Call:
    call = Call(plan or two_party_plan(), 1.0)
    call.start(1.0)
    for event in (LegAnswered("a"), LegAnswered("b"), LegsJoined("a", "b")):
        call.receive(event, 2.0)
    assert call.state is CallState.BRIDGED
    return call


def held(call: Call) -> list[str]:
    return [leg_id for leg_id, leg in call.legs.items() if leg.is_held]


@pytest.mark.parametrize("leg_id", ["a", "b"])
def test_a_party_is_held_and_taken_back(leg_id: str) -> None:
    call = given_joined_call()
    assert call.receive(HoldRequested(leg_id, "us"), 3.0) == [LegHeld(leg_id, True), HoldLeg(leg_id, "us")]
    assert held(call) == [leg_id]
    assert call.receive(UnholdRequested(leg_id), 4.0) == [LegHeld(leg_id, False), UnholdLeg(leg_id)]
    assert held(call) == []
    assert call.state is CallState.BRIDGED


def test_one_party_at_a_time_is_held() -> None:
    call = given_joined_call()
    call.receive(HoldRequested("a"), 3.0)
    assert call.receive(HoldRequested("b"), 4.0) == [
        LegHeld("a", False), LegHeld("b", True), HoldLeg("b", ""),
    ]  # fmt: skip
    assert call.receive(HoldRequested("b", "de"), 5.0) == [HoldLeg("b", "de")]  # other music, no other fact
    assert call.receive(UnholdRequested("a"), 6.0) == []


@pytest.mark.parametrize("event", [HoldRequested("x"), UnholdRequested("x"), UnholdRequested("a")])
def test_what_makes_no_sense_does_nothing(event: HoldRequested | UnholdRequested) -> None:
    call = given_joined_call()
    nothing: list[Output] = []
    assert call.receive(event, 3.0) == nothing


def test_only_a_joined_call_is_held() -> None:
    call = Call(two_party_plan(), 1.0)
    call.start(1.0)
    with pytest.raises(IllegalTransition):
        call.receive(HoldRequested("a"), 2.0)
    assert call.state is CallState.RINGING_FIRST


def test_a_held_party_may_hang_up() -> None:
    call = given_joined_call()
    call.receive(HoldRequested("a"), 3.0)
    call.receive(LegEnded("a", "NORMAL_CLEARING", 200, by_peer=True), 4.0)
    assert call.state is CallState.ENDING
    assert call.ending is not None
    assert call.ending.outcome == "connected"


def test_the_journal_tells_of_it() -> None:
    facts = [decode_fact(encode_fact(LegHeld("a", True)))]
    assert facts == [LegHeld("a", True)]
    call = replay(two_party_plan(), 1.0, [])
    assert call.legs == {}
    assert replay(two_party_plan(), 1.0, [(2.0, facts[0])]).legs == {}  # of a leg nobody knows


# --- by the phones themselves ---


def given_music() -> Call:
    plan = msgspec.structs.replace(two_party_plan(), music_on_hold="de")
    return given_joined_call(plan)


@pytest.mark.parametrize(("holder", "other"), [("a", "b"), ("b", "a")])
def test_a_phone_holds_the_other_party(holder: str, other: str) -> None:
    call = given_music()
    assert call.receive(LegHolds(holder, True), 3.0) == [LegHeld(other, True), HoldLeg(other, "de")]
    assert held(call) == [other]
    assert call.receive(LegHolds(holder, False), 4.0) == [LegHeld(other, False), UnholdLeg(other)]


def test_the_endpoint_that_holds_chooses_the_music_unless_the_plan_does() -> None:
    call = given_joined_call()
    leg = call.legs["a"]
    leg.endpoint = msgspec.structs.replace(leg.endpoint, hold_media="uk")
    assert HoldLeg("b", "uk") in call.receive(LegHolds("a", True), 3.0)


def test_two_phones_that_hold_each_other_are_taken_back_one_by_one() -> None:
    call = given_music()
    call.receive(LegHolds("a", True), 3.0)
    call.receive(LegHolds("b", True), 4.0)
    assert held(call) == ["a", "b"]
    assert call.receive(LegHolds("a", False), 5.0) == [
        LegHeld("b", False), UnholdLeg("b"), HoldLeg("a", "de"),
    ]  # fmt: skip
    assert call.receive(LegHolds("b", False), 6.0) == [LegHeld("a", False), UnholdLeg("a")]


def test_a_phone_that_holds_before_the_join_holds_from_then_on() -> None:
    call = Call(two_party_plan(), 1.0)
    call.start(1.0)
    call.receive(LegAnswered("a"), 2.0)
    assert call.receive(LegHolds("a", True), 2.5) == []
    call.receive(LegAnswered("b"), 3.0)
    assert call.receive(LegsJoined("a", "b"), 4.0)[-2:] == [LegHeld("b", True), HoldLeg("b", "")]


def test_what_the_api_took_back_a_phone_need_not() -> None:
    call = given_joined_call()
    call.receive(LegHolds("a", True), 3.0)
    assert call.receive(UnholdRequested("b"), 4.0) == [LegHeld("b", False), UnholdLeg("b")]
    assert call.receive(LegHolds("a", False), 5.0) == []


@pytest.mark.parametrize("is_holding", [True, False])
def test_a_call_that_ends_hears_of_no_hold(is_holding: bool) -> None:
    call = given_joined_call()
    call.receive(LegEnded("a", "NORMAL_CLEARING", by_peer=True), 3.0)
    assert call.receive(LegHolds("b", is_holding), 4.0) == []


@pytest.mark.parametrize(
    ("button", "phone", "account", "heard"),
    [("de", "uk", "us", "de"), ("", "uk", "us", "uk"), ("", "", "us", "us"), ("", "", "", "")],
)
def test_whose_music_is_heard(button: str, phone: str, account: str, heard: str) -> None:
    """The button's before that of the phone that holds, and that before the account's; so by the API."""
    plan = msgspec.structs.replace(two_party_plan(), music_on_hold=button, hold_media=account)
    for event in (LegHolds("a", True), HoldRequested("b")):
        call = given_joined_call(plan)
        holder = call.legs["a"]
        holder.endpoint = msgspec.structs.replace(holder.endpoint, hold_media=phone)
        assert HoldLeg("b", heard) in call.receive(event, 3.0)
