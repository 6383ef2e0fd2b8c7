"""One websocket client: who it is, what it listens to, what it asks (kazoo-behaviour 11).

Every request goes the same way: rate, authenticate, validate, authorise, do. Errors close nothing.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from offhook.app.auth import Auth
from offhook.app.errors import TooManyRequests, WrongCredentials
from offhook.app.event_bus import Mailbox
from offhook.app.limits import TokenBuckets
from offhook.app.live_events import ANY, Binding, LiveEvent, LiveEvents
from offhook.app.ports import Documents
from offhook.app.tokens import Principal
from offhook.directory.model import Json
from offhook.kernel import Random

from .websocket_requests import (
    BINDINGS_MAX,
    RequestRefused,
    decode,
    introduction,
    request_id_of,
    wanted_bindings,
)

WAITING_MAX_BYTES: Final = 1_048_576
"""What may wait for one client: some 700 events. A client that is further behind is cut."""


_encode: Final = msgspec.json.Encoder().encode


class Outgoing(NamedTuple):
    """A frame that waits to be sent."""

    text: bytes
    is_event: bool
    """Only for who is still allowed to see it; replies are for anybody."""


class Gateway(NamedTuple):
    """What all sessions share."""

    auth: Auth
    documents: Documents
    events: LiveEvents
    buckets: TokenBuckets
    random: Random


class Session:
    """The state of one socket. `take` requests; send what `outgoing` gives; `close()` at the end."""

    def __init__(self, gateway: Gateway, id: str, address: str, connected_at: float) -> None:
        self.id = id
        self.address = address
        self.connected_at = connected_at
        """Unix seconds."""
        self.principal: Principal | None = None
        self.name = ""
        self.metadata: Json = {}
        self.outgoing: Mailbox[Outgoing] = Mailbox(WAITING_MAX_BYTES)
        self._gateway = gateway
        self._bindings: dict[tuple[str, str], Binding] = {}
        self._by_account: dict[str, list[Binding]] = {}
        self._listening: dict[str, Callable[[], None]] = {}

    @property
    def bindings(self) -> list[str]:
        """What it listens to, in the client's form."""
        return [binding.text for binding in self._bindings.values()]

    @property
    def account_id(self) -> str:
        """The account it logged in to; empty before."""
        return self.principal.account_id if self.principal is not None else ""

    def listens_to(self, account_id: str) -> bool:
        """Tell whether it has a binding of just this account."""
        return account_id in self._listening

    async def is_still_allowed(self) -> bool:
        """Tell whether the token that opened the session is still good; microseconds, most of the time."""
        if self.principal is None:
            return False
        try:
            return await self._gateway.auth.check(self.principal.token) is not None
        except WrongCredentials:
            return False

    def close(self) -> None:
        """Listen to nothing any more."""
        for stop in self._listening.values():
            stop()
        self._bindings.clear()
        self._by_account.clear()
        self._listening.clear()
        self.outgoing.close()

    # --- requests -----------------------------------------------------------------------------------

    async def take(self, frame: str | bytes, *, now: float) -> float:
        """Answer one frame; now is monotonic. Returns for how long to take no more (0 unless too fast)."""
        request_id: str | int = self._gateway.random.hex(32)
        wait_s = 0.0
        try:
            self._gateway.buckets.take(self.id, "", cost=1, now=now)
            request = decode(frame)
            request_id = request_id_of(request) or request_id
            data = await self._done(request)
            self._reply(request_id, "success", data)
        except TooManyRequests as error:
            wait_s = error.retry_after_s
            self._reply(request_id, "error", {"errors": [f"rate limiting threshold hit for {self.id}!"]})
        except RequestRefused as error:
            self._reply(request_id, "error", {"errors": error.errors})
        return wait_s

    def tell(self, *errors: str) -> None:
        """Send an error that answers no request."""
        self._reply(self._gateway.random.hex(32), "error", {"errors": list(errors)})

    def _reply(self, request_id: str | int, status: str, data: Json) -> None:
        text = _encode({"action": "reply", "request_id": request_id, "status": status, "data": data})
        self.outgoing.offer(Outgoing(text, is_event=False), len(text))

    async def _done(self, request: Json) -> Json:
        """Do what is asked and return the reply's data. Raises RequestRefused."""
        await self._authenticate(request)
        data = request.get("data")
        if data is not None and not isinstance(data, dict):
            raise RequestRefused("missing required keys in data object")
        name, metadata = introduction(request, data or {})
        answer = await self._answered(request.get("action", "noop"), data or {})
        self.name = name or self.name
        self.metadata = metadata or self.metadata
        return answer

    async def _answered(self, action: object, data: Json) -> Json:
        if action == "subscribe":
            return await self._subscribe(data)
        if action == "unsubscribe":
            return self._unsubscribe(data)
        if action == "ping":
            return {"response": "pong"}
        if action == "noop":
            return {}
        raise RequestRefused("unknown action")

    async def _authenticate(self, request: Json) -> None:
        """Find out who asks. A token is needed until one was good; a later one takes its place."""
        token = request.get("auth_token")
        if token is None or token == "":
            if not await self.is_still_allowed():
                raise RequestRefused("authentication token required")
            return
        if not isinstance(token, str):
            raise RequestRefused("invalid authentication token format")
        try:
            principal = await self._gateway.auth.check(token)
        except WrongCredentials:
            principal = None
        if principal is None:
            raise RequestRefused("failed to authenticate token")  # KAZOO repeats the token here
        before, self.principal = self.principal, principal
        if before is not None and before.account_id != principal.account_id:
            await self._drop_unreached(principal)

    async def _drop_unreached(self, principal: Principal) -> None:
        for binding in tuple(self._bindings.values()):
            if not await self._reaches(principal, binding.account_id):
                self._remove(binding)

    # --- bindings -----------------------------------------------------------------------------------

    async def _subscribe(self, data: Json) -> Json:
        account_id, wanted = wanted_bindings(data)
        await self._authorize(account_id)
        new = [binding for binding in wanted if (account_id, binding.text) not in self._bindings]
        if len(self._bindings) + len(new) > BINDINGS_MAX:
            raise RequestRefused(f"more than {BINDINGS_MAX} bindings")
        for binding in new:
            self._add(binding)
        return {"subscribed": self.bindings}

    def _unsubscribe(self, data: Json) -> Json:
        """Forget bindings; with empty data, all."""
        gone = list(self._bindings.values())
        if data.keys() - {"name", "metadata"}:
            account_id, wanted = wanted_bindings(data)
            keys = [(account_id, binding.text) for binding in wanted]
            gone = [self._bindings[key] for key in dict.fromkeys(keys) if key in self._bindings]
        for binding in gone:
            self._remove(binding)
        return {"unsubscribed": [binding.text for binding in gone], "subscribed": self.bindings}

    async def _authorize(self, account_id: str) -> None:
        assert self.principal is not None
        if account_id == ANY and not self.principal.is_master:
            raise RequestRefused("unauthorized wildcard account id")
        if not await self._reaches(self.principal, account_id):
            raise RequestRefused("unauthorized account id")

    async def _reaches(self, principal: Principal, account_id: str) -> bool:
        if account_id == ANY:
            return principal.is_master
        account = await self._gateway.documents.get(account_id, account_id, type="account")
        return account is not None and self._gateway.auth.reaches(principal, account)

    def _add(self, binding: Binding) -> None:
        account_id = binding.account_id
        self._bindings[account_id, binding.text] = binding
        self._by_account.setdefault(account_id, []).append(binding)
        if account_id not in self._listening:
            self._listening[account_id] = self._gateway.events.listen(
                account_id, lambda event: self._deliver(account_id, event)
            )

    def _remove(self, binding: Binding) -> None:
        account_id = binding.account_id
        self._bindings.pop((account_id, binding.text))
        self._by_account[account_id].remove(binding)
        if not self._by_account[account_id]:
            del self._by_account[account_id]
            self._listening.pop(account_id)()

    def _deliver(self, account_id: str, event: LiveEvent) -> None:
        """Put an event in line, once for each binding that means it, as KAZOO does."""
        for binding in self._by_account.get(account_id, ()):
            if binding.matches(event):
                text = _encode(_event_frame(binding, event))
                self.outgoing.offer(Outgoing(text, is_event=True), len(text))


