"""Events as they go over the wire."""

import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from offhook.delivery import Hook, OutboxRow, PreparedRequest, prepare
from offhook.delivery.payload import form

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EVENT = {
    "call_id": "c2c-1@x", "final": True, "duration_seconds": 42, "missing": None, "list": ["a", {"b": 1}],
    "custom_channel_vars": {"foo": "bär & co", "deep": {"x": False}}, "hook_event": "channel_destroy",
}  # fmt: skip


def prepared(now: float | None = None, **fields: object) -> PreparedRequest:
    hook = Hook(
        **{"id": "h1", "account_id": "a1", "event": "all", "uri": "http://r.example.com/x", "secret": SECRET}
        | fields
    )
    row = OutboxRow(
        hook_id="h1", account_id="a1", lane="c2c-1", webhook_id="msg_1", event="channel_destroy",
        created_at=0.0, payload=json.dumps(EVENT).encode(),
    )  # fmt: skip
    moment = datetime.now(UTC).timestamp() if now is None else now
    return prepare(hook, row, now=moment, cluster_id="k1")


def test_a_form_nests_with_brackets() -> None:
    request = prepared()
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qsl(request.body.decode()) == [
        ("call_id", "c2c-1@x"), ("final", "true"), ("duration_seconds", "42"), ("list[]", "a"),
        ("list[][b]", "1"), ("custom_channel_vars[foo]", "bär & co"),
        ("custom_channel_vars[deep][x]", "false"), ("hook_event", "channel_destroy"), ("cluster_id", "k1"),
    ]  # fmt: skip


def test_json_is_pretty() -> None:
    request = prepared(format="json", verb="put")
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == EVENT | {"cluster_id": "k1"}
    assert b'\n  "call_id"' in request.body


@pytest.mark.parametrize(
    ("uri", "begins"),
    [
        ("http://r.example.com/x", "http://r.example.com/x?call_id="),
        ("http://r.example.com/x?key=1", "http://r.example.com/x?key=1&call_id="),
        ("http://r.example.com/x?key=1#part", "http://r.example.com/x?key=1&call_id="),
    ],
)
def test_get_appends_to_the_query(uri: str, begins: str) -> None:
    request = prepared(verb="get", uri=uri)
    assert request.method == "GET"
    assert request.body == b""
    assert request.uri.startswith(begins)
    assert "content-type" not in request.headers


def test_custom_data_wins_and_modifiers_are_no_part_of_it() -> None:
    custom = {"type": "all", "action": "all", "call_id": "mine", "tag": {"a": 1}}
    sent = json.loads(prepared(format="json", custom_data=custom).body)
    assert (sent["call_id"], sent["tag"]) == ("mine", {"a": 1})
    assert "type" not in sent
    assert "action" not in sent


@pytest.mark.parametrize("fields", [{"format": "json"}, {"format": "form-data"}, {"verb": "put"}])
def test_the_signature_is_that_of_standard_webhooks(fields: dict[str, str]) -> None:
    request = prepared(**fields)
    Webhook(SECRET).verify(request.body, request.headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body + b" ", request.headers, json_parse=False)


def test_a_get_signs_its_query() -> None:
    request = prepared(verb="get")
    query = request.uri.partition("?")[2]
    Webhook(SECRET).verify(query, request.headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(query + "&x=1", request.headers, json_parse=False)


def test_kazoos_headers() -> None:
    headers = prepared(now=1_767_225_600.7).headers
    assert (headers["x-hook-id"], headers["x-account-id"]) == ("h1", "a1")
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", "1767225600")


def test_a_form_leaves_out_what_is_too_deep() -> None:
    nested: dict = {}
    for _ in range(100):
        nested = {"x": nested, "y": "1"}
    assert len(form(nested)) < 2_000
