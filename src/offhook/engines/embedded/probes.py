"""A SIP port that only places calls: it answers probes, and takes neither registrations nor calls."""

from offhook.kernel import Clock
from offhook.sip.events import RequestReceived, SipEvent
from offhook.sip.user_agent import UserAgentCore


class OnlyProbes:
    """Answers what comes to the port of an engine worker without a call of ours."""

    def __init__(self, core: UserAgentCore, clock: Clock) -> None:
        self._core = core
        self._clock = clock

    def take(self, event: SipEvent) -> None:
        """Answer OPTIONS; send everything else away."""
        if isinstance(event, RequestReceived):
            status = 200 if event.request.method == "OPTIONS" else 403
            self._core.respond(event.transaction, status, now=self._clock.monotonic())
