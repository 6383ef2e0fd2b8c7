"""Why a leg ended, as peers say it, and as we do."""

import pytest

from offhook.calls import policy
from offhook.engines.embedded.reasons import (
    bye_headers,
    cause_in,
    cause_of_refusal,
    reason_of,
    retry_after_of,
)
from offhook.sip.events import EndCause, InviteEnded
from offhook.sip.message import Headers, Response

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


def refusal(status: int, *lines: tuple[str, str]) -> InviteEnded:
    response = Response(status, "Refused", Headers(lines))
    return InviteEnded(None, status, "Refused", response, EndCause.REJECTED)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cause", "cancel", "bye"),
    [
        ("NO_ANSWER", 'Q.850;cause=19;text="NO_ANSWER", SIP;cause=480', ""),
        ("USER_BUSY", 'Q.850;cause=17;text="USER_BUSY", SIP;cause=486', ""),
        ("LOSE_RACE", ELSEWHERE, f'Q.850;cause=16;text="LOSE_RACE", {ELSEWHERE}'),
    ],
)
def test_we_say_it_as_q850_and_as_sip(cause: str, cancel: str, bye: str) -> None:
    assert str(reason_of(cause)) == cancel
    assert bye_headers(cause) == (("Reason", bye or cancel),)


def test_a_normal_end_is_no_failure() -> None:
    assert bye_headers("NORMAL_CLEARING") == (("Reason", 'Q.850;cause=16;text="NORMAL_CLEARING"'),)


@pytest.mark.parametrize(
    "cause", [*policy.Q850, "LOSE_RACE", "ALLOTTED_TIMEOUT", "CRASH", "ORIGINATOR_CANCEL"]
)
def test_what_we_say_of_a_cause_is_read_back(cause: str) -> None:
    told = Response(200, "OK", Headers((("Reason", str(reason_of(cause))),)))
    if cause in policy.Q850 or cause == "LOSE_RACE":
        assert cause_in(told) == cause
    else:
        assert cause_in(told) in ("", policy.cause_of_sip(policy.refusal_of(cause)))


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        (["Q.850;cause=17"], "USER_BUSY"),
        (['q.850 ; Cause = 17 ;text="a;cause=3"'], "USER_BUSY"),
        (['SIP;cause=486;text="Busy, Here"', "Q.850;cause=21"], "CALL_REJECTED"),
        (["SIP;cause=486, Q.850;cause=21"], "CALL_REJECTED"),
        (["SIP;cause=486"], "USER_BUSY"),
        (["SIP;cause=200"], "LOSE_RACE"),
        (["Q.850;cause=999", "Q.850;cause=x", "Q.850", ""], ""),
        (["Preemption;cause=5"], ""),
        ([], ""),
    ],
)
def test_what_peers_say(lines: list[str], cause: str) -> None:
    assert cause_in(Response(200, "OK", Headers([("Reason", line) for line in lines]))) == cause


@pytest.mark.parametrize(
    ("status", "reason", "cause"),
    [
        (503, "Q.850;cause=17", "USER_BUSY"),
        (404, "Q.850;cause=16", "UNALLOCATED_NUMBER"),  # says nothing, though it says something
        (486, "", "USER_BUSY"),
        (480, "SIP;cause=603", "CALL_REJECTED"),
    ],
)
def test_a_reason_says_more_than_a_status(status: int, reason: str, cause: str) -> None:
    assert cause_of_refusal(refusal(status, *([("Reason", reason)] if reason else []))) == cause


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), ("120;duration=60", 120), ("18000 (at dinner)", 18_000), ("soon", 0), ("-1", 0), ("", 0)],
)
def test_when_to_try_again(value: str, seconds: int) -> None:
    assert retry_after_of(Response(503, "", Headers((("Retry-After", value),)))) == seconds
    assert retry_after_of(None) == 0
