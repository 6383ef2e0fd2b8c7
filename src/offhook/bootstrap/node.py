"""One node of offhook, built from its settings."""

import contextlib
import socket
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

import apsw
import msgspec
from starlette.types import ASGIApp

from offhook.api import ApiServices, ApiSettings, create_app
from offhook.api.server import HttpServer, Refusal
from offhook.api.shedding import Shedding
from offhook.api.websocket import Websockets
from offhook.app.accounts import Accounts, Master, ensure_master, installation_secret
from offhook.app.auth import Auth
from offhook.app.call_limits import CallLimits
from offhook.app.call_recordings import CallRecordings
from offhook.app.call_requests import CallRequests
from offhook.app.call_service import CallService
from offhook.app.call_stream import CallStreams
from offhook.app.call_tokens import CallTokens
from offhook.app.call_transfers import CallTransfers
from offhook.app.carrier_rests import CarrierRests
from offhook.app.channel_events import ChannelEvents
from offhook.app.defence_metrics import DefenceMetrics, Defences
from offhook.app.dial_out import DialOut
from offhook.app.documents import DocumentService
from offhook.app.inbound_calls import InboundCalls
from offhook.app.live_events import LiveEvents
from offhook.app.media import MediaService
from offhook.app.metrics import CallMetrics
from offhook.app.overload import LoopWatch, Overload
from offhook.app.passwords import Passwords
from offhook.app.planning import Planning
from offhook.app.planning.records import record_call
from offhook.app.ports import Engine
from offhook.app.recovery import PasswordRecovery, RecoverySettings
from offhook.app.sip_credentials import SipCredentials
from offhook.app.timers import LoopTimers
from offhook.app.trunks import Trunks
from offhook.app.webhook_dispatcher import WebhookDispatcher
from offhook.app.webhook_lanes import LaneSender
from offhook.app.webhook_service import WebhookService
from offhook.app.webhooks import Subscriptions, WebhookOutbox
from offhook.engines.embedded import EmbeddedEngine
from offhook.engines.embedded.gateway_health import GatewayHealth
from offhook.engines.embedded.inbound import InboundRequests
from offhook.engines.embedded.inbound_invites import InboundInvites
from offhook.engines.embedded.keep_alives import KeepAlives
from offhook.engines.embedded.logins import SipLogins
from offhook.engines.embedded.media_library import is_known
from offhook.engines.embedded.notices import Notices
from offhook.engines.embedded.password_guard import PasswordGuard
from offhook.engines.embedded.registrations import RegistrationService
from offhook.engines.embedded.transports import SipEndpoint
from offhook.engines.workers import Begin, WorkerPool
from offhook.outbound import HttpWebhookSender
from offhook.settings import Settings
from offhook.smtp import SmtpMailer
from offhook.stores.media_files import MediaFolder
from offhook.stores.photo_files import PhotoFolder
from offhook.stores.sqlite import SchemaTooNew, SqliteStore
from offhook.stores.sqlite.exclusive import StoreInUse, own_database
from offhook.system import SystemClock, SystemRandom

from .engine import SipParts, worker_settings

REALM_SUFFIX: Final = "sip.offhook.local"
"""Generated realms end so; they need no DNS: phones are told the server's address."""

WORKER_PROGRAM: Final = "offhook.bootstrap.worker"
"""The module that an engine worker's process runs."""


class _Delivery(NamedTuple):
    """What tells others of events."""

    subscriptions: Subscriptions
    rows: WebhookOutbox
    channel_events: ChannelEvents
    live_events: LiveEvents


class _CallParts(NamedTuple):
    """What runs beside the call service."""

    endpoint: SipEndpoint
    registrations: RegistrationService
    metrics: CallMetrics
    rests: CarrierRests
    streams: CallStreams
    media: MediaService
    recordings: CallRecordings


