"""CANCEL, 200 and BYE that cross, at every millisecond around the answer and the hang-up: no leg is left."""

import time
from collections import Counter
from typing import Final

import pytest

from .conftest import FarEnd
from .harness import Account
from .harness.far_ends import RINGS_FOR_EVER, answers_after, hangs_up_while_hung_up
from .harness.scenario import Scenario

pytestmark = pytest.mark.needs("sipp")

STEPS_MS: Final = range(51)
INSTANT_MS: Final = 40
"""When the far end acts, counted from the request; the first end of a call comes 25 ms before."""


def end_at_every_step(account: Account, far_end: FarEnd, behaviour: Scenario) -> Counter[str]:
    """Press a button once for each step, end the call that much later; return the outcomes."""
    first, second = far_end(behaviour, calls=10_000), far_end(RINGS_FOR_EVER, calls=10_000)
    account.create_extension("1001", account.create_static_phone("phone1001", first.uri))
    account.create_extension("1002", account.create_static_phone("phone1002", second.uri))
    button = account.create_button("1001")
    calls = []
    for step in STEPS_MS:
        call_id = account.connect(button, "1002")
        due = time.perf_counter() + (INSTANT_MS - 25 + step) / 1000
        time.sleep(max(0.0, due - time.perf_counter()))
        account.client.request("DELETE", account.path("calls", call_id)).expect(200, 202, 204, 404)
        calls.append(call_id)
    outcomes = Counter(account.wait_for_outcome(call_id)["outcome"] for call_id in calls)
    for sipp in (first, second):
        sipp.finish(timeout_s=10.0)
    for call_id in calls:
        assert len(account.history(button, call_id)) == 1
    assert account.get("channels") == []
    return outcomes


def test_cancel_crosses_the_answer_at_every_millisecond(account: Account, far_end: FarEnd) -> None:
    outcomes = end_at_every_step(account, far_end, answers_after(INSTANT_MS))
    assert outcomes == {"canceled": len(STEPS_MS)}


def test_bye_crosses_bye_at_every_millisecond(account: Account, far_end: FarEnd) -> None:
    outcomes = end_at_every_step(account, far_end, hangs_up_while_hung_up(INSTANT_MS - 15))
    assert outcomes == {"canceled": len(STEPS_MS)}
