"""Webhooks by account, and what they are to be told: rows of the outbox."""

from collections.abc import Callable, Collection, Iterable, Sequence
from hashlib import blake2b
from typing import Final

import msgspec
import structlog

from offhook.calls.model import CallPlan
from offhook.delivery import (
    DISABLED_TOO_MANY,
    Hook,
    OutboxRow,
    wants_document,
    wants_leg,
)
from offhook.directory.keys import ANCESTOR, WEBHOOK
from offhook.directory.model import Document, Json
from offhook.directory.schemas.webhooks import WEBHOOK_HOOKS
from offhook.kernel import Clock, Random

from .channel_events import BRIDGE, DESTROY, ChannelEvent
from .outbox import Outbox
from .ports import Documents

_log = structlog.get_logger("offhook.webhooks")

CALL_HOOKS: Final = frozenset(WEBHOOK_HOOKS) - {"object"}

ROWS_PER_HOOK_MAX: Final = 100_000
"""Events that wait for one receiver, 200 MB on the disk; further ones are lost to it, and that is logged."""

ACCOUNTS_KNOWN_MAX: Final = 50_000
"""Accounts whose hooks are remembered, 100 bytes for one that has none; then all are looked up anew."""

_BASE: Final = (
    "account_id", "authorizing_id", "authorizing_type", "call_direction", "call_forwarded", "call_id",
    "callee_id_name", "callee_id_number", "caller_id_name", "caller_id_number", "custom_channel_vars",
    "custom_application_vars", "from", "interaction_id", "is_internal_leg", "leg_party", "leg_side",
    "origin_call_id", "other_leg_call_id", "owner_id", "request", "timestamp", "to", "sequence", "final",
)  # fmt: skip
_MORE: Final = {
    BRIDGE: ("original_number", "other_leg_destination_number"),
    DESTROY: (
        "hangup_cause", "hangup_code", "duration_seconds", "ringing_seconds", "billing_seconds",
        "outcome", "party", "side", "by", "sip_code", "sip_reason", "times",
    ),
}  # fmt: skip
"""KAZOO's keys of each hook (kazoo-behaviour 10.4), and ours beside them."""

_encode = msgspec.json.Encoder().encode


def call_payload(event: ChannelEvent) -> Json:
    """Return what a webhook says of a channel event: a part of the whole, in KAZOO's words."""
    data = event.data
    keys = _BASE + _MORE.get(event.name, ())
    payload: Json = {"hook_event": event.name.lower()}
    payload.update((key, data[key]) for key in keys if key in data)
    payload.setdefault("is_internal_leg", event.is_internal_leg)
    return payload


def object_payload(document: Document, action: str) -> Json:
    """Return what a webhook says of a changed document."""
    return {"account_id": document.account_id, "action": action, "id": document.id, "type": document.type}


def hook_of(document: Document) -> Hook:
    """Return a webhook document as delivery needs it."""
    data, private = document.data, document.private
    enabled = data.get("enabled", True) is True
    return Hook(
        id=document.id,
        account_id=document.account_id,
        event=data["hook"],
        uri=data["uri"],
        verb=data.get("http_verb", "post"),
        format=data.get("format", "form-data"),
        retries=data.get("retries", 2),
        include_subaccounts=data.get("include_subaccounts", False),
        include_internal_legs=data.get("include_internal_legs", True),
        custom_data=data.get("custom_data", {}),
        secret=private["signing_secret"],
        is_enabled=enabled,
        is_recording=enabled or private.get("disabled_message") == DISABLED_TOO_MANY,
        log_successes=data.get("log_successful_attempts", False),
    )


class Subscriptions:
    """All webhooks of the installation, by the accounts whose events they get.

    `load` once; then tell `observe` of every written document, and await `refresh` after webhooks were
    written, before anybody is told that they are.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._hooks: dict[str, Hook] = {}
        self._below: dict[str, set[str]] = {}  # accounts below those that want their events too
        self._by_account: dict[str, tuple[Hook, ...]] = {}

    async def load(self) -> None:
        """Read all webhooks."""
        for document in await self._documents.find(WEBHOOK, ""):
            self._hooks[document.id] = hook_of(document)
        await self.refresh()

    async def refresh(self) -> None:
        """Find the accounts below those that have begun to want their events."""
        for account_id in {hook.account_id for hook in self._hooks.values() if hook.include_subaccounts}:
            if account_id not in self._below:
                below = await self._documents.find(ANCESTOR, account_id)
                self._below[account_id] = {document.id for document in below}
                self._by_account.clear()

    def observe(self, document: Document, before: Document | None) -> None:
        """Take note of a document that was written."""
        if document.type == "account":
            self.note_account(document)
            return
        if document.type != "webhook":
            return
        if document.deleted:
            self._hooks.pop(document.id, None)
        else:
            self._hooks[document.id] = hook_of(document)
        self._by_account.clear()

    def note_account(self, account: Document) -> None:
        """Take note of an account and its place in the tree."""
        self._by_account.pop(account.id, None)
        if account.deleted:
            self._hooks = {id: hook for id, hook in self._hooks.items() if hook.account_id != account.id}
            self._below.pop(account.id, None)
            self._by_account.clear()
            return
        for ancestor in account.private.get("tree", ()):
            if ancestor in self._below:
                self._below[ancestor].add(account.id)

    def get(self, hook_id: str) -> Hook | None:
        """Return a webhook."""
        return self._hooks.get(hook_id)

    def all_of(self, account_ids: Collection[str]) -> list[Hook]:
        """Return the webhooks that belong to these accounts, disabled ones too."""
        return [hook for hook in self._hooks.values() if hook.account_id in account_ids]

    def of_account(self, account_id: str) -> tuple[Hook, ...]:
        """Return the webhooks that get an account's events and are kept for: its own, and of those above."""
        if not self._hooks:
            return ()
        found = self._by_account.get(account_id)
        if found is None:
            if len(self._by_account) >= ACCOUNTS_KNOWN_MAX:
                self._by_account.clear()
            found = self._by_account[account_id] = tuple(
                hook for hook in self._hooks.values() if hook.is_recording and self._reaches(hook, account_id)
            )
        return found

    def _reaches(self, hook: Hook, account_id: str) -> bool:
        if hook.account_id == account_id:
            return True
        return hook.include_subaccounts and account_id in self._below.get(hook.account_id, ())


