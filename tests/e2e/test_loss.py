"""One packet in twenty lost each way at both far ends: every call still ends right, and ends everywhere."""

import pytest

from .conftest import FarEnd
from .harness import Account
from .harness.scenario import ANSWER, END_BY_BYE, RING, Scenario, receive, receive_invite

pytestmark = pytest.mark.needs("sipp")

CALLS = 20
LOST_PERCENT = 5

PATIENT = Scenario(
    "answers and waits, and still answers what is repeated",
    (
        receive_invite(),
        RING,
        ANSWER,
        receive("ACK", optional="true"),
        *END_BY_BYE,
        '<timewait milliseconds="4000"/>',
    ),
)


def test_every_call_ends_right_under_loss(far_end: FarEnd, account: Account) -> None:
    first = far_end(PATIENT, calls=CALLS, lost_percent=LOST_PERCENT)
    second = far_end(PATIENT, calls=CALLS, lost_percent=LOST_PERCENT)
    account.create_extension("1001", account.create_static_phone("phone1001", first.uri))
    account.create_extension("1002", account.create_static_phone("phone1002", second.uri))
    button = account.create_button("1001")

    call_ids = [account.connect(button, "1002") for _ in range(CALLS)]
    for call_id in call_ids:
        account.wait_for_time(call_id, "bridged", timeout_s=20)
        account.hang_up(call_id)
    calls = [account.wait_for_outcome(call_id, timeout_s=40) for call_id in call_ids]

    assert {call["outcome"] for call in calls} == {"connected"}
    assert {call["hangup_cause"] for call in calls} == {"NORMAL_CLEARING"}
    first.assert_clean(timeout_s=10)
    second.assert_clean(timeout_s=10)
    assert first.lost() + second.lost() > 0
