"""An attended transfer between two calls: each keeps its leg, its bounds and its one outcome."""

import pytest

from offhook.calls import CallState
from offhook.calls.commands import EndLinkedCall, EndLostLeg, HangUpLeg, LinkLegs, TellReferrer
from offhook.calls.events import EndRequested, LegEnded, LinkLost, TimerFired
from offhook.calls.model import By, Outcome, Party, Side
from offhook.calls.transferring import can_transfer

from .calls_language import commands, link_of
from .test_transfer import given_joined_call

LEFT = LegEnded("b", "ATTENDED_TRANSFER", 200, "", by_peer=False)


def test_the_call_whose_leg_referred_tells_it_and_links_the_media() -> None:
    told = given_joined_call()
    outputs = told.give(link_of("a", "b"))
    asked = [output for output in outputs if isinstance(output, TellReferrer | LinkLegs | HangUpLeg)]
    assert asked == [
        TellReferrer("b", 200, "OK"),
        LinkLegs("a", "x"),
        HangUpLeg("b", "ATTENDED_TRANSFER"),
    ]
    assert told.call.state is CallState.BRIDGED


def test_the_other_call_only_hangs_its_leg_up() -> None:
    told = given_joined_call()
    outputs = told.give(link_of("a", "b", is_referrer=False))
    assert not commands(outputs, TellReferrer | LinkLegs)
    assert commands(outputs, HangUpLeg) == [HangUpLeg("b", "ATTENDED_TRANSFER")]


@pytest.mark.parametrize("by_peer", [True, False])
def test_the_call_outlives_the_one_who_left(by_peer: bool) -> None:
    told = given_joined_call()
    told.give(link_of("a", "b"), LegEnded("b", "NORMAL_CLEARING", 200, "", by_peer=by_peer))
    assert told.call.state is CallState.BRIDGED
    assert told.call.legs["a"].joined_to == "x"


def test_who_stays_hangs_up_and_the_other_call_is_told() -> None:
    told = given_joined_call()
    told.give(link_of("a", "b"), LEFT)
    outputs = told.give(LegEnded("a", "NORMAL_CLEARING", 200, "", by_peer=True))
    assert commands(outputs, EndLinkedCall) == [EndLinkedCall("c2c-other", "NORMAL_CLEARING")]
    assert told.call.state is CallState.ENDED
    assert told.call.ending is not None
    assert (told.call.ending.outcome, told.call.ending.by) == (Outcome.CONNECTED, By.EXTENSION)


def test_the_end_of_the_other_call_ends_this_one_in_the_name_of_who_left() -> None:
    told = given_joined_call()
    told.give(link_of("a", "b"), LEFT)
    outputs = told.give(LinkLost("NORMAL_CLEARING"))
    assert commands(outputs, HangUpLeg) == [HangUpLeg("a", "NORMAL_CLEARING")]
    ending = told.call.ending
    assert ending is not None
    assert (ending.outcome, ending.party, ending.side, ending.by) == (
        Outcome.CONNECTED,
        Party.SECOND,
        Side.CONTACT,
        By.CONTACT,
    )


@pytest.mark.parametrize("event", [TimerFired("max_duration"), EndRequested(By.API)])
def test_a_linked_call_keeps_its_bounds(event) -> None:
    told = given_joined_call()
    told.give(link_of("a", "b"), LEFT)
    assert commands(told.give(event), EndLinkedCall)
    assert told.call.ending is not None
    assert told.call.ending.outcome is Outcome.CONNECTED


def test_a_linked_call_is_not_transferred_again() -> None:
    told = given_joined_call()
    told.give(link_of("a", "b"))
    assert not can_transfer(told.call, "a")
    assert told.give(link_of("a", "b")) == []


@pytest.mark.parametrize("later", [(), (LEFT,)])
def test_a_crash_ends_the_leg_of_a_linked_call(later: tuple) -> None:
    told = given_joined_call()
    told.give(link_of("a", "b"), *later)
    read = told.replayed()
    assert (read.state, read.link) == (CallState.BRIDGED, told.call.link)
    outputs = read.recover({}, told.now)
    ended = {command.endpoint.leg_id for command in commands(outputs, EndLostLeg)}
    assert ended == ({"a"} if later else {"a", "b"})
    assert read.ending is not None
    assert read.ending.outcome is Outcome.PLATFORM_ERROR
