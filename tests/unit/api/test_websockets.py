"""KAZOO's websocket protocol (kazoo-behaviour 11)."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.api import ApiSettings
from offhook.api import websocket as websocket_module
from offhook.api.websocket_requests import BINDINGS_MAX

from .node import ApiNode, TestAccount
from .sockets import Socket

Open = Callable[..., Socket]


@pytest.fixture
def opened(node: ApiNode) -> Iterator[Open]:
    """Open sockets with a token; they leave after the test."""
    sockets: list[Socket] = []

    def open_socket(token: str = "", **options: Any) -> Socket:
        sockets.append(Socket(node, token=token, **options))
        return sockets[-1]

    yield open_socket
    for socket in sockets:
        if not socket.task.done():
            socket.leave()


def errors_of(reply: dict[str, Any]) -> list[str]:
    assert reply["status"] == "error", reply
    found: list[str] = reply["data"]["errors"]
    return found


def connected_call(acme: TestAccount) -> str:
    acme.given_two_phones()
    answer = acme.node.get(f"{acme.base}/clicktocall/{acme.given_button()}/connect?contact=1002")
    return str(answer.data["call_id"])


def test_subscribe_unsubscribe_and_ping_reply_as_documented(acme: TestAccount, opened: Open) -> None:
    socket = opened(acme.token())
    one, other = "call.CHANNEL_CREATE.*", "object.doc_edited.user"
    assert socket.action("subscribe", {"account_id": acme.id, "binding": one}) == {
        "action": "reply", "request_id": "r1", "status": "success", "data": {"subscribed": [one]},
    }  # fmt: skip
    assert socket.subscribe(acme.id, one, other)["data"] == {"subscribed": [one, other]}
    gone = socket.action("unsubscribe", {"account_id": acme.id, "binding": one})
    assert gone["data"] == {"unsubscribed": [one], "subscribed": [other]}
    assert socket.action("ping")["data"] == {"response": "pong"}
    assert socket.action("unsubscribe", {})["data"] == {"unsubscribed": [other], "subscribed": []}


def test_a_token_is_needed_until_one_was_good(acme: TestAccount, opened: Open) -> None:
    socket = opened()
    assert errors_of(socket.ask({"action": "ping"})) == ["authentication token required"]
    bad = socket.ask({"action": "ping", "auth_token": "secret.token.abc"})
    assert errors_of(bad) == ["failed to authenticate token"]
    assert "secret" not in str(bad)
    assert errors_of(socket.ask({"action": "ping", "auth_token": 7})) == [
        "invalid authentication token format"
    ]
    assert errors_of(socket.ask({"action": "ping"})) == ["authentication token required"]
    assert socket.ask({"action": "ping", "auth_token": acme.token()})["status"] == "success"
    assert socket.ask({"action": "ping"})["data"] == {"response": "pong"}
    assert socket.ask({})["data"] == {}


@pytest.mark.parametrize("frame", ["{", "[]", "7", '"x"', "", "\x00", "[" * 60_000, '{"a":' * 2_000])
def test_broken_json_gets_an_error_reply(acme: TestAccount, opened: Open, frame: str) -> None:
    socket = opened(acme.token())
    assert errors_of(socket.ask(frame)) == ["invalid json"]
    assert socket.action("ping")["status"] == "success"


@pytest.mark.parametrize(
    ("action", "data", "error"),
    [
        ("dance", None, "unknown action"),
        (None, None, "unknown action"),
        ({}, None, "unknown action"),
        ("subscribe", None, "missing required keys in data object"),
        ("subscribe", {}, "missing required keys in data object"),
        ("subscribe", [], "missing required keys in data object"),
        ("subscribe", {"x": 1}, "missing required keys : account_idbinding"),
        ("subscribe", {"account_id": "A"}, "missing required keys : binding"),
        ("subscribe", {"binding": "call.*.*"}, "missing required keys : account_id"),
        ("unsubscribe", {"binding": "call.*.*"}, "missing required keys : account_id"),
        ("subscribe", {"account_id": "A", "binding": 7},
         f"binding must be text, bindings a list of at most {BINDINGS_MAX} texts"),
        ("subscribe", {"account_id": "A", "binding": "call.SING.*"}, "event SING not supported"),
        ("subscribe", {"account_id": "A", "binding": "call.CHANNEL_CREATE"},
         "invalid format for call subscription : CHANNEL_CREATE"),
        ("subscribe", {"account_id": "A", "binding": "object.doc_sung.user"}, "event doc_sung not supported"),
        ("subscribe", {"account_id": "A", "binding": "object.doc_edited"},
         "invalid format for object subscription : doc_edited"),
        ("subscribe", {"account_id": "A", "binding": "fax.status.*"},
         "no available subscriptions to requested binding"),
        ("subscribe", {"account_id": "A", "binding": "*"}, "no available subscriptions to requested binding"),
        ("subscribe", {"account_id": "A", "binding": "call.*.*" + "x" * 300}, "invalid binding"),
        ("subscribe", {"account_id": ["A"], "binding": "call.*.*"}, "unauthorized account id"),
        ("subscribe", {"account_id": "f" * 32, "binding": "call.*.*"}, "unauthorized account id"),
        ("subscribe", {"account_id": "*", "binding": "call.*.*"}, "unauthorized wildcard account id"),
        ("ping", {"metadata": "x"}, "metadata must be an object of at most 4096 bytes"),
        ("ping", {"name": "x" * 257}, "name must be text of at most 256 characters"),
    ],
)  # fmt: skip
def test_errors_have_kazoos_texts(
    acme: TestAccount, opened: Open, action: Any, data: Any, error: str
) -> None:
    socket = opened(acme.token())
    assert errors_of(socket.action(action, data)) == [error]
    assert socket.action("ping")["status"] == "success"


def test_nothing_is_subscribed_if_one_binding_is_wrong(acme: TestAccount, opened: Open) -> None:
    socket = opened(acme.token())
    reply = socket.subscribe(acme.id, "call.*.*", "call.X.*", "presence.1")
    assert errors_of(reply) == ["event X not supported", "no available subscriptions to requested binding"]
    assert socket.action("unsubscribe", {})["data"] == {"unsubscribed": [], "subscribed": []}


def test_bindings_are_bounded(acme: TestAccount, opened: Open) -> None:
    socket = opened(acme.token())
    many = [f"call.*.{number}" for number in range(BINDINGS_MAX)]
    assert len(socket.subscribe(acme.id, *many)["data"]["subscribed"]) == BINDINGS_MAX
    assert errors_of(socket.subscribe(acme.id, "call.*.one-more")) == [f"more than {BINDINGS_MAX} bindings"]
    assert socket.subscribe(acme.id, many[0])["status"] == "success"


def test_accounts_below_may_be_heard_and_no_others(node: ApiNode, acme: TestAccount, opened: Open) -> None:
    child, other = node.given_account("Child", below=acme.id), node.given_account("Other")
    socket = opened(acme.token())
    assert socket.subscribe(child.id, "call.*.*")["status"] == "success"
    assert errors_of(socket.subscribe(other.id, "call.*.*")) == ["unauthorized account id"]
    assert errors_of(opened(child.token(), port=2).subscribe(acme.id, "call.*.*")) == [
        "unauthorized account id"
    ]


def test_a_call_is_told_in_order_with_one_final_event(acme: TestAccount, opened: Open) -> None:
    socket = opened(acme.token())
    socket.subscribe(acme.id, "call.*.*")
    call_id = connected_call(acme)
    socket.wait_events(6)
    acme.node.delete(f"{acme.base}/calls/{call_id}")
    events = socket.wait_events(8)
    names = [event["name"].removeprefix("CHANNEL_") for event in events]
    assert names == ["CREATE", "ANSWER", "CREATE", "ANSWER", "BRIDGE", "BRIDGE", "DESTROY", "DESTROY"]
    assert [event["data"]["sequence"] for event in events] == list(range(1, 9))
    assert [event["data"]["final"] for event in events] == [False] * 7 + [True]
    assert (events[-1]["data"]["outcome"], events[-1]["data"]["by"]) == ("connected", "api")
    first = events[0]
    assert first["subscribed_key"] == "call.*.*"
    assert first["subscription_key"] == f"call.{acme.id}.*.*"
    assert first["routing_key"] == f"call.{acme.id}.CHANNEL_CREATE.{call_id}"
    assert first["data"]["call_id"] == call_id
    assert first["data"]["event_category"] == "call_event"


def test_a_binding_of_a_call_id_brings_that_call_only(acme: TestAccount, opened: Open) -> None:
    call_id = connected_call(acme)
    socket = opened(acme.token())
    socket.subscribe(acme.id, f"call.CHANNEL_DESTROY.{call_id}", "call.CHANNEL_DESTROY.another")
    acme.node.delete(f"{acme.base}/calls/{call_id}")
    events = socket.wait_events(2)  # both legs belong to the call
    assert {event["subscribed_key"] for event in events} == {f"call.CHANNEL_DESTROY.{call_id}"}


def test_documents_are_told_without_what_is_in_them(acme: TestAccount, opened: Open) -> None:
    socket = opened(acme.token())
    socket.subscribe(acme.id, "object.*.device", "doc_deleted.*.device.*", "object.device.doc_created")
    device = acme.created("devices", {"name": "Desk", "sip": {"password": "hush-hush"}})
    acme.node.patch(f"{acme.base}/devices/{device}", {"name": "Desk 2"})
    acme.created("users", {"first_name": "Jane", "last_name": "Doe"})
    acme.node.delete(f"{acme.base}/devices/{device}")
    events = socket.wait_events(5)
    assert [(event["name"], event["subscribed_key"]) for event in events] == [
        ("doc_created", "object.*.device"), ("doc_created", "object.device.doc_created"),
        ("doc_edited", "object.*.device"),
        ("doc_deleted", "object.*.device"), ("doc_deleted", "doc_deleted.*.device.*"),
    ]  # fmt: skip
    assert {event["data"]["id"] for event in events} == {device}
    assert events[0]["routing_key"] == f"doc_created.{acme.id}.device.{device}"
    assert "hush" not in str(events)


def test_the_master_hears_all_accounts(node: ApiNode, acme: TestAccount, opened: Open) -> None:
    socket = opened(node.token)
    assert socket.subscribe("*", "object.doc_created.*")["status"] == "success"
    acme.created("devices", {"name": "Desk"})
    [event] = socket.wait_events(1)
    assert event["data"]["account_id"] == acme.id


def test_accounts_do_not_hear_each_other(node: ApiNode, acme: TestAccount, opened: Open) -> None:
    other = node.given_account("Other")
    socket = opened(other.token())
    socket.subscribe(other.id, "object.*.*", "call.*.*")
    connected_call(acme)
    other.created("devices", {"name": "Desk"})
    assert [event["data"]["account_id"] for event in socket.wait_events(1)] == [other.id]


def test_a_revoked_token_ends_the_session_before_the_next_event(acme: TestAccount, opened: Open) -> None:
    token = acme.token()
    socket = opened(token)
    socket.subscribe(acme.id, "object.*.*")
    assert acme.node.delete("/v2/token_auth", token=token).status == 200
    acme.created("devices", {"name": "Desk"})
    assert socket.wait_closed() == (1008, "authentication token expired or revoked")
    assert socket.events == []
    assert errors_of(socket.replies[-1]) == ["authentication token expired or revoked"]


def test_an_expired_token_ends_the_session_by_itself(node: ApiNode, acme: TestAccount, opened: Open) -> None:
    socket = opened(acme.token())
    socket.subscribe(acme.id, "object.*.*")
    node.clock.ahead_s += 3599.5
    socket.action("ping")
    assert socket.wait_closed()[0] == 1008


def test_a_fresh_token_keeps_the_session_and_its_bindings(
    node: ApiNode, acme: TestAccount, opened: Open
) -> None:
    socket = opened(acme.token())
    socket.subscribe(acme.id, "object.*.*")
    node.clock.ahead_s += 1800
    socket.token = acme.token()
    socket.action("ping")
    node.clock.ahead_s += 1799
    node.token = node.api_token("5" * 64)
    acme.created("devices", {"name": "Desk"})
    assert socket.wait_events(1)


def test_another_accounts_token_drops_what_it_does_not_reach(
    node: ApiNode, acme: TestAccount, opened: Open
) -> None:
    child = node.given_account("Child", below=acme.id)
    socket = opened(acme.token())
    socket.subscribe(acme.id, "object.*.*")
    socket.subscribe(child.id, "call.*.*")
    socket.token = child.token()
    assert socket.subscribe(child.id, "object.*.*")["data"]["subscribed"] == ["call.*.*", "object.*.*"]


def test_an_idle_socket_is_closed_after_an_hour(
    acme: TestAccount, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_module, "IDLE_S", 0.05)
    assert opened(acme.token()).wait_closed() == (1001, "idle for an hour")


def test_a_slow_client_is_cut_and_nothing_piles_up(acme: TestAccount, opened: Open) -> None:
    socket = opened(acme.token())
    socket.subscribe(
        acme.id, *(f"object.*.device.{'*' if n == 0 else n}" for n in range(2)), "object.*.device"
    )
    socket.takes = False
    [session] = acme.node.services.open_sockets.of(acme.id, asked_by="")
    device = acme.created("devices", {"name": "Desk"})
    document = acme.node.run(acme.node.services.documents.read(acme.id, device, type="device"))
    for _ in range(5_000):
        acme.node.services.live_events.note_document(document, document)
    assert session.outgoing.is_overrun
    assert socket.wait_closed() == (1013, "too slow: events were piling up")
    assert acme.node.services.open_sockets.count() == 0


def test_more_requests_than_the_rate_get_errors(given_limited: ApiNode) -> None:
    acme = given_limited.given_account()
    socket = Socket(given_limited, token=acme.token())
    replies = [socket.action("ping") for _ in range(41)]
    assert [reply["status"] for reply in replies[:40]] == ["success"] * 40
    assert errors_of(replies[40]) == ["rate limiting threshold hit for 10.0.0.9:41234!"]
    socket.leave()


@pytest.fixture
def given_limited(tmp_path: Path) -> Iterator[ApiNode]:
    limited = ApiSettings(rate_bucket=40, rate_refill_per_s=0.01, websockets_per_address=2)
    node = ApiNode(tmp_path, settings=limited)
    yield node
    node.stop()


def test_sockets_per_address_are_bounded(given_limited: ApiNode) -> None:
    first, second = Socket(given_limited), Socket(given_limited, port=2)
    third = Socket(given_limited, port=3)
    assert third.sent[0]["status"] == 429
    elsewhere = Socket(given_limited, address="10.0.0.10")
    assert elsewhere.sent[0]["type"] == "websocket.accept"
    first.leave()
    again = Socket(given_limited, port=4)
    assert again.sent[0]["type"] == "websocket.accept"
    for socket in (second, elsewhere, again):
        socket.leave()
    assert given_limited.services.open_sockets.count() == 0


def test_a_subprotocol_is_refused(opened: Open) -> None:
    assert opened(headers={"Sec-WebSocket-Protocol": "kazoo"}).sent[0]["status"] == 400


def test_other_paths_have_no_websocket(opened: Open) -> None:
    assert opened(path="/v2/websocket").sent[0]["type"] == "websocket.close"


def test_open_sockets_are_listed_for_their_account(node: ApiNode, acme: TestAccount, opened: Open) -> None:
    base = f"{acme.base}/websockets"
    assert node.get(base).data == []
    socket = opened(acme.token(), port=5)
    anonymous = opened(port=6)
    socket.action("subscribe", {"account_id": acme.id, "binding": "call.*.*", "name": "wallboard"})
    socket.action("ping", metadata={"page": "/live"})
    [item] = node.get(base).data
    timestamp = item.pop("timestamp")
    assert isinstance(timestamp, int)
    assert timestamp > 63_000_000_000
    assert item == {
        "websocket_session_id": "10.0.0.9:5", "bindings": ["call.*.*"], "source": "10.0.0.9",
        "destination": "offhook", "name": "wallboard", "metadata": {"page": "/live"}, "account_id": acme.id,
    }  # fmt: skip
    assert node.get(f"{base}/10.0.0.9:5").data["name"] == "wallboard"
    assert node.get(f"{base}/10.0.0.9:6").status == 404
    other = node.given_account("Other")
    assert node.get(f"{other.base}/websockets", token=other.token()).data == []
    anonymous.leave()
    socket.leave()
    assert node.get(base).data == []


def test_the_one_who_asks_sees_its_own_sockets(node: ApiNode, acme: TestAccount, opened: Open) -> None:
    socket = opened(node.token)
    socket.subscribe(acme.id, "call.*.*")
    assert len(node.get(f"{acme.base}/websockets").data) == 1
    assert node.get(f"{acme.base}/websockets", token=acme.token()).data == []


def test_available_bindings_need_no_token(node: ApiNode) -> None:
    data = node.get("/v2/websockets", token="").data
    assert "call.CHANNEL_CREATE.{CALL_ID}" in data["call"]
    assert set(data) == {"call", "object"}


def test_a_call_nobody_listens_to_builds_no_event(acme: TestAccount) -> None:
    call_id = connected_call(acme)
    plan = acme.node.run(acme.node.calls.get(acme.id, call_id)).plan  # type: ignore[union-attr]
    assert not acme.node.services.live_events.wants_calls_of(plan)
    acme.node.run(asyncio.sleep(0))


WORDS = (
    "action",
    "data",
    "auth_token",
    "request_id",
    "account_id",
    "binding",
    "bindings",
    "name",
    "metadata",
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8)
    | st.sampled_from(("subscribe", "unsubscribe", "ping", "*", "call.*.*", "object.*.*")),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.sampled_from(WORDS), below, max_size=5),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frame=st.dictionaries(st.sampled_from(WORDS), values, max_size=6), logged_in=st.booleans())
def test_every_frame_gets_exactly_one_reply(
    node: ApiNode, opened: Open, frame: dict[str, Any], logged_in: bool
) -> None:
    socket = opened(node.token if logged_in else "")
    if logged_in:
        frame = {**frame, "auth_token": socket.token}
    reply = socket.ask(frame)
    assert reply["status"] in ("success", "error")
    assert socket.action("ping")["status"] == ("success" if logged_in else "error")
    assert len(socket.replies) == 2
    assert socket.closing is None
