"""The API's own description: it is OpenAPI 3.1, tells every route, and tells the truth."""

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.generation.case import Case
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from offhook.api.application import routes_of
from offhook.api.openapi import openapi
from offhook.app.media import CONTENT_TYPES

from .node import Answer, ApiNode, TestAccount

EXAMPLES = 500
"""Of all operations together: some 15 s."""

FINAL = {("DELETE", "/v2/token_auth"), ("DELETE", "/v2/accounts/{account_id}")}
"""Nothing would answer after these."""

HONEST_500 = ("quickcall initiation failed", "account_has_descendants")
"""KAZOO's words for what could not be done."""

TRUTHS = (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)


@schemathesis.serializer(*CONTENT_TYPES)
def as_it_is(ctx: Any, value: Any) -> Any:
    """Send a file as the bytes it is."""
    return {"data": value if isinstance(value, bytes) else str(value).encode()}


def described(node: ApiNode) -> dict[str, Any]:
    answer = node.get("/openapi.json", token="")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    return dict(answer.json)


def test_it_is_openapi_3_1(node: ApiNode) -> None:
    schema = schemathesis.openapi.from_dict(described(node))
    schema.validate()
    assert schema.specification.version.startswith("3.1")


def test_every_schema_is_json_schema(node: ApiNode) -> None:
    schemas = described(node)["components"]["schemas"]
    assert "clicktocall" in str(schemas).lower()
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere(node: ApiNode) -> None:
    document = described(node)

    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            for item in part.values():
                yield from references(item)
        elif isinstance(part, list):
            for item in part:
                yield from references(item)

    for reference in set(references(document)):
        found: Any = document
        for word in reference.removeprefix("#/").split("/"):
            assert word in found, reference
            found = found[word]


def test_every_route_and_method_is_told(node: ApiNode) -> None:
    told = {(method.upper(), path) for path, item in described(node)["paths"].items() for method in item}
    assert told == {
        (method, f"/v2/{route.path}") for route in routes_of(node.services).all for method in route.methods
    }


def test_every_operation_says_what_it_does(node: ApiNode) -> None:
    operations = [operation for item in described(node)["paths"].values() for operation in item.values()]
    assert [operation["operationId"] for operation in operations if not operation["summary"]] == []
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)


def test_examples_are_valid(node: ApiNode) -> None:
    document, seen = described(node), 0
    for item in document["paths"].values():
        for operation in item.values():
            for media in operation.get("requestBody", {}).get("content", {}).values():
                if "example" in media:
                    whole = media["schema"] | {"components": document["components"]}
                    jsonschema.Draft202012Validator(whole).validate(media["example"])
                    seen += 1
    assert seen > 10


def test_docs_needs_no_network(node: ApiNode) -> None:
    answer = node.get("/docs", token="")
    text = answer.body.decode()
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in text
    assert "http://" not in text
    assert all(f"{path}</code>" in text for path in described(node)["paths"])


# --- is it true? --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAccount]:
    node = ApiNode(Path(tmp_path_factory.mktemp("described")))
    acme = node.given_account()
    acme.given_two_phones()
    yield acme
    node.stop()


@pytest.mark.slow
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_no_answer_is_undocumented(fuzzed: TestAccount, data: st.DataObject) -> None:
    node = fuzzed.node
    operations = operations_of(node)
    operation = operations[data.draw(st.integers(0, len(operations) - 1))]
    case: Case = data.draw(operation.as_strategy())
    for name, value in places_of(fuzzed, operation.path).items():
        case.path_parameters[name] = value
    request = sent(case)
    answer = node.ask(
        str(request.method),
        str(request.url).removeprefix("http://api.example.com"),
        body=request.body if isinstance(request.body, bytes) else (request.body or "").encode(),
        headers={name: _latin(value) for name, value in request.headers.items() if name not in _OWN},
    )
    response = received(answer, request)
    case.validate_response(response, checks=list(TRUTHS))
    if answer.status >= 500 and answer.json["message"] not in HONEST_500:
        case.validate_response(response, checks=[not_a_server_error])
    assert node.get(fuzzed.base).status == 200


_OWN = frozenset({"Content-Length", "User-Agent", "Authorization", "X-Auth-Token", "Accept-Encoding"})


def _latin(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


@lru_cache(maxsize=2)
def operations_of(node: ApiNode) -> list[Any]:
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(openapi(routes_of(node.services)))))
    found = [result.ok() for result in schema.get_all_operations()]
    return [operation for operation in found if (operation.method.upper(), operation.path) not in FINAL]


def places_of(acme: TestAccount, path: str) -> dict[str, Any]:
    """Return ids that exist, so that most requests get past 404."""
    found: dict[str, Any] = {"account_id": acme.id} if "{account_id}" in path else {}
    noun = path.partition("{account_id}/")[2].partition("/")[0]
    if "{id}" in path and noun:
        rows = acme.node.get(f"{acme.base}/{noun}").data
        if isinstance(rows, list) and rows and "id" in rows[0]:
            found["id"] = rows[-1]["id"]
    if "{number}" in path:
        found["number"] = "1002"
    if "{call_id}" in path:
        found["call_id"] = live_call(acme)
    return found


def live_call(acme: TestAccount) -> str:
    """Return the id of a standing call; the requests before may have ended the last one."""
    channels = acme.node.get(f"{acme.base}/channels").data
    if not channels:
        button = acme.given_button()
        return str(acme.node.get(f"{acme.base}/clicktocall/{button}/connect?contact=1002").data["call_id"])
    return str(channels[0]["uuid"])


def sent(case: Case) -> requests.PreparedRequest:
    arguments = case.as_transport_kwargs(base_url="http://api.example.com")
    known = ("method", "url", "headers", "files", "data", "json", "params", "cookies")
    return requests.Request(**{key: arguments[key] for key in known if key in arguments}).prepare()


def received(answer: Answer, request: requests.PreparedRequest) -> Response:
    headers = {name: [value] for name, value in answer.headers.items()}
    return Response(answer.status, headers, answer.body, request, elapsed=0.0, verify=False)
