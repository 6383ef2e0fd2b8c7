"""The media port: what an engine asks of a relay, and how a relay says no.

A session has two sides. Each has a port of ours from the moment it is opened, so that our offer can name
it before the far end's SDP is known. Until `join` nothing passes between the sides: each hears what is
played to it, or nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol

from offhook.kernel import OffhookError
from offhook.sip.sdp_dtls import DtlsPeer, DtlsPort

PCMU = 0
PCMA = 8


class MediaError(OffhookError):
    """Media could not be set up or changed.

    RelayLost, RelayFull, PlaybackFailed, MediaRefused (here); MediaUnknown (media_library).
    """

    code: ClassVar[str] = "media-error"


class RelayLost(MediaError):
    """The relay died, hangs or is not up; its sessions are gone. A platform error of the call."""

    code = "relay-lost"

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return f"the media relay is lost: {self.why}"


class RelayFull(MediaError):
    """No port is free, or too many commands wait. Nothing was allocated."""

    code = "relay-full"

    def __init__(self, sessions: int) -> None:
        super().__init__(sessions)
        self.sessions = sessions

    def __str__(self) -> str:
        return f"the media relay is full ({self.sessions} sessions)"


class PlaybackFailed(MediaError):
    """What was to be played is missing or not in a codec of the leg; the leg hears nothing instead."""

    code = "playback-failed"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"cannot play {self.name}"


class MediaRefused(MediaError):
    """The relay refused a command on a session it should know (it timed out there, or we have a bug)."""

    code = "media-refused"

    def __init__(self, command: str, reply: str) -> None:
        super().__init__(command, reply)
        self.command = command
        self.reply = reply

    def __str__(self) -> str:
        return f"the media relay answered {self.reply} to {self.command}"


class RelaySide(StrEnum):
    """Which of the two ports of a session: the one for the first party, or the one for the second."""

    FIRST = "first"
    SECOND = "second"

    @property
    def other(self) -> "RelaySide":
        """The side it will be joined to."""
        return RelaySide.SECOND if self is RelaySide.FIRST else RelaySide.FIRST


@dataclass(frozen=True, slots=True)
class RelayPort:
    """Where a party sends its RTP: put it into the SDP. RTCP is one port above."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class PreparedMedia:
    """Something to play at once: raw files `{name}.0` (PCMU) and `{name}.8` (PCMA) in the relay's folder."""

    name: str
    """Letters, digits, dash and underscore only."""
    payload_types: tuple[int, ...] = (PCMU, PCMA)


@dataclass(frozen=True, slots=True)
class SideStatistics:
    """What came in on one side, counted by the relay from RTP sequence numbers."""

    packets_received: int
    packets_lost: int
    jitter_mean_ms: float


@dataclass(frozen=True, slots=True)
class SessionStatistics:
    """Both sides of a session, and what passed between them."""

    first: SideStatistics
    second: SideStatistics
    packets_relayed: int
    packets_dropped: int
    """Held back before the join, or sent by somebody else."""


ReportMediaError = Callable[[str, MediaError], None]
"""Called with a session id. After RelayLost the session is gone and needs no `close`."""


class MediaRelay(Protocol):
    """Relays RTP. Commands return at once and take effect in order; what fails later is reported."""

    async def start(self, report: ReportMediaError) -> None:
        """Bring the relay up. Raises RelayLost if it does not come up in time."""
        ...

    async def stop(self) -> None:
        """End it and all its sessions. Idempotent; may precede start."""
        ...

    async def open_leg(self, session_id: str, side: RelaySide, *, ipv6: bool = False) -> RelayPort:
        """Return the port for one side, opening the session (both ports) if it is new.

        Opening a side again returns the same port, unless it is to be of the other family now. Raises
        RelayLost, RelayFull, MediaRefused. Call `close` when done.
        """
        ...

    async def secure_leg(self, session_id: str, side: RelaySide) -> DtlsPort:
        """Make a side speak DTLS-SRTP and ICE-lite, for a browser; return what our SDP says of it.

        Doing it again returns the same. Call `connect_leg` with the browser's side of it, or without if a
        phone answered in the browser's place. Raises RelayLost, MediaRefused.
        """
        ...

    def connect_leg(
        self,
        session_id: str,
        side: RelaySide,
        host: str,
        port: int,
        payload_types: Sequence[int],
        *,
        dtls: DtlsPeer | None = None,
    ) -> None:
        """Say where the far end of a side receives (from its SDP) and what codecs it agreed to, best first.

        Call it again when it changes. If its packets come from elsewhere (NAT), the relay answers there.
        A host that is not an IP address is left to be learned from its packets. With dtls the far end is a
        browser: ICE says where it receives. Without, the side speaks plain RTP (again).
        """
        ...

    def play(self, session_id: str, side: RelaySide, media: PreparedMedia, *, is_once: bool = False) -> None:
        """Play to a side, over and over, until `join`, `silence`, `pass_through` or another `play`.

        Once: then the side hears again what it heard before. Call `connect_leg` first: the codec comes from
        there. Reports PlaybackFailed if that cannot be.
        """
        ...

    def silence(self, session_id: str, side: RelaySide) -> None:
        """Stop what is played to a side and let it hear nothing."""
        ...

    def pass_through(self, session_id: str, side: RelaySide) -> None:
        """Let one side hear the other, and not the reverse (early media)."""
        ...

    def join(self, session_id: str) -> None:
        """Let both sides hear each other; whatever was played ends."""
        ...

    def record(self, session_id: str, done: Callable[[Sequence[Path]], None]) -> None:
        """Capture what passes between the sides, until the session is closed; then `done` gets the captures.

        They are pcap files, `.rtp` for each direction, the receiver's to remove. Repeated, it does nothing.
        """
        ...

    async def statistics(self, session_id: str) -> SessionStatistics:
        """Return counts so far. Raises RelayLost, or MediaRefused if the session is unknown."""
        ...

    def close(self, session_id: str) -> None:
        """Free both ports. Idempotent; unknown sessions are ignored."""
        ...
