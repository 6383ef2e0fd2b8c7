"""The embedded engine and its sockets, built from settings: for a node, and for each of its workers."""

import datetime
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from offhook.engines.embedded import EmbeddedEngine
from offhook.engines.embedded.call_media import CallMediaFactory
from offhook.engines.embedded.connection_limits import ConnectionLimits
from offhook.engines.embedded.dns_client import DnsClient, DnsFailed
from offhook.engines.embedded.engine import Inbound
from offhook.engines.embedded.identities import LegIdentities
from offhook.engines.embedded.logins import SipLogins
from offhook.engines.embedded.media_library import MediaLibrary
from offhook.engines.embedded.own_addresses import OwnAddresses
from offhook.engines.embedded.password_guard import PasswordGuard
from offhook.engines.embedded.redirects import RedirectRules
from offhook.engines.embedded.relay import MediaRelay
from offhook.engines.embedded.resolver import Resolver
from offhook.engines.embedded.rtp_io import RtpIoRelay
from offhook.engines.embedded.sip_gate import SipGate
from offhook.engines.embedded.tls_certificate import own_certificate
from offhook.engines.embedded.tls_contexts import TlsContexts, TlsUnusable
from offhook.engines.embedded.trace import SipTrace
from offhook.engines.embedded.transports import SipEndpoint
from offhook.kernel import Clock, Random
from offhook.settings import Settings
from offhook.sip.config import DEFAULT_ALLOW, UserAgentConfig
from offhook.sip.flows import Flow
from offhook.sip.user_agent import UserAgentCore

_log = structlog.get_logger("offhook.sip")

WORKER_PORT_OFFSET: Final = 10
"""The first worker's SIP port is this far above the node's, where no setting says otherwise: past TLS."""


def worker_settings(settings: Settings, number: int) -> Settings:
    """Return the settings of an engine worker, from 1: ports of its own, and its share of the media ports."""
    base = settings.worker_sip_port or (settings.sip_port and settings.sip_port + WORKER_PORT_OFFSET)
    first, last = media_share(settings, number)
    return msgspec.structs.replace(
        settings,
        sip_port=base and base + number - 1,
        sip_tls_port=0,
        media_ports=f"{first}-{last}",
        master_api_key="",
        smtp_password="",
    )


def media_share(settings: Settings, number: int) -> tuple[int, int]:
    """Return the first and last media port of an engine; 0 is the node's own."""
    first, last = settings.media_port_range
    share = (last + 1 - first) // settings.workers
    return first + number * share, first + (number + 1) * share - 1


