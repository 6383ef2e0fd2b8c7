"""Whatever comes in: a clear error, never a 500."""

import json
from typing import Any

import pytest

from .node import ApiNode, TestAccount

DEEP = b'{"data":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}"
RATHER_DEEP = {"name": "x", "a": json.loads("[" * 150 + "]" * 150)}

BROKEN_BODIES = {
    "no json": b"{",
    "text": b"hello",
    "list": b"[]",
    "list of data": b'[{"data":{}}]',
    "string": b'"x"',
    "number": b"1",
    "null": b"null",
    "invalid utf-8": b'{"data":{"name":"\xff\xfe"}}',
    "lone surrogate": b'{"data":{"name":"\\ud800"}}',
    "nan": b'{"data":{"name":NaN}}',
    "huge float": b'{"data":{"timeout":1e999}}',
    "huge number": b'{"data":{"name":"x","extension":"1","timeout":' + b"9" * 400 + b"}}",
    "number of 30 digits": b'{"data":{"name":"x","extension":"1","timeout":' + b"9" * 30 + b"}}",
    "nul bytes": b"\x00" * 100,
    "nested 50,000 deep": DEEP,
    "data is text": b'{"data":"x"}',
    "data is null": b'{"data":null}',
    "data is a list": b'{"data":[1,2]}',
    "truncated": b'{"data":{"name":"x"',
    "trailing garbage": b'{"data":{}} garbage',
    "single quotes": b"{'data':{}}",
}


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_broken_bodies(node: ApiNode, acme: TestAccount, name: str) -> None:
    for method, path in (("PUT", f"{acme.base}/clicktocall"), ("PUT", "/v2/user_auth"),
                         ("POST", f"{acme.base}/clicktocall/{'f' * 32}/connect")):  # fmt: skip
        answer = node.ask(method, path, body=BROKEN_BODIES[name])
        assert answer.status == 400, (path, answer.body[:200])
        assert answer.json["status"] == "error"


def test_broken_json_in_kazoos_words(node: ApiNode) -> None:
    answer = node.ask("PUT", "/v2/user_auth", body=b'{"data":', token="")
    assert answer.json["message"] == "validation error"
    assert answer.data["json"]["invalid"]["target"] == "body"


@pytest.mark.parametrize("size", [1_000_000, 7_900_000])
def test_large_but_permitted_bodies(node: ApiNode, acme: TestAccount, size: int) -> None:
    answer = node.put(f"{acme.base}/clicktocall", {"name": "x" * size, "extension": "1001"})
    assert answer.status == 400
    assert "maxLength" in answer.data["name"]
    assert len(answer.body) < 10_000


def test_oversized_body_is_413(node: ApiNode, acme: TestAccount) -> None:
    answer = node.ask("PUT", f"{acme.base}/clicktocall", body=b" " * 9_000_000)
    assert answer.status == 413
    assert "maxSize" in answer.data["file"]
    lying = node.ask(
        "PUT", f"{acme.base}/clicktocall", body=b"x" * 9_000_000, headers={"content-length": "5"}
    )
    assert lying.status == 413


WRONG_VALUES: list[Any] = [
    None, True, 5, -1, 1.5, 10**18, "", "x" * 5_000, [], {}, [[]], {"a": {"b": 1}}, "a\r\nInjected: yes",
    "nul\x00", "<script>", "(a+)+$", "\U0001f4de", [None, 5, {}],
]  # fmt: skip


@pytest.mark.parametrize(
    "noun",
    ["clicktocall", "devices", "users", "callflows", "resources"],
)
def test_wrong_types_everywhere(node: ApiNode, acme: TestAccount, noun: str) -> None:
    fields = {
        "clicktocall": ["name", "extension", "auth_required", "whitelist", "throttle", "timeout",
                        "dial_first", "custom_sip_headers", "custom_application_vars", "media",
                        "music_on_hold", "bypass_media", "presence_id", "ringback", "caller_id_number",
                        "outbound_callee_id_name"],
        "devices": ["name", "sip", "owner_id", "media", "caller_id", "call_forward", "enabled",
                    "do_not_disturb", "ringtones", "mac_address", "presence_id", "call_restriction"],
        "users": ["first_name", "last_name", "username", "password", "email", "priv_level", "hotdesk",
                  "caller_id"],
        "callflows": ["numbers", "patterns", "flow", "name", "featurecode"],
        "resources": ["name", "gateways", "rules", "classifiers", "weight_cost", "grace_period", "flags"],
    }[noun]  # fmt: skip
    good = {
        "clicktocall": {"name": "x", "extension": "1001"},
        "devices": {"name": "x"},
        "users": {"first_name": "x", "last_name": "y"},
        "callflows": {"numbers": ["77"], "flow": {"module": "hangup", "data": {}, "children": {}}},
        "resources": {"name": "x", "gateways": [{"server": "gw.example.com"}]},
    }[noun]
    for name in fields:
        for value in WRONG_VALUES:
            answer = node.put(f"{acme.base}/{noun}", {**good, name: value})
            assert answer.status in (201, 400), (name, value, answer.body[:300])
            if answer.status == 400:
                assert answer.json["message"] == "validation error"
            else:
                assert node.delete(f"{acme.base}/{noun}/{answer.data['id']}").status == 200
    assert node.get(f"{acme.base}/{noun}").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Order\r\nVia": "x"}, {"X-Order": "7\r\nInjected: yes"}, {"X-Order": "7\nInjected: yes"},
        {"Via": "SIP/2.0/UDP evil"}, {"call-id": "mine"}, {"Contact": "<sip:evil@x>"},
        {"X Y": "space"}, {"": "empty"}, {"out": {"From": "x"}}, {"in": {"X-A": "a\x00b"}},
    ],
)  # fmt: skip
def test_header_injection_is_refused(node: ApiNode, acme: TestAccount, headers: dict[str, Any]) -> None:
    answer = node.put(
        f"{acme.base}/clicktocall", {"name": "x", "extension": "1001", "custom_sip_headers": headers}
    )
    assert answer.status == 400, headers
    assert any(path.startswith("custom_sip_headers") for path in answer.data)


