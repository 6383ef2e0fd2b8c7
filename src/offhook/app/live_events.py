"""What websocket clients may listen to, and the events themselves, in KAZOO's words (kazoo-behaviour 11).

A binding is `call.{event}.{call id}` or `object.{action}.{type}[.{id}]`, with `*` for any; `doc.` stands
for `object.`, and the older `{action}.{database}.{type}.{id}` is understood too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from urllib.parse import quote_plus

import msgspec

from offhook.calls.model import CallPlan
from offhook.directory.model import Document, Json
from offhook.kernel import gregorian_s

from .channel_events import ChannelEvent
from .errors import AppError
from .event_bus import EventBus

ANY: Final = "*"

CALL_EVENTS: Final = (
    "CHANNEL_CREATE",
    "CHANNEL_ANSWER",
    "CHANNEL_DESTROY",
    "CHANNEL_HOLD",
    "CHANNEL_UNHOLD",
    "CHANNEL_BRIDGE",
    "PARK_PARKED",
    "PARK_RETRIEVED",
    "PARK_ABANDONED",
)
"""KAZOO's. Nothing is parked here: those bindings stay silent."""

DOCUMENT_ACTIONS: Final = ("doc_created", "doc_edited", "doc_deleted")

BINDING_MAX_CHARACTERS: Final = 300
"""A call id from a foreign system may have 255."""

_encode: Final = msgspec.json.Encoder().encode


class BindingRefused(AppError):
    """Nothing can be bound so. The text is KAZOO's."""

    code: ClassVar[str] = "binding-refused"

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class Binding:
    """What one client wants to hear of one account."""

    account_id: str
    """`*` for all accounts (master only)."""
    text: str
    """As the client wrote it; `subscribed_key` of its events."""
    pattern: tuple[str, ...]
    """Category, name, and what the event is about."""

    @property
    def subscription_key(self) -> str:
        """KAZOO's key with the account in it."""
        category, name, *rest = self.pattern
        if category == "call":
            return ".".join((category, self.account_id, name, *rest))
        return ".".join((name, self.account_id, *rest))

    def matches(self, event: "LiveEvent") -> bool:
        """Tell whether the event is meant; accounts are the caller's matter."""
        return len(self.pattern) == len(event.key) and all(
            wanted == ANY or wanted in found for wanted, found in zip(self.pattern, event.key, strict=True)
        )


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """Something that happened in an account, encoded once for all who listen."""

    account_id: str
    name: str
    """`CHANNEL_CREATE`, `doc_edited`"""
    routing_key: str
    key: tuple[tuple[str, ...], ...]
    """What each part of a binding's pattern may say."""
    data: msgspec.Raw
    """JSON of the event."""


def parse_binding(account_id: str, text: str) -> Binding:
    """Return the binding a client means. Raises BindingRefused."""
    if len(text) > BINDING_MAX_CHARACTERS or not text.isprintable():
        raise BindingRefused("invalid binding")
    category, _, rest = text.partition(".")
    if category == "call":
        return Binding(account_id, text, ("call", *_call_pattern(rest)))
    if category in ("object", "doc"):
        return Binding(account_id, text, ("object", *_object_pattern(rest)))
    if category in DOCUMENT_ACTIONS:
        return Binding(account_id, text, ("object", *_old_object_pattern(category, rest)))
    raise BindingRefused("no available subscriptions to requested binding")


def _call_pattern(rest: str) -> tuple[str, str]:
    name, _, call_id = rest.partition(".")
    if not call_id:
        raise BindingRefused(f"invalid format for call subscription : {rest}")
    if name != ANY and name not in CALL_EVENTS:
        raise BindingRefused(f"event {name} not supported")
    return name, call_id


def _object_pattern(rest: str) -> tuple[str, str, str]:
    """Take action and type in either order: KAZOO's versions differ."""
    parts = rest.split(".")
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise BindingRefused(f"invalid format for object subscription : {rest}")
    action, type = parts[:2]
    if type in DOCUMENT_ACTIONS:
        action, type = type, action
    if action != ANY and action not in DOCUMENT_ACTIONS:
        raise BindingRefused(f"event {action} not supported")
    return action, type, parts[2] if len(parts) == 3 else ANY


def _old_object_pattern(action: str, rest: str) -> tuple[str, str, str]:
    """Take `{database}.{type}.{id}`; the account is the one of the request, whatever the database says."""
    parts = rest.split(".")
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise BindingRefused(f"invalid format for object subscription : {action}.{rest}")
    return action, parts[1], parts[2] if len(parts) == 3 else ANY


def encode_key(text: str) -> str:
    """Return one part of a routing key: `a@10.0.0.5` becomes `a%4010%2E0%2E0%2E5`, a space `+`."""
    return quote_plus(text, safe="").replace(".", "%2E").replace("~", "%7E")


class LiveEvents:
    """Passes events of calls and documents on to who listens to their account."""

    def __init__(self) -> None:
        self._bus: EventBus[LiveEvent] = EventBus()

    def listen(self, account_id: str, listener: Callable[[LiveEvent], None]) -> Callable[[], None]:
        """Call listener with every event of the account, or of all for `*`. Returns what ends it."""
        return self._bus.listen(account_id, listener)

    def wants_calls_of(self, plan: CallPlan) -> bool:
        """Tell whether anybody listens to a call's account. For ChannelEvents.want."""
        return self._is_heard(plan.account_id)

    def note_channel(self, event: ChannelEvent) -> None:
        """Take a channel event. For ChannelEvents.listen."""
        if not self._is_heard(event.account_id):
            return
        leg_id = str(event.data["call_id"])
        about = (leg_id, encode_key(leg_id), event.call_id, encode_key(event.call_id))
        self._publish(
            event.account_id,
            name=event.name,
            routing_key=f"call.{event.account_id}.{event.name}.{encode_key(leg_id)}",
            key=(("call",), (event.name,), about),
            data=event.data,
        )

    def note_document(self, document: Document, before: Document | None) -> None:
        """Take a written document. For DocumentService.observe."""
        if not self._is_heard(document.account_id):
            return
        action = _action_of(document, before)
        self._publish(
            document.account_id,
            name=action,
            routing_key=f"{action}.{document.account_id}.{document.type}.{encode_key(document.id)}",
            key=(("object",), (action,), (document.type,), (document.id,)),
            data=_document_data(document, action),
        )

    def _is_heard(self, account_id: str) -> bool:
        bus = self._bus
        return bool(bus.count) and bool(bus.listeners(account_id) or bus.listeners(ANY))

    def _publish(self, account_id: str, *, data: Json, **parts: Any) -> None:
        event = LiveEvent(account_id=account_id, data=msgspec.Raw(_encode(data)), **parts)
        self._bus.publish(account_id, event)
        self._bus.publish(ANY, event)


def _action_of(document: Document, before: Document | None) -> str:
    if document.deleted:
        return "doc_deleted"
    return "doc_created" if before is None else "doc_edited"


def _document_data(document: Document, action: str) -> Json:
    """Return KAZOO's configuration event: which document, never what is in it."""
    return {
        "id": document.id,
        "type": document.type,
        "account_id": document.account_id,
        "rev": document.revision,
        "action": action,
        "is_soft_deleted": document.deleted,
        "date_created": gregorian_s(document.created_at),
        "date_modified": gregorian_s(document.modified_at),
        "timestamp": gregorian_s(document.modified_at),
        "event_name": action,
        "event_category": "configuration",
        "app_name": "offhook",
    }
