"""Sends the rows of a lane one after the other, and decides what follows from each answer."""

import asyncio
from typing import Final

import msgspec
import structlog

from offhook.delivery import (
    DISABLED_TOO_MANY,
    Delivery,
    FailureCount,
    Hook,
    OutboxRow,
    PreparedRequest,
    Verdict,
    next_attempt_at,
    prepare,
    retry_after_s,
    verdict_of,
)
from offhook.delivery.errors import BAD_URI, Undeliverable
from offhook.delivery.policy import DISABLED_GONE
from offhook.kernel import Clock, Random

from .documents import DocumentService
from .errors import RevisionConflict, StorageLost, UnknownDocument
from .outbox import DueLane, Outbox, StoredAttempt, WebhookSender
from .webhook_attempts import attempt_of
from .webhooks import Subscriptions, WebhookOutbox

_log = structlog.get_logger("offhook.webhooks")

REQUESTS_MAX: Final = 512
"""Requests under way on this node: each may hold a socket and some 20 KB for 10 s."""

LANES_PER_HOOK: Final = 8
"""Calls whose events go to one receiver at the same time."""

LANES_WHILE_FAILING: Final = 2
"""To a receiver whose latest answer was none: enough to see that it is back."""

ATTEMPTS_KEPT: Final = 1_000
"""Per webhook, 4 KB each. A hook that fails is stopped at six a minute, so these cover it."""

CLOCK_STEP_S: Final = 1.0
"""A clock that is set back by less changes nothing: the first pause is twice as long."""

ERROR_PAUSE_S: Final = 600.0
"""A row that we cannot send for a fault of ours is left alone for a while."""

DISABLE_TRIES: Final = 3
"""Somebody else may be writing the document."""


class ReceiverHealth:
    """What is known of a receiver."""

    __slots__ = ("_clock_offset", "at_work", "failures", "gate", "is_failing", "paused_until")

    def __init__(self) -> None:
        self.gate = asyncio.Semaphore(LANES_PER_HOOK)
        self.at_work = 0
        """Lanes that send to it now."""
        self.failures = FailureCount()
        self.is_failing = False
        self.paused_until = 0.0
        """It has asked to be left in peace until then (Unix seconds)."""
        self._clock_offset = float("-inf")

    def note_clock(self, offset: float) -> bool:
        """Take Unix time less monotonic time; tell whether the clock was set back: waits became longer."""
        is_back = offset < self._clock_offset - CLOCK_STEP_S
        self._clock_offset = offset
        if is_back:
            self.paused_until = 0.0
        return is_back

    def takes_another(self, now: float) -> bool:
        """Tell whether one more lane may be sent to it now."""
        return now >= self.paused_until and not (self.is_failing and self.at_work >= LANES_WHILE_FAILING)


class _Progress:
    """How far a lane has come."""

    __slots__ = ("attempts", "rows", "through")

    def __init__(self, attempts: int) -> None:
        self.attempts = attempts
        """How often the row at its head was tried."""
        self.through = 0
        """Number of the latest row that is done."""
        self.rows = 0
        """How many are done."""


