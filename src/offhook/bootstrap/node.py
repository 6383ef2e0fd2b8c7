"""One node of offhook, built from its settings."""

import contextlib
import socket
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

import apsw
import msgspec

from offhook.api import ApiServices, ApiSettings, create_app
from offhook.api.server import HttpServer
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
        subscriptions = Subscriptions(store.documents)
        webhook_rows = WebhookOutbox(subscriptions, store.outbox, clock=clock, random=random)
        await self._start_webhooks(store, documents, subscriptions, webhook_rows)
        channel_events = ChannelEvents(node=_node_name())
        channel_events.want(webhook_rows.is_wanted)
        live_events = _tell_websockets(channel_events, documents)
        metrics = CallMetrics()
        rests = CarrierRests(clock)
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
            channel_events=channel_events,
            outbox=webhook_rows,
            observe_fact=lambda call, entry, fact: call_streams.note(call, entry, fact),
            observe_refused=rests.note,
        )
        call_streams = CallStreams(self.calls, store.journal)
        self._closing.callback(self._timers.stop)
        media = MediaService(documents, MediaFolder(Path(settings.data_dir) / "media"))
        recordings = CallRecordings(self.calls.joined, documents, media)
        self.calls.take_recording = recordings.take
        self._closing.push_async_callback(recordings.stop)  # after the calls: their end makes the last ones
        self._closing.push_async_callback(self.calls.stop)
        await self.calls.start()
        documents.observe(self._gateways.observe)
        self._closing.push_async_callback(self._gateways.stop)
        await self._gateways.start()
        self._closing.push_async_callback(self._keep_alives.stop)
        self._keep_alives.start()
        self.sip_address = endpoint.address
        metrics.watch(
            live_calls=self.calls.count, registrations=registrations.count, sip=endpoint.core.statistics
        )
        if self.workers is not None:
            metrics.watch_workers(self.workers.load)
        planning = Planning(
            documents=store.documents,
            registrations=registrations.bindings,
            random=random,
            quirks=settings.quirks,
            sip_uri_allow=settings.sip_uri_hosts,
            interaction_of=self.calls.interaction_of,
            max_duration_s=settings.max_duration_s,
            resting=rests.cause_of,
            is_down=self._gateways.is_down,
        )
        dial_out = DialOut(self.calls, clock=clock)
        self._invites.calls = InboundCalls(self.calls, planning, dial_out, clock=clock)
        self._closing.push_async_callback(self._invites.stop)
        auth = Auth(
            store,
            clock=clock,
            random=random,
            secret=secret,
            master_account_id=self.master.account_id,
            token_ttl_s=settings.token_ttl_s,
        )
        recovery = PasswordRecovery(
            store,
            documents,
            auth,
            _mailer(settings),
            RecoverySettings(hosts=settings.recovery_host_names),
            clock=clock,
            random=random,
        )
        self._closing.push_async_callback(recovery.stop)
        transfers = CallTransfers(
            self.calls.joined, planning, dial_out, clock=clock, own_hosts=self._own_hosts
        )
        self.calls.take_referral = transfers.take_referral
        self._closing.push_async_callback(transfers.stop)
        services = ApiServices(
            transfers=transfers,
            store=store,
            auth=auth,
            documents=documents,
            accounts=Accounts(
                store, documents, clock=clock, random=random, master_account_id=self.master.account_id
            ),
            calls=self.calls,
            call_requests=CallRequests(self.calls, planning, clock=clock),
            call_streams=call_streams,
            call_tokens=CallTokens(secret, clock=clock),
            live_events=live_events,
            registrations=registrations,
            notices=Notices(endpoint, registrations, clock),
            recovery=recovery,
            media=media,
            recordings=recordings,
            photos=PhotoFolder(Path(settings.data_dir) / "photos"),
            webhooks=WebhookService(
                documents,
                subscriptions,
                store.outbox,
                webhook_rows,
                clock=clock,
                allowed=settings.webhook_networks,
            ),
            clock=clock,
            random=random,
            node=_node_name(),
            settings=ApiSettings(
                rate_bucket=settings.rate_bucket,
                token_costs=settings.token_costs,
                quirks=settings.quirks,
                system_wide_channels=settings.system_wide_channels,
                rate_refill_per_s=settings.rate_refill,
                websockets_per_address=settings.websockets_per_address,
            ),
            unready=lambda: "draining" if self.calls.is_draining else "storage lost" if store.failure else "",
            metrics=metrics.registry,
        )
        websockets = Websockets(services)
        endpoint.websockets.peer_of = websockets.peer_of
        server = HttpServer(
            create_app(services, websockets, sip=endpoint.websockets),
            settings.http_host,
            settings.http_port,
            certificate=settings.http_tls_cert,
            key=settings.http_tls_key,
            refusal=Shedding(services, self._overload).refusal,
        )
        await server.start()
        self._closing.push_async_callback(server.stop)
        if settings.websocket_port:
            sockets_only = HttpServer(
                websockets,
                settings.http_host,
                settings.websocket_port,
                certificate=settings.http_tls_cert,
                key=settings.http_tls_key,
            )
            await sockets_only.start()
            self._closing.push_async_callback(sockets_only.stop)
        self._closing.callback(call_streams.stop)  # the server waits for its answers
        self._closing.push_async_callback(self.calls.end_all)  # before: streams and sockets tell the end
        watch = LoopWatch(self._overload)
        watch.start()
        self._closing.callback(watch.stop)
        self.http_address = server.address
        endpoint.announce_websockets(server.address[1])

    async def stop(self) -> None:
        """End calls, close sockets, write what is queued."""
        await self._closing.aclose()

    # --- parts --------------------------------------------------------------------------------------

    async def _start_webhooks(
        self,
        store: SqliteStore,
        documents: DocumentService,
        subscriptions: Subscriptions,
        rows: WebhookOutbox,
    ) -> None:
        """Begin to send what waits; everything written from now on is told."""
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