class SipParts:
    """What an engine is made of, in the order it is made: core, endpoint, engine."""

    def __init__(self, settings: Settings, clock: Clock, random: Random, *, number: int = 0) -> None:
        """number is that of a worker; its settings are those of `worker_settings`."""
        self._settings = settings
        self._clock = clock
        self._random = random
        self._media_ports = media_share(settings, 0) if number == 0 else settings.media_port_range
        self._addresses = OwnAddresses(
            settings.sip_hosts, advertised=settings.sip_advertised, local_networks=settings.sip_networks
        )
        self._host = self._addresses.default_host
        self.own_hosts = self._addresses.names
        """What peers may know us by."""
        self._trace = SipTrace()
        self.resolver = self._resolver()
        self.connections = ConnectionLimits(settings.sip_connections_per_address)
        self.core = UserAgentCore(
            UserAgentConfig(
                holds_surplus=True,
                advertised={
                    "udp": (self._host, settings.sip_port),
                    "tcp": (self._host, settings.sip_port),
                },
                find_address=self._addresses.of_flow,
                allow=(*DEFAULT_ALLOW, "REGISTER", "REFER"),
                session_expires_s=settings.sip_session_expires_s,
                contact_user="offhook",
            ),
            random,
        )

    def gate(self, guard: PasswordGuard, logins: SipLogins | None) -> SipGate:
        """Return the door of the SIP port, and put it before the core; without logins nobody comes in."""
        settings = self._settings
        gate = SipGate(
            guard,
            logins,
            rate_per_address=settings.sip_rate_per_address,
            rate=settings.sip_rate,
            scanners=settings.sip_scanner_words,
            tls_realms=settings.sip_tls_realm_names,
            is_of_call=self._trace.follows,
        )
        self.core.guard(gate)
        return gate

    def endpoint(self, gate: SipGate, *, on_flow_lost: Callable[[Flow], None] | None = None) -> SipEndpoint:
        """Return the sockets of the core. Raises OSError if TLS cannot be had."""
        settings, clock, trace = self._settings, self._clock, self._trace
        return SipEndpoint(
            self.core,
            clock=clock,
            on_event=lambda event: None,
            host=settings.sip_hosts[0],
            port=settings.sip_port,
            more_hosts=settings.sip_hosts[1:],
            tls=self._tls(),
            tls_port=settings.sip_tls_port,
            addresses=self._addresses,
            admits=gate.admits,
            limits=self.connections,
            on_flow_lost=on_flow_lost,
            trace=lambda direction, data, flow, now: trace.note(
                data, flow, clock.epoch(), outgoing=direction == "out"
            ),
        )

    def engine(self, endpoint: SipEndpoint, inbound: Inbound, secret: str) -> EmbeddedEngine:
        """Return the engine over those sockets; inbound takes what comes without a call of ours."""
        folder = Path(self._settings.data_dir)
        library = MediaLibrary(folder / "media", folder / "media-cache")
        return EmbeddedEngine(
            endpoint=endpoint,
            media=CallMediaFactory(
                self._relay(),
                library,
                clock=self._clock,
                recordings=folder / "media-cache" / "recorded",
            ),
            inbound=inbound,
            resolver=self.resolver,
            trace=self._trace,
            clock=self._clock,
            random=self._random,
            identities=LegIdentities(secret),
            redirects=RedirectRules(self._settings.sip_follow_redirects, self._settings.sip_uri_hosts),
        )

    def _resolver(self) -> Resolver:
        """Return what finds servers; without a name service it knows addresses and the system's files."""
        try:
            dns = DnsClient(self._settings.dns_addresses)
        except DnsFailed as error:
            _log.warning("no name service: SRV and NAPTR are not asked for", reason=str(error))
            dns = None
        return Resolver(dns, random=self._random, families=self._addresses.families)

    def _tls(self) -> TlsContexts:
        """Return the TLS of SIP, with a certificate of its own if none is given. Raises OSError."""
        settings = self._settings
        if settings.sip_tls_cert:
            certificate, key = Path(settings.sip_tls_cert), Path(settings.sip_tls_key)
        else:
            names = dict.fromkeys((socket.gethostname() or self._host, self._host, *settings.sip_hosts))
            now = datetime.datetime.fromtimestamp(self._clock.epoch(), datetime.UTC)
            certificate, key = own_certificate(Path(settings.data_dir) / "tls", tuple(names), now)
        try:
            return TlsContexts(
                certificate,
                key,
                client_ca=Path(settings.sip_tls_client_ca) if settings.sip_tls_client_ca else None,
                trusted_ca=Path(settings.sip_tls_ca) if settings.sip_tls_ca else None,
            )
        except TlsUnusable as error:
            raise OSError(f"TLS for SIP: {error}") from error

    def _relay(self) -> MediaRelay | None:
        settings = self._settings
        if settings.media == "direct":
            return None
        folder = Path(settings.data_dir) / "media-cache"
        folder.mkdir(parents=True, exist_ok=True)
        return RtpIoRelay(
            folder,
            bind_address=self._addresses.media_bind(4),
            bind_address_6=self._addresses.media_bind(6),
            advertised_address=self._host if ":" not in self._host else "",
            ports=self._media_ports,
        )
