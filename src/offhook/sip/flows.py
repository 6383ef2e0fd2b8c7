"""Where a message came from, or is to go."""

from typing import Final

import msgspec

DEFAULT_PORT: Final = 5060

WEBSOCKETS = frozenset(("ws", "wss"))
"""Transports whose connections only the peer can open (RFC 7118)."""


class TlsPeer(msgspec.Struct, frozen=True):
    """Whom a TLS connection of ours must lead to. Hashable: who asks alike shares connections."""

    name: str
    """Host name or address of the URI: for SNI, and to be found in the certificate (RFC 5922 section 7)."""
    ca: str = ""
    """PEM certificates that are trusted in place of the system's; empty: those."""
    verify: bool = True
    """False: any certificate will do."""


class Flow(msgspec.Struct, frozen=True):
    """Two addresses, the transport between them, and the connection if there is one. Hashable."""

    transport: str
    """Lower case: `udp`, `tcp`, `tls`, `ws`, `wss`."""
    local: tuple[str, int]
    """Our address and port."""
    remote: tuple[str, int]
    """The peer's address and port; an IPv6 address without brackets."""
    id: str = ""
    """Name of a connection that exists; empty for datagrams, and for "open one if there is none"."""
    tls: TlsPeer | None = None
    """Whom the peer must prove to be, if we open the connection."""

    @property
    def is_reliable(self) -> bool:
        """Tell whether the transport delivers by itself (then nothing is retransmitted)."""
        return self.transport != "udp"

    def without_connection(self) -> "Flow":
        """Return the flow to the same peer over another connection."""
        return Flow(self.transport, self.local, self.remote, "", self.tls)


def flow_anew(source: Flow, via_port: int | None) -> Flow:
    """Return where answers go if the connection of a request is gone (RFC 3261 18.2.2)."""
    return Flow(source.transport, source.local, (source.remote[0], via_port or DEFAULT_PORT))


def datagram_flow_id(remote: tuple[str, int]) -> str:
    """Return a name for "by UDP to this address", for phones behind a NAT: `udp:203.0.113.7:40001`."""
    return f"udp:{remote[0]}:{remote[1]}"


def datagram_address(flow_id: str) -> tuple[str, int] | None:
    """Return the address in such a name, or None if it names a connection."""
    if not flow_id.startswith("udp:"):
        return None
    host, _, port = flow_id[4:].rpartition(":")
    return host, int(port)
