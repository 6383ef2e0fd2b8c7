"""What pages and consoles listen to, at a real server: event streams of a call, KAZOO's websockets."""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from .conftest import FarEnd
from .harness import Account, KazooClient, Server, Sipp
from .harness.far_ends import ANSWERS, BUSY
from .harness.ports import free_port
from .harness.streams import EventSource, KazooSocket
from .harness.waiting import wait_for

SOCKETS_PER_ADDRESS = 4
TOO_BIG, TRY_AGAIN_LATER, LOST = 1009, 1013, 1006
PATIENCE_S = 30.0
MANY_BINDINGS = [f"doc_edited.{number}.device.*" for number in range(200)]
"""KAZOO's older form names a database that nobody looks at: one edit makes 200 frames, some 100 KB."""


class ListeningServer(Server):
    """A server with a port for websockets."""

    def __init__(self, folder: Path) -> None:
        self.websocket_port = free_port()
        super().__init__(
            folder,
            OFFHOOK_WEBSOCKET_PORT=str(self.websocket_port),
            OFFHOOK_WEBSOCKETS_PER_ADDRESS=str(SOCKETS_PER_ADDRESS),
        )

    @property
    def uris(self) -> tuple[str, str]:
        """Where websockets are served."""
        return (
            f"ws://{self.host}:{self.http_port}/websocket",
            f"ws://{self.host}:{self.websocket_port}/anything",
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListeningServer]:
    with ListeningServer(tmp_path_factory.mktemp("server")) as running:
        yield running


def given_visitors_call(account: Account, far_end: FarEnd) -> tuple[str, str, list[Sipp]]:
    """Return id and token of a call that a visitor asked for, and its far ends."""
    ends = [far_end(ANSWERS), far_end(ANSWERS)]
    for number, end in zip(("1001", "1002"), ends, strict=True):
        account.create_extension(number, account.create_static_phone(f"phone{number}", end.uri))
    button = account.create_button("1001", auth_required=False)
    path = account.path("clicktocall", button, "connect")
    answer = account.client.request("GET", path, query={"contact": "1002"}, anonymous=True).expect(202)
    return answer.data["call_id"], answer.data["call_token"], ends


def source(server: Server, account: Account, call_id: str, token: str, *, seen: str = "") -> EventSource:
    headers = {"last-event-id": seen} if seen else {}
    path = f"{account.path('calls', call_id)}/events?call_token={token}"
    return EventSource(server.host, server.http_port, path, headers)


@pytest.mark.needs("sipp")
def test_a_visitor_follows_its_call_over_broken_connections(
    server: ListeningServer, account: Account, far_end: FarEnd
) -> None:
    call_id, token, ends = given_visitors_call(account, far_end)
    seen = []
    with source(server, account, call_id, token) as stream:
        for event in stream:
            seen.append(event)
            if event.name == "bridged":
                break
    path = account.path("calls", call_id)
    account.client.request("DELETE", path, query={"call_token": token}, anonymous=True).expect(200)
    while seen[-1].name != "ended":  # from now on every connection breaks after one event
        with source(server, account, call_id, token, seen=seen[-1].id) as stream:
            seen += islice(stream, 1)
    assert (seen[-1].data["outcome"], seen[-1].data["by"]) == ("connected", "visitor")
    with source(server, account, call_id, token) as stream:
        assert list(stream) == seen
    with source(server, account, call_id, token, seen=seen[-1].id) as stream:
        assert stream.status == 204
    for end in ends:
        end.assert_clean()


@pytest.mark.needs("sipp")
def test_a_stream_goes_on_after_a_crash(tmp_path: Path, far_end: FarEnd) -> None:
    node = Server(tmp_path)
    node.start()
    try:
        client = KazooClient(node.host, node.http_port)
        client.login(node.api_key)
        account = client.create_account("Acme", "acme.test")
        call_id, token, _ = given_visitors_call(account, far_end)
        account.wait_for_time(call_id, "bridged")
        with source(node, account, call_id, token) as stream:
            seen = list(islice(stream, 8))
            assert seen[-1].name == "bridged"
            node.kill()
        node.start()
        with source(node, account, call_id, token, seen=seen[-1].id) as stream:
            rest = list(stream)
        assert [int(event.id) for event in seen + rest] == list(range(len(seen + rest)))
        assert rest[-1].data["final"]
        assert rest[-1].data["outcome"] in ("connected", "platform_error")
    finally:
        node.kill()


