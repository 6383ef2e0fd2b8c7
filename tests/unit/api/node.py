"""A whole node without sockets: the ASGI app over the real store, planning and call service.

Only the phones are a double: they do what a test tells them to.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from offhook.api import ApiServices, ApiSettings, create_app
from offhook.app.accounts import Accounts, ensure_master, installation_secret
from offhook.app.auth import Auth
from offhook.app.call_limits import CallLimits
from offhook.app.call_recordings import CallRecordings
from offhook.app.call_requests import CallRequests
from offhook.app.call_service import CallService
from offhook.app.call_stream import CallStreams
from offhook.app.call_tokens import CallTokens
from offhook.app.call_transfers import CallTransfers
from offhook.app.channel_events import ChannelEvents
from offhook.app.dial_out import DialOut
from offhook.app.documents import DocumentService
from offhook.app.live_events import LiveEvents
from offhook.app.media import MediaService
from offhook.app.passwords import Passwords
from offhook.app.planning import Planning, record_call
from offhook.app.ports import PhoneNotice, Registration, TraceLine
from offhook.app.recovery import MailFailed, PasswordRecovery, RecoverySettings
from offhook.app.timers import LoopTimers
from offhook.app.webhook_dispatcher import WebhookDispatcher
from offhook.app.webhook_lanes import LaneSender
from offhook.app.webhook_service import WebhookService
from offhook.app.webhooks import Subscriptions, WebhookOutbox
from offhook.calls.commands import DialLeg, EndLostLeg, EngineCommand, HangUpLeg, JoinLegs
from offhook.calls.events import LegAnswered, LegEnded, LegEvent, LegRinging, LegsJoined
from offhook.calls.model import CallPlan
from offhook.delivery import PreparedRequest, Reception
from offhook.delivery.errors import Undeliverable
from offhook.engines.embedded.own_addresses import OwnAddresses
from offhook.kernel import Clock
from offhook.stores.media_files import MediaFolder
from offhook.stores.photo_files import PhotoFolder
from offhook.stores.sqlite import SqliteStore
from offhook.system import SystemRandom

T = TypeVar("T")

API_KEY = "5" * 64
MASTER_REALM = "master.example.com"
ADDRESS = "192.0.2.7"
STREAM_S = 0.05
"""How long a client stays that asks for an event stream without saying when it leaves."""


class TestClock:
    """Runs like the real one, and can be moved on."""

    __test__ = False

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead_s

    def epoch(self) -> float:
        return 1_767_225_600.0 + self.monotonic() % 1e6


class Phones:
    """Answers, rings for ever or refuses, by the user part of the Request-URI."""

    def __init__(self) -> None:
        self.refusing: dict[str, tuple[str, int]] = {}
        """user → KAZOO cause, SIP code"""
        self.silent: set[str] = set()
        self.stubborn = False
        """They hang up on shutdown only."""
        self.bypassed = False
        """Media goes past the relay."""
        self.report: Callable[[LegEvent], None] = lambda event: None
        self.dialed: list[DialLeg] = []
        self.open_calls: set[str] = set()
        self.traces: dict[str, list[TraceLine]] = {}

    async def start(self, report: Callable[[LegEvent], None]) -> None:
        self.report = report

    def perform(self, command: EngineCommand) -> None:
        soon = asyncio.get_running_loop().call_soon
        if isinstance(command, DialLeg):
            self.dialed.append(command)
            leg_id = command.endpoint.leg_id
            user = command.endpoint.request_uri.partition(":")[2].partition("@")[0]
            if user in self.refusing:
                cause, code = self.refusing[user]
                soon(self.report, LegEnded(leg_id, cause, code, "No", by_peer=True))
                return
            soon(self.report, LegRinging(leg_id))
            if user not in self.silent:
                soon(self.report, LegAnswered(leg_id, "PCMU"))
        elif isinstance(command, JoinLegs):
            soon(self.report, LegsJoined(command.first_leg_id, command.second_leg_id))
        elif isinstance(command, EndLostLeg):
            soon(self.report, LegEnded(command.endpoint.leg_id, "CRASH", 487))
        elif isinstance(command, HangUpLeg) and not self.stubborn:
            soon(self.report, LegEnded(command.leg_id, command.hangup_cause, 200))

    def report_answer(self, user: str) -> None:
        """Let a silent phone answer."""
        for command in self.dialed:
            if command.endpoint.request_uri.startswith(f"sip:{user}@"):
                self.report(LegAnswered(command.endpoint.leg_id, "PCMU"))

    def give_up(self) -> None:
        """Let go of the legs that were to be hung up."""
        stuck, self.stubborn = self.stubborn, False
        for command in self.dialed if stuck else ():
            asyncio.get_running_loop().call_soon(
                self.report, LegEnded(command.endpoint.leg_id, "NORMAL_CLEARING", 200)
            )

    def can_hold(self, leg_id: str) -> bool:
        return not self.bypassed

    def can_link(self, leg_id: str, other_leg_id: str) -> bool:
        return not self.bypassed

    def open_call(self, plan: CallPlan) -> None:
        self.open_calls.add(plan.call_id)

    def close_call(self, call_id: str) -> None:
        self.open_calls.discard(call_id)

    async def trace(self, leg_id: str) -> Sequence[TraceLine]:
        return self.traces.get(leg_id, [])

    async def stop(self) -> None:
        pass


class Mailbox:
    """What was mailed to whom."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, str]] = []
        self.fails = False

    async def send(self, to: str, subject: str, text: str) -> None:
        if self.fails:
            raise MailFailed("no")
        self.mails.append((to, text))


