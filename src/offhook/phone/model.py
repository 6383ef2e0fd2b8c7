"""What a soft phone is told, and what it tells."""

from dataclasses import dataclass
from enum import StrEnum


class Answering(StrEnum):
    """What the phone does when it rings."""

    ANSWER = "answer"
    """Pick up after `answer_after_s`."""
    BUSY = "busy"
    """486 at once."""
    DECLINE = "decline"
    """603 at once."""
    NEVER = "never"
    """Ring until the caller gives up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneSettings:
    """One phone. Times are seconds."""

    username: str
    password: str
    realm: str
    """Domain of the account: `acme.sip.example.com`."""
    server: tuple[str, int]
    """IP address and port the phone registers at."""
    transport: str = "udp"
    """`udp` or `tcp`."""
    host: str = "127.0.0.1"
    """Our address, for SIP and RTP; it stands in Contact and SDP."""
    port: int = 0
    """SIP port; 0 takes a free one."""
    answering: Answering = Answering.ANSWER
    answer_after_s: float = 0.0
    hang_up_after_s: float = 0.0
    """Hang up this long after answering; 0: leave it to the other."""
    auto_answer: bool = True
    """Pick up by itself when the caller asks for it (Call-Info answer-after, Alert-Info, intercom=true)."""
    tone_hz: float = 440.0
    """What the other hears; 0 sends silence."""
    listen_for_hz: tuple[float, ...] = (440.0,)
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    """In order of our own offers; of others' offers we take the first of these."""
    expires_s: int = 300
    """How long to ask to be registered."""


@dataclass(frozen=True, slots=True)
class Registered:
    """The server knows where we are."""

    expires_s: int


@dataclass(frozen=True, slots=True)
class RegistrationFailed:
    """The server refused or did not answer; it is tried again."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Ringing:
    """Somebody calls."""

    call_id: str
    caller_name: str
    caller_number: str
    asks_auto_answer: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """We picked up; sound goes out."""

    call_id: str
    codec: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A frequency we listen for has been heard for long enough to be sure. Once per call and frequency."""

    call_id: str
    frequency_hz: float


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over, answered or not."""

    call_id: str
    by_peer: bool
    reason: str
    """Words for people: `Normal call clearing`, `hung up`, `486 Busy Here`."""
    talked_s: float
    """From our answer; 0 if we never did."""


@dataclass(frozen=True, slots=True)
class TransferReported:
    """What became of a transfer we asked for: the answer to our REFER, then the reports of its progress."""

    call_id: str
    status: int
    """202: it is being done; then 100, 180, and one of 200 and more, which is the last."""
    reason: str


PhoneEvent = Registered | RegistrationFailed | Ringing | Answered | Heard | TransferReported | CallEnded
