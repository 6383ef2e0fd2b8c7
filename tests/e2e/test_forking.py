"""A user with several phones: all ring at once, the first to answer wins, the others are left in peace."""

import pytest

from .conftest import FarEnd
from .harness import Account, Sipp
from .harness.far_ends import ANSWERS, BUSY, DECLINES, RINGS_FOR_EVER, answers_after

pytestmark = pytest.mark.needs("sipp")


def create_user(account: Account, number: str, *phones: Sipp) -> None:
    """Give a number to a user who owns these phones."""
    user_id = account.create("users", {"first_name": "Jane", "last_name": f"Doe {number}"})
    for index, phone in enumerate(phones):
        account.create_static_phone(f"phone{number}{index}", phone.uri, owner_id=user_id)
    flow = {"module": "user", "data": {"id": user_id, "timeout": 5}, "children": {}}
    account.create("callflows", {"numbers": [number], "flow": flow})


def talk_and_hang_up(account: Account, call_id: str) -> None:
    account.wait_for_time(call_id, "bridged")
    account.hang_up(call_id)
    assert account.wait_for_outcome(call_id)["outcome"] == "connected"


@pytest.mark.parametrize("many", ["first", "second"])
def test_other_phones_stop_ringing(far_end: FarEnd, account: Account, many: str) -> None:
    answering, ringing, busy, other = (
        far_end(ANSWERS),
        far_end(RINGS_FOR_EVER),
        far_end(BUSY),
        far_end(ANSWERS),
    )
    create_user(account, "1001", answering, ringing, busy)
    create_user(account, "1002", other)
    extension, contact = ("1001", "1002") if many == "first" else ("1002", "1001")
    talk_and_hang_up(account, account.connect(account.create_button(extension), contact))
    for phone in (answering, ringing, busy, other):
        phone.assert_clean()


@pytest.mark.parametrize("many", ["first", "second"])
def test_phones_that_answer_at_once_leave_one_call(far_end: FarEnd, account: Account, many: str) -> None:
    racing = [far_end(answers_after(150)) for _ in range(3)]
    other = far_end(ANSWERS)
    create_user(account, "1001", *racing)
    create_user(account, "1002", other)
    extension, contact = ("1001", "1002") if many == "first" else ("1002", "1001")
    call_id = account.connect(account.create_button(extension), contact)
    talk_and_hang_up(account, call_id)
    for phone in (*racing, other):
        phone.assert_clean()
    legs = account.call(call_id)["legs"]
    assert len(legs) == 4
    assert [leg["hangup_cause"] for leg in legs].count("LOSE_RACE") == 2


def test_most_telling_phone_speaks_for_the_user(far_end: FarEnd, account: Account) -> None:
    busy, declining, first = far_end(BUSY), far_end(DECLINES), far_end(ANSWERS)
    create_user(account, "1001", first)
    create_user(account, "1002", busy, declining)
    call = account.wait_for_outcome(account.connect(account.create_button("1001"), "1002"))
    assert (call["outcome"], call["hangup_cause"], call["sip_code"]) == ("rejected", "CALL_REJECTED", 603)
    for phone in (busy, declining, first):
        phone.assert_clean()


def test_quickcall_of_a_user_rings_all_phones(far_end: FarEnd, account: Account) -> None:
    answering, ringing, other = far_end(ANSWERS), far_end(RINGS_FOR_EVER), far_end(ANSWERS)
    create_user(account, "1001", answering, ringing)
    create_user(account, "1002", other)
    [user_id] = [user["id"] for user in account.get("users") if user["last_name"] == "Doe 1001"]
    path = account.path("users", user_id, "quickcall", "1002")
    call_id = account.client.request("GET", path).expect(202).data["call_id"]
    talk_and_hang_up(account, call_id)
    for phone in (answering, ringing, other):
        phone.assert_clean()
