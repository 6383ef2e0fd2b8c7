"""Routing inside the account: numbers, patterns, modules, forwards, and how long each step rings."""

from typing import Any

import pytest

from offhook.app.planning.legs import allot_times
from offhook.app.planning.rings import Step
from offhook.calls.model import EndpointPlan, PartyPlan

from .directory import REALM, Account, header, node


@pytest.fixture
def account() -> Account:
    account = Account()
    account.given_user("jane", "Jane", "Doe")
    account.given_device("desk", owner="jane")
    account.given_device("mobile", owner="jane")
    account.given_extension("1001", "front")
    return account


def reached(account: Account, number: str) -> PartyPlan:
    """Return how a contact is reached."""
    return account.connect(number).plan.second


def rung(party: PartyPlan) -> list[list[str]]:
    """Return the device or resource ids by step."""
    return [[endpoint.endpoint_id for endpoint in step.endpoints] for step in party.steps]


def only_endpoint(party: PartyPlan) -> EndpointPlan:
    ((endpoint,),) = (step.endpoints for step in party.steps)
    return endpoint


# --- which callflow -------------------------------------------------------------------------------------


def test_an_exact_number_goes_before_a_pattern_and_that_before_no_match(account: Account) -> None:
    account.given_callflow("2001", "device", {"id": "desk"})
    account.given_flow([], node("device", {"id": "mobile"}), patterns=[r"^2\d{3}$"])
    account.given_callflow("no_match", "device", {"id": "front"})
    assert rung(reached(account, "2001")) == [["desk"]]
    assert rung(reached(account, "2002")) == [["mobile"]]
    assert rung(reached(account, "3001")) == [["front"]]


def test_a_number_is_found_as_stored_or_as_normalised(account: Account) -> None:
    account.given_callflow("+14158867900", "device", {"id": "desk"})
    assert rung(reached(account, "4158867900")) == [["desk"]]


def test_what_a_pattern_captures_is_sent_to_the_carrier(account: Account) -> None:
    account.given_flow([], node("resources"), patterns=[r"^9(\d{10})$"])
    account.given_carrier("carrier")
    assert only_endpoint(reached(account, "94158867900")).request_uri == "sip:14158867900@carrier.example.net"


def test_no_match_is_no_number_that_can_be_dialled(account: Account) -> None:
    account.given_callflow("no_match", "device", {"id": "desk"})
    assert reached(account, "no_match").route.startswith("callflow no_match")


# --- modules ----------------------------------------------------------------------------------------------


def test_a_user_rings_on_all_phones_together(account: Account) -> None:
    account.given_callflow("1002", "user", {"id": "jane"})
    party = reached(account, "1002")
    assert rung(party) == [["desk", "mobile"]]
    assert party.route == "callflow 1002 → user Jane Doe, 2 devices"
    assert {endpoint.owner_id for endpoint in party.steps[0].endpoints} == {"jane"}


def test_a_user_with_strategy_single_rings_one_phone_after_the_other(account: Account) -> None:
    account.given_callflow("1002", "user", {"id": "jane", "strategy": "single", "timeout": 9})
    party = reached(account, "1002")
    assert rung(party) == [["desk"], ["mobile"]]
    assert [step.timeout_s for step in party.steps] == [9, 9]


def test_the_branch_after_a_failure_is_the_next_step(account: Account) -> None:
    account.given_callflow(
        "1002", "user", {"id": "jane", "timeout": 12}, then=node("device", {"id": "front", "delay": 2})
    )
    party = reached(account, "1002")
    assert rung(party) == [["desk", "mobile"], ["front"]]
    assert [step.timeout_s for step in party.steps] == [12, 48]
    assert party.steps[1].endpoints[0].delay_s == 2