class OpenSockets:
    """The sessions of this node, by id, and how many each address has."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._per_address: Counter[str] = Counter()

    def count(self, address: str = "") -> int:
        """Return how many are open, in all or from one address."""
        return self._per_address[address] if address else len(self._sessions)

    def of(self, account_id: str, *, asked_by: str) -> list[Session]:
        """Return those that logged in to an account, oldest first.

        Those of the account that asks are shown too if they listen to it.
        """
        return [
            session
            for session in self._sessions.values()
            if session.account_id == account_id
            or (session.account_id == asked_by and session.listens_to(account_id))
        ]

    def new_id(self, address: str, port: int) -> str:
        """Return KAZOO's id of a socket; a number tells apart what shares an address (two ports, a proxy)."""
        id, number = f"{address}:{port}", 1
        while id in self._sessions:
            number += 1
            id = f"{address}:{port}-{number}"
        return id

    def add(self, session: Session) -> None:
        """Note that one was opened."""
        self._sessions[session.id] = session
        self._per_address[session.address] += 1

    def remove(self, session: Session) -> None:
        """Note that one is closed."""
        del self._sessions[session.id]
        self._per_address[session.address] -= 1
        if not self._per_address[session.address]:
            del self._per_address[session.address]


def _event_frame(binding: Binding, event: LiveEvent) -> Json:
    return {
        "action": "event",
        "subscribed_key": binding.text,
        "subscription_key": binding.subscription_key,
        "name": event.name,
        "routing_key": event.routing_key,
        "data": event.data,
    }
