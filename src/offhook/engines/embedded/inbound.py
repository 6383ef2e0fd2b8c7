"""What comes to the SIP port without a call of ours: registrations, probes, callers."""

from collections.abc import Callable

from offhook.kernel import Clock
from offhook.sip.events import RequestReceived, ResponseReceived, SipEvent
from offhook.sip.user_agent import UserAgentCore

from .inbound_invites import InboundInvites
from .registrations import RegistrationService


class InboundRequests:
    """Answers requests outside the dialogs of the engine's legs."""

    def __init__(
        self,
        core: UserAgentCore,
        registrations: RegistrationService,
        invites: InboundInvites,
        clock: Clock,
    ) -> None:
        self._core = core
        self._registrations = registrations
        self._invites = invites
        self._clock = clock
        self.on_response: Callable[[ResponseReceived], None] = lambda event: None
        """Set by who asks gateways how they are."""

    def take(self, event: SipEvent) -> None:
        """Answer a request, pass on an answer to one of ours; other events outside our legs need nothing."""
        if isinstance(event, ResponseReceived):
            self.on_response(event)
        if not isinstance(event, RequestReceived):
            return
        method = event.request.method
        if method == "REGISTER":
            self._registrations.take(event)
        elif method == "OPTIONS":
            self._core.respond(event.transaction, 200, now=self._clock.monotonic())
        elif method == "INVITE" and event.dialog is None:
            self._invites.take(event)
        else:
            self._core.respond(event.transaction, 405, now=self._clock.monotonic())
