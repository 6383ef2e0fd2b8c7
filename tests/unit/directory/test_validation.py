import copy
import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.directory import validate
from offhook.directory.faults import ECHO_MAX, FAULTS_MAX
from offhook.directory.schemas import SCHEMAS
from offhook.directory.validation import NESTING_MAX

BUTTON = {"name": "Support", "extension": "1001"}
DEVICE = {"name": "Desk"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 700) | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["30", "true", "contact", "^1", "(", "a\r\nb", "x" * 300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def faults_of(name: str, data: dict, **more) -> dict:
    return validate(name, data, **more)[1]


def cleaned(name: str, data: dict) -> dict:
    document, faults = validate(name, data)
    assert faults == {}
    return document


# --- what is kept, dropped and filled in ------------------------------------------------------------


def test_a_button_gets_its_defaults_and_keeps_unknown_keys():
    assert cleaned("clicktocall", BUTTON | {"my_crm": {"id": [1, 2]}}) == BUTTON | {
        "my_crm": {"id": [1, 2]},
        "auth_required": True,
        "custom_application_vars": {},
    }


def test_a_device_gets_nested_defaults():
    document = cleaned("device", DEVICE | {"sip": {"username": "dev1"}, "call_forward": {"enabled": True}})
    assert document["sip"] == {
        "username": "dev1",
        "method": "password",
        "invite_format": "contact",
        "expire_seconds": 300,
    }
    assert document["call_forward"]["require_keypress"] is True
    assert document["media"]["video"] == {"codecs": []}


def test_private_keys_and_the_id_are_dropped_at_the_top_only():
    private = {"id": "x", "_rev": "1-0", "_read_only": {}, "pvt_account_id": "y"}
    document = cleaned("clicktocall", BUTTON | private | {"mine": {"id": "z", "_a": 1}})
    assert set(document) == {*BUTTON, "auth_required", "custom_application_vars", "mine"}
    assert document["mine"] == {"id": "z", "_a": 1}


def test_null_means_absent():
    assert "timeout" not in cleaned("clicktocall", BUTTON | {"timeout": None, "mine": {"a": None}})
    assert faults_of("clicktocall", BUTTON | {"name": None})["name"].keys() == {"required"}


def test_defaults_are_not_shared_between_documents():
    cleaned("clicktocall", BUTTON)["custom_application_vars"]["leak"] = "1"
    assert cleaned("clicktocall", BUTTON)["custom_application_vars"] == {}


def test_the_argument_is_left_alone():
    data = BUTTON | {"timeout": "30", "mine": {"a": None}, "media": {}}
    before = copy.deepcopy(data)
    validate("clicktocall", data)
    assert data == before


def test_what_is_looked_up_is_brought_into_one_form():
    assert cleaned("account", {"name": "Acme", "realm": "ACME.Example.com"})["realm"] == "acme.example.com"
    assert cleaned("user", {"first_name": "J", "last_name": "D", "username": "Jane"})["username"] == "jane"
    numbers = ["1001", "4158867900", "+14158867901", "01149301234567"]
    assert cleaned("callflow", {"numbers": numbers})["numbers"] == [
        "1001",
        "+14158867900",
        "+14158867901",
        "+49301234567",
    ]


# --- type repair ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_value", "stored"), [("30", 30), (30, 30), (30.0, 30), ("+30", 30), ("030", 30)]
)
def test_a_text_that_is_a_whole_number_becomes_one(given_value, stored):
    document = cleaned("clicktocall", BUTTON | {"timeout": given_value})
    assert document["timeout"] == stored
    assert type(document["timeout"]) is int


@pytest.mark.parametrize("wrong", ["soon", "", "3.5", "1e1", "٣", "9" * 30, [], {}, True, 1.5])
def test_a_text_that_is_no_whole_number_is_a_fault(wrong):
    assert "type" in faults_of("clicktocall", BUTTON | {"timeout": wrong})["timeout"]


def test_a_repaired_value_must_still_be_in_range():
    assert faults_of("clicktocall", BUTTON | {"timeout": "0"})["timeout"] == {
        "minimum": {"message": "Value must be at least 1", "target": 1, "value": 0}
    }


def test_texts_become_booleans_and_numbers_deep_inside():
    gateway = {"server": "192.0.2.1", "port": "5070", "enabled": "false"}
    document = cleaned("resource", {"name": "R", "gateways": [gateway], "weight_cost": "2.5"})
    assert document["gateways"][0]["port"] == 5070
    assert document["gateways"][0]["enabled"] is False
    assert document["weight_cost"] == 2.5


def test_an_empty_key_does_not_lead_a_repair_astray():
    classifiers = {"": {"weight_cost": "3"}, "weight_cost": {"prefix": "9"}}
    data = {"name": "R", "gateways": [], "classifiers": classifiers}
    document, faults = validate("resource", data)
    assert faults.keys() == {"classifiers.weight_cost"}
    assert document["classifiers"]["weight_cost"]["prefix"] == "9"


