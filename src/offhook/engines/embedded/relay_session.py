"""One session of the RTPProxy adapter, and what RTPProxy's replies mean."""

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from offhook.sip.sdp_dtls import DtlsPeer, DtlsPort

from .relay import PCMA, PCMU, MediaError, PreparedMedia, RelayPort, RelaySide, SideStatistics

SAMPLES_PER_MS: Final = 8
"""RTPProxy gives jitter in timestamp units; both our codecs count 8,000 a second."""


class RelaySession:
    """One call's two ports, as we know them."""

    __slots__ = (
        "attempts",
        "dtls_peers",
        "dtls_ports",
        "moving",
        "opening",
        "payload_types",
        "playing_since",
        "ports",
        "recorded",
        "session_id",
        "telling",
        "token",
        "told",
        "where",
    )

    def __init__(
        self, session_id: str, token: str, ports: asyncio.Future[dict[RelaySide, RelayPort]]
    ) -> None:
        self.session_id = session_id
        self.token = token  # of our own making: RTPProxy's protocol is words separated by spaces
        self.ports = ports
        self.attempts = 0
        self.recorded: Callable[[Sequence[Path]], None] | None = None
        """Whom to give its captures when it is closed."""
        self.payload_types: dict[RelaySide, Sequence[int]] = dict.fromkeys(RelaySide, (PCMU, PCMA))
        self.playing_since: dict[RelaySide, float] = {}
        self.opening: dict[RelaySide, asyncio.TimerHandle] = {}
        self.where: dict[RelaySide, tuple[str, str]] = {}
        """By side: modifiers and address it was connected with last."""
        self.told: dict[RelaySide, tuple[str, float]] = {}
        """By side: the address the relay knows of, and since when (loop time)."""
        self.telling: dict[RelaySide, asyncio.TimerHandle] = {}
        """The sides whose new address it is told soon."""
        self.moving = asyncio.Lock()
        """Held while a side gets a port of the other family."""
        self.dtls_ports: dict[RelaySide, DtlsPort] = {}
        """The sides that speak DTLS-SRTP and ICE."""
        self.dtls_peers: dict[RelaySide, DtlsPeer] = {}
        """What the relay was told of the browsers at them."""

    def fail(self, error: MediaError) -> None:
        """Tell whoever waits for the ports that there will be none."""
        if not self.ports.done():
            self.ports.set_exception(error)
            self.ports.exception()  # nobody may wait for it any more; that is not a fault

    def can_hear(self, side: RelaySide, media: PreparedMedia, folder: Path) -> bool:
        """Tell whether there is a file of the media in a codec of the side."""
        common = [number for number in self.payload_types[side] if number in media.payload_types]
        return any((folder / f"{media.name}.{number}").exists() for number in common)


def read_side(reply: str) -> SideStatistics:
    """Return the counts of `rtpa_nrcvd rtpa_nlost rtpa_javg`."""
    received, lost, jitter = reply.split()
    return SideStatistics(int(received), int(lost), float(jitter) / SAMPLES_PER_MS)


def read_ports(reply: str) -> list[int] | None:
    """Return both ports of `21160 127.0.0.1 && 23752 127.0.0.1`; None for `E72`, or `-1` as second half."""
    words = [half.split()[0] for half in reply.split("&&") if half.strip()]
    return [int(word) for word in words] if len(words) == 2 and all(map(str.isdigit, words)) else None


def read_dtls_port(reply: str) -> DtlsPort | None:
    """Return our side of `21160 127.0.0.1 && actpass SHA-256 AB:… && ufrag password c:…`, or None."""
    halves = [half.split() for half in reply.split("&&")]
    if len(halves) != 3 or len(halves[1]) != 3 or len(halves[2]) < 2:
        return None
    return DtlsPort(fingerprint=halves[1][2], ufrag=halves[2][0], password=halves[2][1])


def is_port_shortage(reply: str) -> bool:
    """Tell whether a refused opening was for want of a port, or of the second of two."""
    return reply.startswith("E7") or "&&" in reply


def is_ip_address(host: str) -> bool:
    """Tell whether a host needs no name service; nothing else goes to RTPProxy, which would ask one."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
