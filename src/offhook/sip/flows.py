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
