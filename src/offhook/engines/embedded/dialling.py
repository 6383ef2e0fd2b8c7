"""Ringing a leg: find where it is, open its media, send the INVITE, and the next one if a server is silent.

What the far end says to the INVITE comes to the engine; it asks for the `next` way where RFC 3263 has one.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

import structlog

from offhook.calls import policy
from offhook.calls.model import EndpointPlan
from offhook.kernel import Clock
from offhook.sip.client_invite import ClientInvite
from offhook.sip.errors import LocalOverload, RemoteMalformed, SipError
from offhook.sip.events import InviteEnded
from offhook.sip.flows import WEBSOCKETS, Flow, TlsPeer
from offhook.sip.uri import SipUri

from .call_media import MediaIncompatible
from .failover import SILENCE_S, is_worth_another, request_to
from .identities import LegIdentities
from .legs import EngineLeg, Stage
from .relay import MediaError, RelayFull
from .requests import invite_request
from .resolver import Resolver, Unresolvable
from .transports import SipEndpoint

_log = structlog.get_logger("offhook.engine")


class DialledLegs(Protocol):
    """What dialling needs of the engine."""

    def finish(self, leg: EngineLeg, cause: str, code: int, reason: str, *, by_peer: bool) -> None:
        """Report the end of a leg."""
        ...

    def run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run what has to wait."""
        ...


class Dialling:
    """Sends the INVITEs of legs that we ring. A leg that cannot be rung is finished."""

    def __init__(
        self,
        legs: DialledLegs,
        endpoint: SipEndpoint,
        resolver: Resolver,
        clock: Clock,
        identities: LegIdentities,
    ) -> None:
        self._legs = legs
        self._endpoint = endpoint
        self._core = endpoint.core
        self._resolver = resolver
        self._clock = clock
        self._identities = identities

    def dial(self, leg: EngineLeg) -> None:
        """Begin to ring a leg that was just opened."""
        self._legs.run(self._prepare(leg), f"dial {leg.leg_id}")

    def next(self, leg: EngineLeg, event: InviteEnded) -> bool:
        """Ring the next server of a leg if the last one's answer is worth that; tell whether it is rung."""
        if leg.stage is not Stage.INVITING or len(leg.flows) < 2 or not is_worth_another(event):
            return False
        self._invite(leg, leg.flows[1:])
        return True

    async def flows_to(self, endpoint: EndpointPlan) -> list[Flow]:
        """Return where the first hop may be: the phone's connection, or the servers of Route or URI.

        Raises Unresolvable, RemoteMalformed.
        """
        if endpoint.flow_id:
            flow = self._endpoint.flow(endpoint.flow_id)
            if flow is not None:
                return [flow]
        next_hop = SipUri.parse(
            endpoint.route_set[0].strip("<>") if endpoint.route_set else endpoint.request_uri
        )
        tls = TlsPeer(next_hop.host.strip("[]"), endpoint.tls_ca, endpoint.tls_verify)
        return [
            self._endpoint.flow_to(transport, (address, port), tls if transport == "tls" else None)
            for transport, address, port in await self._resolver.resolve(next_hop)
        ]

    async def _prepare(self, leg: EngineLeg) -> None:
        """Look up the address, open the media port, send the INVITE."""
        try:
            await self._find_and_offer(leg)
        except (Unresolvable, RemoteMalformed) as error:
            _log.info("endpoint unreachable", leg_id=leg.leg_id, reason=str(error))
            self._give_up(leg, "DESTINATION_OUT_OF_ORDER", error)
        except MediaIncompatible as error:
            self._give_up(leg, "INCOMPATIBLE_DESTINATION", error)
        except MediaError as error:
            _log.error("no media for a leg", leg_id=leg.leg_id, reason=str(error))
            self._give_up(leg, "SWITCH_CONGESTION" if isinstance(error, RelayFull) else policy.CRASH, error)
        else:
            if leg.stage is Stage.PREPARING:
                self._invite(leg, leg.flows)
            else:  # it was hung up meanwhile
                self._legs.finish(leg, leg.end_cause, 0, "", by_peer=False)

    async def _find_and_offer(self, leg: EngineLeg) -> None:
        endpoint = leg.command.endpoint
        leg.flows = await self.flows_to(endpoint)
        leg.has_several_servers = len(leg.flows) > 1
        leg.media.face(leg.side, self._core.own_address(leg.flows[0])[0])
        secure = leg.flows[0].transport in WEBSOCKETS
        if leg.makes_offer or (secure and leg.media.has_relay):  # JsSIP does not answer without an offer
            leg.offer = await leg.media.offer(leg.side, endpoint.codecs, secure=secure)

    def _give_up(self, leg: EngineLeg, cause: str, error: Exception) -> None:
        self._legs.finish(leg, cause, 0, str(error), by_peer=False)

    def _invite(self, leg: EngineLeg, flows: Sequence[Flow]) -> None:
        """Send the INVITE to the first of the flows that are left; the others are for its failure."""
        leg.flows = list(flows)
        try:
            offer = leg.offer.to_bytes() if leg.offer else b""
            request = invite_request(leg.command.endpoint, self._identities.of(leg.leg_id), flows[0], offer)
            leg.invite = self._core.invite(
                request_to(request, flows[0], is_one_of=leg.has_several_servers), self._clock.monotonic()
            )
        except SipError as error:
            _log.error("an INVITE cannot be sent", leg_id=leg.leg_id, reason=str(error))
            cause = "SWITCH_CONGESTION" if isinstance(error, LocalOverload) else policy.CRASH
            return self._give_up(leg, cause, error)
        leg.invite.context = leg
        leg.stage = Stage.INVITING
        if len(flows) > 1:
            asyncio.get_running_loop().call_later(SILENCE_S, self._on_silence, leg, leg.invite)
        self._endpoint.flush()

    def _on_silence(self, leg: EngineLeg, invite: ClientInvite) -> None:
        """A server has not said a word: try the next, and let this one know, should it have heard."""
        if leg.invite is invite and leg.stage is Stage.INVITING and not invite.is_heard:
            self._invite(leg, leg.flows[1:])
            self._core.cancel(invite, self._clock.monotonic())
            self._endpoint.flush()