def test_a_repair_finds_its_way_through_keys_that_look_like_numbers():
    data = {"name": "R", "gateways": [], "classifiers": {"911": {"weight_cost": "3"}}}
    assert cleaned("resource", data)["classifiers"] == {
        "911": {"weight_cost": 3, "enabled": True, "emergency": False}
    }


@pytest.mark.parametrize("spelling", [True, "true", "1", 1])
def test_options_of_requests_take_the_spellings_of_query_strings(spelling):
    assert cleaned("connect", {"contact": "1002", "blocking": spelling})["blocking"] is True


@pytest.mark.parametrize("spelling", ["1", 1, "yes"])
def test_documents_do_not(spelling):
    assert "type" in faults_of("clicktocall", BUTTON | {"auth_required": spelling})["auth_required"]


def test_numbers_do_not_become_texts():
    assert "type" in faults_of("clicktocall", BUTTON | {"extension": 1001})["extension"]


# --- faults in KAZOO's form -------------------------------------------------------------------------


def test_every_failing_field_is_named_with_its_facts():
    data = {
        "timeout": "soon",
        "dial_first": "both",
        "whitelist": ["", "ok"],
        "extension": "1",
        "bypass_media": "maybe",
    }
    assert faults_of("clicktocall", data) == {
        "name": {"required": {"message": "Field is required but missing", "value": "name"}},
        "timeout": {
            "type": {"message": "Value did not match type(s): integer", "target": "integer", "value": "soon"}
        },
        "dial_first": {
            "enum": {
                "message": "Value not found in enumerated list of values",
                "target": ["extension", "contact"],
                "value": "both",
            }
        },
        "whitelist.0": {
            "minLength": {
                "message": "String must be at least 1 characters",
                "target": 1,
                "cause": "",
                "value": "",
            }
        },
        "bypass_media": {
            "enum": {
                "message": "Value not found in enumerated list of values",
                "target": [True, False, "auto", "true", "false"],
                "value": "maybe",
            }
        },
    }


@pytest.mark.parametrize(
    ("name", "data", "path", "code"),
    [
        ("account", {"name": "A", "realm": "a b c"}, "realm", "pattern"),
        ("account", {"name": "A", "realm": "abc"}, "realm", "minLength"),
        ("account", {"name": "x" * 129}, "name", "maxLength"),
        ("user", {"first_name": "J", "last_name": "D", "email": "nobody"}, "email", "wrong_format"),
        ("user", {"first_name": "J", "last_name": "D", "priv_level": "god"}, "priv_level", "enum"),
        ("device", DEVICE | {"sip": {"expire_seconds": 0}}, "sip.expire_seconds", "minimum"),
        ("device", DEVICE | {"sip": {"password": "1234"}}, "sip.password", "minLength"),
        ("device", DEVICE | {"media": {"audio": {"codecs": ["MP3"]}}}, "media.audio.codecs.0", "enum"),
        ("device", DEVICE | {"sip": []}, "sip", "type"),
        ("callflow", {"numbers": ["1", "1"]}, "numbers", "uniqueItems"),
        ("callflow", {"numbers": ["1"], "flow": {"data": {}}}, "flow.module", "required"),
        ("resource", {"name": "R"}, "gateways", "required"),
        ("resource", {"name": "R", "gateways": [{}]}, "gateways.0.server", "required"),
        ("resource", {"name": "R", "gateways": [], "grace_period": 21}, "grace_period", "maximum"),
        ("clicktocall", BUTTON | {"throttle": 0}, "throttle", "minimum"),
        ("clicktocall", BUTTON | {"timeout": 601}, "timeout", "maximum"),
        (
            "clicktocall",
            BUTTON | {"custom_application_vars": {"a b": "1"}},
            "custom_application_vars.a b",
            "additionalProperties",
        ),
        (
            "clicktocall",
            BUTTON | {"custom_application_vars": {str(n): "1" for n in range(65)}},
            "custom_application_vars",
            "maxProperties",
        ),
        ("quickcall", {"timeout": 2}, "timeout", "minimum"),
        ("quickcall", {"media": "fast"}, "media", "enum"),
        ("api_auth", {"api_key": "short"}, "api_key", "minLength"),
        ("api_auth", {"api_key": "a" * 64, "more": 1}, "more", "additionalProperties"),
        ("user_auth", {}, "credentials", "required"),
    ],
)
def test_a_bad_field_is_named(name, data, path, code):
    assert {where: set(codes) for where, codes in faults_of(name, data).items()} == {path: {code}}


def test_a_dot_inside_a_key_is_escaped():
    faults = faults_of("clicktocall", BUTTON | {"custom_application_vars": {"a.b": "1"}})
    assert set(faults) == {"custom_application_vars.a%2Eb"}


