"""Whose a call is that comes in, and how many a phone may dial to outside."""

import asyncio
from typing import Any

import pytest

from offhook.app.account_calls import AccountCalls, AccountUsage
from offhook.app.dial_out import DialOut
from offhook.app.errors import InvalidDocument, NoCredit, NotAllowed, TooManyRequests
from offhook.app.inbound_calls import InboundCalls
from offhook.app.planning import CallerId, InboundRequest, NumberUnknown
from offhook.calls.model import CallPlan
from offhook.directory.model import GLOBAL_ACCOUNT, Document
from offhook.engines.embedded.inbound_invites import refusal_of
from offhook.kernel import gregorian_s
from tests.unit.planning.directory import ACCOUNT_ID, NOW, Account

OUTSIDE = "+14158867900"
DID = "+14158860001"
OTHER = "b" * 32


class Placed:
    """Counts the calls that are placed; none of them ends unless told."""

    def __init__(self) -> None:
        self.plans: list[CallPlan] = []
        self._counted = AccountCalls()
        self.usage, self.dialled_out = self._counted.usage, self._counted.dialled_out

    async def place(self, plan: CallPlan) -> Any:
        self.plans.append(plan)
        self._counted.add(plan)
        return object()

    def end(self, plan: CallPlan) -> None:
        self._counted.remove(plan)


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def epoch(self) -> float:
        return NOW


class Desk:
    """An account, and what takes its callers."""

    def __init__(self, **data: Any) -> None:
        self.account = Account(dial_out={"enabled": True}, **data)
        self.account.given_way_out()
        self.account.given_carrier("carrier")
        self.phone = self.account.given_device("desk")
        self.calls, self.clock = Placed(), Clock()
        self._inbound = InboundCalls(  # type: ignore[arg-type]
            self.calls, self.account.world(), DialOut(self.calls, clock=self.clock), clock=self.clock
        )

    def dial(self, number: str, phone: Document | None = None) -> CallPlan:
        asked = InboundRequest(number=number, received="an INVITE")
        asyncio.run(self._inbound.by_phone(phone or self.phone, asked))
        return self.calls.plans[-1]

    def bring(self, number: str, *resources: Document) -> CallPlan:
        asked = InboundRequest(number=number, caller=CallerId("", "+15550001111"), received="an INVITE")
        asyncio.run(self._inbound.by_trunk(resources, asked))
        return self.calls.plans[-1]


# --- phones -------------------------------------------------------------------------------------------


def test_a_phone_has_two_calls_outside_at_once() -> None:
    desk = Desk()
    first, _ = desk.dial(OUTSIDE), desk.dial(OUTSIDE)
    with pytest.raises(TooManyRequests):
        desk.dial(OUTSIDE)
    desk.calls.end(first)
    desk.dial(OUTSIDE)


def test_a_phone_begins_six_calls_outside_a_minute() -> None:
    desk = Desk()
    for _ in range(6):
        desk.calls.end(desk.dial(OUTSIDE))
    with pytest.raises(TooManyRequests) as refused:
        desk.dial(OUTSIDE)
    assert 0 < refused.value.retry_after_s <= 60
    desk.clock.now += 61
    desk.dial(OUTSIDE)


def test_other_phones_have_calls_of_their_own_until_the_account_has_no_more() -> None:
    desk = Desk()
    desk.account.account.data["dial_out"]["calls"] = 3
    other = desk.account.given_device("other")
    for phone in (desk.phone, desk.phone, other):
        desk.dial(OUTSIDE, phone)
    with pytest.raises(TooManyRequests):
        desk.dial(OUTSIDE, other)


def test_a_refused_call_uses_nothing_up() -> None:
    desk = Desk()
    desk.account.add("limits", "limits", outbound_trunks=0)
    for _ in range(10):
        with pytest.raises(NoCredit):
            desk.dial(OUTSIDE)
    del desk.account.documents[ACCOUNT_ID, "limits", "limits"]
    desk.dial(OUTSIDE)


def test_user_and_device_say_otherwise() -> None:
    desk = Desk()
    desk.account.given_user("jane", "Jane", "Doe", dial_out={"calls": 5, "calls_per_minute": 3})
    phone = desk.account.given_device("janes", owner="jane", dial_out={"calls_per_minute": 4})
    for _ in range(4):
        desk.dial(OUTSIDE, phone)
    with pytest.raises(TooManyRequests):
        desk.dial(OUTSIDE, phone)


def test_calls_inside_and_emergencies_are_not_counted() -> None:
    desk = Desk()
    desk.account.given_extension("1002", "dev2")
    desk.account.given_carrier("rescue", emergency=True, rules=["^112$"])
    for number in ("1002", "112") * 10:
        desk.dial(number)
    assert desk.calls.dialled_out(ACCOUNT_ID) == 10  # of emergencies: they take a line all the same


