"""Ends the legs that a process before this one left at far ends (decision 0008).

An answered leg has its dialog in the journal: it gets the ACK again, the very same, and a BYE. Any other
leg of the plan may have been rung: it gets the CANCEL of the INVITE it would have had. A far end that knows
no such INVITE says 481; one that has answered meanwhile repeats its 200, which is a surplus answer.

A caller has its INVITE in the plan: it is refused with the tag it would have had, and, if our 200 may be out,
hung up as well. Whichever of the two is not its state, it turns down.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol

import msgspec
import structlog

from offhook.calls.commands import EndLostLeg
from offhook.calls.events import LegEnded, LegEvent
from offhook.calls.model import EndpointPlan
from offhook.kernel import Clock
from offhook.sip.client_invite import branch_of
from offhook.sip.commands import InviteRequest
from offhook.sip.config import MAX_RESENT_INVITES
from offhook.sip.dialogs import Dialog
from offhook.sip.errors import RemoteMalformed
from offhook.sip.events import DialogEnded, InviteEnded
from offhook.sip.flows import Flow
from offhook.sip.received_invites import ReceivedInvite
from offhook.sip.records import InviteRecord

from .failover import request_to
from .identities import LegIdentities
from .reasons import bye_headers, reason_of, refusal_headers
from .requests import invite_request
from .resolver import Unresolvable
from .surplus import from_journal
from .transports import SipEndpoint

_log = structlog.get_logger("offhook.engine")

LOOKUP_PAUSES_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Between look-ups of a host name: the name service of a machine that has just started may come later than
we, and without an address the far end rings on. With 5 s for each look-up, a minute at most."""

REFUSAL: Final = 500
"""What a caller is told whose call was lost."""

SILENT_S: Final = 30.0
"""A far end that lets a CANCEL run out (64*T1, 32 s) will not say anything to another one either."""

Route = Callable[[EndpointPlan], Awaitable[list[Flow]]]
"""Tells where the first hop to an endpoint may be. Raises Unresolvable, RemoteMalformed."""


