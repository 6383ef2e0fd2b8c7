"""The HTTP layer: envelope, headers, methods, content types (kazoo-behaviour 1 and 2)."""

import json

import pytest

import offhook

from .node import ApiNode, TestAccount


def test_success_envelope(node: ApiNode, acme: TestAccount) -> None:
    answer = node.get(acme.base, headers={"x-request-id": "my-request-7"})
    envelope = answer.json
    assert envelope["request_id"] == "my-request-7"
    assert answer.headers["x-request-id"] == "my-request-7"
    assert envelope["auth_token"] == node.token
    assert envelope["status"] == "success"
    assert envelope["version"] == offhook.__version__
    assert envelope["timestamp"].endswith("Z")
    assert envelope["node"]
    assert envelope["tokens"] == {"consumed": 1, "remaining": 0}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.repeated_headers == []
    assert not {"error", "message"} & set(envelope)


@pytest.mark.parametrize("bad", ["two words", "x" * 200, "caf\u00e9", "", "a\tb"])
def test_a_bad_request_id_is_replaced(node: ApiNode, bad: str) -> None:
    answer = node.get("/v2/token_auth", headers={"x-request-id": bad})
    assert len(answer.json["request_id"]) == 32


def test_error_envelope_carries_cors_always(node: ApiNode) -> None:
    answer = node.get("/v2/accounts/abc")
    assert set(answer.json) == {
        "auth_token", "data", "error", "message", "node", "request_id", "status", "timestamp", "tokens",
        "version",
    }  # fmt: skip
    assert answer.json["error"] == "404"
    assert answer.json["status"] == "error"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "OPTIONS, GET, PUT, POST, PATCH, DELETE"