def test_long_values_are_not_echoed_whole():
    fault = faults_of("account", {"name": "x" * 5000})["name"]["maxLength"]
    assert fault["value"] == fault["cause"] == "x" * ECHO_MAX


def test_the_number_of_faults_is_bounded():
    assert len(faults_of("clicktocall", BUTTON | {"whitelist": [""] * 1000})) == FAULTS_MAX


def test_deep_nesting_is_a_fault_and_no_crash():
    value: object = 1
    for _ in range(sys.getrecursionlimit() * 3):
        value = [value]
    assert set(faults_of("clicktocall", BUTTON | {"mine": value})) == {"data"}


@pytest.mark.parametrize(
    "data", [{"mine": ["\ud800"]}, {"name": "\udc80"}, {"\ud800": 1}, {"mine": {"\ud800": 1}}]
)
def test_half_a_character_is_a_fault_and_no_crash(data):
    assert set(faults_of("clicktocall", BUTTON | data)) == {"data"}


def test_a_callflow_may_be_as_deep_as_promised():
    node: dict = {"module": "hangup", "data": {}}
    for _ in range(NESTING_MAX // 3):
        node = {"module": "user", "data": {"id": "u"}, "children": {"_": node}}
    assert faults_of("callflow", {"numbers": ["1"], "flow": node}) == {}


# --- checks beyond JSON Schema ----------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["(", "a{99999}", "(?<=a)b", "x" * 257, "(.{1,1000}){1,1000}"])
def test_a_bad_regular_expression_is_refused_where_it_stands(pattern):
    faults = faults_of("clicktocall", BUTTON | {"whitelist": ["^1", pattern]})
    assert set(faults) == {"whitelist.1"}


def test_an_evil_regular_expression_costs_nothing():
    assert faults_of("clicktocall", BUTTON | {"whitelist": ["^(a+)+$", "(x+x+)+y"]}) == {}


@pytest.mark.parametrize(
    "path",
    [
        ("clicktocall", "name"),
        ("clicktocall", "extension"),
        ("clicktocall", "caller_id_number"),
        ("clicktocall", "outbound_callee_id_name"),
        ("clicktocall", "presence_id"),
        ("clicktocall", "ringback"),
        ("connect", "contact"),
        ("quickcall", "cid-name"),
        ("quickcall", "cid-number"),
        ("account", "name"),
    ],
)
@pytest.mark.parametrize("evil", ["a\r\nVia: b", "a\nb", "a\x00b", "a\tb", "a\x7f"])
def test_control_characters_never_reach_a_header(path, evil):
    name, field = path
    needed = {"clicktocall": BUTTON}.get(name, {})
    assert set(faults_of(name, needed | {field: evil})) >= {field}


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"caller_id": {"external": {"name": "a\r\nb"}}}, "caller_id.external.name"),
        ({"sip": {"custom_sip_headers": {"X-A": "1\r\nVia: 2"}}}, "sip.custom_sip_headers.X-A"),
        ({"sip": {"custom_sip_headers": {"in": {"X-A": "1\n2"}}}}, "sip.custom_sip_headers.in.X-A"),
        ({"ringtones": {"internal": "a\x00"}}, "ringtones.internal"),
        ({"sip": {"static_route": "sip:a@b>\r\n"}}, "sip.static_route"),
    ],
)
def test_control_characters_are_found_deep_inside(data, path):
    assert set(faults_of("device", DEVICE | data)) == {path}


def test_line_breaks_are_welcome_in_spoken_texts_and_in_unknown_keys():
    flow = {"module": "tts", "data": {"text": "Hello.\nGoodbye."}}
    assert faults_of("callflow", {"numbers": ["1"], "flow": flow}) == {}
    assert faults_of("device", DEVICE | {"notes": "one\ntwo"}) == {}


@pytest.mark.parametrize(
    "name", ["Via", "FROM", "call-id", "Call_ID", "v", "Authorization", "Content-Length"]
)
def test_header_fields_of_the_stack_are_refused(name):
    assert set(faults_of("clicktocall", BUTTON | {"custom_sip_headers": {name: "x"}})) == {
        f"custom_sip_headers.{name}"
    }


@pytest.mark.parametrize("name", ["X A", "X:", "", "é", "a\nb"])
def test_a_header_name_is_a_token(name):
    faults = faults_of("clicktocall", BUTTON | {"custom_sip_headers": {"out": {name: "x"}}})
    assert set(faults) == {f"custom_sip_headers.out.{name}"}


def test_good_header_fields_pass_in_both_forms():
    headers = {"X-Tag": "a", "in": {"X-In": "b"}, "out": {"Alert-Info": "<http://x>;info=a", "X_Y": ""}}
    assert cleaned("clicktocall", BUTTON | {"custom_sip_headers": headers})["custom_sip_headers"] == headers


