"""A walk through a callflow: the steps found so far, and what must be known to go on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from offhook.app.ports import Document

from .phones import Absent
from .profile import Profile
from .rings import CallerEdit, DeviceRing, Headers, Ring, Route, Step

if TYPE_CHECKING:
    from .routing import Router

MAX_NODES: Final = 64
"""Nodes visited in one walk: a callflow that jumps to itself ends here."""
MAX_STEPS: Final = 24
"""Steps of one party: no caller waits longer."""
MAX_RINGS: Final = 64
"""Devices looked up for one step; what is rung of them is bounded by legs.MAX_LEGS."""


class Walk:
    """The state of one walk."""

    def __init__(
        self,
        *,
        router: "Router",
        number: str,
        captured: str = "",
        payer: Profile,
        caller_number: str = "",
        caller_edit: CallerEdit,
        forwards_left: int,
    ) -> None:
        self.router = router
        self.number = number
        self.captured = captured
        self.payer = payer
        self.caller_number = caller_number
        self.caller_edit = caller_edit
        self.forwards_left = forwards_left
        self.nodes_left = MAX_NODES
        self.ringback = ""
        self._steps: list[Step] = []
        self._words: list[str] = []
        self._cause = ""

    def say(self, words: str) -> None:
        """Add to what people read about the route."""
        self._words.append(words)

    def fail(self, hangup_cause: str) -> None:
        """Note why nothing is rung; the first reason stands."""
        self._cause = self._cause or hangup_cause

    def answer_with(self, hangup_cause: str) -> None:
        """Note the cause that the flow itself prescribes."""
        self._cause = hangup_cause

    def add(self, rings: Sequence[Ring], *, timeout_s: float = 0.0, hunt: str = "") -> None:
        """Add a step, within bounds."""
        if rings and len(self._steps) < MAX_STEPS:
            self._steps.append(Step(rings=tuple(rings[:MAX_RINGS]), timeout_s=timeout_s, hunt=hunt))

    def extend(self, steps: Sequence[Step]) -> None:
        """Add steps that another walk found."""
        self._steps += steps[: MAX_STEPS - len(self._steps)]

    def route(self) -> Route:
        """Return what was found."""
        return Route(
            number=self.number,
            steps=tuple(self._steps),
            words=" → ".join(self._words),
            cause=self._cause or "NO_ROUTE_DESTINATION",
            ringback=self.ringback,
        )

    async def phones(
        self,
        devices: Sequence[Document],
        *,
        is_direct: bool = True,
        follows_forward: bool = True,
        headers: Headers = (),
        alert_info: str = "",
    ) -> tuple[list[Ring], list[Step]]:
        """Return what to ring together for these devices, forwards followed, and the steps to try after."""
        rings: list[Ring] = []
        after: list[Step] = []
        forwarded_to: set[str] = set()
        for device in devices[:MAX_RINGS]:
            if device.id == self.router.dialling.device_id:
                self.say("the phone that calls")
                self.fail("USER_BUSY")
                continue
            found = await self.router.phones.reach(device)
            if isinstance(found, Absent):
                self.say(f"device {device.data.get('name', device.id)} {found.why}")
                self.fail(found.hangup_cause)
            forward, replaces = (
                await self._forward(found, device, forwarded_to, is_direct=is_direct)
                if follows_forward
                else ((), False)
            )
            if isinstance(found, DeviceRing) and not replaces:
                rings.append(
                    msgspec.structs.replace(
                        found, headers=headers, alert_info=alert_info, caller_edit=self.caller_edit
                    )
                )
            if forward:
                rings += forward[0].rings
                after += forward[1:]
        return rings, after

    async def _forward(
        self, found: DeviceRing | Absent, device: Document, forwarded_to: set[str], *, is_direct: bool
    ) -> tuple[tuple[Step, ...], bool]:
        """Return the steps of a device's call forward, and whether it is rung in place of the device."""
        profile = await self.router.phones.profile_of(device)
        forward = profile.call_forward
        away = isinstance(found, Absent) and found.hangup_cause == "USER_NOT_REGISTERED"
        if forward is None or (isinstance(found, Absent) and not away) or self.forwards_left == 0:
            return (), False
        if not (forward.enabled or away) or (forward.direct_calls_only and not is_direct):
            return (), False
        if forward.number in forwarded_to:
            return (), forward.substitute
        forwarded_to.add(forward.number)
        route = await self.router.route_forward(self, forward, profile)
        self.say(f"forwarded to {forward.number} ({route.words})")
        return route.steps, forward.substitute