def test_cors_headers_for_browsers_only(node: ApiNode, acme: TestAccount) -> None:
    assert "access-control-allow-origin" not in node.get(acme.base).headers
    answer = node.get(f"{acme.base}/clicktocall", headers={"origin": "https://shop.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "OPTIONS, GET, PUT"
    assert "x-auth-token" in answer.headers["access-control-allow-headers"]
    assert "location" in answer.headers["access-control-expose-headers"]
    assert answer.headers["access-control-max-age"] == "86400"


def test_preflight(node: ApiNode, acme: TestAccount) -> None:
    path = f"{acme.base}/clicktocall/{'f' * 32}/connect"
    answer = node.ask("OPTIONS", path, token="", headers={"origin": "https://shop.example"})
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["access-control-allow-methods"] == "OPTIONS, GET, POST"
    bare = node.ask("OPTIONS", path, token="")
    assert (bare.status, bare.json["message"]) == (405, "invalid_method")


def test_wrong_method_names_the_right_ones(node: ApiNode, acme: TestAccount) -> None:
    for method in ("DELETE", "HEAD", "PUT"):
        answer = node.ask(method, f"{acme.base}/devices/status")
        assert answer.status == 405
        assert answer.headers["allow"] == "OPTIONS, GET"
        assert answer.data == {"message": "method not allowed"}
    assert node.ask("BREW", acme.base).status == 501


def test_unknown_paths(node: ApiNode, acme: TestAccount) -> None:
    for path in ("/v2/teapots", f"{acme.base}/teapots", f"{acme.base}/devices/x/y/z", "/nowhere", "/v2",
                 "/v2/", "/v3/accounts", f"{acme.base}/calls"):  # fmt: skip
        answer = node.get(path)
        assert answer.status == 404, path
        assert answer.json["message"] == "not_found"


def test_trailing_slash_version_one_and_unknown_parameters(node: ApiNode, acme: TestAccount) -> None:
    expected = node.get(f"{acme.base}/devices").data
    for path in (f"{acme.base}/devices/", f"/v1/accounts/{acme.id}/devices", f"{acme.base}//devices",
                 f"{acme.base}/devices?whatever=1&"):  # fmt: skip
        answer = node.get(path)
        assert answer.status == 200, path
        assert answer.data == expected


def test_tunnelled_methods(node: ApiNode, acme: TestAccount) -> None:
    made = node.post(f"{acme.base}/devices?verb=PUT", {"name": "Desk"})
    assert made.status == 201
    assert made.headers["location"] == f"{acme.base}/devices/{made.data['id']}"
    path = f"{acme.base}/devices/{made.data['id']}"
    body = json.dumps({"data": {"name": "Patched"}, "verb": "patch"}).encode()
    assert node.ask("POST", path, body=body).data["name"] == "Patched"
    assert node.post(path, {"verb": "DELETE"}).data["_read_only"] == {"deleted": True}
    assert node.get(path).status == 404


def test_json_without_content_type_and_as_form(node: ApiNode, acme: TestAccount) -> None:
    body = b'{"data":{"name":"a=b&c","url":"http://x/?a=1&b=2"}}'
    for kind in (None, "application/x-www-form-urlencoded", "application/json; charset=utf-8", "text/plain"):
        headers = {} if kind is None else {"content-type": kind}
        answer = node.ask("PUT", f"{acme.base}/devices", body=body, headers=headers)
        assert answer.status == 201, kind
        assert answer.data["url"] == "http://x/?a=1&b=2"


def test_plain_form_fields_are_data(node: ApiNode, acme: TestAccount) -> None:
    button = acme.given_button(auth_required=False)
    answer = node.ask(
        "POST", f"{acme.base}/clicktocall/{button}/connect", body=b"contact=%2B14158867900&order=7", token="",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    assert answer.status == 202
    token_in_form = node.ask(
        "POST", f"{acme.base}/devices?verb=PUT", token="",
        body=f"name=Desk&auth_token={node.token}".encode(),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    assert token_in_form.status == 201
    assert "auth_token" not in token_in_form.data


def test_other_content_types_are_refused(node: ApiNode, acme: TestAccount) -> None:
    answer = node.ask("PUT", f"{acme.base}/devices", body=b"RIFF....", headers={"content-type": "audio/wav"})
    assert answer.status == 415


def test_missing_data(node: ApiNode, acme: TestAccount) -> None:
    answer = node.ask("PUT", f"{acme.base}/devices", body=b'{"name":"Desk"}')
    assert answer.status == 400
    assert answer.data == {
        "data": {"required": {"message": "Field is required but missing", "value": "data"}}
    }


def test_empty_body_is_an_empty_envelope(node: ApiNode, acme: TestAccount) -> None:
    answer = node.ask("PUT", f"{acme.base}/devices", body=b"")
    assert answer.status == 400
    assert "required" in answer.data["name"]


def test_pretty_print_and_jsonp(node: ApiNode, acme: TestAccount) -> None:
    assert b'\n  "data"' in node.get(f"{acme.base}?pretty_print=true").body
    answer = node.get(f"{acme.base}?jsonp=show.it")
    assert answer.body.startswith(b"show.it({")
    assert answer.body.endswith(b"});")
    assert answer.headers["content-type"] == "application/javascript"
    evil = node.get(f"{acme.base}?jsonp=alert(1)//")
    assert evil.headers["content-type"] == "application/json"


def test_operators_paths(node: ApiNode) -> None:
    assert node.get("/", token="").body.startswith(b"offhook ")
    assert node.get("/healthz", token="").status == 200
    assert node.get("/readyz", token="").status == 200
    node.why_unready = "draining"
    unready = node.get("/readyz", token="")
    assert (unready.status, unready.body) == (503, b"draining\n")
    node.get("/v2/token_auth")
    metrics = node.get("/metrics", token="").body.decode()
    assert 'offhook_http_requests_total{method="GET",route="token_auth",status="200"} 1.0' in metrics


def test_a_token_in_data_is_not_stored(node: ApiNode, acme: TestAccount) -> None:
    made = node.put(f"{acme.base}/devices", {"name": "Desk", "auth_token": node.token}, token="")
    assert made.status == 201
    assert "auth_token" not in made.data