class Node:
    """One offhook process: store, SIP, media, calls, HTTP. `start()` once, `stop()` is idempotent."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._clock = SystemClock()
        self._random = SystemRandom()
        self._timers = LoopTimers(self._clock)
        self._overload = Overload()
        self._closing = contextlib.AsyncExitStack()
        self.master: Master
        self.calls: CallService
        self.workers: WorkerPool | None = None
        """None: this process does it all."""
        self.http_address: tuple[str, int]
        self.sip_address: tuple[str, int]

    async def start(self) -> None:
        """Open everything, in the order of dependence. Raises OSError, RelayLost, StoreUnusable."""
        settings, clock, random = self.settings, self._clock, self._random
        store = await self._open_store()
        secret = await installation_secret(store.settings, random)
        documents = DocumentService(
            store,
            clock=clock,
            random=random,
            passwords=Passwords(secret),
            realm_suffix=REALM_SUFFIX,
            is_playable=lambda text: is_known(text, Path(settings.data_dir) / "media"),
        )
        self.master = await ensure_master(
            documents,
            store,
            random,
            api_key=settings.master_api_key or None,
            realm=settings.master_realm or None,
        )
        delivery = await self._start_delivery(store, documents)
        parts = await self._start_calls(store, secret, documents, delivery)
        services = self._build_services(store, secret, documents, delivery, parts)
        await self._start_http(services, parts)

    async def stop(self) -> None:
        """End calls, close sockets, write what is queued."""
        await self._closing.aclose()

    # --- parts --------------------------------------------------------------------------------------

    async def _start_delivery(self, store: SqliteStore, documents: DocumentService) -> _Delivery:
        """Begin to send the webhooks that wait; everything written from now on is told to who wants it."""
        subscriptions = Subscriptions(store.documents)
        rows = WebhookOutbox(subscriptions, store.outbox, clock=self._clock, random=self._random)
        await subscriptions.load()
        lanes = LaneSender(
            outbox=store.outbox,
            rows=rows,
            subscriptions=subscriptions,
            sender=HttpWebhookSender(self.settings.webhook_networks),
            documents=documents,
            clock=self._clock,
            random=self._random,
            cluster_id=self.master.account_id,
        )
        dispatcher = WebhookDispatcher(
            outbox=store.outbox,
            rows=rows,
            subscriptions=subscriptions,
            lanes=lanes,
            clock=self._clock,
            timers=self._timers,
        )
        documents.fill(rows)
        documents.observe(subscriptions.observe)
        documents.observe(dispatcher.observe)
        self._closing.push_async_callback(dispatcher.stop)
        await dispatcher.start()
        channel_events = ChannelEvents(node=_node_name())
        channel_events.want(rows.is_wanted)
        return _Delivery(subscriptions, rows, channel_events, _tell_websockets(channel_events, documents))

    async def _start_calls(
        self, store: SqliteStore, secret: str, documents: DocumentService, delivery: _Delivery
    ) -> _CallParts:
        """Open the SIP port, end what a crash left, and take calls."""
        settings, clock = self.settings, self._clock
        metrics, rests = CallMetrics(), CarrierRests(clock)
        self._trunks = Trunks(store.documents)
        documents.observe(self._trunks.observe)
        await self._trunks.load()
        endpoint, registrations, engine = self._build_engine(store, secret, metrics)
        await registrations.start()
        self._closing.push_async_callback(registrations.stop)
        self.calls = CallService(
            engine=engine,
            journal=store.journal,
            timers=self._timers,
            clock=clock,
            limits=CallLimits(
                calls_max=settings.calls_max,
                calls_per_second=settings.calls_per_second,
                overload=self._overload,
            ),
            record=partial(record_call, quirks=settings.quirks),
            observe_accepted=metrics.accepted,
            observe_ended=metrics.ended,
            channel_events=delivery.channel_events,
            outbox=delivery.rows,
            observe_fact=lambda call, entry, fact: streams.note(call, entry, fact),
            observe_refused=rests.note,
        )
        streams = CallStreams(self.calls, store.journal)
        self._closing.callback(self._timers.stop)
        media = MediaService(documents, MediaFolder(Path(settings.data_dir) / "media"))
        recordings = CallRecordings(self.calls.joined, documents, media)
        self.calls.take_recording = recordings.take
        self._closing.push_async_callback(recordings.stop)  # after the calls: their end makes the last ones
        self._closing.push_async_callback(self.calls.stop)
        await self.calls.start()
        await self._watch_peers(documents)
        self.sip_address = endpoint.address
        metrics.watch(
            live_calls=self.calls.count, registrations=registrations.count, sip=endpoint.core.statistics
        )
        if self.workers is not None:
            metrics.watch_workers(self.workers.load)
        return _CallParts(endpoint, registrations, metrics, rests, streams, media, recordings)

    async def _watch_peers(self, documents: DocumentService) -> None:
        """Ask gateways whether they serve, and keep the bindings of phones behind NAT open."""
        documents.observe(self._gateways.observe)
        self._closing.push_async_callback(self._gateways.stop)
        await self._gateways.start()
        self._closing.push_async_callback(self._keep_alives.stop)
        self._keep_alives.start()

    def _build_services(
        self,
        store: SqliteStore,
        secret: str,
        documents: DocumentService,
        delivery: _Delivery,
        parts: _CallParts,
    ) -> ApiServices:
        """Return what the API needs; calls that come in, and REFERs, are planned from now on."""
        settings, clock, random = self.settings, self._clock, self._random
        planning = self._build_planning(store, parts)
        transfers = self._plan_for_phones(planning)
        auth = Auth(
            store,
            clock=clock,
            random=random,
            secret=secret,
            master_account_id=self.master.account_id,
            token_ttl_s=settings.token_ttl_s,
        )
        return ApiServices(
            transfers=transfers,
            store=store,
            auth=auth,
            documents=documents,
            accounts=Accounts(
                store, documents, clock=clock, random=random, master_account_id=self.master.account_id
            ),
            calls=self.calls,
            call_requests=CallRequests(self.calls, planning, clock=clock),
            call_streams=parts.streams,
            call_tokens=CallTokens(secret, clock=clock),
            live_events=delivery.live_events,
            registrations=parts.registrations,
            notices=Notices(parts.endpoint, parts.registrations, clock),
            recovery=self._build_recovery(store, documents, auth),
            media=parts.media,
            recordings=parts.recordings,
            photos=PhotoFolder(Path(settings.data_dir) / "photos"),
            webhooks=WebhookService(
                documents,
                delivery.subscriptions,
                store.outbox,
                delivery.rows,
                clock=clock,
                allowed=settings.webhook_networks,
            ),
            clock=clock,
            random=random,
            node=_node_name(),
            settings=_api_settings(settings),
            unready=lambda: "draining" if self.calls.is_draining else "storage lost" if store.failure else "",
            metrics=parts.metrics.registry,
        )

    def _build_planning(self, store: SqliteStore, parts: _CallParts) -> Planning:
        return Planning(
            documents=store.documents,
            registrations=parts.registrations.bindings,
            random=self._random,
            quirks=self.settings.quirks,
            sip_uri_allow=self.settings.sip_uri_hosts,
            interaction_of=self.calls.interaction_of,
            max_duration_s=self.settings.max_duration_s,
            resting=parts.rests.cause_of,
            is_down=self._gateways.is_down,
        )

    def _plan_for_phones(self, planning: Planning) -> CallTransfers:
        """Let phones and carriers call in, and phones in a call transfer it."""
        dial_out = DialOut(self.calls, clock=self._clock)
        self._invites.calls = InboundCalls(self.calls, planning, dial_out, clock=self._clock)
        self._closing.push_async_callback(self._invites.stop)
        transfers = CallTransfers(
            self.calls.joined, planning, dial_out, clock=self._clock, own_hosts=self._own_hosts
        )
        self.calls.take_referral = transfers.take_referral
        self._closing.push_async_callback(transfers.stop)
        return transfers

    def _build_recovery(self, store: SqliteStore, documents: DocumentService, auth: Auth) -> PasswordRecovery:
        recovery = PasswordRecovery(
            store,
            documents,
            auth,
            _mailer(self.settings),
            RecoverySettings(hosts=self.settings.recovery_host_names),
            clock=self._clock,
            random=self._random,
        )
        self._closing.push_async_callback(recovery.stop)
        return recovery

    async def _start_http(self, services: ApiServices, parts: _CallParts) -> None:
        """Open the API and the websockets."""
        websockets = Websockets(services)
        parts.endpoint.websockets.peer_of = websockets.peer_of
        app = create_app(services, websockets, sip=parts.endpoint.websockets)
        refusal = Shedding(services, self._overload).refusal
        server = await self._serve(app, self.settings.http_port, refusal=refusal)
        if self.settings.websocket_port:
            await self._serve(websockets, self.settings.websocket_port)
        self._closing.callback(parts.streams.stop)  # the server waits for its answers
        self._closing.push_async_callback(self.calls.end_all)  # before: streams and sockets tell the end
        watch = LoopWatch(self._overload)
        watch.start()
        self._closing.callback(watch.stop)
        self.http_address = server.address
        parts.endpoint.announce_websockets(server.address[1])

    async def _serve(self, app: ASGIApp, port: int, *, refusal: Refusal | None = None) -> HttpServer:
        settings = self.settings
        server = HttpServer(
            app,
            settings.http_host,
            port,
            certificate=settings.http_tls_cert,
            key=settings.http_tls_key,
            refusal=refusal,
        )
        await server.start()
        self._closing.push_async_callback(server.stop)
        return server

    async def _open_store(self) -> SqliteStore:
        path = self.settings.sqlite_path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._closing.enter_context(own_database(path))
            store = await SqliteStore.open(path)
        except (apsw.Error, SchemaTooNew, StoreInUse) as error:
            raise OSError(f"the database {path} cannot be used: {error}") from error
        self._closing.push_async_callback(store.close)
        return store

    def _build_engine(
        self, store: SqliteStore, secret: str, metrics: CallMetrics
    ) -> tuple[SipEndpoint, RegistrationService, Engine]:
        settings, clock, random = self.settings, self._clock, self._random
        parts = SipParts(settings, clock, random)
        self._own_hosts = parts.own_hosts
        guard = PasswordGuard()
        logins = SipLogins(
            SipCredentials(store.documents),
            guard,
            clock=clock,
            random=random,
            secret=secret,
            algorithms=settings.sip_digest_algorithms,
        )
        self._closing.callback(logins.stop)
        registrations = RegistrationService(parts.core, logins, store.bindings, clock=clock)
        gate = parts.gate(guard, logins)
        gate.is_overloaded = lambda: not self._overload.has_room(clock.monotonic())
        endpoint = parts.endpoint(gate, on_flow_lost=registrations.flow_lost)
        defences = Defences(
            turned_away=(gate.counts, parts.connections.counts),
            blocked_addresses=lambda: guard.blocked(clock.monotonic()),
            sip_connections=endpoint.connection_count,
            overload=self._overload,
            limits=settings.limits,
        )
        DefenceMetrics(defences).register(metrics.registry)
        invites = self._invites = InboundInvites(parts.core, logins, self._trunks, clock)
        gate.is_trunk = self._trunks.is_trunk
        registrations.flush = invites.flush = endpoint.flush
        inbound = InboundRequests(parts.core, registrations, invites, clock)
        self._keep_alives = KeepAlives(
            endpoint, registrations, clock=clock, interval_s=settings.sip_nat_ping_s
        )
        self._gateways = GatewayHealth(
            endpoint, parts.resolver, store.documents, clock=clock, interval_s=settings.sip_gateway_ping_s
        )
        gate.is_gateway = self._gateways.is_asked
        inbound.on_response = self._gateways.take
        engine = parts.engine(endpoint, inbound, secret)
        return endpoint, registrations, engine if settings.workers == 1 else self._build_pool(engine, secret)

    def _build_pool(self, engine: EmbeddedEngine, secret: str) -> WorkerPool:
        begins = [
            Begin(number, msgspec.json.encode(worker_settings(self.settings, number)), secret)
            for number in range(1, self.settings.workers)
        ]
        self.workers = WorkerPool(engine, begins, program=WORKER_PROGRAM)
        return self.workers


def _tell_websockets(channel_events: ChannelEvents, documents: DocumentService) -> LiveEvents:
    """Return what passes events of calls and documents on to websockets."""
    live_events = LiveEvents()
    channel_events.want(live_events.wants_calls_of)
    channel_events.listen(live_events.note_channel)
    documents.observe(live_events.note_document)
    return live_events


def _api_settings(settings: Settings) -> ApiSettings:
    return ApiSettings(
        rate_bucket=settings.rate_bucket,
        token_costs=settings.token_costs,
        quirks=settings.quirks,
        system_wide_channels=settings.system_wide_channels,
        rate_refill_per_s=settings.rate_refill,
        websockets_per_address=settings.websockets_per_address,
    )


def _mailer(settings: Settings) -> SmtpMailer | None:
    if not settings.smtp_host:
        return None
    return SmtpMailer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        username=settings.smtp_username,
        password=settings.smtp_password,
        sender=settings.mail_from,
    )


def _node_name() -> str:
    """Return a short name that tells machines apart and says nothing about them."""
    return sha256(socket.gethostname().encode()).hexdigest()[:12]
