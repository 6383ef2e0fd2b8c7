"""Carriers that asked to be left alone for a while (Retry-After, RFC 3261 20.33), in memory.

A 503 speaks for the whole server; a 480 or 486 for the one number. Meanwhile other ways are taken.
"""

from typing import Final

import msgspec

from offhook.calls.events import LegEnded
from offhook.calls.model import EndpointKind, EndpointPlan
from offhook.kernel import Clock

MAX_REST_S: Final = 300
"""However long a carrier asks for: one header must not shut an account off for a day."""
MAX_RESTS: Final = 10_000
"""Remembered at a time, about 3 MB; beyond that the oldest is forgotten."""
_OF_SERVER: Final = 503
HONOURED: Final = frozenset((480, 486, _OF_SERVER))


class Rest(msgspec.Struct, frozen=True):
    """One that rests."""

    until: float
    """Monotonic seconds."""
    hangup_cause: str
    """What a call that finds nothing else ends with."""


class CarrierRests:
    """Who rests, and until when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rests: dict[str, Rest] = {}

    def note(self, endpoint: EndpointPlan, event: LegEnded) -> None:
        """Take the end of a leg; only carriers that named a time are remembered."""
        if endpoint.kind is not EndpointKind.GATEWAY or not event.retry_after_s:
            return
        if event.sip_code not in HONOURED:
            return
        key = rest_key(endpoint.endpoint_id, endpoint.request_uri, whole_server=event.sip_code == _OF_SERVER)
        until = self._clock.monotonic() + min(event.retry_after_s, MAX_REST_S)
        self._rests.pop(key, None)
        self._rests[key] = Rest(until, event.hangup_cause)
        if len(self._rests) > MAX_RESTS:
            del self._rests[next(iter(self._rests))]

    def cause_of(self, resource_id: str, request_uri: str) -> str:
        """Return the hangup cause of a carrier that rests for a number; empty if it does not."""
        if not self._rests:
            return ""
        now = self._clock.monotonic()
        for whole_server in (True, False):
            key = rest_key(resource_id, request_uri, whole_server=whole_server)
            rest = self._rests.get(key)
            if rest is None:
                continue
            if rest.until > now:
                return rest.hangup_cause
            del self._rests[key]
        return ""


def rest_key(resource_id: str, request_uri: str, *, whole_server: bool) -> str:
    """Return what a rest is remembered by: `resource@server`, or with the number."""
    server = request_uri.rpartition("@")[2].partition(";")[0]
    return f"{resource_id} {server if whole_server else request_uri}"
