"""Keeping a phone registered: REGISTER, refresh at four fifths of the expiry, leave (RFC 3261 10.2)."""

import asyncio
from collections.abc import Callable
from typing import Final

from offhook.engines.embedded.transports import SipEndpoint
from offhook.kernel import Clock, Random
from offhook.sip.client_request import ClientRequest
from offhook.sip.commands import OutgoingRequest
from offhook.sip.grammar import NameAddr
from offhook.sip.message import Response, parse_expires
from offhook.sip.transaction_layer import bracketed
from offhook.sip.uri import SipUri

from .model import PhoneEvent, PhoneSettings, Registered, RegistrationFailed

REFRESH_AT: Final = 0.8
RETRY_S: Final = 5.0
"""After a failure: soon enough for a person who starts the server second."""
LEAVE_BOUND_S: Final = 2.0
"""A server that is gone is not waited for at the end."""
MIN_EXPIRES_S: Final = 5


class Registration:
    """One binding of one address of record."""

    def __init__(
        self,
        settings: PhoneSettings,
        endpoint: SipEndpoint,
        *,
        clock: Clock,
        random: Random,
        report: Callable[[PhoneEvent], None],
    ) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._clock = clock
        self._report = report
        self._call_id = random.hex(24)
        self._cseq = 1
        self._expires_s = settings.expires_s
        self._request: ClientRequest | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._left: asyncio.Event | None = None
        self.is_registered = False

    @property
    def contact(self) -> str:
        """Where we can be called."""
        settings = self._settings
        host, port = self._endpoint.address
        return f"<sip:{settings.username}@{bracketed(host)}:{port};transport={settings.transport}>"

    def register(self) -> None:
        """Say where we are; the answer comes through `take`."""
        self._send(self._expires_s)

    async def leave(self) -> None:
        """Stop refreshing; if registered, say that we go and wait a moment for the answer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.is_registered:
            return
        self.is_registered = False
        self._left = asyncio.Event()
        self._send(0)
        try:
            async with asyncio.timeout(LEAVE_BOUND_S):
                await self._left.wait()
        except TimeoutError:
            return

    def take(self, request: ClientRequest, status: int, response: Response | None) -> None:
        """Take the final answer to a REGISTER of ours; others are not for us."""
        if request is not self._request:
            return
        self._cseq = request.sent.cseq.number + 1
        if self._left is not None:
            self._left.set()
        elif status == 423 and response is not None and self._longer(response):
            self.register()
        elif 200 <= status < 300 and response is not None:
            self._registered(response)
        else:
            self.is_registered = False
            self._report(RegistrationFailed(status, response.reason if response else "no answer"))
            self._again_in(RETRY_S)

    def _registered(self, response: Response) -> None:
        self.is_registered = True
        granted = self._granted(response)
        self._report(Registered(granted))
        self._again_in(max(granted, MIN_EXPIRES_S) * REFRESH_AT)

    def _granted(self, response: Response) -> int:
        """Return the expiry the server gave our contact."""
        ours = SipUri.parse(NameAddr.parse(self.contact).uri)
        for contact in response.contacts:
            uri = SipUri.parse(contact.uri)
            expires = contact.params.get("expires")
            if (uri.user, uri.host_port) == (ours.user, ours.host_port) and expires:
                return parse_expires(expires)
        return response.expires or self._expires_s

    def _longer(self, response: Response) -> bool:
        """Tell whether the server named a longer expiry than we asked for, and take it."""
        minimum = parse_expires(response.headers.get("Min-Expires") or "0")
        is_longer = self._expires_s < minimum <= 86_400
        if is_longer:
            self._expires_s = minimum
        return is_longer

    def _again_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self.register)

    def _send(self, expires_s: int) -> None:
        settings = self._settings
        address = f"<sip:{settings.username}@{settings.realm}>"
        request = OutgoingRequest(
            method="REGISTER",
            request_uri=f"sip:{settings.realm}",
            from_=address,
            to=address,
            flow=self._endpoint.flow_to(settings.transport, settings.server),
            call_id=self._call_id,
            cseq=self._cseq,
            headers=(("Expires", str(expires_s)),),
            contact=self.contact,
            username=settings.username,
            password=settings.password,
        )
        self._request = self._endpoint.core.request(request, self._clock.monotonic())
        self._endpoint.flush()
