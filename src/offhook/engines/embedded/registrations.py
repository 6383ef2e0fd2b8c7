"""Registrations: digest, the registrar, and the store that keeps bindings over a restart.

The same answer and the same work for an unknown user as for a wrong password: nobody can learn here which
extensions exist.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
import structlog

from offhook.app.ports import Bindings, Registration, StoredBinding
from offhook.app.sip_credentials import SipCredentials, SipIdentity
from offhook.kernel import Clock, Random
from offhook.sip.bindings import Binding
from offhook.sip.digest import DigestServer, Verdict, hash_credentials
from offhook.sip.errors import RemoteMalformed
from offhook.sip.events import RequestReceived
from offhook.sip.flows import Flow
from offhook.sip.message import Request
from offhook.sip.registrar import Registrar
from offhook.sip.transactions import ServerTransaction
from offhook.sip.uri import SipUri
from offhook.sip.user_agent import UserAgentCore

_log = structlog.get_logger("offhook.registrar")

NONCE_SALT_HEX: Final = 16
EXPIRY_SWEEP_S: Final = 1.0
PENDING_MAX: Final = 1_000
"""REGISTERs whose user is being looked up; more are told to come again."""


class RegistrationService:
    """Takes REGISTERs from the core; tells planning and the API who is registered where."""

    def __init__(
        self,
        core: UserAgentCore,
        credentials: SipCredentials,
        stored: Bindings,
        *,
        clock: Clock,
        random: Random,
        secret: str,
        algorithms: Sequence[str] = ("MD5", "SHA-256"),
    ) -> None:
        """algorithms are offered in this order, one challenge each."""
        self._core = core
        self._algorithms = tuple(algorithms)
        self._credentials = credentials
        self._stored = stored
        self._clock = clock
        self._random = random
        self._digest = DigestServer(f"sip digest {secret}".encode())
        self._registrar = Registrar()
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

    # --- queries ------------------------------------------------------------------------------------

    def bindings(self, aor: str) -> list[Binding]:
        """Return the live bindings of an address of record, best first."""
        return self._registrar.bindings(aor, self._clock.epoch())

    def count(self) -> int:
        """Return how many contacts are registered."""
        return len(self._registrar)

    def of_realm(self, realm: str) -> Sequence[Registration]:
        """Return the live registrations of a realm."""
        aors = sorted(self._by_realm.get(realm.lower(), ()))
        return [_registration(binding) for aor in aors for binding in self.bindings(aor)]

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
            realm, username = uri.host.lower(), (uri.user or "").lower()
            identity = await self._credentials.find(realm, username) if username else None
            self._judge(transaction, request, identity, realm)
        except RemoteMalformed:
            self._respond(transaction, 400)
        self.flush()

    def _judge(
        self, transaction: ServerTransaction, request: Request, identity: SipIdentity | None, realm: str
    ) -> None:
        verdict, username = self._digest.verify(
            "REGISTER",
            request.headers.get_all("Authorization"),
            lambda user, algorithm: _ha1(identity, user, algorithm, realm),
            realm=realm,
            now_s=self._clock.epoch(),
        )
        if verdict is Verdict.OK:
            assert identity is not None
            self._register(transaction, request, identity)
        elif verdict is Verdict.WRONG:
            _log.warning(
                "registration refused", username=username[:64], realm=realm, peer=transaction.flow.remote[0]
            )
            self._respond(transaction, 403)
        else:
            user_agent = request.headers.get("User-Agent") or ""
            self._challenge(transaction, realm, user_agent, stale=verdict is Verdict.STALE)

    def _challenge(self, transaction: ServerTransaction, realm: str, user_agent: str, *, stale: bool) -> None:
        values = self._digest.challenges(
            realm,
            now_s=self._clock.epoch(),
            salt=self._random.hex(NONCE_SALT_HEX),
            stale=stale,
            algorithms=("MD5",) if _takes_only_md5(user_agent) else self._algorithms,
        )
        self._respond(transaction, 401, *(("WWW-Authenticate", value) for value in values))

    def _register(self, transaction: ServerTransaction, request: Request, identity: SipIdentity) -> None:
        aor = f"sip:{identity.username.lower()}@{identity.realm}"
        result = self._registrar.register(request, aor=aor, now=self._clock.epoch(), source=transaction.flow)
        for binding in (*result.added, *result.changed):
            self._stored.save(_stored(binding))
        for binding in result.added:
            _log.info("registered", aor=aor, contact=binding.contact, user_agent=binding.user_agent)
        self._index(result.added)
        self._forget(result.removed)
        self._respond(transaction, result.status, *result.headers)

    def _respond(self, transaction: ServerTransaction, status: int, *headers: tuple[str, str]) -> None:
        self._core.respond(transaction, status, headers=headers, now=self._clock.monotonic())

    # --- bookkeeping --------------------------------------------------------------------------------

    def _index(self, bindings: Iterable[Binding]) -> None:
        for binding in bindings:
            self._by_realm.setdefault(binding.aor.rpartition("@")[2], set()).add(binding.aor)

    def _forget(self, removed: Iterable[Binding]) -> None:
        for binding in removed:
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


_is_old_baresip: Final = re.compile(r"baresip v[01]\.").match


def _takes_only_md5(user_agent: str) -> bool:
    """Tell whether a phone gives up when any other algorithm is offered beside MD5 (seen: baresip 1.0)."""
    return _is_old_baresip(user_agent) is not None


def _ha1(identity: SipIdentity | None, user: str, algorithm: str, realm: str) -> str | None:
    """Return the hash to compare with; an unknown user costs as much as a known one."""
    password = identity.password if identity else "nobody"
    ha1 = hash_credentials(algorithm, user, realm, password)
    return ha1 if identity is not None and user.lower() == identity.username.lower() else None


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