@pytest.mark.parametrize(
    ("data", "steps"),
    [
        ({}, [["desk", "front"]]),
        ({"strategy": "single"}, [["desk"], ["front"]]),
        ({"repeats": 2}, [["desk", "front"], ["desk", "front"]]),
        ({"repeats": 99_999, "strategy": "single"}, [["desk"], ["front"]] * 10),
    ],
)
def test_ring_groups(account: Account, data: dict[str, Any], steps: list[list[str]]) -> None:
    members = [{"id": "desk", "endpoint_type": "device"}, {"id": "front", "endpoint_type": "device"}]
    account.given_callflow("1002", "ring_group", {"endpoints": members} | data)
    assert rung(reached(account, "1002")) == steps


def test_ring_group_members_have_delays_timeouts_and_ringtones(account: Account) -> None:
    members = [
        {"id": "desk", "endpoint_type": "device", "timeout": 10},
        {"id": "jane", "endpoint_type": "user", "delay": 4, "timeout": 15},
    ]
    account.given_callflow(
        "1002", "ring_group", {"endpoints": members, "ringtones": {"internal": "bell"}, "ringback": "uk"}
    )
    plan = account.connect("1002").plan
    (step,) = plan.second.steps
    assert step.timeout_s == 19
    assert [(e.endpoint_id, e.delay_s, e.timeout_s) for e in step.endpoints] == [
        ("desk", 0, 10),
        ("mobile", 4, 15),  # the desk phone is there already
    ]
    assert {header(endpoint, "Alert-Info") for endpoint in step.endpoints} == {"bell"}
    assert plan.ringback == "uk"


def test_weighted_random_prefers_the_heavy_and_rings_everybody_in_turn(account: Account) -> None:
    members = [
        {"id": "desk", "endpoint_type": "device", "weight": 1},
        {"id": "front", "endpoint_type": "device", "weight": 100},
    ]
    account.given_callflow("1002", "ring_group", {"endpoints": members, "strategy": "weighted_random"})
    assert rung(reached(account, "1002")) == [["front"], ["desk"]]


def test_a_jump_goes_on_in_the_other_callflow(account: Account) -> None:
    target = account.given_callflow("1003", "device", {"id": "desk"})
    account.given_callflow("1002", "callflow", {"id": target.id})
    assert rung(reached(account, "1002")) == [["desk"]]


def test_a_callflow_that_jumps_to_itself_ends(account: Account) -> None:
    account.given_callflow("1002", "callflow", {"id": "flow-1002"})
    party = reached(account, "1002")
    assert party.steps == ()
    assert party.route.endswith("the callflow does not end")


@pytest.mark.parametrize(
    ("module", "data", "cause"),
    [
        ("hangup", {}, "CALL_REJECTED"),
        ("response", {}, "USER_BUSY"),
        ("response", {"code": 603}, "CALL_REJECTED"),
        ("response", {"code": 404}, "UNALLOCATED_NUMBER"),
        ("voicemail", {"id": "x"}, "SERVICE_NOT_IMPLEMENTED"),
        ("device", {"id": "nobody"}, "DESTINATION_OUT_OF_ORDER"),
        ("user", {"id": "nobody"}, "DESTINATION_OUT_OF_ORDER"),
        ("resources", {}, "NO_ROUTE_DESTINATION"),
        ("ring_group", {"endpoints": [{"id": "x", "endpoint_type": "group"}]}, "SUBSCRIBER_ABSENT"),
    ],
)
def test_what_rings_nothing_has_a_cause(account: Account, module: str, data: Any, cause: str) -> None:
    account.given_callflow("1002", module, data)
    party = reached(account, "1002")
    assert (party.steps, party.unreachable_cause) == ((), cause)


def test_a_module_that_is_not_done_ends_the_flow_and_is_named(account: Account) -> None:
    account.given_callflow("1002", "play", {"id": "hello"}, then=node("device", {"id": "desk"}))
    party = reached(account, "1002")
    assert party.steps == ()
    assert party.route == "callflow 1002 → module play is not done here: the flow ends"


def test_skip_module_goes_on_without_it(account: Account) -> None:
    account.given_callflow("1002", "play", {"skip_module": True}, then=node("device", {"id": "desk"}))
    assert rung(reached(account, "1002")) == []  # a module that is not known is not skipped either
    account.given_callflow("1003", "device", {"id": "front", "skip_module": True}, then=node("hangup"))
    assert reached(account, "1003").unreachable_cause == "CALL_REJECTED"


