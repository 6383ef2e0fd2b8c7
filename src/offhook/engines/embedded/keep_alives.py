"""OPTIONS to phones behind NAT, so that the way back to them stays open (UDP; connections keep themselves).

Spread over the interval: a thousand phones are not asked in one second. Whether one answers is not noted:
phones exist that do not, and a registration runs out by itself.
"""

import asyncio
from typing import Final

import structlog

from offhook.kernel import Clock
from offhook.sip.bindings import Binding
from offhook.sip.commands import OutgoingRequest
from offhook.sip.errors import SipError

from .registrations import RegistrationService
from .transports import SipEndpoint

_log = structlog.get_logger("offhook.sip")

TURN_S: Final = 1.0
"""How often the next share of the phones is asked."""


class KeepAlives:
    """Asks every phone behind NAT once in an interval."""

    def __init__(
        self, endpoint: SipEndpoint, registrations: RegistrationService, *, clock: Clock, interval_s: float
    ) -> None:
        """interval_s 0: nobody is asked."""
        self._endpoint = endpoint
        self._registrations = registrations
        self._clock = clock
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to ask."""
        if self._interval_s:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="keep-alives")

    async def stop(self) -> None:
        """Ask no more. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        turns = max(1, round(self._interval_s / TURN_S))
        while True:
            waiting = self._registrations.behind_nat()
            share = -(-len(waiting) // turns)
            for turn in range(turns):
                for binding in waiting[turn * share : (turn + 1) * share]:
                    self._ask(binding)
                self._endpoint.flush()
                await asyncio.sleep(self._interval_s / turns)

    def _ask(self, binding: Binding) -> None:
        flow = self._endpoint.flow(binding.flow_id)
        if flow is None:
            return
        asked = OutgoingRequest(
            method="OPTIONS",
            request_uri=binding.contact,
            from_=f"<{binding.aor}>",
            to=f"<{binding.aor}>",
            flow=flow,
        )
        try:
            self._endpoint.core.request(asked, self._clock.monotonic())
        except SipError as error:  # it is full: the next round comes soon
            _log.debug("keep-alive not sent", aor=binding.aor, reason=str(error))
