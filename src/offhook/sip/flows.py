"""Where a message came from, or is to go."""

import msgspec


class Flow(msgspec.Struct, frozen=True):
    """Two addresses, the transport between them, and the connection if there is one. Hashable."""

    transport: str
    """Lower case: `udp`, `tcp`; later `tls`, `ws`, `wss`."""
    local: tuple[str, int]
    """Our address and port."""
    remote: tuple[str, int]
    """The peer's address and port; an IPv6 address without brackets."""
    id: str = ""
    """Name of a connection that exists; empty for datagrams, and for "open one if there is none"."""

    @property
    def is_reliable(self) -> bool:
        """Tell whether the transport delivers by itself (then nothing is retransmitted)."""
        return self.transport != "udp"


def datagram_flow_id(remote: tuple[str, int]) -> str:
    """Return a name for "by UDP to this address", for phones behind a NAT: `udp:203.0.113.7:40001`."""
    return f"udp:{remote[0]}:{remote[1]}"


def datagram_address(flow_id: str) -> tuple[str, int] | None:
    """Return the address in such a name, or None if it names a connection."""
    if not flow_id.startswith("udp:"):
        return None
    host, _, port = flow_id[4:].rpartition(":")
    return host, int(port)
