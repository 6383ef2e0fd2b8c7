"""One outcome, one set of words: in every place that tells it, for every outcome of the closed list.

The places: the answer of the request that waits, the call, its event stream, its timeline, the button's
history, the CDRs, the channel's last event on a websocket, and the webhook as a receiver of its own got it.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from .harness import Account, KazooClient, Server, Sipp
from .harness.far_ends import (
    ANSWERS,
    BUSY,
    DECLINES,
    OVERLOADED,
    RINGS_FOR_EVER,
    UNKNOWN,
    answers_and_hangs_up,
)
from .harness.kazoo_client import Answer
from .harness.receiver import RECEIVER_HOST, Receiver
from .harness.scenario import Scenario
from .harness.streams import EventSource, KazooSocket
from .harness.waiting import wait_for

pytestmark = pytest.mark.needs("sipp")

Json = dict[str, Any]

WORDS: Final = ("outcome", "party", "side", "by", "hangup_cause", "sip_code", "sip_reason", "times")
PATIENCE_S: Final = 60.0

DECIDED_BY_FIRST: Final = {
    "busy": BUSY,
    "rejected": DECLINES,
    "no_answer": RINGS_FOR_EVER,
    "unreachable": UNKNOWN,
    "failed": OVERLOADED,
    "connected": answers_and_hangs_up(500),
}
"""Outcome → what the extension does."""


@dataclass
class Told:
    """What the outside has heard of one call."""

    call_id: str
    button_id: str
    answer: Answer
    frame: Json
    """The data of the websocket's last frame of it."""


class Scene:
    """A server with a receiver of webhooks and a websocket that both hear everything."""

    def __init__(self, folder: Path, cleanup: ExitStack) -> None:
        self._folder = folder
        self._cleanup = cleanup
        self.receiver = cleanup.enter_context(Receiver())
        (folder / "node").mkdir()
        self.node = Server(
            folder / "node", OFFHOOK_WEBHOOK_ALLOW=f"{RECEIVER_HOST}/32", OFFHOOK_DRAIN_S="0.5"
        )
        self.node.start()
        cleanup.callback(self.node.kill)
        self.client = KazooClient(self.node.host, self.node.http_port)
        self.client.login(self.node.api_key)
        self.account = self.client.create_account("Acme", "acme.test")
        hook = {"name": "CRM", "uri": self.receiver.uri, "hook": "channel_destroy", "format": "json"}
        self.account.create("webhooks", hook)
        uri = f"ws://{self.node.host}:{self.node.http_port}/websocket"
        self.socket = cleanup.enter_context(KazooSocket(uri, self.client.token))
        self.socket.subscribe(self.account.id, "call.*.*")
        self._pool = cleanup.enter_context(ThreadPoolExecutor())
        self._numbers = iter(range(2000, 3000))
        self.far_end(ANSWERS, "1002")

    def far_end(self, scenario: Scenario, number: str) -> Sipp:
        folder = self._folder / number
        folder.mkdir()
        sipp = self._cleanup.enter_context(Sipp(scenario, folder))
        phone = self.account.create_static_phone(f"phone{number}", sipp.uri)
        self.account.create_extension(number, phone)
        return sipp

    def press(self, extension: Scenario, *, timeout: int) -> tuple[str, Future[Answer]]:
        """Press a button of its own, wait in a thread; return the button and the answer to come."""
        number = str(next(self._numbers))
        self.far_end(extension, number)
        button = self.account.create_button(number, timeout=timeout)
        path = self.account.path("clicktocall", button, "connect")
        wanted = {"contact": "1002", "blocking": True}
        return button, self._pool.submit(self.client.request, "POST", path, wanted)

    def next_final_frame(self) -> Json:
        return dict(self.socket.events_until_final()[-1]["data"])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ExitStack() as cleanup:
        yield Scene(tmp_path_factory.mktemp("scene"), cleanup)


def words(item: Json) -> Json:
    return {key: item[key] for key in WORDS}


def assert_same_words(scene: Scene, outcome: str, told: Told) -> None:
    """Raise unless every place tells the same of a call."""
    account: Account = scene.account
    call = account.wait_for_outcome(told.call_id, timeout_s=PATIENCE_S)
    said = words(call)
    assert said["outcome"] == outcome
    assert words(told.frame) == said
    webhook = scene.receiver.wait_for_outcome(told.call_id, timeout_s=PATIENCE_S)[-1]
    assert words(webhook) == said
    [item] = account.history(told.button_id, told.call_id)
    assert words(item) == said
    for cdr in account.cdrs(call["interaction_id"]):
        assert words(cdr) == said
    listed = [row for row in account.get("cdrs") if row["interaction_id"] == call["interaction_id"]]
    assert len(listed) == len(call["legs"])
    for row in listed:
        assert words(row) == said
    last = account.get("calls", told.call_id, "timeline")[-1]
    timeless = {key: said[key] for key in WORDS[:-1]}
    assert ({key: last[key] for key in timeless}, last["at"]) == (timeless, said["times"]["ended"])
    path = account.path("calls", told.call_id, "events")
    token = {"x-auth-token": scene.client.token}
    with EventSource(scene.node.host, scene.node.http_port, path, token) as stream:
        assert words(list(stream)[-1].data) == said
    assert account.get("channels") == []
    if outcome == "connected":  # the request was answered when the step it waits for had come true
        assert told.answer.expect(200).data["result"] == "success"
    else:
        assert words(told.answer.expect(200).data) == said


@pytest.mark.parametrize("outcome", DECIDED_BY_FIRST)
def test_what_the_far_ends_decide(scene: Scene, outcome: str) -> None:
    button, answer = scene.press(DECIDED_BY_FIRST[outcome], timeout=2)
    frame = scene.next_final_frame()
    data = answer.result(PATIENCE_S).data
    assert_same_words(scene, outcome, Told(data["call_id"], button, answer.result(), frame))


def test_what_a_client_decides(scene: Scene) -> None:
    button, answer = scene.press(RINGS_FOR_EVER, timeout=30)
    [channel] = wait_for(lambda: scene.account.get("channels"), timeout_s=PATIENCE_S, what="a channel")
    scene.account.hang_up(channel["uuid"])
    told = Told(channel["uuid"], button, answer.result(PATIENCE_S), scene.next_final_frame())
    assert_same_words(scene, "canceled", told)


def test_what_a_server_decides_that_stops(tmp_path: Path) -> None:
    with ExitStack() as cleanup:
        scene = Scene(tmp_path, cleanup)
        button, answer = scene.press(RINGS_FOR_EVER, timeout=30)
        wait_for(lambda: scene.account.get("channels"), timeout_s=PATIENCE_S, what="a channel")
        scene.node.ask_to_stop()
        frame = scene.next_final_frame()
        told = Told(frame["origin_call_id"], button, answer.result(PATIENCE_S), frame)
        scene.node.assert_stopped()
        scene.node.start()
        scene.client.login(scene.node.api_key)
        assert_same_words(scene, "platform_error", told)