class Reporter(Protocol):
    """What recovery needs of the engine."""

    def report_later(self, event: LegEvent) -> None:
        """Tell the call machine in a later turn of the loop."""
        ...

    def run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run what has to wait."""
        ...


class LostLeg:
    """A leg being ended; `context` of what the core does for it."""

    __slots__ = ("begun_at", "command", "has_several_servers", "pending", "sip_code", "was_answered")

    def __init__(self, command: EndLostLeg) -> None:
        self.command = command
        self.begun_at = 0.0
        """When its CANCEL was sent (monotonic seconds)."""
        self.has_several_servers = False
        """Its name has several servers, any of which may have been rung."""
        self.was_answered = False
        """A far end has answered after all, and is hung up."""
        self.pending = 0
        """INVITEs whose end the core has not told yet."""
        self.sip_code = 0
        """What showed that the far end knew the leg."""


class Recovery:
    """Performs EndLostLeg; every one is followed by one LegEnded."""

    def __init__(
        self,
        reporter: Reporter,
        endpoint: SipEndpoint,
        clock: Clock,
        identities: LegIdentities,
        route: Route,
    ) -> None:
        self._reporter = reporter
        self._endpoint = endpoint
        self._core = endpoint.core
        self._clock = clock
        self._identities = identities
        self._route = route

    def end(self, command: EndLostLeg) -> None:
        """Begin to end a leg."""
        lost = LostLeg(command)
        if command.endpoint.is_caller:
            self._end_caller(lost)
            return
        dialog = self._resume_dialog(command)
        if dialog is None:
            self._reporter.run(self._cancel(lost), f"cancel {command.endpoint.leg_id}")
            return
        dialog.context = lost
        now = self._clock.monotonic()
        self._core.send_ack(dialog, b"", now, branch=self._identities.of(command.endpoint.leg_id).ack_branch)
        self._core.bye(dialog, now, bye_headers(command.hangup_cause))

    def _resume_dialog(self, command: EndLostLeg) -> Dialog | None:
        if not command.dialog:
            return None
        record = from_journal(command.dialog, command.endpoint.leg_id)
        return self._core.resume_dialog(record) if record is not None else None

    def _end_caller(self, lost: LostLeg) -> None:
        command, now = lost.command, self._clock.monotonic()
        record = msgspec.json.decode(command.endpoint.received, type=ReceivedInvite)
        tag = self._identities.of(command.endpoint.leg_id).tag
        dialog = self._resume_dialog(command)
        if dialog is None:
            invite = self._core.resume_received(record, tag, now)
            headers = refusal_headers(command.hangup_cause, REFUSAL)
            self._core.respond(invite, REFUSAL, headers=headers, now=now)
            lost.sip_code = REFUSAL
            if not command.may_be_answered:
                self._finish(lost, "")
                return
            dialog = self._core.resume_dialog(record.dialog(tag))
        dialog.context = lost
        self._core.bye(dialog, now, bye_headers(command.hangup_cause))

    async def _cancel(self, lost: LostLeg) -> None:
        """Cancel the INVITE of the plan, and those it may have become after a challenge."""
        endpoint = lost.command.endpoint
        flows = await self._find(endpoint)
        if not flows:
            self._finish(lost, "")
            return
        resent = MAX_RESENT_INVITES if endpoint.username else 0
        lost.pending = (1 + resent) * len(flows)
        lost.has_several_servers = len(flows) > 1
        lost.begun_at = self._clock.monotonic()
        for flow in flows:
            for cseq in range(1, resent + 2):
                self._cancel_one(lost, flow, cseq=cseq)
        self._endpoint.flush()

    def _cancel_one(self, lost: LostLeg, flow: Flow, *, cseq: int) -> None:
        endpoint, now = lost.command.endpoint, self._clock.monotonic()
        request = invite_request(endpoint, self._identities.of(endpoint.leg_id), flow, b"")
        request = request_to(request, flow, is_one_of=lost.has_several_servers)
        invite = self._core.resume_invite(_record_of(request, cseq), now)
        invite.context = lost
        self._core.cancel(invite, now, reason_of(lost.command.hangup_cause))

    async def _find(self, endpoint: EndpointPlan) -> list[Flow]:
        """Return where a leg may have gone; a name service that fails is asked again for a while."""
        for pause in (*LOOKUP_PAUSES_S, 0.0):
            try:
                return await self._route(endpoint)
            except (Unresolvable, RemoteMalformed) as error:
                reason = str(error)
                if not getattr(error, "may_pass", False):
                    break
            await asyncio.sleep(pause)
        _log.warning("a lost leg has no address", leg_id=endpoint.leg_id, reason=reason)
        return []

    def on_invite_ended(self, lost: LostLeg, event: InviteEnded) -> None:
        """Take the end of one INVITE."""
        if not event.invite.is_unknown:
            lost.sip_code = event.status
        is_silent = self._clock.monotonic() - lost.begun_at > SILENT_S
        has_all = bool(lost.command.endpoint.username)  # then all were cancelled at once
        is_settled = event.response is not None or lost.was_answered or is_silent or has_all
        if event.invite.cseq == 1 and not is_settled:
            # Without credentials there is a second INVITE only after a 422: its CANCEL would surprise others.
            self._cancel_one(lost, event.invite.request.flow, cseq=2)
            self._endpoint.flush()
            return
        lost.pending -= 1
        if lost.pending == 0:
            self._finish(lost, event.reason)

    def on_dialog_ended(self, lost: LostLeg, event: DialogEnded) -> None:
        """Take the end of a dialog from the journal: our BYE was answered, or it crossed the peer's."""
        lost.sip_code = 200
        self._finish(lost, "")

    def _finish(self, lost: LostLeg, reason: str) -> None:
        command = lost.command
        self._reporter.report_later(
            LegEnded(command.endpoint.leg_id, command.hangup_cause, lost.sip_code, reason, by_peer=False)
        )


def _record_of(request: InviteRequest, cseq: int) -> InviteRecord:
    return InviteRecord(
        request_uri=request.request_uri,
        from_=request.from_,
        to=request.to,
        call_id=request.call_id,
        local_tag=request.local_tag,
        cseq=cseq,
        branch=branch_of(request.branch, cseq),
        route_set=request.route_set,
        contact=request.contact,
        transport=request.flow.transport,
        local_address=request.flow.local,
        remote_address=request.flow.remote,
        same_flow=request.same_flow,
        tls=request.flow.tls,
    )
