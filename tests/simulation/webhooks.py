"""Webhooks in a world: the real rows, dispatcher and lanes, a receiver that fails, and what it must hear.

The receiver outlives the node. It may take an event and die before it answers, answer that it is busy, or
not answer at all; it is fair: of the tries of one event it spoils FAILURES_MAX at most.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from offhook.app.channel_events import ChannelEvents
from offhook.app.errors import UnknownDocument
from offhook.app.webhook_dispatcher import WebhookDispatcher
from offhook.app.webhook_lanes import LaneSender
from offhook.app.webhooks import Subscriptions, WebhookOutbox
from offhook.delivery import PreparedRequest, Reception
from offhook.delivery.errors import CLOSED, TIMEOUT, Undeliverable
from offhook.directory.keys import WEBHOOK
from offhook.directory.model import Document
from offhook.kernel import Clock, Random

from .virtual_outbox import OutboxOnDisk, VirtualOutbox
from .virtual_time import WorldBroken

HOOK_ID: Final = "hook"
ACCOUNT_ID: Final = "a" * 32
"""The account whose calls it hears."""
FAILURES_MAX: Final = 3
"""The first try and both fast ones fail; the next comes 5 s later. A fourth failure would mean 5 minutes."""

ANSWER_S: Final = 10.0
"""How long the node waits for an answer."""


class Receiver:
    """Takes what webhooks send. `spoils` is the share of requests that go wrong."""

    def __init__(self, dice: random.Random, *, spoils: float = 0.1) -> None:
        self._dice = dice
        self._spoils = spoils
        self._spoilt: Counter[str] = Counter()
        self.taken: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        """Call id → (webhook-id, event) in the order they came, repeated ones too."""

    async def send(self, request: PreparedRequest) -> Reception:
        """Do as the WebhookSender port: the node's request travels, is taken, and its answer travels back."""
        await asyncio.sleep(self._dice.random() * 0.05)
        fate = self._fate(request.headers["webhook-id"])
        if fate == "busy":
            return Reception(status=503)
        if fate != "lost":
            self._take(request)
        await asyncio.sleep(ANSWER_S if fate in ("lost", "silent") else self._dice.random() * 0.05)
        if fate == "dies":
            raise Undeliverable(CLOSED)
        if fate in ("lost", "silent"):
            raise Undeliverable(TIMEOUT)
        return Reception(status=200)

    async def close(self) -> None:
        """Nothing is open."""

    def _fate(self, webhook_id: str) -> str:
        if self._dice.random() >= self._spoils or self._spoilt[webhook_id] >= FAILURES_MAX:
            return "well"
        self._spoilt[webhook_id] += 1
        return self._dice.choice(("busy", "dies", "lost", "silent"))

    def _take(self, request: PreparedRequest) -> None:
        event = json.loads(request.body)
        told = self.taken.setdefault(event["origin_call_id"], [])
        told.append((request.headers["webhook-id"], event))


class Hooks:
    """The webhooks of one process, wired as bootstrap does."""

    def __init__(
        self, outbox: VirtualOutbox, receiver: Receiver, timers: Any, *, clock: Clock, random: Random
    ) -> None:
        self._subscriptions = Subscriptions(OneHook())  # type: ignore[arg-type]
        self.rows = WebhookOutbox(self._subscriptions, outbox, clock=clock, random=random)
        self.channel_events = ChannelEvents()
        self.channel_events.want(self.rows.is_wanted)
        self.dispatcher = WebhookDispatcher(
            outbox=outbox,
            rows=self.rows,
            subscriptions=self._subscriptions,
            lanes=LaneSender(
                outbox=outbox,
                rows=self.rows,
                subscriptions=self._subscriptions,
                sender=receiver,
                documents=OneHook(),  # type: ignore[arg-type]
                clock=clock,
                random=random,
                cluster_id="node",
            ),
            clock=clock,
            timers=timers,
        )

    async def start(self) -> None:
        """Go on with what waits; await it before calls are taken."""
        await self._subscriptions.load()
        await self.dispatcher.start()


class OneHook:
    """The documents: one webhook that wants everything of the account, and cannot be disabled."""

    async def find(self, kind: str, value: str, *, scope: str = "") -> Sequence[Document]:
        if kind != WEBHOOK:
            return ()
        data = {"hook": "all", "uri": "https://receiver.example/", "format": "json"}
        secret = {"signing_secret": "whsec_" + "c2VjcmV0" * 4}
        return [
            Document(
                id=HOOK_ID, account_id=ACCOUNT_ID, type="webhook", data=data, private=secret, created_at=1.0,
                modified_at=1.0,
            )
        ]  # fmt: skip

    async def read(self, account_id: str, document_id: str, *, type: str) -> Document:
        raise UnknownDocument(document_id)


def check_told(receiver: Receiver, outbox: OutboxOnDisk, outcomes: Mapping[str, str]) -> int:
    """Hold what the receiver heard against the outcomes, by call id; return how many events it heard.

    Every event of a call came at least once, first tries in order; a repeated one says the same; one is
    final, the last, and tells the one outcome. Raises WorldBroken.
    """
    left = sum(len(rows) for rows in outbox.lanes.values())
    if left:
        raise WorldBroken(f"{left} events were never delivered")
    for call_id, outcome in outcomes.items():
        _check_call(call_id, receiver.taken.get(call_id, []), outcome)
    return sum(len(told) for told in receiver.taken.values())


def _check_call(call_id: str, told: list[tuple[str, dict[str, Any]]], outcome: str) -> None:
    seen: dict[str, dict[str, Any]] = {}
    for webhook_id, event in told:
        if seen.setdefault(webhook_id, event) != event:
            raise WorldBroken(f"event {event['sequence']} was told in two ways", call_id)
    events = list(seen.values())
    numbers = [event["sequence"] for event in events]
    if numbers != list(range(1, len(events) + 1)):
        raise WorldBroken(f"events {numbers} were delivered, in this order", call_id)
    finals = [event for event in events if event["final"]]
    if [event["sequence"] for event in finals] != numbers[-1:]:
        raise WorldBroken(f"{len(finals)} of {len(events)} events are final", call_id)
    if not finals or finals[0]["outcome"] != outcome:
        raise WorldBroken(f"the receiver was told {[event['outcome'] for event in finals]}", call_id)