def test_set_cid_and_prepend_cid_change_what_is_shown_from_there_on(account: Account) -> None:
    ring = node("device", {"id": "desk"})
    prepend = node(
        "prepend_cid", {"caller_id_name_prefix": "VIP ", "caller_id_number_prefix": "0"}, then=ring
    )
    account.given_callflow("1002", "set_cid", {"caller_id_name": "Shop"}, then=prepend)
    endpoint = only_endpoint(reached(account, "1002"))
    assert (endpoint.caller_id_name, endpoint.caller_id_number) == ("VIP Shop", "01001")
    assert endpoint.from_uri == f"sip:01001@{REALM}"


def test_custom_sip_headers_of_a_module_go_on_its_legs(account: Account) -> None:
    account.given_callflow("1002", "device", {"id": "desk", "custom_sip_headers": {"X-Flow": "reception"}})
    assert header(only_endpoint(reached(account, "1002")), "X-Flow") == "reception"


# --- phones -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"registered": False}, "USER_NOT_REGISTERED"),
        ({"enabled": False}, "SUBSCRIBER_ABSENT"),
        ({"do_not_disturb": {"enabled": True}}, "CALL_REJECTED"),
    ],
)
def test_a_phone_that_cannot_be_rung_says_why(account: Account, change: Any, cause: str) -> None:
    account.given_extension("1002", "away", **change)
    party = reached(account, "1002")
    assert (party.steps, party.unreachable_cause) == ((), cause)
    assert "device away" in party.route


def test_a_phone_of_a_disabled_or_undisturbed_user_is_not_rung(account: Account) -> None:
    account.given_callflow("1002", "user", {"id": "jane"})
    account.given_user("jane", "Jane", "Doe", enabled=False)
    assert reached(account, "1002").unreachable_cause == "SUBSCRIBER_ABSENT"
    account.given_user("jane", "Jane", "Doe", do_not_disturb={"enabled": True})
    assert reached(account, "1002").unreachable_cause == "CALL_REJECTED"


def test_do_not_disturb_of_the_account_silences_everything() -> None:
    account = Account(do_not_disturb={"enabled": True})
    account.given_extension("1002", "dev2")
    assert reached(account, "1002").unreachable_cause == "CALL_REJECTED"


def test_every_contact_of_a_phone_rings(account: Account) -> None:
    account.given_extension("1002", "dev2")
    account.given_binding(
        "dev2", "sip:dev2@10.0.0.9:5080;transport=tcp", path=("<sip:edge;lr>",), flow_id="f1"
    )
    (step,) = reached(account, "1002").steps
    assert [endpoint.request_uri for endpoint in step.endpoints] == [
        "sip:dev2@10.0.0.5:5062",
        "sip:dev2@10.0.0.9:5080;transport=tcp",
    ]
    assert [endpoint.route_set for endpoint in step.endpoints] == [(), ("<sip:edge;lr>",)]
    assert [endpoint.flow_id for endpoint in step.endpoints] == ["", "f1"]


