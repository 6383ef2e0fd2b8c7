"""Far ends that ring the node instead of being rung, and who plans their calls."""

import asyncio
import random
from typing import TYPE_CHECKING, Final

from offhook.app.errors import CallRefused, StorageLost
from offhook.app.planning import InboundRequest
from offhook.directory.model import Document
from offhook.sip.client_invite import ClientInvite
from offhook.sip.commands import InviteRequest
from offhook.sip.events import InviteAnswered, InviteEnded, InviteProgress, SipEvent
from offhook.sip.flows import Flow
from offhook.sip.uri import SipUri

from .far_ends import FarEnd
from .judge import CallRecord
from .network import NODE
from .scenario import Cast, Casting

if TYPE_CHECKING:
    from .world import World

TIMER_B_S: Final = 32.0

CARRIER: Final = Document(
    id="c" * 32, account_id="a" * 32, type="resource", data={}, created_at=0.0, modified_at=0.0
)


class CallerEnd(FarEnd):
    """One caller. Its script says when it gives up, and what it does once it is answered."""

    __slots__ = ("gave_up", "invite", "rang_twice", "refusals")

    invite: ClientInvite | None
    gave_up: bool
    rang_twice: bool
    """Its INVITE came to two processes: the second call is over as soon as the first one's end is known."""
    refusals: list[int]
    """Final answers to its INVITE other than 200."""

    def call(self) -> None:
        """Ring the node."""
        script, now = self.script, self.agenda.now
        self.gave_up, self.rang_twice, self.refusals = False, False, []
        host, port = self.address
        transport = "tcp" if script.tcp else "udp"
        suffix = ";transport=tcp" if script.tcp else ""
        self.invited_at = now
        self.invite = self.core.invite(
            InviteRequest(
                request_uri=f"sip:1001@{NODE[0]}:{NODE[1]}{suffix}",
                from_="<sip:+15551234567@carrier.example.net>",
                to="<sip:1001@acme.example.com>",
                flow=Flow(transport, self.address, NODE),
                body=b"" if script.offers_late else self._sdp(),
                contact=f"<sip:caller@{host}:{port}{suffix}>",
            ),
            now,
        )
        self.agenda.after(script.gives_up_after, self._give_up)
        self.settle()

    def _give_up(self) -> None:
        if self.invite is not None and self.answered_at is None and not self.refusals:
            self.gave_up = True
            self.core.cancel(self.invite, self.agenda.now)
            self.settle()

    def receive(self, data: bytes, flow: Flow) -> None:
        """Take a message; an answer may cross its CANCEL, also that of an INVITE that lost its connection."""
        if data.startswith(b"SIP/2.0 200") and self._heard_by in data:
            self.answered_at = self.answered_at or self.agenda.now
        super().receive(data, flow)

    @property
    def hung_up(self) -> bool:
        """Tell whether it gave up or hung up; its core does that too: no connection, or no answer at all."""
        left = self.gave_up or self.rang_twice or self.lost_connections > 0
        return left or self._waited_in_vain() or super().hung_up

    def _waited_in_vain(self) -> bool:
        """Tell whether its INVITE may have come to the end of timer B, unheard or just before the answer."""
        assert self.invited_at is not None
        until = self.agenda.now if self.answered_at is None else self.answered_at
        return until >= self.invited_at + TIMER_B_S

    @property
    def is_held(self) -> bool:
        """Tell whether it talks; while it waits, its refusal may be on the way."""
        return self.talks

    def _take(self, event: SipEvent, now: float) -> None:
        if isinstance(event, InviteProgress):
            self._hear(event.response.body)
        elif isinstance(event, InviteEnded):
            self.refusals.append(event.status)
        elif isinstance(event, InviteAnswered):
            self._talk(event, now)
        else:
            super()._take(event, now)

    def _talk(self, event: InviteAnswered, now: float) -> None:
        script = self.script
        self.dialog, self.answered_at = event.dialog, now
        self._hear(event.response.body)
        if script.forgets_ack:
            return
        self.core.send_ack(event.dialog, self._sdp() if script.offers_late else b"", now)
        self.acked_at = now
        if script.hangs_up_after is not None:
            self.agenda.after(script.hangs_up_after, self.hang_up)
        if script.reinvites_after is not None:
            self.agenda.after(script.reinvites_after, self._reinvite)


class OneTrunk:
    """All addresses are a carrier's."""

    def at(self, host: str) -> list[Document]:
        """Return the carrier."""
        return [CARRIER]


class InboundDesk:
    """Takes the place of InboundCalls: whom the callers of a world reach."""

    def __init__(self, world: "World", casting: Casting, dice: random.Random) -> None:
        self._world = world
        self._casting = casting
        self._dice = dice
        self._count = 0

    async def by_trunk(self, trunks: list[Document], request: InboundRequest) -> None:
        """Place a caller's call. Raises CallRefused, StorageLost."""
        world, node = self._world, self._world.node
        assert node is not None
        caller = world.network.machines[SipUri.parse(request.contact, "Contact").host, 5060]
        assert isinstance(caller, CallerEnd)
        await asyncio.sleep(self._dice.choice((0.0, 0.0, 0.01, 0.3)))
        cast = Cast(world.make_far_end)
        cast.parties["first"].append(caller)
        self._count += 1
        call_id = f"in-{world.seed:x}-{self._count}"
        plan = self._casting.inbound_plan(call_id, cast, request)
        caller.rang_twice = bool(caller.leg_id)
        caller.leg_id = call_id
        record = CallRecord(
            plan=plan,
            cast=cast,
            has_relay=world.scenario.relay,
            longest_way_s=world.scenario.conditions.delay,
        )
        world.records[call_id] = record
        try:
            await node.calls.place(plan)
        except (CallRefused, StorageLost):
            record.refused = True
            world.statistics["refused"] += 1
            raise
        record.accepted = True
        world.statistics["accepted"] += 1
        world.statistics["came in"] += 1
