"""What comes to the SIP port without a call of ours: registrations, probes, callers."""

from offhook.kernel import Clock
from offhook.sip.events import RequestReceived, SipEvent
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

    def take(self, event: SipEvent) -> None:
        """Answer a request; other events outside our legs need nothing."""
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
