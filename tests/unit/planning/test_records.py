"""History items and CDRs: KAZOO's keys, the outcome, one CDR per leg."""

import pytest

from offhook.app.planning import cdr_documents, history_item, record_call
from offhook.app.ports import CallView
from offhook.calls.model import By, CallPlan, Ending, Leg, Outcome, Party, PartyPlan, Side, Times

from .directory import ACCOUNT_ID, BUTTON_ID, NOW, REALM, Account

CONNECTED = Ending(outcome=Outcome.CONNECTED, by=By.CONTACT, hangup_cause="NORMAL_CLEARING", sip_code=200)
BUSY = Ending(
    outcome=Outcome.BUSY,
    party=Party.SECOND,
    side=Side.CONTACT,
    by=By.CONTACT,
    hangup_cause="USER_BUSY",
    sip_code=486,
    sip_reason="Busy Here",
)
TIMES = Times(
    accepted=NOW,
    first_ringing=NOW + 1,
    first_answered=NOW + 3,
    second_ringing=NOW + 4,
    bridged=NOW + 6.25,
    ended=NOW + 20,
)


@pytest.fixture
def account() -> Account:
    account = Account()
    account.given_user("jane", "Jane", "Doe")
    account.given_extension("1001", "dev1", owner="jane")
    account.given_extension("1002", "dev2")
    return account


def leg(party_plan: PartyPlan, party: Party, index: int = 0, **times: object) -> Leg:
    endpoint = party_plan.steps[0].endpoints[index]
    return Leg(endpoint=endpoint, party=party, side=party_plan.side, **times)  # type: ignore[arg-type]


def connected_legs(plan: CallPlan) -> list[Leg]:
    end = {"ended_at": NOW + 20, "hangup_cause": "NORMAL_CLEARING", "sip_code": 200}
    first = leg(plan.first, Party.FIRST, created_at=NOW, ringing_at=NOW + 1, answered_at=NOW + 3, **end)
    second = leg(
        plan.second, Party.SECOND, created_at=NOW + 3, ringing_at=NOW + 4, answered_at=NOW + 6, **end
    )
    first.joined_to, second.joined_to = second.leg_id, first.leg_id
    return [first, second]


def test_a_joined_call_is_a_success_in_history(account: Account) -> None:
    plan = account.connect("4158867900").plan
    item = history_item(plan, CONNECTED, TIMES)
    assert len(item.pop("id")) == 32
    assert item == {
        "timestamp": 63876500000,
        "contact": "+14158867900",
        "call_id": plan.call_id,
        "custom_application_vars": {},
        "result": "success",
        "outcome": "connected",
        "party": "",
        "side": "",
        "by": "contact",
        "hangup_cause": "NORMAL_CLEARING",
        "sip_code": 200,
        "sip_reason": "",
        "times": {
            "accepted": "2024-03-01T08:13:20.000Z",
            "first_ringing": "2024-03-01T08:13:21.000Z",
            "first_answered": "2024-03-01T08:13:23.000Z",
            "second_ringing": "2024-03-01T08:13:24.000Z",
            "bridged": "2024-03-01T08:13:26.250Z",
            "ended": "2024-03-01T08:13:40.000Z",
        },
    }


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.CONNECTED])
def test_anything_else_is_an_error_with_its_cause(account: Account, outcome: Outcome) -> None:
    ending = Ending(outcome=outcome, by=By.API, hangup_cause="ORIGINATOR_CANCEL")
    item = history_item(account.connect("1002").plan, ending, Times(accepted=NOW, ended=NOW + 1))
    assert (item["result"], item["cause"], item["outcome"]) == ("error", "ORIGINATOR_CANCEL", str(outcome))
    assert list(item["times"]) == ["accepted", "ended"]


def test_the_same_call_has_the_same_history_id_every_time(account: Account) -> None:
    plan = account.connect("1002").plan
    assert history_item(plan, BUSY, TIMES)["id"] == history_item(plan, CONNECTED, TIMES)["id"]


def test_one_cdr_per_leg_and_each_names_the_other(account: Account) -> None:
    plan = account.connect("1002", custom_application_vars={"order": "5"}).plan
    first, second = cdr_documents(plan, CONNECTED, TIMES, connected_legs(plan))
    assert first["id"] == f"202403-{plan.call_id}"
    assert (first["call_id"], first["other_leg_call_id"]) == (plan.call_id, second["call_id"])
    assert second["other_leg_call_id"] == plan.call_id
    assert first["interaction_id"] == second["interaction_id"] == plan.interaction_id
    assert (first["duration_seconds"], first["ringing_seconds"], first["billing_seconds"]) == (20, 3, 17)
    assert first["timestamp"] == 63876500020
    assert first["channel_created_time"] == int(NOW * 1_000_000)
    assert (first["disposition"], first["hangup_code"], first["hangup_cause"]) == (
        "ANSWER",
        "sip:200",
        "NORMAL_CLEARING",
    )
    assert (first["from"], first["to"]) == (f"1002@{REALM}", f"dev1@{REALM}")
    assert first["custom_application_vars"] == {"order": "5"}
    assert history_item(plan, CONNECTED, TIMES)["custom_application_vars"] == {"order": "5"}
    assert (first["did_classifier"], first["e164_destination"]) == ("unknown", "")
    assert first["custom_channel_vars"] == {
        "account_id": ACCOUNT_ID,
        "authorizing_id": BUTTON_ID,
        "authorizing_type": "clicktocall",
        "owner_id": "jane",
        "bridge_id": plan.call_id,
        "username": "dev1",
        "realm": REALM,
        "device_id": "dev1",
    }
    assert (first["outcome"], second["outcome"]) == ("connected", "connected")
    assert first["times"]["bridged"] == "2024-03-01T08:13:26.250Z"


