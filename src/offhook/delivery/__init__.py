"""Webhooks: who is told what, how it is written and signed, when it is tried again. Pure."""

from .model import Delivery, Hook, OutboxRow, Reception
from .payload import PreparedRequest, prepare
from .policy import (
    DISABLED_TOO_MANY,
    FailureCount,
    Verdict,
    new_signing_secret,
    next_attempt_at,
    retry_after_s,
    verdict_of,
    wants_document,
    wants_leg,
    webhook_private,
)
from .targets import is_reachable, parse_networks

__all__ = [
    "DISABLED_TOO_MANY",
    "Delivery",
    "FailureCount",
    "Hook",
    "OutboxRow",
    "PreparedRequest",
    "Reception",
    "Verdict",
    "is_reachable",
    "new_signing_secret",
    "next_attempt_at",
    "parse_networks",
    "prepare",
    "retry_after_s",
    "verdict_of",
    "wants_document",
    "wants_leg",
    "webhook_private",
]