class WebhookOutbox:
    """Makes outbox rows: the CallOutbox of the call service, and that of the document service."""

    def __init__(self, subscriptions: Subscriptions, outbox: Outbox, *, clock: Clock, random: Random) -> None:
        self._subscriptions = subscriptions
        self._outbox = outbox
        self._clock = clock
        self._random = random
        self._waiting: dict[str, int] = {}
        self._notice: Callable[[str], None] = lambda hook_id: None

    async def load(self) -> list[str]:
        """Count what waits; return the hooks that have something to do."""
        self._waiting = await self._outbox.waiting()
        return list(self._waiting)

    def on_rows(self, notice: Callable[[str], None]) -> None:
        """Call notice with the id of a hook whenever there is something new for it in the store."""
        self._notice = notice

    def settled(self, hook_id: str, rows: int) -> None:
        """Take note that rows have left the outbox."""
        self._waiting[hook_id] = max(self._waiting.get(hook_id, 0) - rows, 0)

    # --- what calls bring ---------------------------------------------------------------------------

    def is_wanted(self, plan: CallPlan) -> bool:
        """Tell whether any webhook wants to know of a call."""
        return any(hook.event in CALL_HOOKS for hook in self._subscriptions.of_account(plan.account_id))

    def rows(self, events: Sequence[ChannelEvent]) -> Sequence[OutboxRow]:
        """Return what is to be stored with a fact."""
        if not events:
            return ()
        return [row for event in events for row in self._rows_of_event(event)]

    def _rows_of_event(self, event: ChannelEvent) -> Iterable[OutboxRow]:
        name = event.name.lower()
        hooks = [
            hook
            for hook in self._subscriptions.of_account(event.account_id)
            if wants_leg(hook, name, is_internal_leg=event.is_internal_leg, final=event.final)
        ]
        if not hooks:
            return ()
        payload = _encode(call_payload(event))
        mark = f"{event.call_id}/{event.sequence}"
        return self._rows(hooks, lane=event.call_id, event=name, mark=mark, payload=payload)

    def stored(self, rows: Sequence[OutboxRow]) -> None:
        """Begin to send what was stored."""
        if not rows:
            return
        for row in rows:
            self._waiting[row.hook_id] = self._waiting.get(row.hook_id, 0) + 1
        for hook_id in {row.hook_id for row in rows}:
            self._notice(hook_id)

    # --- what documents bring -----------------------------------------------------------------------

    def rows_of_document(self, document: Document, before: Document | None) -> Sequence[OutboxRow]:
        """Return what is to be stored with a document."""
        if document.type == "account" and before is None:
            self._subscriptions.note_account(document)
        action = "doc_deleted" if document.deleted else "doc_created" if before is None else "doc_edited"
        hooks = [
            hook
            for hook in self._subscriptions.of_account(document.account_id)
            if wants_document(hook, document.type, action)
        ]
        if not hooks:
            return ()
        payload = _encode(object_payload(document, action))
        mark = self._random.hex(32)
        return self._rows(hooks, lane=document.id, event="object", mark=mark, payload=payload)

    def _rows(
        self, hooks: Sequence[Hook], *, lane: str, event: str, mark: str, payload: bytes
    ) -> list[OutboxRow]:
        now = self._clock.epoch()
        return [
            OutboxRow(
                hook_id=hook.id,
                account_id=hook.account_id,
                lane=lane,
                webhook_id=webhook_id(hook.id, mark),
                event=event,
                created_at=now,
                payload=payload,
            )
            for hook in hooks
            if self._has_room(hook.id, lane)
        ]

    def _has_room(self, hook_id: str, lane: str) -> bool:
        if self._waiting.get(hook_id, 0) < ROWS_PER_HOOK_MAX:
            return True
        _log.error("event lost: too many wait for the webhook", hook_id=hook_id, lane=lane)
        return False


def webhook_id(hook_id: str, mark: str) -> str:
    """Return the id of an event for a hook: the same whenever and wherever it is made from the journal."""
    return f"msg_{blake2b(f'{hook_id}/{mark}'.encode(), digest_size=16).hexdigest()}"