def test_a_busy_second_party_leaves_two_cdrs_that_are_not_joined(account: Account) -> None:
    plan = account.connect("1002").plan
    legs = connected_legs(plan)
    legs[0].joined_to = legs[1].joined_to = ""
    legs[1].answered_at, legs[1].hangup_cause, legs[1].sip_code = 0.0, "USER_BUSY", 486
    times = Times(accepted=NOW, first_answered=NOW + 3, ended=NOW + 20)
    first, second = cdr_documents(plan, BUSY, times, legs)
    assert first["other_leg_call_id"] == second["other_leg_call_id"] == ""
    assert (second["disposition"], second["hangup_code"], second["billing_seconds"]) == ("BUSY", "sip:486", 0)
    assert (second["outcome"], second["party"], second["side"], second["by"]) == (
        "busy",
        "second",
        "contact",
        "contact",
    )
    assert (second["sip_code"], second["sip_reason"]) == (486, "Busy Here")


def test_a_phone_that_lost_the_race_has_a_cdr_of_its_own(account: Account) -> None:
    account.given_binding("dev1", "sip:dev1@10.0.0.9:5060")
    plan = account.connect("1002").plan
    loser = leg(plan.first, Party.FIRST, 1, created_at=NOW, ended_at=NOW + 3, hangup_cause="LOSE_RACE")
    documents = cdr_documents(plan, CONNECTED, TIMES, [*connected_legs(plan), loser])
    assert [document["disposition"] for document in documents] == ["ANSWER", "ANSWER", "CANCEL"]
    assert documents[2]["other_leg_call_id"] == ""
    assert len({document["id"] for document in documents}) == 3


def test_legs_that_were_never_rung_have_no_cdr(account: Account) -> None:
    plan = account.connect("1002").plan
    first, second = connected_legs(plan)
    second.created_at = 0.0
    assert len(cdr_documents(plan, BUSY, TIMES, [first, second])) == 1


def test_a_call_without_legs_has_one_cdr_that_says_why(account: Account) -> None:
    device = account.given_device("away", registered=False, owner="jane")
    plan = account.quickcall(device, "1002").plan
    ending = Ending(
        outcome=Outcome.UNREACHABLE, party=Party.FIRST, by=By.PLATFORM, hangup_cause="USER_NOT_REGISTERED"
    )
    times = Times(accepted=NOW, ended=NOW)
    history, (document,) = record_call(CallView(plan=plan, state="ended", times=times, ending=ending))
    assert history is None
    assert document["call_id"] == plan.call_id
    assert (document["outcome"], document["hangup_cause"]) == ("unreachable", "USER_NOT_REGISTERED")
    assert document["custom_channel_vars"]["owner_id"] == "jane"


def test_a_carrier_leg_names_its_resource(account: Account) -> None:
    account.given_way_out()
    account.given_carrier("carrier")
    plan = account.connect("+14158867900").plan
    _, second = cdr_documents(plan, CONNECTED, TIMES, connected_legs(plan))
    assert second["custom_channel_vars"]["resource_id"] == "carrier"
    assert second["dialed_number"] == second["digits_dialed"] == "+14158867900"
    assert (second["did_classifier"], second["e164_destination"]) == ("did_us", "+14158867900")


def test_a_call_that_joins_an_older_interaction_is_filed_in_its_month(account: Account) -> None:
    account.live["abc"] = "63873800000-0badcafe"
    device = account.given_device("dev9")
    plan = account.quickcall(device, "1002", target_call_id="abc").plan
    first, _ = cdr_documents(plan, CONNECTED, TIMES, connected_legs(plan))
    assert first["id"] == f"202401-{plan.call_id}"


# --- calls that came in -------------------------------------------------------------------------------


def test_the_legs_of_a_call_that_came_in_say_which_way_they_went() -> None:
    account = Account()
    account.given_extension("1002", "dev2")
    plan = account.dialled(account.given_device("desk"), "1002")
    legs = connected_legs(plan)
    first, second = cdr_documents(plan, CONNECTED, TIMES, legs)
    assert (first["call_direction"], second["call_direction"]) == ("inbound", "outbound")
    assert (first["other_leg_direction"], second["other_leg_direction"]) == ("outbound", "inbound")
    assert (first["dialed_number"], first["callee_id_number"], second["callee_id_number"]) == ("1002",) * 3
    assert (first["from"], first["to"]) == (f"desk@{REALM}", f"1002@{REALM}")
    assert first["custom_channel_vars"]["username"] == "desk"
    assert second["custom_channel_vars"]["username"] == "dev2"
