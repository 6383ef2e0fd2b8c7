"""Which gateways are down: each is asked by OPTIONS now and then, and one that says nothing is tried last.

Any answer will do, a refusal too: it shows that the server is there. A call is never kept from a gateway for
being down: with no other it is tried all the same.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

import structlog

from offhook.app.planning.gateway_servers import server_of, servers_of
from offhook.app.planning.profile import text_at
from offhook.app.ports import Document, Documents
from offhook.directory.keys import GATEWAY
from offhook.kernel import Clock
from offhook.sip.commands import OutgoingRequest
from offhook.sip.errors import SipError
from offhook.sip.events import ResponseReceived
from offhook.sip.flows import TlsPeer
from offhook.sip.uri import SipUri

from .resolver import Resolver, Unresolvable
from .transports import SipEndpoint

_log = structlog.get_logger("offhook.gateways")

SERVERS_MAX: Final = 5_000
"""Servers that are asked, each by one request an interval; further ones are taken for up."""
FAILURES: Final = 2
"""In a row, before it counts as down: one OPTIONS may be lost on a bad day, its repeats too."""
DOWN_STATUSES: Final = (408, 503)
"""Silence; a connection that cannot be opened, or a server that says itself that it is out of service."""
ASK_FROM: Final = "<sip:offhook@offhook.invalid>"


_Key = tuple[str, TlsPeer]


class _Server:
    """One server and by what its certificate is judged: which resources say so, how often it said nothing."""

    __slots__ = ("address", "failures", "tls", "uri", "users")

    def __init__(self, uri: str, tls: TlsPeer) -> None:
        self.uri = uri
        self.tls = tls
        self.address = ""
        self.failures = 0
        self.users: set[str] = set()


class GatewayHealth:
    """Asks all gateways of all accounts. `start` once; then tell `observe` of every document written."""

    def __init__(
        self,
        endpoint: SipEndpoint,
        resolver: Resolver,
        documents: Documents,
        *,
        clock: Clock,
        interval_s: float,
    ) -> None:
        """interval_s 0: nobody is asked, and all count as up."""
        self._endpoint = endpoint
        self._resolver = resolver
        self._documents = documents
        self._clock = clock
        self._interval_s = interval_s
        self._servers: dict[_Key, _Server] = {}
        self._of_uri: dict[str, list[_Server]] = {}
        self._addresses: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read all resources, and begin to ask."""
        if not self._interval_s:
            return
        for document in await self._documents.find(GATEWAY, ""):
            self.observe(document, None)
        self._task = asyncio.get_running_loop().create_task(self._run(), name="gateway health")

    async def stop(self) -> None:
        """Ask no more. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def observe(self, document: Document, before: Document | None) -> None:
        """Take note of a resource that was written."""
        if document.type != "resource" or not self._interval_s:
            return
        wanted = {} if document.deleted else dict.fromkeys(_keys_of(document))
        for key in [key for key, server in self._servers.items() if document.id in server.users]:
            if key not in wanted:
                self._drop(key, document.id)
        for key in wanted:
            self._use(key, document.id)

    def is_down(self, request_uri: str) -> bool:
        """Tell whether the server of a gateway's Request-URI has been silent of late, to all who ask it."""
        servers = self._of_uri.get(server_of(request_uri), ()) if self._of_uri else ()
        return bool(servers) and all(server.failures >= FAILURES for server in servers)

    def is_asked(self, address: str) -> bool:
        """Tell whether a server is asked at an address."""
        return address in self._addresses

    def _drop(self, key: _Key, resource_id: str) -> None:
        server = self._servers[key]
        server.users.discard(resource_id)
        if server.users:
            return
        del self._servers[key]
        others = self._of_uri[server.uri]
        others.remove(server)
        if not others:
            del self._of_uri[server.uri]

    def _use(self, key: _Key, resource_id: str) -> None:
        server = self._servers.get(key)
        if server is None:
            if len(self._servers) >= SERVERS_MAX:
                return
            server = self._servers[key] = _Server(*key)
            self._of_uri.setdefault(server.uri, []).append(server)
        server.users.add(resource_id)

    async def _run(self) -> None:
        """Ask one after the other, all within an interval; a new one is asked in the next round."""
        while True:
            servers = list(self._servers.values())
            self._addresses = {server.address for server in servers}
            pause_s = self._interval_s / max(len(servers), 1)
            for server in servers:
                await self._ask(server)
                await asyncio.sleep(pause_s)
            if not servers:
                await asyncio.sleep(min(self._interval_s, 1.0))

    async def _ask(self, server: _Server) -> None:
        uri = SipUri.parse(server.uri)
        try:
            target = (await self._resolver.resolve(uri))[0]
            tls = server.tls if target.transport == "tls" else None
            server.address = target.address
            self._addresses.add(target.address)
            flow = self._endpoint.flow_to(target.transport, (target.address, target.port), tls)
            asked = OutgoingRequest(
                method="OPTIONS", request_uri=server.uri, from_=ASK_FROM, to=f"<{server.uri}>", flow=flow
            )
            request = self._endpoint.core.request(asked, self._clock.monotonic())
        except (Unresolvable, SipError) as error:
            self._note(server, is_there=False, why=str(error))
            return
        request.context = server
        self._endpoint.flush()

    def take(self, event: ResponseReceived) -> None:
        """Take the answer to one of our questions; others are none of ours."""
        server = event.request.context
        if isinstance(server, _Server):
            self._note(server, is_there=event.status not in DOWN_STATUSES, why=str(event.status))

    def _note(self, server: _Server, *, is_there: bool, why: str) -> None:
        was_down = server.failures >= FAILURES
        server.failures = 0 if is_there else server.failures + 1
        is_down = server.failures >= FAILURES
        if is_down != was_down:
            say: Callable[..., object] = _log.warning if is_down else _log.info
            say("gateway is down" if is_down else "gateway is up again", server=server.uri, reason=why)


def _keys_of(resource: Document) -> Iterator[_Key]:
    for uri, gateway in servers_of(resource):
        host = SipUri.parse(uri).host.strip("[]")
        yield uri, TlsPeer(host, text_at(gateway, "tls_ca"), gateway.get("tls_verify", True) is True)
