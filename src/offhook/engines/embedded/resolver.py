"""Where a URI leads: names to addresses, before the core is asked to send.

IP literals cost nothing. Names are looked up in a thread (A and AAAA, the system's resolver); the answer is
kept for a short while. NAPTR and SRV (RFC 3263) are not asked.
"""

import asyncio
import ipaddress
import socket
from collections import OrderedDict
from typing import ClassVar, Final

from offhook.kernel import OffhookError
from offhook.sip.uri import SipUri

LOOKUP_S: Final = 5.0
"""A name that takes longer is not reachable in time for a call."""

CACHE_S: Final = 30.0
"""Short enough for DNS failover, long enough for a busy trunk."""

CACHE_MAX: Final = 1_000

DEFAULT_PORT: Final = {"udp": 5060, "tcp": 5060, "tls": 5061}


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
    """Finds transport, address and port for a Request-URI or Route."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def literal(self, uri: SipUri) -> tuple[str, str, int] | None:
        """Return (transport, address, port) at once if the host is an IP address. Raises Unresolvable."""
        transport = transport_of(uri)
        host = uri.host.strip("[]")
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return None
        return transport, host, uri.port or DEFAULT_PORT[transport]

    async def resolve(self, uri: SipUri) -> tuple[str, str, int]:
        """Return (transport, address, port). Raises Unresolvable."""
        transport = transport_of(uri)
        loop = asyncio.get_running_loop()
        host, now = uri.host.lower(), loop.time()
        known = self._known.get(host)
        if known is None or known[0] < now:
            known = (now + CACHE_S, await self._look_up(host, uri))
            self._known[host] = known
            if len(self._known) > CACHE_MAX:
                self._known.popitem(last=False)
        return transport, known[1], uri.port or DEFAULT_PORT[transport]

    async def _look_up(self, host: str, uri: SipUri) -> str:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOKUP_S):
                found = await loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError):  # a TimeoutError is an OSError
            raise Unresolvable(str(uri), "the host has no address", may_pass=True) from None
        addresses = [entry[4][0] for entry in found]
        ipv4 = [address for address in addresses if ":" not in str(address)]
        return str((ipv4 or addresses)[0])


def transport_of(uri: SipUri) -> str:
    """Return `udp`, `tcp` or `tls` from a URI. Raises Unresolvable for what this engine does not speak."""
    if uri.scheme not in ("sip", "sips"):
        raise Unresolvable(str(uri), "only sip: URIs can be called")
    named = uri.transport or "udp"
    if named not in DEFAULT_PORT:
        raise Unresolvable(str(uri), f"transport {named} leads nowhere without the phone's own connection")
    return "tls" if uri.scheme == "sips" else named
