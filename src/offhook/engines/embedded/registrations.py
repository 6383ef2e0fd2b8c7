"""Registrations: login, the registrar, and the store that keeps bindings over a restart."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
import structlog

from offhook.app.ports import Bindings, Registration, StoredBinding
from offhook.app.sip_credentials import SipIdentity
from offhook.kernel import Clock
from offhook.sip.bindings import Binding
from offhook.sip.digest import Verdict
from offhook.sip.errors import RemoteMalformed
from offhook.sip.events import RequestReceived
from offhook.sip.flows import Flow
from offhook.sip.message import Request
from offhook.sip.registrar import Registrar, RegistrarResult
from offhook.sip.transactions import ServerTransaction
from offhook.sip.uri import SipUri
from offhook.sip.user_agent import UserAgentCore

from .logins import REGISTRAR, SipLogins

_log = structlog.get_logger("offhook.registrar")

EXPIRY_SWEEP_S: Final = 1.0
PENDING_MAX: Final = 1_000
"""REGISTERs whose user is being looked up; more are told to come again."""


class RegistrationService:
    """Takes REGISTERs from the core; tells planning and the API who is registered where."""

    def __init__(
        self,
        core: UserAgentCore,
        logins: SipLogins,
        stored: Bindings,
        *,
        clock: Clock,
    ) -> None:
        self._core = core
        self._logins = logins
        self._stored = stored
        self._clock = clock
        self._registrar = Registrar()
        self._refreshed: dict[tuple[str, str], Binding] = {}
        """Those whose refresh is not stored yet: of the last second."""
        self._by_realm: dict[str, set[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self.flush: Callable[[], None] = lambda: None
        """Set by who owns the socket: transmit what the core wants to send."""

    async def start(self) -> None:
        """Load what was registered before a restart, and begin to forget what expires."""
        now = self._clock.epoch()
        stored = await self._stored.load(now)
        bindings = [msgspec.json.decode(one.data, type=Binding) for one in stored]
        # a connection did not survive the restart: such phones register again as they notice
        self._registrar.restore([one for one in bindings if one.transport == "udp"])
        self._index(bindings)
        for binding in bindings:
            username, _, realm = binding.aor.removeprefix("sip:").rpartition("@")
            self._logins.note_known(binding.received_host, username, realm)
        if stored:
            _log.info("registrations restored", contacts=len(self._registrar))
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep(), name="registration expiry")

    async def stop(self) -> None:
        """Stop sweeping and drop look-ups. Idempotent."""
        tasks = [*self._tasks, *([self._sweeper] if self._sweeper else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._sweeper = None
        self._save_refreshed()

    # --- queries ------------------------------------------------------------------------------------

    def bindings(self, aor: str) -> list[Binding]:
        """Return the live bindings of an address of record to ring, best first: one for each phone."""
        return self._registrar.ways(aor, self._clock.epoch())

    def count(self) -> int:
        """Return how many contacts are registered."""
        return len(self._registrar)

    def of_realm(self, realm: str) -> Sequence[Registration]:
        """Return the live registrations of a realm."""
        aors = sorted(self._by_realm.get(realm.lower(), ()))
        now = self._clock.epoch()
        return [_registration(binding) for aor in aors for binding in self._registrar.bindings(aor, now)]

    def behind_nat(self) -> list[Binding]:
        """Return the contacts that are reached by UDP through a NAT."""
        return [binding for binding in self._registrar.all() if binding.flow_id.startswith("udp:")]

    def remove(self, realm: str, username: str | None = None) -> int:
        """Forget the contacts of one username, or of all; return how many."""
        known = self._by_realm.get(realm.lower(), set())
        aors = list(known) if username is None else [f"sip:{username.lower()}@{realm.lower()}"]
        removed = [binding for aor in aors for binding in self._registrar.remove(aor)]
        self._forget(removed)
        return len(removed)

    def flow_lost(self, flow: Flow) -> None:
        """Forget what was registered over a connection that is gone."""
        self._forget(self._registrar.flow_lost(flow.id))

    # --- REGISTER -----------------------------------------------------------------------------------

    def take(self, event: RequestReceived) -> None:
        """Answer a REGISTER, once its user is looked up."""
        if len(self._tasks) >= PENDING_MAX:
            self._respond(event.transaction, 503, ("Retry-After", "5"))
            return
        work = self._answer(event.transaction, event.request)
        task = asyncio.get_running_loop().create_task(work, name="REGISTER")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, transaction: ServerTransaction, request: Request) -> None:
        try:
            uri = SipUri.parse(request.to.uri, "To")
            await self._log_in(transaction, request, uri.host.lower(), (uri.user or "").lower())
        except RemoteMalformed:
            self._respond(transaction, 400)
        self.flush()

    async def _log_in(
        self, transaction: ServerTransaction, request: Request, realm: str, username: str
    ) -> None:
        source = transaction.source
        login = await self._logins.verify(request, source, realm, username, REGISTRAR)
        if login.identity is not None and login.identity.is_trunk:
            self._refuse(transaction)  # carriers call, nobody rings them by a registration
        elif login.identity is not None:
            self._register(transaction, request, login.identity)
        elif login.verdict is Verdict.WRONG:
            self._logins.answer_later(login.answer_after_s, lambda: self._refuse(transaction))
        else:
            self._respond(transaction, 401, *self._logins.challenge(request, source, realm, REGISTRAR))

    def _refuse(self, transaction: ServerTransaction) -> None:
        self._respond(transaction, 403)
        self.flush()

    def _register(self, transaction: ServerTransaction, request: Request, identity: SipIdentity) -> None:
        aor = f"sip:{identity.username.lower()}@{identity.realm}"
        result = self._registrar.register(request, aor=aor, now=self._clock.epoch(), source=transaction.flow)
        self._save(result)
        for binding in result.added:
            _log.info("registered", aor=aor, contact=binding.contact, user_agent=binding.user_agent)
        self._index(result.added)
        self._forget(result.removed)
        self._respond(transaction, result.status, *result.headers)

    def _save(self, result: RegistrarResult) -> None:
        """Store what is new or moved at once, what was only refreshed with the next sweep."""
        if result.added:
            self._stored.save([_stored(binding) for binding in result.added])
        for binding in result.changed:
            self._refreshed[(binding.aor, binding.contact)] = binding

    def _save_refreshed(self) -> None:
        refreshed, self._refreshed = self._refreshed, {}
        if refreshed:
            self._stored.save([_stored(binding) for binding in refreshed.values()])

    def _respond(self, transaction: ServerTransaction, status: int, *headers: tuple[str, str]) -> None:
        if not transaction.is_answered:
            self._core.respond(transaction, status, headers=headers, now=self._clock.monotonic())
            transaction.forget_request()

    # --- bookkeeping --------------------------------------------------------------------------------

    def _index(self, bindings: Iterable[Binding]) -> None:
        for binding in bindings:
            self._by_realm.setdefault(binding.aor.rpartition("@")[2], set()).add(binding.aor)

    def _forget(self, removed: Iterable[Binding]) -> None:
        for binding in removed:
            self._refreshed.pop((binding.aor, binding.contact), None)
            self._stored.remove(binding.aor, binding.contact)
            _log.info("unregistered", aor=binding.aor, contact=binding.contact)
            if not self.bindings(binding.aor):
                realm = binding.aor.rpartition("@")[2]
                known = self._by_realm.get(realm, set())
                known.discard(binding.aor)
                if not known:
                    self._by_realm.pop(realm, None)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(EXPIRY_SWEEP_S)
            self._forget(self._registrar.expire(self._clock.epoch()))
            self._save_refreshed()


def _stored(binding: Binding) -> StoredBinding:
    return StoredBinding(
        aor=binding.aor,
        contact=binding.contact,
        expires_at=binding.expires_at,
        data=msgspec.json.encode(binding),
    )


def _registration(binding: Binding) -> Registration:
    username, _, realm = binding.aor.removeprefix("sip:").rpartition("@")
    return Registration(
        username=username,
        realm=realm,
        contact=binding.contact,
        received_host=binding.received_host,
        received_port=binding.received_port,
        transport=binding.transport,
        call_id=binding.call_id,
        user_agent=binding.user_agent,
        expires_at=binding.expires_at,
        registered_at=binding.registered_at,
    )
