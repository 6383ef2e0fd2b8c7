"""Carriers: which take a number, in which order, and what each is sent."""

from typing import Any

import pytest

from offhook.app.planning import CallRestricted
from offhook.calls.model import EndpointKind, EndpointPlan, RingStep
from offhook.directory.model import GLOBAL_ACCOUNT

from .directory import ACCOUNT_ID, REALM, Account, header, node

NUMBER = "+14158867900"


@pytest.fixture
def account() -> Account:
    account = Account()
    account.given_extension("1001", "dev1")
    account.given_way_out()
    return account


def steps(account: Account, number: str = NUMBER, **button: Any) -> tuple[RingStep, ...]:
    return account.connect(number, account.button(**button)).plan.second.steps


def tried(account: Account, number: str = NUMBER) -> list[str]:
    return [endpoint.endpoint_id for step in steps(account, number) for endpoint in step.endpoints]


def leg(account: Account, number: str = NUMBER, **button: Any) -> EndpointPlan:
    return steps(account, number, **button)[0].endpoints[0]


def test_a_gateway_gets_prefix_capture_suffix_and_credentials(account: Account) -> None:
    gateway = {
        "server": "sip.carrier.example", "port": 5080, "prefix": "00",
        "username": "acme", "password": "secret", "realm": "carrier",
        "suffix": "#", "codecs": ["PCMA"], "custom_sip_headers": {"X-Trunk": "7"},
    }  # fmt: skip
    account.given_carrier("carrier", gateways=[gateway], rules=[r"^\+(\d+)$"])
    endpoint = leg(account)
    assert endpoint.kind is EndpointKind.GATEWAY
    assert endpoint.request_uri == "sip:0014158867900%23@sip.carrier.example:5080"
    assert (endpoint.username, endpoint.password, endpoint.realm) == ("acme", "secret", "carrier")
    assert endpoint.codecs == ("PCMA",)
    assert header(endpoint, "X-Trunk") == "7"
    assert header(endpoint, "P-Asserted-Identity") == f'"1001" <sip:1001@{REALM}>'


@pytest.mark.parametrize(
    ("gateway", "request_uri"),
    [
        ({}, "sip:+14158867900@gw.example.net"),
        ({"invite_format": "npan"}, "sip:4158867900@gw.example.net"),
        ({"invite_format": "1npan"}, "sip:14158867900@gw.example.net"),
        ({"invite_format": "strip_plus"}, "sip:14158867900@gw.example.net"),
        ({"invite_format": "username", "username": "acme"}, "sip:acme@gw.example.net"),
        ({"route": "sip:trunk@10.3.3.3;transport=tcp"}, "sip:trunk@10.3.3.3;transport=tcp"),
        (
            {"invite_parameters": {"static": ["transport=tcp"]}},
            "sip:+14158867900@gw.example.net;transport=tcp",
        ),
        ({"port": 5060}, "sip:+14158867900@gw.example.net"),
    ],
)
def test_the_request_uri_of_a_gateway(account: Account, gateway: dict[str, Any], request_uri: str) -> None:
    account.given_carrier("carrier", gateways=[{"server": "gw.example.net"} | gateway], rules=[r".+"])
    assert leg(account).request_uri == request_uri


def test_a_gateway_that_cannot_be_addressed_is_left_out(account: Account) -> None:
    account.given_carrier(
        "carrier", gateways=[{"server": "<no host>"}, {"server": "gw.example.net"}], rules=["."]
    )
    assert len(steps(account)) == 1


def test_carriers_are_tried_by_weight_and_share_a_hunt(account: Account) -> None:
    account.given_carrier("a-last", weight_cost=90)
    account.given_carrier("b-first", weight_cost=10)
    account.given_carrier("c-middle")
    assert tried(account) == ["b-first", "c-middle", "a-last"]
    assert {step.hunt for step in steps(account)} == {f"carriers {NUMBER}"}


def test_silence_of_a_carrier_ends_after_its_grace_period_but_not_of_the_last(account: Account) -> None:
    account.given_carrier("a", grace_period=7)
    account.given_carrier("b", gateways=[{"server": "b1.example.net"}, {"server": "b2.example.net"}])
    waits = [step.endpoints[0].progress_timeout_s for step in steps(account)]
    assert waits == [7, 5, 0]


def test_gateways_of_a_resource_are_tried_in_turn_or_shuffled(account: Account) -> None:
    servers = [{"server": f"g{n}.example.net"} for n in range(3)] + [
        {"server": "off.example.net", "enabled": False}
    ]
    account.given_carrier("carrier", gateways=servers, gateway_strategy="random")
    hosts = [step.endpoints[0].request_uri.partition("@")[2] for step in steps(account)]
    assert sorted(hosts) == [f"g{n}.example.net" for n in range(3)]