class PhoneBinding(msgspec.Struct, frozen=True):
    contact: str
    path: tuple[str, ...] = ()
    flow_id: str = ""
    user_agent: str = ""
    registered_at: float = 1.0


class Registered:
    """A registrar's memory that tests write into."""

    def __init__(self) -> None:
        self.known: list[Registration] = []
        self.told: list[tuple[str, PhoneNotice]] = []

    def add(self, username: str, realm: str, *, host: str = "10.0.0.5") -> None:
        self.known.append(
            Registration(
                username=username, realm=realm, contact=f"sip:{username}@{host}:5062", received_host=host,
                received_port=5062, user_agent="baresip", call_id="x1@10.0.0.5",
                expires_at=1_767_225_600.0 + 2e6, registered_at=1_767_225_600.0,
            )
        )  # fmt: skip

    def bindings(self, aor: str) -> list[PhoneBinding]:
        return [PhoneBinding(r.contact) for r in self.known if f"sip:{r.username}@{r.realm}" == aor]

    def of_realm(self, realm: str) -> list[Registration]:
        return [r for r in self.known if r.realm == realm]

    def count(self) -> int:
        return len(self.known)

    def notify(self, aor: str, notice: PhoneNotice) -> int:
        contacts = self.bindings(aor)
        self.told += [(binding.contact, notice) for binding in contacts]
        return len(contacts)

    def remove(self, realm: str, username: str | None = None) -> int:
        kept = [r for r in self.known if r.realm != realm or username not in (None, r.username)]
        gone = len(self.known) - len(kept)
        self.known = kept
        return gone


