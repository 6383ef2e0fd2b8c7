"""DELETE ends a call in whatever state it is, at both far ends, with one outcome."""

import time
from typing import Any

import pytest

from .conftest import FarEnd
from .harness import Account
from .harness.far_ends import ANSWERS, RINGS_FOR_EVER, answers_after
from .harness.scenario import Scenario

pytestmark = pytest.mark.needs("sipp")

RING_MS = 120
OFFSETS_MS = (-15, -8, -4, -2, -1, 0, 1, 2, 4, 8, 15, 40)
"""When DELETE comes, seen from the answer of the second phone; the two cross on the way."""


def given_call(account: Account, far_end: FarEnd, first: Scenario, second: Scenario) -> tuple[str, Any, Any]:
    """Return a call's id and its far ends."""
    button, ends = given_phones(account, far_end, first, second)
    return account.connect(button, "1002"), *ends


def given_phones(
    account: Account, far_end: FarEnd, *scenarios: Scenario, calls: int = 1
) -> tuple[str, list[Any]]:
    ends = [far_end(scenario, calls=calls) for scenario in scenarios]
    for number, end in zip(("1001", "1002"), ends, strict=False):
        account.create_extension(number, account.create_static_phone(f"phone{number}", end.uri))
    return account.create_button("1001"), ends


def assert_ended(account: Account, call_id: str, outcome: str) -> None:
    call = account.wait_for_outcome(call_id)
    assert (call["outcome"], call["by"]) == (outcome, "api")
    before = account.call(call_id)
    for _ in range(2):
        account.hang_up(call_id)
    assert account.call(call_id) == before


def test_while_the_first_phone_rings(account: Account, far_end: FarEnd) -> None:
    button, [phone] = given_phones(account, far_end, RINGS_FOR_EVER)
    call_id = account.connect(button, "1002")
    account.wait_for_time(call_id, "first_ringing")
    account.hang_up(call_id)
    phone.assert_clean()
    assert_ended(account, call_id, "canceled")


def test_while_the_second_phone_rings(account: Account, far_end: FarEnd) -> None:
    call_id, first, second = given_call(account, far_end, ANSWERS, RINGS_FOR_EVER)
    account.wait_for_time(call_id, "second_ringing")
    account.hang_up(call_id)
    first.assert_clean()
    second.assert_clean()
    assert_ended(account, call_id, "canceled")


def test_in_the_instant_of_the_request(account: Account, far_end: FarEnd) -> None:
    button, [phone] = given_phones(account, far_end, RINGS_FOR_EVER)
    call_id = account.connect(button, "1002")
    account.hang_up(call_id)
    assert_ended(account, call_id, "canceled")
    if phone.received("INVITE"):  # or DELETE was there before it left
        phone.assert_clean()


def test_in_the_instant_of_the_answer(account: Account, far_end: FarEnd) -> None:
    phones = (ANSWERS, answers_after(RING_MS))
    button, ends = given_phones(account, far_end, *phones, calls=len(OFFSETS_MS))
    outcomes = []
    for offset_ms in OFFSETS_MS:
        call_id = account.connect(button, "1002")
        account.wait_for_time(call_id, "second_ringing")
        time.sleep((RING_MS + offset_ms) / 1000)
        account.hang_up(call_id)
        call = account.wait_for_outcome(call_id)
        assert call["by"] == "api", call
        outcomes.append(call["outcome"])
        [item] = account.history(button, call_id)
        assert item["outcome"] == call["outcome"]
    assert set(outcomes) <= {"canceled", "connected"}, outcomes
    for end in ends:
        end.assert_clean()
    assert account.get("channels") == []
