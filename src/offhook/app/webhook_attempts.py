"""A try to deliver an event, as the attempts API shows it (kazoo-behaviour 10.3)."""

from typing import Final

from offhook.delivery import Delivery, Hook, OutboxRow, PreparedRequest, Verdict, verdict_of
from offhook.delivery.policy import SLOW_WAITS_S
from offhook.directory.model import Json
from offhook.kernel import gregorian_s

BODY_MAX: Final = 8_192
"""Characters of a request's body that an attempt shows."""


def attempt_of(
    hook: Hook,
    row: OutboxRow,
    request: PreparedRequest,
    delivery: Delivery,
    *,
    attempt: int,
    again_at: float | None,
    now: float,
) -> Json:
    """Return an attempt in KAZOO's words; `next_attempt` is ours."""
    item: Json = {
        "hook_id": hook.id,
        "hook_event": row.event,
        "event_id": row.webhook_id,
        "uri": request.uri,
        "method": request.method.lower(),
        "req_headers": request.headers,
        "req_body": request.body[:BODY_MAX].decode("utf-8", "ignore"),
        "try": attempt,
        "timestamp": gregorian_s(now),
        **_outcome(delivery),
    }
    if verdict_of(delivery) is not Verdict.DELIVERED:
        left = hook.retries + len(SLOW_WAITS_S) + 1 - attempt
        item["retries_left"] = left if again_at is not None else "retries exceeded"
    if again_at is not None:
        item["next_attempt"] = gregorian_s(again_at)
    return item


def _outcome(delivery: Delivery) -> Json:
    reception = delivery.reception
    if reception is None:
        return {
            "result": "failure",
            "reason": "kazoo http client error",
            "client_error": delivery.client_error,
        }
    answer: Json = {
        "resp_status_code": str(reception.status),
        "resp_headers": reception.headers,
        "resp_body": reception.body,
    }
    if verdict_of(delivery) is Verdict.DELIVERED:
        return {"result": "success", **answer}
    return {"result": "failure", "reason": "bad response code", **answer}