class Receivers:
    """Takes what webhooks send, and answers as a test says."""

    def __init__(self) -> None:
        self.requests: list[PreparedRequest] = []
        self.answers: dict[str, list[Reception | str]] = {}
        """URI → what it answers, the last for ever; a text is the reason why there is no answer."""

    async def send(self, request: PreparedRequest) -> Reception:
        self.requests.append(request)
        answers = self.answers.get(request.uri.partition("?")[0], [Reception(status=200)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, str):
            raise Undeliverable(answer)
        return answer

    async def close(self) -> None:
        pass


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes
    repeated_headers: list[str] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        return self.json["data"]


class ApiNode:
    """A running node; every method blocks until it is done."""

    def __init__(self, path: Path, *, settings: ApiSettings | None = None, limits: CallLimits | None = None,
                 sip_uri_allow: Sequence[str] = (),
                 recovery_hosts: frozenset[str] = frozenset({"ui.example.com"}),
                 loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:  # fmt: skip
        self.runner = asyncio.Runner(loop_factory=loop_factory)
        self.clock = TestClock()
        self.phones = Phones()
        self.registered = Registered()
        self.receivers = Receivers()
        self.token = ""
        self.address = ADDRESS
        self.why_unready = ""
        self.mailbox = Mailbox()
        self.recovery_hosts = recovery_hosts
        self.run(self._start(path, settings or ApiSettings(rate_bucket=0), limits, sip_uri_allow))
        self.token = self.api_token(API_KEY)
        self.master = self.master_id

    async def _start(self, path: Path, settings: ApiSettings, limits: CallLimits | None,
                     sip_uri_allow: Sequence[str]) -> None:  # fmt: skip
        random, clock = SystemRandom(), self.clock
        checked_clock: Clock = clock
        self.store = await SqliteStore.open(path / "offhook.sqlite")
        secret = await installation_secret(self.store.settings, random)
        documents = DocumentService(
            self.store, clock=checked_clock, random=random, passwords=Passwords(secret),
            realm_suffix="sip.example.com",
        )  # fmt: skip
        master = await ensure_master(documents, self.store, random, api_key=API_KEY, realm=MASTER_REALM)
        self.master_id = master.account_id
        auth = Auth(
            self.store, clock=clock, random=random, secret=secret, master_account_id=master.account_id
        )
        self.timers = LoopTimers(clock)
        subscriptions = Subscriptions(self.store.documents)
        webhook_rows = WebhookOutbox(subscriptions, self.store.outbox, clock=clock, random=random)
        await self._start_webhooks(documents, subscriptions, webhook_rows)
        channel_events = ChannelEvents()
        channel_events.want(webhook_rows.is_wanted)
        live_events = LiveEvents()
        channel_events.want(live_events.wants_calls_of)
        channel_events.listen(live_events.note_channel)
        documents.observe(live_events.note_document)
        self.calls = CallService(
            engine=self.phones, journal=self.store.journal, timers=self.timers, clock=clock,
            limits=limits or CallLimits(calls_max=0, calls_per_second=0),
            record=partial(record_call, quirks=settings.quirks),
            channel_events=channel_events, outbox=webhook_rows,
            observe_fact=lambda call, entry, fact: self.call_streams.note(call, entry, fact),
        )  # fmt: skip
        self.call_streams = CallStreams(self.calls, self.store.journal)
        await self.calls.start()
        planning = Planning(
            documents=self.store.documents, registrations=self.registered.bindings, random=random,
            sip_uri_allow=sip_uri_allow, quirks=settings.quirks,
        )  # fmt: skip
        media = MediaService(documents, MediaFolder(path / "media"))
        recordings = CallRecordings(self.calls.joined, documents, media)
        self.calls.take_recording = recordings.take
        own_hosts = OwnAddresses(("192.0.2.1", "2001:db8::1", "0.0.0.0")).names
        transfers = CallTransfers(
            self.calls.joined, planning, DialOut(self.calls, clock=clock), clock=clock, own_hosts=own_hosts
        )
        self.calls.take_referral = transfers.take_referral
        self.services = ApiServices(
            transfers=transfers,
            store=self.store, auth=auth, documents=documents,
            accounts=Accounts(
                self.store, documents, clock=clock, random=random, master_account_id=master.account_id
            ),
            calls=self.calls, call_requests=CallRequests(self.calls, planning, clock=clock),
            call_streams=self.call_streams, call_tokens=CallTokens(secret, clock=clock),
            live_events=live_events,
            media=media, recordings=recordings,
            photos=PhotoFolder(path / "photos"), notices=self.registered,
            recovery=PasswordRecovery(
                self.store, documents, auth, self.mailbox, RecoverySettings(hosts=self.recovery_hosts),
                clock=clock, random=random,
            ),
            registrations=self.registered, clock=clock, random=random, settings=settings,
            webhooks=WebhookService(documents, subscriptions, self.store.outbox, webhook_rows, clock=clock),
            unready=lambda: self.why_unready,
        )  # fmt: skip
        self.app = create_app(self.services)

    async def _start_webhooks(
        self, documents: DocumentService, subscriptions: Subscriptions, rows: WebhookOutbox
    ) -> None:
        await subscriptions.load()
        lanes = LaneSender(
            outbox=self.store.outbox, rows=rows, subscriptions=subscriptions, sender=self.receivers,
            documents=documents, clock=self.clock, random=SystemRandom(), cluster_id=self.master_id,
        )  # fmt: skip
        self.dispatcher = WebhookDispatcher(
            outbox=self.store.outbox, rows=rows, subscriptions=subscriptions, lanes=lanes,
            clock=self.clock, timers=self.timers,
        )  # fmt: skip
        documents.fill(rows)
        documents.observe(subscriptions.observe)
        documents.observe(self.dispatcher.observe)
        await self.dispatcher.start()

    def stop(self) -> None:
        self.run(self._stop())
        self.runner.close()

    async def _stop(self) -> None:
        self.phones.give_up()
        await self.calls.stop()
        await self.dispatcher.stop()
        self.timers.stop()
        await self.store.close()

    async def crash(self) -> None:
        """Lose the process, but for what the store has taken."""
        self.timers.stop()
        await self.store.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    # --- requests -----------------------------------------------------------------------------------

    def ask(self, method: str, path: str, data: Any = None, **options: Any) -> Answer:
        """Send a request and return the answer. data goes into the envelope; body is sent as it is."""
        return self.run(self.asking(method, path, data, **options))

    async def asking(
        self, method: str, path: str, data: Any = None, *, token: str | None = None,
        body: bytes | None = None, headers: dict[str, str] | None = None,
        leaves: asyncio.Event | None = None,
    ) -> Answer:  # fmt: skip
        """As ask. Without `leaves`, the client of an event stream goes away after a moment."""
        if body is None:
            body = b"" if data is None else json.dumps({"data": data}).encode()
        sent = {"host": "api.example.com", "content-length": str(len(body))}
        used = self.token if token is None else token
        if used:
            sent["x-auth-token"] = used
        sent.update(headers or {})
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
            "scheme": "http", "path": path, "raw_path": quote(path, safe="/%+@:~!$&'()*,;=.").encode(),
            "query_string": query.encode(), "root_path": "", "client": (self.address, 40000),
            "server": ("127.0.0.1", 8000),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
        }  # fmt: skip
        return await self._exchange(scope, body, leaves or asyncio.Event(), is_impatient=leaves is None)

    async def _exchange(
        self, scope: dict[str, Any], body: bytes, leaves: asyncio.Event, *, is_impatient: bool
    ) -> Answer:
        parts = [body[i : i + 65_536] for i in range(0, len(body), 65_536)] or [b""]
        out: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if parts:
                part = parts.pop(0)
                return {"type": "http.request", "body": part, "more_body": bool(parts)}
            await leaves.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            out.append(message)
            if is_impatient and (b"content-type", b"text/event-stream") in message.get("headers", ()):
                asyncio.get_running_loop().call_later(STREAM_S, leaves.set)

        await self.app(scope, receive, send)
        if not out:
            return Answer(0, {}, b"")
        names = [name.decode() for name, _ in out[0]["headers"]]
        return Answer(
            status=out[0]["status"],
            headers={name.decode(): value.decode("latin-1") for name, value in out[0]["headers"]},
            body=b"".join(message.get("body", b"") for message in out[1:]),
            repeated_headers=[name for name in names if names.count(name) > 1],
        )

    def get(self, path: str, **options: Any) -> Answer:
        return self.ask("GET", path, **options)

    def put(self, path: str, data: Any = None, **options: Any) -> Answer:
        return self.ask("PUT", path, data, **options)

    def post(self, path: str, data: Any = None, **options: Any) -> Answer:
        return self.ask("POST", path, data, **options)

    def patch(self, path: str, data: Any = None, **options: Any) -> Answer:
        return self.ask("PATCH", path, data, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        return self.ask("DELETE", path, **options)

    # --- things to have -----------------------------------------------------------------------------

    def api_token(self, api_key: str) -> str:
        answer = self.put("/v2/api_auth", {"api_key": api_key}, token="")
        assert answer.status == 201, answer.body
        return str(answer.json["auth_token"])

    def given_account(self, name: str = "Acme", *, below: str = "") -> "TestAccount":
        answer = self.put(f"/v2/accounts/{below or self.master}?include_api_key=true", {"name": name})
        assert answer.status == 201, answer.body
        return TestAccount(self, answer.data["id"], answer.data["realm"], answer.data["api_key"])


@dataclass
class TestAccount:
    """An account and short words for what is in it."""

    __test__ = False

    node: ApiNode
    id: str
    realm: str
    api_key: str

    @property
    def base(self) -> str:
        return f"/v2/accounts/{self.id}"

    def token(self) -> str:
        return self.node.api_token(self.api_key)

    def created(self, noun: str, data: dict[str, Any]) -> str:
        answer = self.node.put(f"{self.base}/{noun}", data)
        assert answer.status == 201, answer.body
        return str(answer.data["id"])

    def given_phone(self, username: str, extension: str) -> str:
        """Return the id of a registered device that an extension rings."""
        device = self.created("devices", {"name": username, "sip": {"username": username}})
        flow = {"module": "device", "data": {"id": device}, "children": {}}
        self.created("callflows", {"numbers": [extension], "flow": flow})
        self.node.registered.add(username, self.realm)
        return device

    def given_button(self, **data: Any) -> str:
        return self.created("clicktocall", {"name": "Support button", "extension": "1001"} | data)

    def given_two_phones(self) -> None:
        self.given_phone("dev1", "1001")
        self.given_phone("dev2", "1002")


def md5_credentials(username: str, password: str) -> str:
    return hashlib.md5(f"{username}:{password}".encode()).hexdigest()


def settle(node: ApiNode) -> None:
    """Let the phones say what they have to say, and the journal take what has come to an end."""

    async def rest() -> None:
        await asyncio.sleep(0.05)
        await node.store.journal.durable()
        await asyncio.sleep(0.01)

    node.run(rest())