def test_the_accounts_own_carriers_go_before_those_above_and_the_installations(account: Account) -> None:
    account.account.private = {"tree": ["m" * 32, "p" * 32]}
    account.given_carrier("everyones", account_id=GLOBAL_ACCOUNT, weight_cost=1)
    account.given_carrier("masters", account_id="m" * 32)
    account.given_carrier("parents", account_id="p" * 32)
    account.given_carrier("own", account_id=ACCOUNT_ID, weight_cost=99)
    account.given_carrier("strangers", account_id="x" * 32)
    assert tried(account) == ["own", "parents", "masters", "everyones"]
    account.given_callflow("no_match", "offnet", {"use_local_resources": False})
    assert tried(account) == ["parents", "masters", "everyones"]


@pytest.mark.parametrize(
    ("resource", "takes"),
    [
        ({"rules": [r"^\+49"]}, False),
        ({"rules": []}, False),
        ({"rules": ["("]}, False),
        ({"rules": [r"^\+49", r"^\+1(\d+)$"]}, True),
        ({"rules": [], "classifiers": {"did_us": {}}}, True),
        ({"rules": [], "classifiers": {"did_us": {"enabled": False}}}, False),
        ({"rules": [], "classifiers": {"international": {}}}, False),
        ({"enabled": False}, False),
        ({"emergency": True}, False),
        ({"require_flags": True}, False),
        ({"cid_rules": ["^2"]}, False),
        ({"cid_rules": ["^1"]}, True),
        ({"gateways": []}, False),
    ],
)
def test_which_resources_take_a_number(account: Account, resource: dict[str, Any], takes: bool) -> None:
    account.given_carrier("carrier", **resource)
    assert tried(account) == (["carrier"] if takes else [])


def test_a_classifier_has_its_own_capture_prefix_suffix_and_weight(account: Account) -> None:
    account.given_carrier("rules", weight_cost=50)
    account.given_carrier(
        "classes",
        rules=[],
        classifiers={"did_us": {"regex": r"^\+1(\d+)$", "prefix": "9", "suffix": "0", "weight_cost": 10}},
    )
    assert tried(account) == ["classes", "rules"]
    assert leg(account).request_uri == "sip:941588679000@classes.example.net"


def test_emergency_numbers_go_to_emergency_carriers_alone(account: Account) -> None:
    account.given_carrier("normal", rules=[".+"])
    account.given_carrier("rescue", rules=[".+"], emergency=True)
    assert tried(account, "911") == ["rescue"]
    assert tried(account) == ["normal"]


@pytest.mark.parametrize(
    ("wanted", "resource", "takes"),
    [
        (["fax"], {"flags": ["fax", "hd"]}, True),
        (["fax"], {"flags": ["hd"]}, False),
        (["fax"], {"ignore_flags": True}, True),
        (["fax"], {"flags": ["fax"], "require_flags": True}, True),
    ],
)
def test_outbound_flags(account: Account, wanted: list[str], resource: dict[str, Any], takes: bool) -> None:
    account.given_callflow("no_match", "resources", {"outbound_flags": wanted})
    account.given_carrier("carrier", **resource)
    assert tried(account) == (["carrier"] if takes else [])


def test_outbound_flags_of_a_device_count_for_its_quickcall(account: Account) -> None:
    account.given_carrier("fax", flags=["fax"])
    account.given_carrier("plain")
    device = account.given_device("dev9", outbound_flags={"static": ["fax"]})
    (step,) = account.quickcall(device, NUMBER).plan.second.steps
    assert step.endpoints[0].endpoint_id == "fax"


def test_caller_id_type_of_gateway_and_resource_goes_before_the_modules(account: Account) -> None:
    ids = {"internal": {"number": "1007"}, "external": {"number": "+14155550100"}}
    device = account.given_device("dev9", caller_id=ids)
    account.given_carrier("carrier", caller_id_options={"type": "internal"})
    (step,) = account.quickcall(device, NUMBER).plan.second.steps
    assert step.endpoints[0].caller_id_number == "1007"
    gateways = [{"server": "gw.example.net", "caller_id_type": "external"}]
    account.given_carrier("carrier", caller_id_options={"type": "internal"}, gateways=gateways)
    (step,) = account.quickcall(device, NUMBER).plan.second.steps
    assert step.endpoints[0].caller_id_number == "+14155550100"


