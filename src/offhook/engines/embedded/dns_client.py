"""Questions to the name service by dnspython, with answers kept for a bounded while.

What is not there is remembered for a shorter time than what is, and what could not be asked for a shorter
one still: a carrier that mends its zone must not wait for us; a dead name service must not hold every call.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
import structlog

_log = structlog.get_logger("offhook.sip")

QUERY_S: Final = 2.0
"""For one question, its repeats included; a local resolver answers within milliseconds."""
SHORTEST_S: Final = 5.0
LONGEST_S: Final = 300.0
"""How long an answer is kept, whatever its TTL says: failover needs minutes, a busy trunk seconds."""
NEGATIVE_S: Final = 30.0
FAILURE_S: Final = 5.0
CACHE_MAX: Final = 5_000
"""Questions whose answers are kept, below 1 KB each; the one asked longest ago is forgotten."""
RECORDS_MAX: Final = 64
"""Of one answer; more servers are an attack."""


class Naptr(NamedTuple):
    """A NAPTR record with the flag `s`: where to look for SRV records (RFC 3403, RFC 3263 4.1)."""

    order: int
    preference: int
    service: str
    """`SIP+D2U`, upper case."""
    replacement: str


class Srv(NamedTuple):
    """An SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


Answer = Sequence[Naptr | Srv | str]


class DnsFailed(Exception):
    """The name service did not answer; it may later."""


class DnsClient:
    """Asks the given servers, or those of the system."""

    def __init__(self, servers: Sequence[tuple[str, int]] = ()) -> None:
        """servers are (address, port). Raises DnsFailed if there are none, and the system names none."""
        self.is_explicit = bool(servers)
        """False: host names of the system's own files count too."""
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not servers)
        except dns.exception.DNSException as error:
            raise DnsFailed(str(error)) from None
        if servers:
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(*server) for server in servers]
        self._known: OrderedDict[tuple[str, str], tuple[float, Answer | None]] = OrderedDict()

    async def naptr(self, name: str) -> list[Naptr]:
        """Return the records with flag `s`, best first. Raises DnsFailed."""
        return sorted(one for one in await self._ask(name, "NAPTR") if isinstance(one, Naptr))

    async def srv(self, name: str) -> list[Srv]:
        """Return the records, in no order. Raises DnsFailed."""
        return [one for one in await self._ask(name, "SRV") if isinstance(one, Srv)]

    async def addresses(self, name: str) -> list[str]:
        """Return IPv4 addresses, then IPv6. Raises DnsFailed if neither could be asked for."""
        found = await asyncio.gather(self._ask(name, "A"), self._ask(name, "AAAA"), return_exceptions=True)
        answers = [one for one in found if not isinstance(one, BaseException)]
        if not answers:
            raise DnsFailed(name)
        return [one for answer in answers for one in answer if isinstance(one, str)]

    async def _ask(self, name: str, kind: str) -> Answer:
        now = asyncio.get_running_loop().time()
        known = self._known.get((name, kind))
        if known is None or known[0] < now:
            keep_s, answer = await self._query(name, kind)
            known = self._known[(name, kind)] = (now + keep_s, answer)
            if len(self._known) > CACHE_MAX:
                self._known.popitem(last=False)
        if known[1] is None:
            raise DnsFailed(name)
        return known[1]

    async def _query(self, name: str, kind: str) -> tuple[float, Answer | None]:
        """Return for how long to keep what the service says, and that: None if it says nothing."""
        try:
            answer = await self._resolver.resolve(name, kind, lifetime=QUERY_S, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return NEGATIVE_S, ()
        except (dns.exception.DNSException, OSError, ValueError) as error:  # ValueError: no name at all
            _log.info("name not looked up", name=name, kind=kind, reason=str(error))
            return FAILURE_S, None
        keep_s = min(max(float(answer.rrset.ttl if answer.rrset else 0), SHORTEST_S), LONGEST_S)
        return keep_s, [one for record in list(answer)[:RECORDS_MAX] if (one := _read(record)) is not None]


def _read(record: object) -> Naptr | Srv | str | None:
    """Return a record in our words; None for a NAPTR that leads to no SRV."""
    kind = getattr(record, "rdtype", None)
    if kind == dns.rdatatype.NAPTR:
        is_srv = record.flags.lower() == b"s"  # type: ignore[attr-defined]
        service = record.service.decode("ascii", "replace").upper()  # type: ignore[attr-defined]
        where = _text(record.replacement)  # type: ignore[attr-defined]
        return Naptr(record.order, record.preference, service, where) if is_srv else None  # type: ignore[attr-defined]
    if kind == dns.rdatatype.SRV:
        return Srv(record.priority, record.weight, record.port, _text(record.target))  # type: ignore[attr-defined]
    return str(record.address)  # type: ignore[attr-defined]


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)
