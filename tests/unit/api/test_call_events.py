"""A call as server-sent events, and the visitor's token to one call (design 2.2)."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from offhook.api import sse
from offhook.app import call_stream

from .node import Answer, ApiNode, TestAccount, settle

PATIENCE_S = 30.0
"""On a machine that is busy with something else."""

WHOLE_CALL = [
    "accepted", "leg_dialed", "leg_ringing", "leg_answered", "leg_dialed", "leg_ringing", "leg_answered",
    "bridged", "leg_ended", "leg_ended", "ended",
]  # fmt: skip


def events_of(answer: Answer) -> list[dict[str, str]]:
    """Return the events as a browser would."""
    assert answer.headers["content-type"] == "text/event-stream"
    blocks = answer.body.decode().split("\n\n")
    parsed = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks if block]
    return [block for block in parsed if "data" in block]


def pressed(acme: TestAccount, **button: Any) -> Answer:
    acme.given_two_phones()
    path = f"{acme.base}/clicktocall/{acme.given_button(**button)}/connect?contact=1002"
    return acme.node.get(path, token="" if button else None)


def given_over(acme: TestAccount) -> str:
    """Return the id of a call that was joined and ended."""
    call_id = str(pressed(acme).data["call_id"])
    wait_for_state(acme, call_id, "bridged")
    acme.node.delete(f"{acme.base}/calls/{call_id}")
    wait_for_state(acme, call_id, "ended")
    return call_id


def wait_for_state(acme: TestAccount, call_id: str, state: str) -> None:
    """Return once the call is in a state."""
    path = f"{acme.base}/calls/{call_id}"

    async def wait() -> None:
        async with asyncio.timeout(PATIENCE_S):
            while (await acme.node.asking("GET", path)).data["state"] != state:
                await asyncio.sleep(0.005)

    acme.node.run(wait())


def stays(node: ApiNode, path: str, meanwhile: Callable[[], Any], **options: Any) -> Answer:
    """Return the answer of a client that stays to the end, while something else is done."""

    async def both() -> Answer:
        stream = asyncio.ensure_future(node.asking("GET", path, leaves=asyncio.Event(), **options))
        async with asyncio.timeout(PATIENCE_S):
            while not node.call_streams._open:
                await asyncio.sleep(0.005)
            result = meanwhile()
            if asyncio.iscoroutine(result):
                await result
            return await stream

    return node.run(both())


def test_a_finished_call_is_told_from_first_to_last(node: ApiNode, acme: TestAccount) -> None:
    call_id = given_over(acme)
    answer = node.get(f"{acme.base}/calls/{call_id}/events", headers={"origin": "https://shop.example"})
    events = events_of(answer)
    assert [event["event"] for event in events] == WHOLE_CALL
    assert [int(event["id"]) for event in events] == list(range(11))
    datas = [json.loads(event["data"]) for event in events]
    assert [data["final"] for data in datas] == [False] * 10 + [True]
    assert (datas[-1]["outcome"], datas[-1]["by"], datas[-1]["state"]) == ("connected", "api", "ended")
    assert set(datas[-1]["times"]) == {
        "accepted", "first_ringing", "first_answered", "second_ringing", "bridged", "ended",
    }  # fmt: skip
    assert datas[2]["leg"]["call_id"] == call_id
    assert datas[0]["call_id"] == call_id
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "no-store"
    assert "content-length" not in answer.headers


def test_a_live_stream_equals_the_one_read_afterwards(node: ApiNode, acme: TestAccount) -> None:
    node.phones.silent.add("dev2")
    call_id = pressed(acme).data["call_id"]
    path = f"{acme.base}/calls/{call_id}/events"
    live = stays(node, path, lambda: node.asking("DELETE", f"{acme.base}/calls/{call_id}"))
    assert events_of(live)[-1]["event"] == "ended"
    assert live.body == node.get(path).body


@pytest.mark.parametrize("seen", range(10))
def test_who_comes_back_gets_just_the_rest(node: ApiNode, acme: TestAccount, seen: int) -> None:
    call_id = given_over(acme)
    path = f"{acme.base}/calls/{call_id}/events"
    whole = events_of(node.get(path))
    assert events_of(node.get(path, headers={"last-event-id": str(seen)})) == whole[seen + 1 :]
    assert events_of(node.get(f"{path}?last_event_id={seen}")) == whole[seen + 1 :]


def test_who_knows_the_end_is_told_not_to_come_back(node: ApiNode, acme: TestAccount) -> None:
    path = f"{acme.base}/calls/{given_over(acme)}/events"
    answer = node.get(path, headers={"last-event-id": "10"})
    assert (answer.status, answer.body) == (204, b"")
    assert node.get(path, headers={"last-event-id": "999"}).status == 204


@pytest.mark.parametrize("bad", ["x", "-1", "1.5", "9" * 10, "²"])
def test_a_bad_last_event_id_is_named(node: ApiNode, acme: TestAccount, bad: str) -> None:
    answer = node.get(f"{acme.base}/calls/{given_over(acme)}/events?last_event_id={bad}")
    assert answer.status == 400
    assert "last_event_id" in answer.data


def test_an_unknown_call_has_no_events(node: ApiNode, acme: TestAccount) -> None:
    assert node.get(f"{acme.base}/calls/nothing/events").status == 404
    other = node.given_account("Other")
    assert node.get(f"{other.base}/calls/{given_over(acme)}/events").status == 404


def test_a_silent_stream_is_kept_alive(
    node: ApiNode, acme: TestAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_S", 0.01)
    node.phones.silent.add("dev1")
    call_id = pressed(acme).data["call_id"]

    async def wait_and_stop() -> None:
        await asyncio.sleep(0.3)
        node.call_streams.stop()

    answer = stays(node, f"{acme.base}/calls/{call_id}/events", wait_and_stop)
    assert answer.body.count(b": still here\n\n") >= 2


def test_readers_that_leave_are_forgotten_and_readers_are_bounded(
    node: ApiNode, acme: TestAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_stream, "READERS_PER_CALL_MAX", 1)
    node.phones.silent.add("dev1")
    call_id = pressed(acme).data["call_id"]
    path = f"{acme.base}/calls/{call_id}/events"
    refused: list[Answer] = []

    async def meanwhile() -> None:
        refused.append(await node.asking("GET", path))
        await node.asking("DELETE", f"{acme.base}/calls/{call_id}")

    stays(node, path, meanwhile)
    assert refused[0].status == 429
    assert int(refused[0].headers["retry-after"]) >= 1
    assert node.get(path).status == 200


def test_streams_end_when_the_node_stops(node: ApiNode, acme: TestAccount) -> None:
    node.phones.silent.add("dev1")
    call_id = pressed(acme).data["call_id"]
    answer = stays(node, f"{acme.base}/calls/{call_id}/events", node.call_streams.stop)
    assert events_of(answer)[-1]["event"] == "leg_ringing"


def test_a_slow_reader_is_cut(node: ApiNode, acme: TestAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "SEND_BOUND_S", 0.02)
    path = f"{acme.base}/calls/{given_over(acme)}/events"

    async def ask() -> bool:
        cut = asyncio.Event()
        scope = {
            "type": "http", "method": "GET", "path": path, "query_string": b"", "client": ("10.0.0.1", 1),
            "headers": [(b"x-auth-token", node.token.encode())], "root_path": "",
            "extensions": {"offhook.abort": cut.set},
        }  # fmt: skip
        received = iter([{"type": "http.request", "body": b""}])

        async def receive() -> Any:
            message = next(received, None)
            if message is None:
                await cut.wait()
                return {"type": "http.disconnect"}
            return message

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()

        await asyncio.wait_for(node.app(scope, receive, send), PATIENCE_S)
        return cut.is_set()

    assert node.run(ask())


def test_holds_are_steps_of_a_call(node: ApiNode, acme: TestAccount) -> None:
    call_id = pressed(acme).data["call_id"]
    settle(node)
    for module in ("hold", "unhold"):
        answer = node.put(f"{acme.base}/channels/{call_id}", {"module": module, "data": {}})
        assert answer.status == 201, answer.body
    events = events_of(node.get(f"{acme.base}/calls/{call_id}/events"))
    held = [json.loads(event["data"])["leg"] for event in events if event["event"] == "leg_held"]
    assert [(leg["call_id"], leg["is_on_hold"]) for leg in held] == [(call_id, True), (call_id, False)]


# --- the visitor's token ----------------------------------------------------------------------------


def test_a_visitor_gets_a_token_and_others_do_not(node: ApiNode, acme: TestAccount) -> None:
    assert "call_token" in pressed(acme, auth_required=False).data
    assert (
        "call_token"
        not in node.get(f"{acme.base}/clicktocall/{acme.given_button()}/connect?contact=1002").data
    )


def test_visitors_quickcall_and_blocking_answers_carry_the_token(node: ApiNode, acme: TestAccount) -> None:
    device = acme.given_phone("dev1", "1001")
    acme.given_phone("dev2", "1002")
    node.patch(f"{acme.base}/devices/{device}", {"allow_anonymous_quickcalls": True})
    for method in ("GET", "POST"):
        answer = node.ask(method, f"{acme.base}/devices/{device}/quickcall/1002", token="")
        assert answer.status == 202
        assert answer.data["call_token"]
    button = acme.given_button(auth_required=False)
    answer = node.get(f"{acme.base}/clicktocall/{button}/connect?contact=1002&blocking=true", token="")
    assert answer.data["call_token"]


@pytest.mark.parametrize("place", ["x-auth-token", "bearer", "query", "auth_token"])
def test_the_token_opens_its_call_from_every_place(node: ApiNode, acme: TestAccount, place: str) -> None:
    data = pressed(acme, auth_required=False).data
    token, path = data["call_token"], f"{acme.base}/calls/{data['call_id']}"
    headers = {"x-auth-token": {"x-auth-token": token}, "bearer": {"authorization": f"Bearer {token}"}}
    query = {"query": f"?call_token={token}", "auth_token": f"?auth_token={token}"}.get(place, "")
    sent = {"token": "", "headers": headers.get(place, {})}
    settle(node)
    assert node.get(path + query, **sent).data["state"] == "bridged"
    assert events_of(node.get(f"{path}/events{query}", **sent))[0]["event"] == "accepted"
    assert node.delete(path + query, **sent).status == 200
    settle(node)
    over = node.get(path + query, **sent).data
    assert (over["outcome"], over["by"]) == ("connected", "visitor")


def test_the_token_opens_nothing_else(node: ApiNode, acme: TestAccount) -> None:
    data = pressed(acme, auth_required=False).data
    token = data["call_token"]
    another = node.get(f"{acme.base}/clicktocall/{acme.given_button()}/connect?contact=1002").data["call_id"]
    other = node.given_account("Other")
    for path in (f"{acme.base}/calls/{another}", f"{other.base}/calls/{data['call_id']}",
                 f"{acme.base}/calls/{another}/events"):  # fmt: skip
        assert node.get(path, token=token).status == 403, path
    assert node.delete(f"{acme.base}/calls/{another}", token=token).status == 403
    for path in ("", "/devices", "/channels", "/cdrs", "/websockets", "/clicktocall",
                 f"/calls/{data['call_id']}/timeline"):  # fmt: skip
        assert node.get(acme.base + path, token=token).status == 401, path
    assert node.put(f"{acme.base}/devices", {"name": "x"}, token=token).status == 401
    assert node.get("/v2/token_auth", token=token).status == 401


def test_a_login_token_is_no_call_token_and_garbage_is_none(node: ApiNode, acme: TestAccount) -> None:
    call_id = pressed(acme, auth_required=False).data["call_id"]
    path = f"{acme.base}/calls/{call_id}"
    for token in (acme.token(), "x", "a.b.c", "", "é.é.é"):
        assert node.get(f"{path}?call_token={token}", token="").status == 401


def test_the_token_expires_a_day_after_the_call_may_last(node: ApiNode, acme: TestAccount) -> None:
    data = pressed(acme, auth_required=False).data
    path = f"{acme.base}/calls/{data['call_id']}?call_token={data['call_token']}"
    node.clock.ahead_s += 14_400 + 86_000
    assert node.get(path, token="").status == 200
    node.clock.ahead_s += 1_000
    assert node.get(path, token="").status == 401


def test_a_disabled_or_deleted_account_lets_no_visitor_in(node: ApiNode, acme: TestAccount) -> None:
    data = pressed(acme, auth_required=False).data
    path = f"{acme.base}/calls/{data['call_id']}?call_token={data['call_token']}"
    node.patch(acme.base, {"enabled": False})
    assert node.get(path, token="").status == 401
    node.delete(acme.base)
    assert node.get(path, token="").status == 401


def test_a_visitor_sees_nothing_of_the_account(node: ApiNode, acme: TestAccount) -> None:
    data = pressed(acme, auth_required=False, custom_application_vars={"crm": "secret"}).data
    path, token = f"{acme.base}/calls/{data['call_id']}", data["call_token"]
    settle(node)
    for shown in (node.get(path, token=token).body, node.get(f"{path}/events", token=token).body):
        for hidden in (acme.realm, "1001", "dev1", "10.0.0.5", "secret", "endpoint_id", "PCMU"):
            assert hidden not in shown.decode(), hidden


def test_expose_request_shows_the_visitor_what_the_account_sees(node: ApiNode, acme: TestAccount) -> None:
    data = pressed(acme, auth_required=False, expose_request=True).data
    path, token = f"{acme.base}/calls/{data['call_id']}", data["call_token"]
    settle(node)
    assert node.get(path, token=token).data == node.get(path).data
    assert events_of(node.get(f"{path}/events", token=token)) == events_of(node.get(f"{path}/events"))


def test_ending_an_ended_call_changes_nothing(node: ApiNode, acme: TestAccount) -> None:
    call_id = given_over(acme)
    before = node.get(f"{acme.base}/calls/{call_id}").data
    assert node.delete(f"{acme.base}/calls/{call_id}").data == before
    assert node.get(f"{acme.base}/calls/{call_id}").data == before