def test_hunt_account_id_uses_the_carriers_of_an_account_above_and_of_no_other(account: Account) -> None:
    account.account.private = {"tree": ["m" * 32]}
    account.given_carrier("own")
    account.given_carrier("masters", account_id="m" * 32)
    account.given_carrier("strangers", account_id="x" * 32)
    account.given_callflow("no_match", "resources", {"hunt_account_id": "m" * 32})
    assert tried(account)[0] == "masters"
    account.given_callflow("no_match", "resources", {"hunt_account_id": "x" * 32})
    assert tried(account) == ["masters"]


def test_a_gateway_that_does_not_speak_sip_is_left_out(account: Account) -> None:
    account.given_carrier("carrier", gateways=[{"server": "x", "endpoint_type": "freetdm"}])
    assert steps(account) == ()


def test_to_did_and_do_not_normalize(account: Account) -> None:
    account.given_carrier("carrier", rules=["(.+)"])
    account.given_callflow("no_match", "resources", {"to_did": "4155550100"})
    assert leg(account).request_uri == "sip:+14155550100@carrier.example.net"
    account.given_callflow("no_match", "resources", {"to_did": "4155550100", "do_not_normalize": True})
    assert leg(account).request_uri == "sip:4155550100@carrier.example.net"


def test_a_failed_carrier_goes_on_with_the_branch(account: Account) -> None:
    account.given_carrier("carrier")
    account.given_callflow("no_match", "resources", {"timeout": 40}, then=node("device", {"id": "dev1"}))
    assert tried(account) == ["carrier", "dev1"]
    assert [step.timeout_s for step in steps(account)] == [40, 20]


@pytest.mark.parametrize(
    ("resource", "gateway", "from_uri"),
    [
        ({}, {}, f"sip:1001@{REALM}"),
        ({"format_from_uri": True}, {}, "sip:1001@gw.example.net"),
        ({"format_from_uri": True}, {"realm": "carrier"}, "sip:1001@carrier"),
        ({"format_from_uri": True, "from_uri_realm": "trunk.example"}, {}, "sip:1001@trunk.example"),
        ({}, {"format_from_uri": True, "from_uri_realm": "g.example"}, "sip:1001@g.example"),
        ({"format_from_uri": True, "from_account_realm": True}, {}, f"sip:1001@{REALM}"),
    ],
)
def test_the_from_uri_of_a_gateway_leg(account: Account, resource: Any, gateway: Any, from_uri: str) -> None:
    account.given_carrier("carrier", gateways=[{"server": "gw.example.net"} | gateway], **resource)
    assert leg(account).from_uri == from_uri


@pytest.mark.parametrize(
    ("privacy", "name", "from_uri"),
    [
        ("full", "Anonymous", "sip:anonymous@anonymous.invalid"),
        ("name", "Anonymous", f"sip:+14155550100@{REALM}"),
        ("number", "Acme", "sip:anonymous@anonymous.invalid"),
    ],
)
def test_outbound_privacy_hides_the_caller_but_tells_the_trunk(
    privacy: str, name: str, from_uri: str
) -> None:
    account = Account(caller_id_options={"outbound_privacy": privacy})
    account.given_way_out()
    account.given_carrier("carrier")
    endpoint = leg(account, outbound_callee_id_name="Acme", outbound_callee_id_number="+14155550100")
    assert (endpoint.caller_id_name, endpoint.from_uri) == (name, from_uri)
    assert header(endpoint, "Privacy") == "id"
    assert header(endpoint, "P-Asserted-Identity") == f'"Acme" <sip:+14155550100@{REALM}>'


def test_without_privacy_nothing_is_hidden(account: Account) -> None:
    account.given_carrier("carrier")
    assert header(leg(account), "Privacy") is None


def test_quotes_in_a_name_are_escaped_in_the_asserted_identity(account: Account) -> None:
    account.given_carrier("carrier")
    endpoint = leg(account, outbound_callee_id_name='A "B" \\ C')
    assert header(endpoint, "P-Asserted-Identity") == f'"A \\"B\\" \\\\ C" <sip:1001@{REALM}>'


def test_call_restriction_of_a_device_refuses_its_quickcall(account: Account) -> None:
    account.given_carrier("carrier")
    account.given_user("jane", "Jane", "Doe", call_restriction={"did_us": {"action": "deny"}})
    device = account.given_device("dev9", owner="jane")
    with pytest.raises(CallRestricted):
        account.quickcall(device, NUMBER)


def test_a_restriction_does_not_bar_numbers_inside_the_account(account: Account) -> None:
    account.account.data["call_restriction"] = {"did_us": {"action": "deny"}}
    account.given_callflow(NUMBER, "device", {"id": "dev1"})
    assert tried(account) == ["dev1"]