@pytest.mark.parametrize(
    ("value", "good"), [("1001", True), ("dev@acme.com", True), ("a b", False), ("a@b@c", False)]
)
def test_a_presence_id_is_a_user_or_an_address(value, good):
    assert (faults_of("clicktocall", BUTTON | {"presence_id": value}) == {}) is good


def test_a_device_with_method_ip_needs_an_address():
    assert set(faults_of("device", DEVICE | {"sip": {"method": "ip"}})["sip.ip"]) == {"required"}
    assert set(faults_of("device", DEVICE | {"sip": {"method": "ip", "ip": "::1"}})["sip.ip"]) == {"error"}
    assert faults_of("device", DEVICE | {"sip": {"method": "ip", "ip": "192.0.2.7"}}) == {}


def test_the_invite_format_route_needs_a_route():
    assert set(faults_of("device", DEVICE | {"sip": {"invite_format": "route"}})) == {"sip.route"}


def test_a_callflow_needs_a_number_or_a_pattern():
    assert faults_of("callflow", {"name": "none"})["numbers"]["required"]["message"] == (
        "Callflows must be assigned at least one number or pattern"
    )
    assert faults_of("callflow", {"patterns": ["^9"]}) == {}


def test_module_data_is_checked_by_the_modules_schema_without_filling_it():
    flow = {
        "module": "device",
        "data": {"id": "d", "timeout": "20"},
        "children": {"_": {"module": "ring_group", "data": {"endpoints": [{"id": "d"}]}}},
    }
    document, faults = validate("callflow", {"numbers": ["1"], "flow": flow})
    assert set(faults) == {"flow.children._.data.endpoints.0.endpoint_type"}
    assert document["flow"]["data"] == {"id": "d", "timeout": 20}


def test_data_of_unknown_modules_is_kept():
    flow = {"module": "my_module", "data": {"anything": ["goes"]}}
    assert cleaned("callflow", {"numbers": ["1"], "flow": flow})["flow"] == flow


def test_ringback_is_judged_by_whoever_plays_it():
    def is_playable(media: str) -> bool:
        return media == "us"

    assert faults_of("clicktocall", BUTTON | {"ringback": "us"}, is_playable=is_playable) == {}
    data = BUTTON | {"ringback": "%(", "music_on_hold": {"media_id": "xx"}}
    assert set(faults_of("clicktocall", data, is_playable=is_playable)) == {
        "ringback",
        "music_on_hold.media_id",
    }


# --- properties -------------------------------------------------------------------------------------


def fields_of(name: str) -> st.SearchStrategy[dict]:
    known = st.sampled_from(sorted(SCHEMAS[name]["properties"]))
    return st.dictionaries(known | st.text(max_size=6), json_values, max_size=5)


names_and_data = st.sampled_from(sorted(SCHEMAS)).flatmap(
    lambda name: st.tuples(st.just(name), fields_of(name))
)


@settings(max_examples=300, deadline=None)
@given(names_and_data)
def test_whatever_is_sent_gives_faults_or_a_document_that_stays_as_it_is(name_and_data):
    name, data = name_and_data
    document, faults = validate(name, data)
    for codes in faults.values():
        assert all(isinstance(details["message"], str) for details in codes.values())
    if not faults:
        assert validate(name, document) == (document, {})


@settings(max_examples=200, deadline=None)
@given(st.floats() | st.integers())
def test_any_number_as_timeout_is_judged(value):
    if isinstance(value, float) and not math.isfinite(value):
        return
    faults = faults_of("clicktocall", BUTTON | {"timeout": value})
    assert (faults == {}) is (value == int(value) and 1 <= value <= 600)


# --- carriers that call in ----------------------------------------------------------------------------

CARRIER = {"name": "Carrier", "gateways": [{"server": "192.0.2.1"}]}


@pytest.mark.parametrize("network", ["192.0.2.7", "192.0.2.0/28", "10.0.0.0/16", "2001:db8::/32", "::1"])
def test_a_carrier_may_call_from_an_address_or_a_narrow_network(network):
    assert faults_of("resource", CARRIER | {"inbound": {"addresses": [network]}}) == {}


@pytest.mark.parametrize(
    "network", ["0.0.0.0/0", "10.0.0.0/8", "::/0", "carrier.example", "", "192.0.2.0/33"]
)
def test_a_carrier_may_not_call_from_anywhere(network):
    faults = faults_of("resource", CARRIER | {"inbound": {"addresses": [network]}})
    assert list(faults) == ["inbound.addresses.0"]


@pytest.mark.parametrize("half", [{"username": "trunk"}, {"password": "trunk-secret"}])
def test_a_carriers_digest_needs_username_and_password(half):
    assert len(faults_of("resource", CARRIER | {"inbound": half})) == 1