@pytest.mark.needs("sipp")
def test_a_server_that_stops_tells_how_it_ended_the_calls(tmp_path: Path, far_end: FarEnd) -> None:
    node = Server(tmp_path, OFFHOOK_DRAIN_S="0.2")
    node.start()
    try:
        client = KazooClient(node.host, node.http_port)
        client.login(node.api_key)
        account = client.create_account("Acme", "acme.test")
        uri = f"ws://{node.host}:{node.http_port}/websocket"
        with KazooSocket(uri, client.token) as socket:
            socket.subscribe(account.id, "call.CHANNEL_DESTROY.*")
            call_id, token, ends = given_visitors_call(account, far_end)
            account.wait_for_time(call_id, "bridged")
            with source(node, account, call_id, token) as stream:
                node.ask_to_stop()
                last = list(stream)[-1].data
            final = socket.events_until_final()[-1]["data"]
        for told in (last, final):
            assert (told["outcome"], told["by"]) == ("connected", "platform")
        node.assert_stopped()
        for end in ends:
            end.assert_clean()
    finally:
        node.kill()


@pytest.mark.needs("sipp")
def test_websockets_on_both_ports_tell_a_call(
    server: ListeningServer, account: Account, far_end: FarEnd
) -> None:
    phone = far_end(BUSY)
    account.create_extension("1001", account.create_static_phone("phone1001", phone.uri))
    button = account.create_button("1001")
    first, second = (KazooSocket(uri, account.client.token) for uri in server.uris)
    with first, second:
        assert first.ask("ping") == {"response": "pong"}
        for socket in (first, second):
            socket.subscribe(account.id, "call.*.*")
        assert len(account.get("websockets")) == 2
        call_id = account.connect(button, "1002")
        events = first.events_until_final()
        assert events == second.events_until_final()
    assert [event["name"] for event in events] == ["CHANNEL_CREATE", "CHANNEL_DESTROY"]
    assert [event["data"]["sequence"] for event in events] == [1, 2]
    last, call = events[-1]["data"], account.wait_for_outcome(call_id)
    for key in ("outcome", "party", "side", "by", "hangup_cause", "sip_code", "sip_reason", "times"):
        assert last[key] == call[key], key
    wait_for(
        lambda: account.get("websockets") == [], timeout_s=PATIENCE_S, what="the sockets to be forgotten"
    )


def test_a_slow_websocket_is_cut_with_a_reason(server: ListeningServer, account: Account) -> None:
    device = account.create_phone("dev1", "secret-1")
    with KazooSocket(server.uris[0], account.client.token, max_queue=1) as socket:
        socket.subscribe(account.id, *MANY_BINDINGS)

        def is_cut() -> bool:
            path = account.path("devices", device)
            account.client.request("PATCH", path, {"name": "Desk"}).expect(200)
            return account.get("websockets") == []

        wait_for(is_cut, timeout_s=60, what="the slow client to be cut")
        assert close_of(socket.connection) == (TRY_AGAIN_LATER, "too slow: events were piling up")


def refused_with(uri: str, **options: Any) -> int:
    with pytest.raises(InvalidStatus) as refused, connect(uri, **options):
        pass
    return refused.value.response.status_code


def test_refused_handshakes(server: ListeningServer) -> None:
    assert refused_with(server.uris[1], subprotocols=["kazoo"]) == 400
    with ExitStack() as opened:
        for uri in server.uris * (SOCKETS_PER_ADDRESS // 2):
            opened.enter_context(connect(uri))
        assert refused_with(server.uris[0]) == 429


def close_of(socket: ClientConnection) -> tuple[int, str]:
    """Read a socket to its end; return code and reason of the server's close frame."""
    with suppress(ConnectionClosed):
        while True:
            socket.recv(PATIENCE_S)
    return socket.close_code or 0, socket.close_reason or ""


def close_code_after(server: ListeningServer, message: str | Iterable[str]) -> int:
    """Return the code with which the server closes a socket on which it gets this.

    Who is still sending when the other end has closed may lose the close frame to a reset: then once more.
    """
    code = LOST
    for _ in range(5):
        with connect(server.uris[0], open_timeout=PATIENCE_S) as socket:
            with suppress(ConnectionClosed):
                socket.send(message if isinstance(message, str) else iter(message))
            code = close_of(socket)[0]
        if code != LOST:
            break
    return code


def test_broken_frames_get_answers_or_a_close(server: ListeningServer) -> None:
    with connect(server.uris[0]) as socket:
        for frame in ("{", b"\xff\xfe", "[" * 30_000, '{"action":"ping"}'):
            socket.send(frame)
            assert json.loads(socket.recv(PATIENCE_S))["status"] == "error"
    assert close_code_after(server, "x" * 70_000) == TOO_BIG
    assert close_code_after(server, ["x"] * 200) == TOO_BIG  # fragments
    assert not server.errors()
