"""When a delivery is tried again, what an answer means, which hooks want an event, when one is stopped."""

from base64 import b64encode
from collections import deque
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final

from offhook.kernel import Random

from .model import Delivery, Hook, Json

FAST_WAIT_S: Final = 2.0
"""KAZOO's pause between the tries that `retries` counts."""

SLOW_WAITS_S: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Standard Webhooks specification, delivery schedule: three days after the fast tries."""

JITTER: Final = 0.2
"""A wait is up to this part longer, so that a receiver that comes back is not hit by all at once."""

RETRY_AFTER_MAX_S: Final = 86_400.0
"""A receiver may ask for a day of peace; longer and it would lose events."""

FAILURES_MAX: Final = 6
FAILURES_WITHIN_S: Final = 60.0
"""KAZOO's bound: a hook that fails so often in a minute is stopped."""

DISABLED_TOO_MANY: Final = "too many failed attempts"
"""KAZOO's words; such a hook goes on being recorded for."""

DISABLED_GONE: Final = "the receiver is gone (410)"

ALL: Final = "all"


class Verdict(Enum):
    """What a try has come to."""

    DELIVERED = "delivered"
    AGAIN = "again"
    """No answer, or one that says: not now."""
    REFUSED = "refused"
    """The receiver has understood and will never want this event."""
    GONE = "gone"
    """410: it wants no event any more."""


_NOT_NOW: Final = frozenset({408, 425, 429})


def verdict_of(delivery: Delivery) -> Verdict:
    """Return what an answer means: 2xx delivered, 410 gone, 5xx and 408, 425, 429 again, others refused."""
    if delivery.reception is None:
        return Verdict.AGAIN
    status = delivery.reception.status
    if 200 <= status < 300:
        return Verdict.DELIVERED
    if status == 410:
        return Verdict.GONE
    return Verdict.AGAIN if status >= 500 or status in _NOT_NOW else Verdict.REFUSED


def next_attempt_at(
    attempt: int, failed_at: float, *, retries: int, jitter: float, retry_after_s: float = 0.0
) -> float | None:
    """Return when to try a delivery again, or None to give up.

    attempt is 1 for the first failure; failed_at is epoch seconds; jitter is in [0, 1). After the first try
    come `retries` fast ones, 2 s apart, then nine slow ones: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h,
    24 h (Standard Webhooks specification). Each wait is up to 20 % longer by jitter, and not shorter than
    the receiver asked for.
    """
    slow = attempt - retries - 1
    if slow >= len(SLOW_WAITS_S):
        return None
    wait_s = SLOW_WAITS_S[slow] if slow >= 0 else FAST_WAIT_S
    return failed_at + max(wait_s * (1 + JITTER * jitter), retry_after_s)


def retry_after_s(value: str, now: float) -> float:
    """Return the seconds a Retry-After field asks for (RFC 9110 10.2.3), at most a day; 0 if it is none."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), RETRY_AFTER_MAX_S)
    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(moment - now, 0.0), RETRY_AFTER_MAX_S)


class FailureCount:
    """The latest failures of one hook."""

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at: deque[float] = deque(maxlen=FAILURES_MAX)

    def note(self, now: float) -> bool:
        """Count one; tell whether there were too many in too short a time."""
        self._at.append(now)
        return len(self._at) == FAILURES_MAX and now - self._at[0] <= FAILURES_WITHIN_S


def wants_leg(hook: Hook, event: str, *, is_internal_leg: bool, final: bool) -> bool:
    """Tell whether a hook wants a channel event. It gets the outcome of a call whatever leg came last."""
    if not hook.is_recording or hook.event not in (event, ALL):
        return False
    return hook.include_internal_legs or not is_internal_leg or final


def wants_document(hook: Hook, type: str, action: str) -> bool:
    """Tell whether a hook wants to know of a change to a document."""
    if not hook.is_recording:
        return False
    if hook.event == ALL:
        return True
    wanted_type, wanted_action = hook.custom_data.get("type"), hook.custom_data.get("action")
    return hook.event == "object" and wanted_type in (type, ALL) and wanted_action in (action, ALL)


def new_signing_secret(random: Random) -> str:
    """Return a key in the form of Standard Webhooks: 24 random bytes."""
    return "whsec_" + b64encode(bytes.fromhex(random.hex(48))).decode()


def webhook_private(private: Json, data: Json, *, make_secret: Callable[[], str]) -> Json:
    """Return what clients never see of a webhook that is being written, and take `rotate_secret` from data.

    A hook that is enabled has no reason to be disabled any more (kazoo-behaviour 10.3).
    """
    rotates = data.pop("rotate_secret", False) is True
    kept = dict(private)
    if rotates or "signing_secret" not in kept:
        kept["signing_secret"] = make_secret()
    if data.get("enabled", True) is True:
        kept.pop("disabled_message", None)
    return kept
