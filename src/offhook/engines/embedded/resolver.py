"""Where a URI leads (RFC 3263): names to transports, addresses and ports, before the core is asked to send.

IP literals cost nothing. A name without a port is looked for by NAPTR and SRV, if there is a name service to
ask; then, and for names with a port, by A and AAAA. Servers come in the order in which they are to be tried.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections import OrderedDict
from collections.abc import Collection
from typing import ClassVar, Final, NamedTuple

from offhook.kernel import OffhookError, Random
from offhook.sip.uri import SipUri

from .dns_client import DnsClient, DnsFailed, Srv

LOOKUP_S: Final = 5.0
"""A name that takes longer is not reachable in time for a call."""

CACHE_S: Final = 30.0
"""What the system's resolver says, which tells no TTL: short enough for failover."""

CACHE_MAX: Final = 1_000

TARGETS_MAX: Final = 6
"""Servers tried for one leg: with three seconds of silence each, a caller has hung up after the sixth."""

DEFAULT_PORT: Final = {"udp": 5060, "tcp": 5060, "tls": 5061}

_SERVICES: Final = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}
_SRV_NAMES: Final = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}


class Target(NamedTuple):
    """One server to send to."""

    transport: str
    address: str
    port: int


class Unresolvable(OffhookError):
    """The host of a URI has no address, or the URI needs what this engine cannot do."""

    code: ClassVar[str] = "unresolvable"

    def __init__(self, uri: str, why: str, *, may_pass: bool = False) -> None:
        super().__init__(uri, why)
        self.uri = uri
        self.why = why
        self.may_pass = may_pass
        """The name service said so; it may say something else later."""

    def __str__(self) -> str:
        return f"{self.uri}: {self.why}"


class Resolver:
    """Finds the servers of a Request-URI or Route."""

    def __init__(
        self,
        dns: DnsClient | None = None,
        *,
        random: Random | None = None,
        families: Collection[int] = (4, 6),
    ) -> None:
        """Without dns only A and AAAA are asked for, of the system's resolver. random spreads calls by weight
        (RFC 2782); without it the heaviest server comes first. families are those we can send from.
        """
        self._dns = dns
        self._random = random
        self._families = frozenset(families)
        self._known: OrderedDict[str, tuple[float, list[str]]] = OrderedDict()

    def literal(self, uri: SipUri) -> Target | None:
        """Return the server at once if the host is an IP address. Raises Unresolvable."""
        transport = transport_of(uri)
        host = uri.host.strip("[]")
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return None
        return Target(transport, host, uri.port or DEFAULT_PORT[transport])

    async def resolve(self, uri: SipUri) -> tuple[Target, ...]:
        """Return the servers in the order to try them, at least one. Raises Unresolvable."""
        literal = self.literal(uri)
        if literal is not None:
            return (literal,)
        try:
            async with asyncio.timeout(LOOKUP_S):
                found = await self._find(uri)
        except (TimeoutError, DnsFailed):
            raise Unresolvable(str(uri), "the name service gives no answer", may_pass=True) from None
        if not found:
            raise Unresolvable(str(uri), "the host has no address", may_pass=True)
        return tuple(dict.fromkeys(found))[:TARGETS_MAX]

    async def _find(self, uri: SipUri) -> list[Target]:
        host, transport = uri.host.lower(), transport_of(uri)
        if uri.port is None and self._dns is not None and "." in host:
            found = await self._by_service(self._dns, uri, host)
            if found is not None:
                return found
        return await self._at(host, transport, uri.port or DEFAULT_PORT[transport])

    async def _by_service(self, dns: DnsClient, uri: SipUri, host: str) -> list[Target] | None:
        """Return what NAPTR and SRV say; None if they say nothing (4.1, 4.2)."""
        transport = transport_of(uri)
        services = (
            [(transport, f"{_SRV_NAMES[transport]}.{host}")]
            if uri.transport or uri.scheme == "sips"
            else await _services(dns, host)
        )
        answers = await asyncio.gather(*[dns.srv(name) for _, name in services], return_exceptions=True)
        if all(isinstance(answer, DnsFailed) for answer in answers):
            return None  # hosts that only the system's own files know have no name service
        found: list[Target] = []
        is_there = False
        for (kind, _), answer in zip(services, answers, strict=True):
            if isinstance(answer, BaseException):
                continue
            is_there = is_there or bool(answer)
            for record in self._ordered(answer):
                if len(found) < TARGETS_MAX:
                    with contextlib.suppress(DnsFailed):  # the next server may have an address
                        found += await self._at(record.target, kind, record.port)
        return found if is_there else None

    def _ordered(self, records: list[Srv]) -> list[Srv]:
        """Return the records as they are to be tried: by priority, then by chance in proportion to weight."""
        waiting = sorted(
            (record for record in records if record.target not in ("", ".")),
            key=lambda record: (record.priority, -record.weight),
        )
        ordered = []
        while waiting:
            alike = [record for record in waiting if record.priority == waiting[0].priority]
            chosen = self._draw(alike)
            waiting.remove(chosen)
            ordered.append(chosen)
        return ordered

    def _draw(self, alike: list[Srv]) -> Srv:
        if self._random is None:
            return alike[0]
        left = self._random.uniform() * (sum(record.weight for record in alike) or 1)
        for record in alike:
            left -= record.weight
            if left < 0:
                return record
        return alike[-1]

    async def _at(self, host: str, transport: str, port: int) -> list[Target]:
        addresses = [one for one in await self._addresses(host) if (6 if ":" in one else 4) in self._families]
        return [Target(transport, address, port) for address in addresses]

    async def _addresses(self, host: str) -> list[str]:
        """Return the addresses of a host, IPv4 first: most carriers filter by it."""
        if self._dns is not None and self._dns.is_explicit:
            return await self._dns.addresses(host)
        now = asyncio.get_running_loop().time()
        known = self._known.get(host)
        if known is None or known[0] < now:
            known = (now + CACHE_S, await _ask_system(host))
            self._known[host] = known
            if len(self._known) > CACHE_MAX:
                self._known.popitem(last=False)
        return known[1]


async def _services(dns: DnsClient, host: str) -> list[tuple[str, str]]:
    """Return transports and the names to ask SRV for, the best first (4.1)."""
    try:
        records = await dns.naptr(host)
    except DnsFailed:
        records = []
    named = [
        (_SERVICES[record.service], record.replacement) for record in records if record.service in _SERVICES
    ]
    return named or [(transport, f"{prefix}.{host}") for transport, prefix in _SRV_NAMES.items()]


async def _ask_system(host: str) -> list[str]:
    """Return what the system's resolver says, files included. Raises DnsFailed if that knows no address."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        raise DnsFailed(host) from None
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    return sorted(addresses, key=lambda address: ":" in address)


def transport_of(uri: SipUri) -> str:
    """Return `udp`, `tcp` or `tls` from a URI. Raises Unresolvable for what this engine does not speak."""
    if uri.scheme not in ("sip", "sips"):
        raise Unresolvable(str(uri), "only sip: URIs can be called")
    named = uri.transport or "udp"
    if named not in DEFAULT_PORT:
        raise Unresolvable(str(uri), f"transport {named} leads nowhere without the phone's own connection")
    return "tls" if uri.scheme == "sips" else named