@pytest.mark.parametrize("why", ["disabled", "over"])
def test_phones_and_carriers_of_an_account_that_is_closed_call_nobody(why: str) -> None:
    desk = Desk()
    desk.account.given_extension(DID, "dev2")
    trunk, account = desk.account.given_carrier("trunk"), desk.account.account
    account.private["trial_expires"] = gregorian_s(NOW) + 1
    assert desk.dial(DID) is not desk.bring(DID, trunk)
    if why == "over":
        account.private["trial_expires"] = gregorian_s(NOW)
    else:
        account.data["enabled"] = False
    for call in (lambda: desk.dial(DID), lambda: desk.bring(DID, trunk)):
        with pytest.raises(InvalidDocument) as refused:
            call()
        assert refusal_of(refused.value) == (403, 0)
    assert len(desk.calls.plans) == 2


@pytest.mark.parametrize("off", ["user", "device"])
def test_who_is_switched_off_calls_nobody(off: str) -> None:
    desk = Desk()
    user = desk.account.given_user("jane", "Jane", "Doe")
    phone = desk.account.given_device("janes", owner="jane")
    {"user": user, "device": phone}[off].data["enabled"] = False
    with pytest.raises(NotAllowed):
        desk.dial(OUTSIDE, phone)
    assert desk.calls.plans == []


# --- carriers -----------------------------------------------------------------------------------------


def given_other_account(desk: Desk, *tree: str) -> None:
    other = desk.account.add("account", OTHER, account_id=OTHER, realm="other.test", name="Other")
    other.private["tree"] = list(tree)


def test_a_carrier_of_the_account_brings_calls_for_its_numbers_and_extensions() -> None:
    desk = Desk()
    desk.account.given_extension(DID, "dev2")
    desk.account.given_extension("1002", "dev3")
    trunk = desk.account.given_carrier("trunk")
    for number in (DID, DID[1:], "1002"):
        assert desk.bring(number, trunk).account_id == ACCOUNT_ID
    assert desk.calls.usage(ACCOUNT_ID) == AccountUsage(calls=3, inbound=3)


@pytest.mark.parametrize(
    ("belongs_to", "tree", "is_reached"),
    [
        (GLOBAL_ACCOUNT, (), True),
        (ACCOUNT_ID, (ACCOUNT_ID,), True),
        (ACCOUNT_ID, ("root", ACCOUNT_ID), True),
        (ACCOUNT_ID, (), False),
        ("c" * 32, (ACCOUNT_ID,), False),
    ],
)
def test_a_carrier_reaches_accounts_below_its_own(
    belongs_to: str, tree: tuple[str, ...], is_reached: bool
) -> None:
    desk = Desk()
    given_other_account(desk, *tree)
    desk.account.add("account", "c" * 32, account_id="c" * 32, realm="third.test", name="Third")
    flow = {"module": "hangup", "data": {}, "children": {}}
    desk.account.add("callflow", "flow", account_id=OTHER, numbers=[DID], flow=flow)
    trunk = desk.account.given_carrier("trunk", account_id=belongs_to)
    if is_reached:
        assert desk.bring(DID, trunk).account_id == OTHER
    else:
        with pytest.raises(NumberUnknown):
            desk.bring(DID, trunk)


def test_a_number_that_two_accounts_list_is_nobodys_unless_it_is_assigned() -> None:
    desk = Desk()
    given_other_account(desk)
    desk.account.given_extension(DID, "dev2")
    desk.account.add("callflow", "flow", account_id=OTHER, numbers=[DID], flow={})
    trunk = desk.account.given_carrier("trunk", account_id=GLOBAL_ACCOUNT)
    with pytest.raises(NumberUnknown):
        desk.bring(DID, trunk)
    desk.account.add("phone_number", DID, account_id=ACCOUNT_ID)
    assert desk.bring(DID, trunk).account_id == ACCOUNT_ID


def test_of_several_carriers_at_one_address_the_one_that_owns_the_number_brings_it() -> None:
    desk = Desk()
    given_other_account(desk)
    desk.account.given_extension(DID, "dev2")
    strange = desk.account.given_carrier("strange", account_id=OTHER)
    own = desk.account.given_carrier("own")
    assert desk.bring(DID, strange, own).authorizing_id == "own"


def test_inbound_trunks_bound_the_calls_that_carriers_bring() -> None:
    desk = Desk()
    desk.account.given_extension(DID, "dev2")
    desk.account.add("limits", "limits", inbound_trunks=1, outbound_trunks=0)
    trunk = desk.account.given_carrier("trunk")
    desk.bring(DID, trunk)
    with pytest.raises(NoCredit):
        desk.bring(DID, trunk)


def test_an_assigned_number_is_not_that_of_a_carriers_own_callflow() -> None:
    desk = Desk()
    given_other_account(desk)
    desk.account.given_extension(DID, "dev2")
    trunk = desk.account.given_carrier("trunk")
    assert desk.bring(DID, trunk).account_id == ACCOUNT_ID
    desk.account.add("phone_number", DID, account_id=OTHER)
    with pytest.raises(NumberUnknown):
        desk.bring(DID, trunk)
