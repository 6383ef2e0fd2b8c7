"""Webhooks (kazoo-behaviour 10.1)."""

from typing import Final

from . import shared
from .fields import boolean, choice, document, integer, mapping, text

WEBHOOK_HOOKS: Final = (
    "channel_create",
    "channel_answer",
    "channel_bridge",
    "channel_hold",
    "channel_unhold",
    "channel_destroy",
    "object",
    "all",
)

WEBHOOK: Final = document(
    "A receiver of events",
    {
        "name": shared.name("Name for people"),
        "uri": text("Where events are sent", shortest=1, longest=2_048, check="webhook_uri"),
        "hook": choice("Which events are sent", *WEBHOOK_HOOKS),
        "http_verb": choice("Method of the request", "get", "post", "put", default="post"),
        "format": choice("How post and put are encoded", "form-data", "json", default="form-data"),
        "retries": integer("Fast tries after the first one", least=0, most=4, default=2),
        "enabled": boolean("Events are sent", default=True),
        "include_subaccounts": boolean("Events of the accounts below are sent too"),
        "include_internal_legs": boolean("Events of legs to devices of the account are sent", default=True),
        "custom_data": mapping("Added to every event; `type` and `action` choose documents", most=64),
        "log_successful_attempts": boolean("Deliveries that succeeded are listed as attempts too"),
        "rotate_secret": boolean("Make a new signing secret; not stored"),
    },
    required=("name", "uri", "hook"),
    check="webhook",
)
