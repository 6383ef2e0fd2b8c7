"""A leg that is sent elsewhere: its next address is rung when the journal has it, within bounds."""

import msgspec
import pytest

from offhook.calls import Call, CallState
from offhook.calls.commands import DialLeg, EndLostLeg
from offhook.calls.events import (
    EndRequested,
    LegAnswered,
    LegDialed,
    LegEnded,
    LegRedirected,
    RedirectStored,
    TimerFired,
    decode_fact,
    encode_fact,
)
from offhook.calls.model import MAX_REDIRECTS, By, Outcome
from offhook.calls.replay import replay
from offhook.calls.states import NO_ANSWER, Output

from .calls_language import two_party_plan

FIRST, SECOND = "sip:1@first.test", "sip:1@second.test"


def given_ringing() -> Call:
    """Return a call whose first party waits and whose second, leg b, is rung."""
    call = Call(two_party_plan(), 1.0)
    call.start(1.0)
    call.receive(LegAnswered("a"), 2.0)
    return call


def moved(leg_id: str, *targets: str) -> LegEnded:
    return LegEnded(leg_id, "REDIRECTION_TO_NEW_DESTINATION", 302, "Moved", by_peer=True, targets=targets)


def refused(leg_id: str, status: int = 404, cause: str = "UNALLOCATED_NUMBER") -> LegEnded:
    return LegEnded(leg_id, cause, status, by_peer=True)


def of(outputs: list[Output], kind: type) -> list:  # type: ignore[type-arg]
    return [output for output in outputs if isinstance(output, kind)]


def test_the_next_address_is_rung_when_it_is_stored() -> None:
    call = given_ringing()
    outputs = call.receive(moved("b", FIRST), 3.0)
    [redirected] = of(outputs, LegRedirected)
    assert (redirected.leg_id, redirected.endpoint.leg_id) == ("b", "b-r1")
    assert redirected.endpoint.request_uri == FIRST
    assert redirected.endpoint.to_uri == call.legs["b"].endpoint.to_uri
    assert not of(outputs, DialLeg)
    outputs = call.receive(RedirectStored("b-r1"), 3.1)
    assert [command.endpoint.request_uri for command in of(outputs, DialLeg)] == [FIRST]
    assert of(outputs, LegDialed)
    call.receive(LegAnswered("b-r1"), 4.0)
    assert call.second is call.legs["b-r1"]
    assert call.state is CallState.JOINING


def test_the_others_are_tried_when_the_next_does_not_answer() -> None:
    call = given_ringing()
    call.receive(moved("b", FIRST, SECOND), 3.0)
    call.receive(RedirectStored("b-r1"), 3.1)
    [again] = of(call.receive(refused("b-r1"), 4.0), LegRedirected)
    assert (again.endpoint.leg_id, again.endpoint.request_uri) == ("b-r2", SECOND)
    call.receive(RedirectStored("b-r2"), 4.1)
    call.receive(refused("b-r2"), 5.0)
    assert call.ending is not None
    assert (call.ending.outcome, call.ending.sip_code) == (Outcome.UNREACHABLE, 404)


def test_who_is_busy_is_not_looked_for_elsewhere() -> None:
    call = given_ringing()
    call.receive(moved("b", FIRST, SECOND), 3.0)
    call.receive(RedirectStored("b-r1"), 3.1)
    call.receive(refused("b-r1", 486, "USER_BUSY"), 4.0)
    assert call.ending is not None
    assert call.ending.outcome is Outcome.BUSY


def test_no_address_is_rung_twice() -> None:
    call = given_ringing()
    own = call.legs["b"].endpoint.request_uri
    call.receive(moved("b", FIRST), 3.0)
    call.receive(RedirectStored("b-r1"), 3.1)
    call.receive(moved("b-r1", own, FIRST), 4.0)
    assert call.ending is not None
    assert (call.ending.outcome, call.ending.sip_code) == (Outcome.FAILED, 302)


def test_a_chain_of_redirects_has_an_end() -> None:
    call = given_ringing()
    leg_id = "b"
    for number in range(MAX_REDIRECTS):
        call.receive(moved(leg_id, f"sip:1@host{number}.test"), 3.0)
        leg_id = f"b-r{number + 1}"
        call.receive(RedirectStored(leg_id), 3.0)
    call.receive(moved(leg_id, "sip:1@last.test"), 4.0)
    assert call.ending is not None
    assert len(call.legs) == 2 + MAX_REDIRECTS


def test_a_full_disk_rings_nobody() -> None:
    call = given_ringing()
    call.receive(moved("b", FIRST), 3.0)
    outputs = call.receive(RedirectStored("b-r1", is_durable=False), 3.1)
    assert not of(outputs, DialLeg)
    assert call.ending is not None
    assert call.ending.sip_code == 302


@pytest.mark.parametrize("event", [TimerFired(NO_ANSWER), EndRequested(By.API)])
def test_what_ends_the_ringing_ends_the_wait(event: TimerFired | EndRequested) -> None:
    call = given_ringing()
    call.receive(moved("b", FIRST), 3.0)
    call.receive(event, 3.1)
    assert not of(call.receive(RedirectStored("b-r1"), 3.2), DialLeg)
    assert call.state is CallState.ENDING


def test_after_a_crash_the_next_address_is_ended_too() -> None:
    call = given_ringing()
    facts = [
        LegDialed("b", "second", "contact", "dev"),
        *of(call.receive(moved("b", FIRST), 3.0), LegRedirected),
    ]
    stored = [(3.0, decode_fact(encode_fact(fact))) for fact in facts]
    replayed = replay(call.plan, 1.0, stored)
    lost = {command.endpoint.leg_id: command for command in of(replayed.recover({}, 9.0), EndLostLeg)}
    assert set(lost) == {"a", "b", "b-r1"}
    assert lost["b-r1"].endpoint.request_uri == FIRST


def test_a_plan_without_redirects_is_as_small_as_before() -> None:
    endpoint = two_party_plan().second.endpoints[0]
    assert b"redirect" not in msgspec.json.encode(endpoint)
