"""Random documents at every route: whatever is sent, the answer is KAZOO's envelope and never a 500."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.api.application import routes_of

from .node import ApiNode, TestAccount

WORDS = [
    "name", "extension", "whitelist", "sip", "username", "password", "numbers", "flow", "module", "data",
    "children", "_", "gateways", "server", "rules", "contact", "blocking", "timeout", "throttle", "enabled",
    "custom_sip_headers", "custom_application_vars", "media", "caller_id", "realm", "credentials", "api_key",
    "number_filter", "cid-name", "verb", "auth_token", "accept", "dry_run", "first_name", "last_name", "id",
]  # fmt: skip
TEXTS = [
    "",
    "1001",
    "+14158867900",
    "sip:a@b",
    "true",
    "PUT",
    "(a+)+$",
    "a\r\nb",
    "\x00",
    "hangup",
    "é",
    "x" * 300,
]

FINAL = [("DELETE", "token_auth"), ("DELETE", "accounts/{account_id}")]
"""Nothing would answer after these."""

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False)
    | st.sampled_from(TEXTS) | st.text(max_size=12),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.sampled_from(WORDS), below, max_size=4),
    max_leaves=12,
)  # fmt: skip
documents = st.dictionaries(st.sampled_from(WORDS), values, max_size=8)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAccount]:
    node = ApiNode(Path(tmp_path_factory.mktemp("fuzz")))
    acme = node.given_account()
    acme.given_two_phones()
    yield acme
    node.stop()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(choice=st.integers(0, 10_000), data=documents, query=st.dictionaries(
    st.sampled_from(WORDS), st.sampled_from(TEXTS), max_size=3))  # fmt: skip
def test_any_document_anywhere(fuzzed: TestAccount, choice: int, data: Any, query: dict[str, str]) -> None:
    node = fuzzed.node
    choices = [
        (method, route) for route in routes_of(node.services).all for method in route.methods
        if (method, route.path) not in FINAL
    ]  # fmt: skip
    method, route = choices[choice % len(choices)]
    button = node.get(f"{fuzzed.base}/clicktocall").data or [{"id": "x"}]
    known = {"account_id": fuzzed.id, "id": button[0]["id"], "cdr_id": "202601-x", "number": "1002",
             "username": "dev1", "name": "devices"}  # fmt: skip
    path = "/v2/" + route.path.format_map(defaultdict(lambda: "x", known))
    answer = node.ask(method, f"{path}?{urlencode(query)}", data)
    assert answer.status < 500 or answer.json["message"] == "quickcall initiation failed"
    if answer.body and answer.headers["content-type"] == "application/json":
        assert answer.json["status"] in ("success", "error")
    assert node.get(fuzzed.base).status == 200
