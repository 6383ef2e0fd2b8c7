"""kill -9 at random instants under load: one outcome per accepted call, webhooks tell it, no leg is left.

OFFHOOK_TEST_KILLS=200 makes a longer run of it; give pytest `-o faulthandler_timeout=0` then.
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Final

import pytest

from .harness import Account, KazooClient, Server, Sipp
from .harness.far_ends import LIVES_THROUGH_CRASHES
from .harness.receiver import RECEIVER_HOST, Receiver
from .harness.waiting import wait_for

pytestmark = pytest.mark.needs("sipp")

KILLS: Final = int(os.environ.get("OFFHOOK_TEST_KILLS", "12"))
CALLERS: Final = 8
LONGEST_LIFE_S: Final = 1.2
"""Of a server under load, from its first call; the shortest is none at all."""
IN_A_ROW: Final = 6
"""Kills without a pause: a server that lives for two seconds only cannot wait for answers that may still
come, and looks for the legs of its predecessors again and again."""
CLEAN_WITHIN_S: Final = 150.0
"""A leg that nobody knows to be over is given up after 64*T1, a call after 100 s; the rest is for machines
that are busy with something else."""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "node"
    folder.mkdir()
    server = Server(folder, OFFHOOK_WEBHOOK_ALLOW=f"{RECEIVER_HOST}/32")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def far_ends(tmp_path: Path) -> Iterator[list[Sipp]]:
    started = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        sipp = Sipp(LIVES_THROUGH_CRASHES, folder, calls=1_000_000, is_forgetful=True)
        sipp.start()
        started.append(sipp)
    yield started
    for sipp in started:
        sipp.stop()


class Callers:
    """Threads that press a button and sometimes end what they began, until the server is gone."""

    def __init__(self, account: Account, button: str, accepted: list[str], dice: random.Random) -> None:
        self._account, self._button, self._accepted = account, button, accepted
        self._stop = threading.Event()
        seeds = [dice.random() for _ in range(CALLERS)]
        self._threads = [threading.Thread(target=self._press, args=(seed,)) for seed in seeds]

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _press(self, seed: float) -> None:
        dice = random.Random(seed)
        while not self._stop.is_set():
            try:
                path = self._account.path("clicktocall", self._button, "connect")
                answer = self._account.client.request("GET", path, query={"contact": "1002"})
                if answer.expect(202, 503).status == 503:  # the node sheds what it cannot place in time
                    time.sleep(0.1)
                    continue
                call_id = str(answer.data["call_id"])
                self._accepted.append(call_id)
                time.sleep(dice.uniform(0, 0.3))
                if dice.random() < 0.4:
                    self._account.client.request("DELETE", self._account.path("calls", call_id))
            except (OSError, ValueError, HTTPException):  # refused, reset, or half an answer
                time.sleep(0.01)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as listening:
        yield listening


def final_outcomes(receiver: Receiver) -> dict[str, set[str]]:
    """Return what was delivered as the outcome of each call."""
    told: dict[str, set[str]] = {}
    for received in list(receiver.received):
        event = received.event
        if event.get("final"):
            told.setdefault(event["origin_call_id"], set()).add(event["outcome"])
    return told


def test_kill_9_at_random_instants(node: Server, far_ends: list[Sipp], receiver: Receiver) -> None:
    dice = random.Random(3)
    client = KazooClient(node.host, node.http_port)
    client.login(node.api_key)
    account = client.create_account("Acme", "acme.test")
    for number, sipp in zip(("1001", "1002"), far_ends, strict=True):
        account.create_extension(number, account.create_static_phone(f"phone{number}", sipp.uri))
    button = account.create_button("1001")
    account.create(
        "webhooks", {"name": "CRM", "uri": receiver.uri, "hook": "channel_destroy", "format": "json"}
    )
    accepted: list[str] = []
    settled, slowest_start_s = 0, 0.0
    for kill in range(1, KILLS + 1):
        with Callers(account, button, accepted, dice):
            time.sleep(dice.uniform(0.0, LONGEST_LIFE_S))
            node.kill()
        killed_at = time.monotonic()
        node.start()
        slowest_start_s = max(slowest_start_s, time.monotonic() - killed_at)
        client.login(node.api_key)
        if kill % IN_A_ROW == 0:
            assert all(
                account.wait_for_outcome(each, timeout_s=CLEAN_WITHIN_S) for each in accepted[settled:]
            )
            settled = len(accepted)
    assert len(accepted) > KILLS

    calls = [account.wait_for_outcome(call_id, timeout_s=CLEAN_WITHIN_S) for call_id in accepted]
    outcomes = Counter(call["outcome"] for call in calls)
    assert outcomes["platform_error"] > KILLS / 2
    assert set(outcomes) <= {"platform_error", "canceled", "connected"}, outcomes
    listed = Counter(
        item["call_id"] for item in account.get("clicktocall", button, "history", paginate="false")
    )
    assert {call_id: listed[call_id] for call_id in accepted} == dict.fromkeys(accepted, 1)
    assert set(listed.values()) == {1}
    wait_for(lambda: account.get("channels") == [], timeout_s=CLEAN_WITHIN_S, what="the last channel to end")
    for sipp in far_ends:
        wait_for(lambda sipp=sipp: not sipp.legs_left(), timeout_s=CLEAN_WITHIN_S, what="the last leg to end")
    outcome_of = {call["call_id"]: {call["outcome"]} for call in calls}
    wait_for(
        lambda: final_outcomes(receiver).keys() >= outcome_of.keys(),
        timeout_s=CLEAN_WITHIN_S,
        what="the last webhook",
    )
    told = final_outcomes(receiver)
    assert {call_id: told[call_id] for call_id in accepted} == outcome_of
    print(
        f"{KILLS} kills, {len(accepted)} accepted calls, outcomes {dict(outcomes)}, {len(receiver.received)} "
        f"webhooks, ready again after {slowest_start_s:.1f} s at most"
    )
