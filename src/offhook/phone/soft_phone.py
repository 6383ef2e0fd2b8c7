"""A soft phone: registers, takes calls as told, and reports all that happens."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from offhook.engines.embedded.transports import SipEndpoint, Trace
from offhook.kernel import Clock, Random
from offhook.sip.config import DEFAULT_ALLOW, UserAgentConfig
from offhook.sip.errors import RemoteMalformed
from offhook.sip.events import (
    AckReceived,
    Cancelled,
    DialogEnded,
    RequestReceived,
    ResponseReceived,
    SipEvent,
)
from offhook.sip.message import Request
from offhook.sip.transactions import ServerTransaction
from offhook.sip.uri import SipUri
from offhook.sip.user_agent import UserAgentCore

from .model import Answering, PhoneEvent, PhoneSettings, Ringing
from .phone_call import PhoneCall
from .registration import Registration

MAX_CALLS: Final = 8
"""At a time; a ninth finds the phone busy."""
MAX_REMEMBERED: Final = 32
"""Calls that are over and can still be asked what was heard."""
MAX_TRANSACTIONS: Final = 256
AUTO_ANSWER_MAX_S: Final = 60
SESSION_EXPIRES_S: Final = 1_800
"""The longest session interval it agrees to: a server that vanished is hung up after that."""
HANG_UP_BOUND_S: Final = 2.0
"""A far end that does not answer BYE is not waited for at the end."""


class SoftPhone:
    """One phone on one port. `start()`, wait for events, `stop()`."""

    def __init__(
        self,
        settings: PhoneSettings,
        *,
        clock: Clock,
        random: Random,
        on_event: Callable[[PhoneEvent], None],
        trace: Trace | None = None,
    ) -> None:
        self.settings = settings
        self.calls: list[PhoneCall] = []
        """Oldest first, those that are over too."""
        self._clock = clock
        self._random = random
        self._on_event = on_event
        self._dialog_ended = asyncio.Event()
        config = UserAgentConfig(
            advertised=dict.fromkeys(("udp", "tcp"), (settings.host, settings.port)),
            user_agent="offhook phone",
            contact_user=settings.username,
            allow=(*DEFAULT_ALLOW, "NOTIFY"),
            session_expires_s=SESSION_EXPIRES_S,
            max_transactions=MAX_TRANSACTIONS,
            max_dialogs=MAX_CALLS + MAX_REMEMBERED,
        )
        self._core = UserAgentCore(config, random)
        self._endpoint = SipEndpoint(
            self._core, clock=clock, on_event=self._take, host=settings.host, port=settings.port, trace=trace
        )
        self._registration = Registration(
            settings, self._endpoint, clock=clock, random=random, report=self._report
        )

    @property
    def is_registered(self) -> bool:
        """Tell whether the server knows us."""
        return self._registration.is_registered

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens for SIP; valid after start()."""
        return self._endpoint.address

    def heard(self, frequency_hz: float) -> float:
        """Return for how many seconds a frequency was heard, over all calls that are remembered."""
        return sum(call.stream.ear.seconds.get(frequency_hz, 0.0) for call in self.calls)

    async def start(self) -> None:
        """Open the port and register. Raises OSError if the port is taken."""
        await self._endpoint.start()
        self._registration.register()

    async def stop(self) -> None:
        """Hang up, leave the registrar, close. Idempotent."""
        for call in self.calls:
            call.hang_up()
        await self._registration.leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HANG_UP_BOUND_S):
                await self._far_ends_clean()
        await self._endpoint.stop()

    async def _far_ends_clean(self) -> None:
        """Wait until no far end has a dialog with us."""
        while any(call.dialog is not None and not call.is_clean for call in self.calls):
            self._dialog_ended.clear()
            await self._dialog_ended.wait()

    # --- what happens -------------------------------------------------------------------------------

    def _report(self, event: PhoneEvent) -> None:
        self._on_event(event)

    def _take(self, event: SipEvent) -> None:
        if isinstance(event, RequestReceived):
            self._take_request(event)
        elif isinstance(event, ResponseReceived):
            if isinstance(event.request.context, PhoneCall):
                event.request.context.take_refer_answer(event.status)
            else:
                self._registration.take(event.request, event.status, event.response)
        elif isinstance(event, AckReceived):
            if (call := self._call_of(event.dialog)) is not None:
                call.take_ack(event.body)
        elif isinstance(event, Cancelled):
            if (call := self._call_of(event.transaction)) is not None:
                call.ended_by_peer(event.request, "canceled")
        elif isinstance(event, DialogEnded):
            if (call := self._call_of(event.dialog)) is not None:
                call.is_clean = True
                call.ended_by_peer(event.request, str(event.reason))
            self._dialog_ended.set()

    def _take_request(self, event: RequestReceived) -> None:
        call = self._call_of(event.dialog) if event.dialog is not None else None
        if event.request.method == "NOTIFY" and call is not None:
            call.take_report(event.transaction)
        elif event.request.method != "INVITE":
            self._core.respond(event.transaction, 200, now=self._clock.monotonic())
        elif event.dialog is None:
            self._ring(event.transaction)
        elif call is not None:
            call.take_reinvite(event.transaction)
        else:
            self._core.respond(event.transaction, 481, now=self._clock.monotonic())

    def _ring(self, transaction: ServerTransaction) -> None:
        settings = self.settings
        call = PhoneCall(
            settings,
            self._endpoint,
            transaction,
            clock=self._clock,
            session_id=str(int(self._random.hex(12), 16)),
            report=self._report,
        )
        name, number = _caller(transaction.request)
        auto_answer_s = auto_answer_after(transaction.request)
        is_asked = auto_answer_s is not None
        live = sum(not other.is_over for other in self.calls)
        self._remember(call)
        self._report(Ringing(call.call_id, name, number, is_asked))
        if settings.answering is Answering.BUSY or live >= MAX_CALLS:
            call.refuse(486, "Busy Here")
        elif settings.answering is Answering.DECLINE:
            call.refuse(603, "Decline")
        elif settings.auto_answer and is_asked:
            call.ring(auto_answer_s)
        else:
            call.ring(settings.answer_after_s if settings.answering is Answering.ANSWER else None)

    def _remember(self, call: PhoneCall) -> None:
        over = [old for old in self.calls if old.is_over]
        for old in over[: max(0, len(over) - MAX_REMEMBERED + 1)]:
            self.calls.remove(old)
        self.calls.append(call)

    def _call_of(self, of: object) -> PhoneCall | None:
        return next((call for call in self.calls if of in (call.dialog, call.transaction)), None)


def auto_answer_after(request: Request) -> float | None:
    """Return after how many seconds a caller asks the phone to pick up by itself, None if it does not.

    `Call-Info: <…>;answer-after=N`, `Alert-Info: …info=alert-autoanswer` or `intercom`, and the URI
    parameter `intercom=true` are what phones know (and what KAZOO and FreeSWITCH send).
    """
    for value in request.headers.get_all("Call-Info"):
        for field in value.split(";")[1:]:
            name, _, number = field.strip().partition("=")
            if name.strip().lower() == "answer-after" and number.strip().isdigit():
                return float(min(int(number), AUTO_ANSWER_MAX_S))
    alert = " ".join(request.headers.get_all("Alert-Info")).lower()
    if "alert-autoanswer" in alert or "intercom" in alert or ";intercom=true" in request.uri.lower():
        return 0.0
    return None


def _caller(request: Request) -> tuple[str, str]:
    """Return name and number of the caller as a display would show them."""
    caller = request.from_
    try:
        return caller.display, SipUri.parse(caller.uri).user or caller.uri
    except RemoteMalformed:
        return caller.display, caller.uri