@pytest.mark.parametrize(
    ("sip", "request_uri"),
    [
        ({}, "sip:x9@10.0.0.5:5062;ob"),
        ({"invite_format": "contact"}, "sip:x9@10.0.0.5:5062;ob"),
        ({"invite_format": "username"}, "sip:dev2@10.0.0.5:5062;ob"),
        ({"invite_format": "username", "static_invite": "pbx"}, "sip:pbx@10.0.0.5:5062;ob"),
        ({"invite_format": "e164", "number": "4158867900"}, "sip:+14158867900@10.0.0.5:5062;ob"),
        ({"invite_format": "npan", "number": "+14158867900"}, "sip:4158867900@10.0.0.5:5062;ob"),
        ({"invite_format": "1npan", "number": "+14158867900"}, "sip:14158867900@10.0.0.5:5062;ob"),
        ({"invite_format": "strip_plus", "number": "+14158867900"}, "sip:14158867900@10.0.0.5:5062;ob"),
        ({"invite_format": "e164"}, "sip:1002@10.0.0.5:5062;ob"),
        ({"invite_format": "route", "route": "sip:pbx@10.1.1.1"}, "sip:pbx@10.1.1.1"),
        ({"static_route": "pbx@10.1.1.1", "transport": "tcp"}, "sip:pbx@10.1.1.1;transport=tcp"),
        ({"method": "ip", "ip": "10.1.1.2"}, "sip:dev2@10.1.1.2"),
        ({"method": "ip", "ip": "10.1.1.2", "static_invite": "pbx"}, "sip:pbx@10.1.1.2"),
    ],
)
def test_the_request_uri_is_as_invite_format_says(account: Account, sip: Any, request_uri: str) -> None:
    account.given_extension("1002", "dev2", registered=False, sip=sip)
    account.given_binding("dev2", "sip:x9@10.0.0.5:5062;ob")
    assert only_endpoint(reached(account, "1002")).request_uri == request_uri


def test_a_static_route_that_is_no_uri_leaves_the_phone_unreachable(account: Account) -> None:
    account.given_extension("1002", "dev2", registered=False, sip={"static_route": "sip:<nonsense>"})
    assert reached(account, "1002").unreachable_cause == "USER_NOT_REGISTERED"


def test_device_fields_go_on_the_wire(account: Account) -> None:
    account.given_extension(
        "1002",
        "dev2",
        sip={
            "proxy": "10.2.2.2:5070",
            "custom_sip_headers": {"X-Flat": "f", "out": {"X-Out": "o"}, "in": {"X-In": "i"}},
        },
        media={"audio": {"codecs": ["G722", "PCMU"]}, "progress_timeout": 6},
        ringtones={"internal": "chime", "external": "bell"},
        presence_id="sales",
    )
    endpoint = only_endpoint(reached(account, "1002"))
    assert endpoint.route_set == ("<sip:10.2.2.2:5070;lr>",)
    assert endpoint.codecs == ("G722", "PCMU")
    assert endpoint.progress_timeout_s == 6
    assert [header(endpoint, name) for name in ("X-Flat", "X-Out", "X-In")] == ["f", "o", None]
    assert header(endpoint, "Alert-Info") == "chime"
    assert header(endpoint, "X-KAZOO-Presence-ID") == f"sales@{REALM}"


def test_the_external_ringtone_is_for_calls_from_outside() -> None:
    account = Account(ringtones={"external": "bell"})
    account.given_extension("1001", "dev1")
    first = account.connect("+14158867900", auto_answer=False).plan.first
    assert header(only_endpoint(first), "Alert-Info") == "bell"
    first = account.connect("+14158867900").plan.first
    assert (
        header(only_endpoint(first), "Alert-Info") == "bell"
    )  # a configured ringtone stays with auto-answer


def test_registrations_are_found_whatever_the_case_of_the_user_name(account: Account) -> None:
    account.given_callflow("1002", "device", {"id": "Dev2"})
    account.given_device("Dev2", registered=False)
    account.given_binding("dev2", "sip:Dev2@10.0.0.5:5062")
    assert only_endpoint(reached(account, "1002")).to_uri == f"sip:Dev2@{REALM}"


def test_a_device_with_a_realm_of_its_own_is_found_there(account: Account) -> None:
    account.given_extension("1002", "dev2", registered=False, sip={"realm": "Other.example.com"})
    account.bindings["sip:dev2@other.example.com"] = account.bindings["sip:front@" + REALM]
    assert only_endpoint(reached(account, "1002")).to_uri == "sip:dev2@Other.example.com"


# --- call forward -----------------------------------------------------------------------------------------


def given_forwarding(account: Account, *, registered: bool = True, **forward: Any) -> None:
    account.given_extension("1002", "dev2", registered=registered, call_forward={"number": "1003"} | forward)
    account.given_extension("1003", "dev3")


