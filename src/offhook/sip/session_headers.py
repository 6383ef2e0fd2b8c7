"""Session-Expires and Min-SE: what requests and answers say of the session timer (RFC 4028 4, 5, 7, 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from .config import MIN_SESSION_S
from .grammar import parse_digits
from .message import Request, Response

if TYPE_CHECKING:
    from .commands import HeaderLines

MAX_SESSION_S: Final = 2**32 - 1
UAC: Final = "uac"
"""The refresher is whoever sent the request."""
UAS: Final = "uas"
"""The refresher is whoever answers it."""


class SessionExpires(msgspec.Struct, frozen=True):
    """A session interval and who refreshes."""

    interval_s: int
    refresher: str = ""
    """UAC, UAS, or "" for "you choose"."""

    def __str__(self) -> str:
        """Return the header value: `1800;refresher=uac`."""
        return f"{self.interval_s};refresher={self.refresher}" if self.refresher else str(self.interval_s)


def session_lines(interval_s: int, min_s: int, refresher: str = "") -> HeaderLines:
    """Return what a request says: Session-Expires and Min-SE."""
    return (("Session-Expires", str(SessionExpires(interval_s, refresher))), ("Min-SE", str(min_s)))


def session_expires_of(message: Request | Response) -> SessionExpires | None:
    """Return the session interval in a message; None if there is none, or none that can be read."""
    value = message.headers.get("session-expires")
    if value is None:
        return None
    number, *params = value.split(";")
    interval_s = parse_digits(number.strip(), MAX_SESSION_S)
    if interval_s is None:
        return None
    named = {
        name.strip().lower(): text.strip().lower() for name, _, text in (p.partition("=") for p in params)
    }
    refresher = named.get("refresher", "")
    return SessionExpires(interval_s, refresher if refresher in (UAC, UAS) else "")


def min_session_of(message: Request | Response) -> int:
    """Return the shortest interval that a message allows, at least 90 s (5)."""
    value = message.headers.get("min-se") or ""
    found = parse_digits(value.partition(";")[0].strip(), MAX_SESSION_S)
    return max(found or 0, MIN_SESSION_S)


def supports_timer(request: Request) -> bool:
    """Tell whether the sender knows session timers."""
    return request.has_option("supported", "timer")


def is_too_short(request: Request) -> bool:
    """Tell whether a request is to be refused with 422: only senders that know timers may be (9)."""
    asked = session_expires_of(request)
    return asked is not None and asked.interval_s < MIN_SESSION_S and supports_timer(request)


def agreed_session(request: Request, wanted_s: int) -> SessionExpires | None:
    """Return what our 2xx to a request says (9, table 2); None for no timer.

    wanted_s is our own interval: a longer one that was asked for is cut down to it, but never below the
    request's Min-SE.
    """
    asked, supports = session_expires_of(request), supports_timer(request)
    if asked is None and not supports:
        return None
    longest_s = max(wanted_s, min_session_of(request))
    interval_s = longest_s if asked is None else max(MIN_SESSION_S, min(asked.interval_s, longest_s))
    refresher = asked.refresher if asked is not None and asked.refresher else UAC
    return SessionExpires(interval_s, refresher if supports else UAS)


def answer_lines(agreed: SessionExpires) -> HeaderLines:
    """Return what the 2xx says; who must refresh must know how, hence Require."""
    lines = (("Session-Expires", str(agreed)),)
    return (*lines, ("Require", "timer")) if agreed.refresher == UAC else lines
