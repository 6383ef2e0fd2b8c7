"""Which of our addresses a peer is told: in Via and Contact, and for media in SDP.

A peer in one of the local networks is told the address that packets to it leave from; any other the
advertised one of its family, if there is one (a node behind NAT).
"""

import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

from offhook.sip.flows import Flow

WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
KNOWN_MAX: Final = 10_000
"""Peers whose answer is kept; each costs some 200 bytes, and asking the routing table again 10 µs."""
NOWHERE: Final = {4: "192.0.2.1", 6: "2001:db8::1"}
"""Addresses for documentation: a UDP connect to them sends nothing and finds the default route."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class OwnAddresses:
    """Answers for one node. `ports` are learned when the sockets are bound."""

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        advertised: Sequence[str] = (),
        local_networks: Sequence[Network] = (),
        ports: dict[str, int] | None = None,
    ) -> None:
        """hosts are the bound addresses; advertised holds at most one for each family."""
        self._hosts = tuple(hosts)
        self._advertised = {_family(host): host for host in advertised}
        self._local_networks = tuple(local_networks)
        self.ports = ports or {}
        """By transport: the port peers reach us at."""
        self._known: dict[str, str] = {}

    def of_flow(self, flow: Flow) -> tuple[str, int]:
        """Return the host and port for Via and Contact on a flow."""
        host = self.host_for(flow.remote[0])
        return host, self.ports.get(flow.transport) or self.ports.get("tcp") or flow.local[1]

    def host_for(self, remote: str) -> str:
        """Return the address that a peer reaches us at."""
        known = self._known.get(remote)
        if known is None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            known = self._known[remote] = self._find(remote)
        return known

    @property
    def families(self) -> frozenset[int]:
        """The IP versions we can send with."""
        return frozenset(_family(host) for host in self._hosts)

    def media_bind(self, family: int) -> str:
        """Return the address to bind media of a family to: the one there is, all if there are several."""
        hosts = [host for host in self._hosts if _family(host) == family]
        if len(hosts) == 1:
            return hosts[0]
        if family == 6:
            return "::" if hosts else ""
        return "0.0.0.0" if hosts else _loopback(family)  # noqa: S104 - phones are on other machines

    @property
    def default_host(self) -> str:
        """What a peer is told of which nothing is known but that it is on the public side."""
        family = 4 if any(":" not in host for host in self._hosts) else 6
        return self.host_for(NOWHERE[family])

    @property
    def names(self) -> frozenset[str]:
        """All that peers may know us by, in lower case and without brackets; no wildcard is among it."""
        towards = (source_towards(NOWHERE[_family(host)]) for host in self._hosts if host in WILDCARDS)
        bound = (host.lower() for host in self._hosts if host not in WILDCARDS)
        return frozenset((*bound, *map(str.lower, self._advertised.values()), *towards)) - {""}

    def bound_host(self, remote: str) -> str:
        """Return the bound address to send to a peer from."""
        family = _family(remote)
        fitting = [host for host in self._hosts if _family(host) == family] or list(self._hosts)
        if len(fitting) == 1:
            return fitting[0]
        source = source_towards(remote)
        return next((host for host in fitting if host in (source, *WILDCARDS)), fitting[0])

    def _find(self, remote: str) -> str:
        family = _family(remote)
        advertised = self._advertised.get(family)
        if advertised is not None and not self._is_local(remote):
            return advertised
        bound = self.bound_host(remote)
        return bound if bound not in WILDCARDS else source_towards(remote) or _loopback(family)

    def _is_local(self, remote: str) -> bool:
        try:
            address = ipaddress.ip_address(remote)
        except ValueError:
            return False
        return any(address in network for network in self._local_networks)


def source_towards(remote: str) -> str:
    """Return the address that packets to a host leave from, or "" if there is no way to it."""
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((remote, 9))  # a UDP connect sends nothing
            return str(probe.getsockname()[0])
        except OSError:
            return ""


def _family(host: str) -> int:
    return 6 if ":" in host else 4


def _loopback(family: int) -> str:
    return "::1" if family == 6 else "127.0.0.1"