# --- carriers that asked for a pause (Retry-After) ---


def test_a_carrier_that_rests_is_passed_over(account: Account) -> None:
    account.given_carrier("a")
    account.given_carrier("b")
    account.resting = {("a", f"sip:{NUMBER.removeprefix('+')}@a.example.net"): "NORMAL_TEMPORARY_FAILURE"}
    assert [step.endpoints[0].endpoint_id for step in steps(account)] == ["b"]
    assert "asked for a pause" in account.connect(NUMBER).plan.second.route


def test_when_all_rest_the_call_ends_as_theirs_did(account: Account) -> None:
    account.given_carrier("a")
    account.resting = {("a", f"sip:{NUMBER.removeprefix('+')}@a.example.net"): "USER_BUSY"}
    second = account.connect(NUMBER).plan.second
    assert (second.steps, second.unreachable_cause) == ((), "USER_BUSY")


# --- who calls, and who forwarded ---


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ({}, ["P-Asserted-Identity"]),
        ({"identity_header": "asserted"}, ["P-Asserted-Identity"]),
        ({"identity_header": "remote_party"}, ["Remote-Party-ID"]),
        ({"identity_header": "both"}, ["P-Asserted-Identity", "Remote-Party-ID"]),
        ({"identity_header": "none"}, []),
    ],
)
def test_a_gateway_says_how_it_is_told_who_calls(
    account: Account, form: dict[str, Any], names: list[str]
) -> None:
    account.given_carrier("carrier", gateways=[{"server": "gw.example.net"} | form])
    told = [name for name, _ in leg(account).headers if name in ("P-Asserted-Identity", "Remote-Party-ID")]
    assert told == names


@pytest.mark.parametrize(
    ("privacy", "told"), [("none", "off"), ("full", "full"), ("name", "name"), ("number", "uri")]
)
def test_remote_party_says_what_is_to_be_hidden(account: Account, privacy: str, told: str) -> None:
    account.account.data["caller_id_options"] = {"outbound_privacy": privacy}
    account.given_carrier(
        "carrier", gateways=[{"server": "gw.example.net", "identity_header": "remote_party"}]
    )
    value = header(leg(account), "Remote-Party-ID")
    assert value == f'"1001" <sip:1001@{REALM}>;party=calling;screen=yes;privacy={told}'


def test_the_asserted_caller_id_is_what_a_carrier_is_told(account: Account) -> None:
    account.account.data["caller_id"] = {"asserted": {"number": "+14158860000", "realm": "trunk.example"}}
    account.given_carrier("carrier")
    assert header(leg(account), "P-Asserted-Identity") == '"1001" <sip:+14158860000@trunk.example>'


def test_a_forwarded_call_says_who_forwarded_it(account: Account) -> None:
    account.given_carrier("carrier")
    forward = {"number": NUMBER, "enabled": True}
    account.given_extension("1002", "desk", call_forward=forward)
    account.account.data["caller_id"] = {"external": {"number": "+14158860000"}}
    endpoint = leg(account, "1002")
    assert header(endpoint, "Diversion") == f"<sip:+14158860000@{REALM}>;reason=unconditional;counter=1"
    assert header(endpoint, "History-Info") == (
        f"<sip:+14158860000@{REALM}>;index=1, <{endpoint.request_uri};cause=302>;index=1.1;mp=1"
    )


def test_every_forward_is_named_the_last_first(account: Account) -> None:
    account.given_carrier("carrier")
    account.given_extension("1002", "one", call_forward={"number": "1003", "enabled": True})
    account.given_extension(
        "1003", "two", registered=False, call_forward={"number": NUMBER, "failover": True}
    )
    endpoint = leg(account, "1002")
    assert header(endpoint, "Diversion") == (
        f"<sip:1003@{REALM}>;reason=unavailable;counter=1, <sip:1002@{REALM}>;reason=unconditional;counter=1"
    )
    assert header(endpoint, "History-Info").startswith(
        f"<sip:1002@{REALM}>;index=1, <sip:1003@{REALM};cause=302>;index=1.1;mp=1, "
    )


def test_nobody_hides_from_an_emergency_call(account: Account) -> None:
    account.account.data["caller_id_options"] = {"outbound_privacy": "full"}
    account.account.data["caller_id"] = {"emergency": {"number": "+14158860000"}}
    account.given_carrier("carrier", emergency=True, rules=["^911$"])
    endpoint = leg(account, "911")
    assert endpoint.from_uri == f"sip:+14158860000@{REALM}"
    assert "Privacy" not in dict(endpoint.headers)