@pytest.mark.parametrize(
    "query",
    ["contact=%00", "contact=%0d%0aVia:x", "contact=" + "9" * 5_000, "contact=%ff%fe", "contact=sip:",
     "contact=sip:@", "contact=sip:a@b@c", "contact=<sip:x@y>", "contact=1002&a%0d%0ab=c",
     "contact=1002&x=" + "y" * 5_000, "contact=1002&auto_answer=maybe", "contact=1002&blocking=later",
     "contact=" + "%F0%9F%93%9E", "contact=sip:x@127.0.0.1", "contact=" + "&a=b" * 300],
)  # fmt: skip
def test_bad_contacts(node: ApiNode, acme: TestAccount, query: str) -> None:
    button = acme.given_button()
    answer = node.get(f"{acme.base}/clicktocall/{button}/connect?{query}")
    assert answer.status in (202, 400, 403), answer.body[:300]
    assert b"Injected" not in answer.body


@pytest.mark.parametrize(
    "path",
    ["/v2/accounts/%00", "/v2/accounts/%ff%fe", "/v2/accounts/..%2f..", "/v2/accounts/%2e%2e/devices",
     "/v2/accounts/{A}/devices/%0d%0a", "/v2/accounts/{A}/devices/' OR 1=1 --", "/v2/%", "/v2/%zz",
     "/v2/accounts/{A}/cdrs/%00", "/v2/accounts/{A}/calls/" + "x" * 5_000, "/v2/accounts/{A}/channels/%ff",
     "/v2/accounts/{A}/registrations/%00", "/v2/accounts/{A}/devices/{A}/quickcall/%00"],
)  # fmt: skip
def test_bad_paths(node: ApiNode, acme: TestAccount, path: str) -> None:
    for method in ("GET", "DELETE", "POST"):
        answer = node.ask(method, path.replace("{A}", acme.id))
        assert answer.status in (404, 405), (method, answer.status, answer.body[:200])


def test_bad_filters_and_pages(node: ApiNode, acme: TestAccount) -> None:
    acme.given_button()
    for query in ("filter_=x", "filter_name=[", "filter_a.b.c.d=1", "has_key=", "filter_not_=",
                  "page_size=-1", "page_size=99999999999999999999", "page_size=%D9%A3", "start_key=%00",
                  "start_key=" + "A" * 9_000,
                  "created_from=abc", "created_from=" + "9" * 30, "fields=x", "filter_name=" + "[" * 900,
                  "start_key=WyJhIiwxXQ"):  # fmt: skip
        for noun in ("clicktocall", "cdrs", "devices"):
            answer = node.get(f"{acme.base}/{noun}?{query}")
            assert answer.status in (200, 400), (noun, query, answer.body[:200])


def test_bad_header_values(node: ApiNode, acme: TestAccount) -> None:
    for headers in ({"x-auth-token": "\xff" * 50}, {"authorization": "Bearer"}, {"authorization": " "},
                    {"authorization": "Basic " + "A" * 9_000}, {"x-forwarded-for": ", ,"},
                    {"if-none-match": "\xff,,\""}, {"if-match": ",,,"}, {"content-type": ";;;"},
                    {"accept": "\xff"}, {"content-length": "abc"},
                    {"x-auth-account-id": "\xff"}):  # fmt: skip
        answer = node.get(
            f"{acme.base}/devices", headers=headers, token="" if "x-auth" in str(headers) else None
        )
        assert answer.status in (200, 401), (headers, answer.body[:200])


def test_deep_but_permitted(node: ApiNode, acme: TestAccount) -> None:
    assert node.put(f"{acme.base}/devices", RATHER_DEEP).status == 400
    shallow = {"name": "x", "a": json.loads("[" * 40 + "]" * 40)}
    assert node.put(f"{acme.base}/devices", shallow).status == 201
