"""What a user agent core is told once: its addresses, its timers, its bounds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from .flows import Flow

MAX_UDP_REQUEST_BYTES: Final = 1300
"""RFC 3261 18.1.1: a longer request must not go over UDP while the path MTU is unknown."""

MAX_FORK_DIALOGS: Final = 16
"""Dialogs one INVITE may make. Forking proxies ring a handful of phones; more is an attack on memory."""

MAX_AUTH_ROUNDS: Final = 4
"""Answers to challenges with one request: a proxy's and a server's, each once more if the nonce was stale."""

MAX_RESENT_INVITES: Final = MAX_AUTH_ROUNDS + 1
"""INVITEs that one call of ours may become: a challenge each, and one refusal for too short a session."""

RECONNECT_PAUSES: Final = (0, 1, 2, 4, 8)
"""In T1, before each new connection that a CANCEL, BYE, ACK or re-INVITE is sent over when one is lost:
7.5 s, in which a proxy is back."""

MIN_SESSION_S: Final = 90
"""Session intervals below are refused (RFC 4028 4): a refresh every 45 s is what a call can bear."""

CSEQ_MARGIN: Final = 1_000
"""Requests a dialog may have sent after it was recorded; gaps are allowed (RFC 3261 12.2.1.1)."""


DEFAULT_ALLOW: Final = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "UPDATE", "PRACK")
"""Methods that every user agent of ours takes."""


@dataclass(frozen=True, slots=True)
class UserAgentConfig:
    """Settings of one UserAgentCore. Times are seconds."""

    advertised: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By transport (`udp`, `tcp`): the host and port peers reach us at, for Via and Contact."""
    user_agent: str = "offhook"
    """Text of User-Agent and Server."""
    contact_user: str = ""
    """User part of our Contact when a request names none."""
    allow: tuple[str, ...] = DEFAULT_ALLOW
    """Methods we take; others get 405. A registrar adds REGISTER."""
    session_expires_s: int = 0
    """Session interval that we ask for (RFC 4028), at least MIN_SESSION_S; 0: no session timers."""
    find_address: Callable[[Flow], tuple[str, int]] | None = None
    """Tells instead what the peer of a flow reaches us at: a node may have several. Must be quick."""
    holds_surplus: bool = False
    """A 2xx that nobody waits for is told (SurplusAnswered), and hung up when the caller says bye(), which it
    must; False: it is hung up at once."""
    t1: float = 0.5
    """Round-trip estimate: the first retransmission comes after it (RFC 3261 17.1.1.1)."""
    t2: float = 4.0
    """Longest pause between retransmissions of anything but an INVITE."""
    t4: float = 5.0
    """How long a message may stay in the network."""
    timer_c: float = 180.0
    """An INVITE that only rings is given up after this (RFC 3261 16.6 step 11 wants over 3 minutes)."""
    unanswered: float = 300.0
    """A received INVITE that our caller never answers gets 480 after this: a forgotten one must not stay."""
    max_transactions: int = 50_000
    """More than a node at full call rate holds (600 calls/s keep about 40,000 for 32 s), about 100 MB."""
    max_dialogs: int = 30_000
    """Three times the standing calls a node is built for, two dialogs each."""

    @property
    def longest_repeat(self) -> float:
        """How long to listen for something that is repeated every T2: once, and a second for the way."""
        return self.t2 + 2 * self.t1

    @property
    def give_up(self) -> float:
        """64*T1: timers B, F, H, J, L and M."""
        return 64 * self.t1

    def own_address(self, flow: Flow) -> tuple[str, int]:
        """Return the host and port that the peer of a flow reaches us at."""
        if self.find_address is not None:
            return self.find_address(flow)
        return self.advertised.get(flow.transport, flow.local)
