"""SIP NOTIFY to registered phones, outside calls and subscriptions (`Event: check-sync` and the like)."""

from typing import Final

import structlog

from offhook.app.ports import PhoneNotice
from offhook.kernel import Clock
from offhook.sip.bindings import Binding
from offhook.sip.commands import OutgoingRequest
from offhook.sip.errors import SipError
from offhook.sip.flows import Flow

from .registrations import RegistrationService
from .transports import SipEndpoint

_log = structlog.get_logger("offhook.notices")

OVER: Final = ("Subscription-State", "terminated;reason=noresource")
"""RFC 6665 4.1.3 wants the field; there is no subscription, and none is to be made of this."""


class Notices:
    """The PhoneNotices port. Whether a phone took it is not asked: it is told again by whoever cares."""

    def __init__(self, endpoint: SipEndpoint, registrations: RegistrationService, clock: Clock) -> None:
        self._endpoint = endpoint
        self._registrations = registrations
        self._clock = clock

    def notify(self, aor: str, notice: PhoneNotice) -> int:
        """Begin to send it to each contact; return how many there are."""
        bindings = self._registrations.bindings(aor)
        for binding in bindings:
            try:
                self._endpoint.core.request(self._request(binding, notice), self._clock.monotonic())
            except SipError as error:
                _log.warning("a NOTIFY cannot be sent", aor=aor, reason=str(error))
        self._endpoint.flush()
        return len(bindings)

    def _request(self, binding: Binding, notice: PhoneNotice) -> OutgoingRequest:
        return OutgoingRequest(
            method="NOTIFY",
            request_uri=binding.contact,
            from_=f"<{binding.aor}>",
            to=f"<{binding.aor}>",
            flow=self._flow(binding),
            route_set=binding.path,
            headers=(("Event", notice.event), OVER),
            body=notice.body,
            content_type=notice.content_type or "text/plain",
        )

    def _flow(self, binding: Binding) -> Flow:
        """Return the way back to where the REGISTER came from: the phone, its NAT, or its proxy."""
        known = self._endpoint.flow(binding.flow_id) if binding.flow_id else None
        return known or self._endpoint.flow_to(
            binding.transport, (binding.received_host, binding.received_port)
        )
