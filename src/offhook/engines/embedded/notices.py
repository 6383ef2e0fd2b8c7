"""SIP NOTIFY to registered phones, outside calls and subscriptions (`Event: check-sync` and the like)."""

from typing import Final

import structlog

from offhook.app.ports import PhoneNotice
from offhook.kernel import Clock
from offhook.sip.bindings import Binding
from offhook.sip.commands import OutgoingRequest
from offhook.sip.errors import SipError
from offhook.sip.flows import Flow
from offhook.sip.uri import SipUri

from .registrations import RegistrationService
from .resolver import Resolver, Unresolvable
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
        self._resolver = Resolver()

    def notify(self, aor: str, notice: PhoneNotice) -> int:
        """Begin to send it to each contact that can be reached; return how many there are."""
        told = 0
        for binding in self._registrations.bindings(aor):
            try:
                flow = self._flow(binding)
                if flow is not None:
                    request = self._request(binding, flow, notice)
                    self._endpoint.core.request(request, self._clock.monotonic())
                    told += 1
            except (SipError, Unresolvable) as error:
                _log.warning("a NOTIFY cannot be sent", aor=aor, reason=str(error))
        self._endpoint.flush()
        return told

    def _request(self, binding: Binding, flow: Flow, notice: PhoneNotice) -> OutgoingRequest:
        return OutgoingRequest(
            method="NOTIFY",
            request_uri=binding.contact,
            from_=f"<{binding.aor}>",
            to=f"<{binding.aor}>",
            flow=flow,
            route_set=binding.path,
            headers=(("Event", notice.event), OVER),
            body=notice.body,
            content_type=notice.content_type or "text/plain",
        )

    def _flow(self, binding: Binding) -> Flow | None:
        """Return the way to the phone: connection or NAT, proxy, or its own address; None if it is gone.

        Where a proxy or contact is known by name only, it is taken to be where the REGISTER came from.
        """
        if binding.flow_id:
            return self._endpoint.flow(binding.flow_id)
        hop = SipUri.parse(binding.path[0].strip("<>") if binding.path else binding.contact)
        target = self._resolver.literal(hop)
        if target is None:
            source = (binding.received_host, binding.received_port)
            return self._endpoint.flow_to(binding.transport, source)
        return self._endpoint.flow_to(target.transport, (target.address, target.port))
