"""INFO of phones in calls: a key that was pressed is passed on to the other party."""

from dataclasses import dataclass
from typing import Final, Protocol

from offhook.kernel import Clock
from offhook.sip.commands import HeaderLines
from offhook.sip.errors import SipError
from offhook.sip.events import RequestReceived, ResponseReceived
from offhook.sip.session_timer import GONE
from offhook.sip.transactions import ServerTransaction

from .legs import EngineLeg
from .transports import SipEndpoint

CARRIED: Final = frozenset(("application/dtmf-relay", "application/dtmf"))
"""Bodies that mean the same to every phone: one key that was pressed."""
MAX_BODY_BYTES: Final = 256
"""A key and how long it was held; the longest seen has 40."""
MAX_INFOS: Final = 4
"""INFOs of one phone that wait for the other's answer: nobody presses keys faster than they are answered."""
RETRY_AFTER_S: Final = 2
_PASSED_BACK: Final = frozenset((405, 415, 501))
"""Refusals that tell the phone to press its keys in another way."""


class InfoControl(Protocol):
    """What it needs of the engine."""

    def other_of(self, leg: EngineLeg) -> EngineLeg | None:
        """Return the answered leg that this one talks to, or will."""
        ...


@dataclass(frozen=True, slots=True)
class Passed:
    """An INFO on its way to the other party; `context` of ours."""

    leg: EngineLeg
    other: EngineLeg
    transaction: ServerTransaction


class Infos:
    """Passes keys on, and the other phone's answer back."""

    def __init__(self, legs: InfoControl, endpoint: SipEndpoint, clock: Clock) -> None:
        self._legs = legs
        self._core = endpoint.core
        self._clock = clock

    def take(self, event: RequestReceived) -> None:
        """Pass a key on; other bodies are not known here, and none at all is a probe."""
        leg = event.dialog.context if event.dialog is not None else None
        request = event.request
        if not isinstance(leg, EngineLeg):
            return self._respond(event, 481)
        if not request.body:
            return self._respond(event, 200)
        if request.content_type not in CARRIED or len(request.body) > MAX_BODY_BYTES:
            return self._respond(event, 415, (("Accept", ", ".join(sorted(CARRIED))),))
        other = self._legs.other_of(leg)
        if other is None or other.dialog is None:
            return self._respond(event, 200)  # nobody listens yet
        if leg.infos >= MAX_INFOS:
            return self._respond(event, 503, (("Retry-After", str(RETRY_AFTER_S)),))
        self._pass_on(leg, other, event)

    def _pass_on(self, leg: EngineLeg, other: EngineLeg, event: RequestReceived) -> None:
        assert other.dialog is not None
        body, content_type, now = event.request.body, event.request.content_type, self._clock.monotonic()
        try:
            sent = self._core.request_in_dialog(
                other.dialog, "INFO", now, body=body, content_type=content_type
            )
        except SipError:
            return self._respond(event, 480)
        leg.infos += 1
        sent.context = Passed(leg, other, event.transaction)

    def on_response(self, event: ResponseReceived) -> bool:
        """Give the other party's answer back; False if it is to something else."""
        passed = event.request.context
        if not isinstance(passed, Passed):
            return False
        passed.leg.infos -= 1
        status = event.status if event.status < 300 or event.status in _PASSED_BACK else 480
        self._core.respond(passed.transaction, status, now=self._clock.monotonic())
        if event.status in GONE:
            passed.other.note_gone(event.status)
        return True

    def _respond(self, event: RequestReceived, status: int, headers: HeaderLines = ()) -> None:
        self._core.respond(event.transaction, status, headers=headers, now=self._clock.monotonic())
