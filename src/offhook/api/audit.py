"""Audit lines: who asked for which call, and what was refused. A refusal leaves no history item."""

import structlog

from offhook.app.errors import InvalidDocument, UnknownDocument
from offhook.calls.model import CallPlan
from offhook.kernel import OffhookError

from .request import Request

_log = structlog.get_logger("offhook.audit")

EVERYDAY = (InvalidDocument, UnknownDocument)
"""Mistakes of client programs that nobody reads logs for."""


def call_requested(request: Request, plan: CallPlan) -> None:
    """Note who asked for an accepted call."""
    _log.info(
        "call requested",
        call_id=plan.call_id,
        account_id=plan.account_id,
        authorizing_id=plan.authorizing_id,
        **_who(request),
    )


def impersonated(request: Request, user_id: str) -> None:
    """Note that an administrator took a user's place."""
    _log.info("user impersonated", account_id=request.account_id, user_id=user_id, **_who(request))


def refused(request: Request, error: OffhookError) -> None:
    """Note a refusal by policy: credentials, rights, whitelist, throttle, load."""
    if isinstance(error, EVERYDAY):
        return
    _log.info(
        "request refused",
        reason=error.code,
        detail=str(error)[:200],
        route=request.route,
        account_id=request.account_id,
        document_id=request.arguments.get("id", ""),
        **_who(request),
    )


def _who(request: Request) -> dict[str, str]:
    principal = request.principal
    return {
        "request_id": request.request_id,
        "address": request.address,
        "caller": "visitor" if principal is None else principal.owner_id or principal.account_id,
    }