class LaneSender:
    """Sends lanes that the dispatcher has found due."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        rows: WebhookOutbox,
        subscriptions: Subscriptions,
        sender: WebhookSender,
        documents: DocumentService,
        clock: Clock,
        random: Random,
        cluster_id: str,
    ) -> None:
        self._outbox = outbox
        self._rows = rows
        self._subscriptions = subscriptions
        self._sender = sender
        self._documents = documents
        self._clock = clock
        self._random = random
        self._cluster_id = cluster_id
        self._room = asyncio.Semaphore(REQUESTS_MAX)
        self.is_stopping = False
        """No further row is begun."""

    async def close(self) -> None:
        """Close all connections."""
        await self._sender.close()

    async def send(self, hook_id: str, lane: DueLane, health: ReceiverHealth) -> None:
        """Send the rows of a lane until one has to wait. Never raises.

        None if the receiver has begun to fail meanwhile: the lane stays due.
        """
        async with health.gate:
            if not health.takes_another(self._clock.epoch()):
                return
            health.at_work += 1
            try:
                await self._send_lane(hook_id, lane, health)
            finally:
                health.at_work -= 1

    async def _send_lane(self, hook_id: str, lane: DueLane, health: ReceiverHealth) -> None:
        progress = _Progress(lane.attempts)
        try:
            again_at = await self._send_rows(hook_id, lane, progress, health)
        except Exception:  # the outermost loop of this task
            _log.exception("webhook lane failed", hook_id=hook_id, lane=lane.lane)
            progress.attempts += 1
            again_at = self._clock.epoch() + ERROR_PAUSE_S
        finally:
            if progress.rows:
                self._outbox.advance(hook_id, lane.lane, progress.through, self._clock.epoch())
                self._rows.settled(hook_id, progress.rows)
        if again_at is not None:
            self._outbox.postpone(hook_id, lane.lane, progress.attempts, again_at)

    async def _send_rows(
        self, hook_id: str, lane: DueLane, progress: _Progress, health: ReceiverHealth
    ) -> float | None:
        """Send rows; return when the one that failed is to be tried again, None if all are done."""
        for numbered in lane.rows:
            hook = self._subscriptions.get(hook_id)
            if hook is None or not hook.is_enabled or self.is_stopping:
                return None
            request = prepare(hook, numbered.row, now=self._clock.epoch(), cluster_id=self._cluster_id)
            async with self._room:
                delivery = await self._exchange(request)
            progress.attempts += 1
            again_at = self._judge(hook, numbered.row, request, delivery, progress.attempts, health)
            if again_at is not None:
                await self._stop_if_failing(hook, delivery, health)
                return again_at
            progress.attempts, progress.through = 0, numbered.number
            progress.rows += 1
            await self._stop_if_failing(hook, delivery, health)
        return None

    async def _exchange(self, request: PreparedRequest) -> Delivery:
        try:
            return Delivery(reception=await self._sender.send(request))
        except Undeliverable as error:
            return Delivery(client_error=error.reason)
        except UnicodeError:  # a URI that only the client library finds wrong
            return Delivery(client_error=BAD_URI)

    def _judge(
        self,
        hook: Hook,
        row: OutboxRow,
        request: PreparedRequest,
        delivery: Delivery,
        attempt: int,
        health: ReceiverHealth,
    ) -> float | None:
        """Note an attempt; return when to try the row again, None if it is done with."""
        now, verdict = self._clock.epoch(), verdict_of(delivery)
        health.is_failing = verdict is not Verdict.DELIVERED
        again_at = None
        if verdict is Verdict.AGAIN:
            asked_s = _asked_for(delivery, now)
            health.paused_until = max(health.paused_until, now + asked_s) if asked_s else health.paused_until
            again_at = next_attempt_at(
                attempt, now, retries=hook.retries, jitter=self._jitter(), retry_after_s=asked_s
            )
        if verdict is not Verdict.DELIVERED or hook.log_successes:
            data = attempt_of(hook, row, request, delivery, attempt=attempt, again_at=again_at, now=now)
            stored = StoredAttempt(data={"id": self._random.hex(16), **data}, row=row)
            self._outbox.note_attempt(stored, kept=ATTEMPTS_KEPT)
        if verdict is not Verdict.DELIVERED:
            _log.info("webhook failed", hook_id=hook.id, webhook_id=row.webhook_id, attempt=attempt,
                      verdict=verdict.value, client_error=delivery.client_error)  # fmt: skip
        return again_at

    def _jitter(self) -> float:
        return int(self._random.hex(4), 16) / 0x10000

    # --- stopping a hook ----------------------------------------------------------------------------

    async def _stop_if_failing(self, hook: Hook, delivery: Delivery, health: ReceiverHealth) -> None:
        """Disable a hook that fails too often, or whose receiver says that it is gone (410)."""
        verdict = verdict_of(delivery)
        if verdict is Verdict.DELIVERED:
            return
        if verdict is Verdict.GONE:
            await self._disable(hook, DISABLED_GONE)
            self._outbox.forget(hook.id)
        elif health.failures.note(self._clock.epoch()):
            await self._disable(hook, DISABLED_TOO_MANY)

    async def _disable(self, hook: Hook, reason: str) -> None:
        for _ in range(DISABLE_TRIES):
            try:
                document = await self._documents.read(hook.account_id, hook.id, type="webhook")
                if document.data.get("enabled", True) is not True:
                    return
                disabled = msgspec.structs.replace(document, data={**document.data, "enabled": False})
                await self._documents.keep_private(disabled, {**document.private, "disabled_message": reason})
            except RevisionConflict:
                continue
            except (UnknownDocument, StorageLost) as error:
                _log.warning("webhook cannot be disabled", hook_id=hook.id, reason=str(error))
                return
            _log.warning("webhook disabled", hook_id=hook.id, account_id=hook.account_id, reason=reason)
            return


def _asked_for(delivery: Delivery, now: float) -> float:
    """Return the seconds of peace that an answer asks for."""
    if delivery.reception is None:
        return 0.0
    return retry_after_s(delivery.reception.headers.get("retry-after", ""), now)