@pytest.mark.parametrize(
    ("registered", "forward", "steps"),
    [
        (True, {"enabled": True}, [["dev3"]]),
        (True, {"enabled": True, "substitute": False}, [["dev2", "dev3"]]),
        (True, {"enabled": False, "failover": True}, [["dev2"]]),
        (False, {"enabled": False, "failover": True}, [["dev3"]]),
        (True, {"enabled": False}, [["dev2"]]),
        (False, {"enabled": False}, []),
    ],
)
def test_call_forward(account: Account, registered: bool, forward: Any, steps: list[list[str]]) -> None:
    given_forwarding(account, registered=registered, **forward)
    assert rung(reached(account, "1002")) == steps


def test_a_forward_keeps_the_caller_id_unless_told_otherwise(account: Account) -> None:
    given_forwarding(account, enabled=True)
    assert only_endpoint(reached(account, "1002")).caller_id_number == "1001"
    given_forwarding(account, enabled=True, keep_caller_id=False)
    assert only_endpoint(reached(account, "1002")).caller_id_number == "dev2"


def test_direct_calls_only_and_ring_groups(account: Account) -> None:
    given_forwarding(account, enabled=True, direct_calls_only=True)
    members = [{"id": "dev2", "endpoint_type": "device"}]
    account.given_callflow("1004", "ring_group", {"endpoints": members, "ignore_forward": False})
    assert rung(reached(account, "1004")) == [["dev2"]]
    given_forwarding(account, enabled=True)
    assert rung(reached(account, "1004")) == [["dev3"]]
    account.given_callflow("1005", "ring_group", {"endpoints": members})
    assert rung(reached(account, "1005")) == [["dev2"]]


def test_the_owners_forward_is_followed_once_for_all_phones(account: Account) -> None:
    account.given_user("jane", "Jane", "Doe", call_forward={"enabled": True, "number": "1001"})
    account.given_callflow("1002", "user", {"id": "jane"})
    assert rung(reached(account, "1002")) == [["front"]]


def test_phones_forwarded_to_each_other_end(account: Account) -> None:
    account.given_extension("1002", "dev2", call_forward={"enabled": True, "number": "1003"})
    account.given_extension("1003", "dev3", call_forward={"enabled": True, "number": "1002"})
    assert rung(reached(account, "1002")) == [["dev3"]]


def test_a_forward_to_a_number_that_is_denied_fails_that_phone_alone(account: Account) -> None:
    restricted = {"did_us": {"action": "deny"}}
    account.given_way_out()
    account.given_carrier("carrier")
    account.given_extension(
        "1002", "dev2", call_forward={"enabled": True, "number": "4158867900"}, call_restriction=restricted
    )
    party = reached(account, "1002")
    assert (party.steps, party.unreachable_cause) == ((), "OUTGOING_CALL_BARRED")


# --- time -----------------------------------------------------------------------------------------------


def steps_of(*specs: tuple[float, str]) -> list[Step]:
    return [Step(rings=(), timeout_s=timeout_s, hunt=hunt) for timeout_s, hunt in specs]


@pytest.mark.parametrize(
    ("steps", "limit_s", "times"),
    [
        (steps_of((0, "")), 30, [30]),
        (steps_of((12, "")), 30, [12]),
        (steps_of((40, "")), 30, [30]),
        (steps_of((0, ""), (0, "")), 30, [20, 10]),
        (steps_of((25, ""), (20, "")), 30, [25, 5]),
        (steps_of((30, ""), (20, "")), 30, [30, 5]),
        (steps_of((0, "a"), (0, "a"), (0, "a")), 30, [30, 30, 30]),
        (steps_of((10, ""), (0, "a"), (0, "a")), 30, [10, 20, 20]),
        (steps_of((0, "")), 2, [2]),
    ],
)
def test_steps_share_the_time_of_a_party(steps: list[Step], limit_s: float, times: list[float]) -> None:
    assert allot_times(steps, limit_s) == times
