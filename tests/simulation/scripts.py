"""What a far end does, and the nonsense it may talk."""

import re
from typing import Any, Final

import msgspec

from offhook.sip.message import parse_message, response_to, serialize


class Script(msgspec.Struct, kw_only=True):
    """What a far end does when it is rung. Seconds count from the INVITE, unless said otherwise."""

    rings_after: float | None = 0.05
    """180; None: nothing but 100."""
    early_media: bool = False
    """183 with SDP in place of 180."""
    status: int = 0
    """Final answer; 0: none, it rings for ever."""
    answers_after: float = 1.0
    challenges: bool = False
    """407 first; the answer comes to an INVITE with credentials."""
    body: str = "ours"
    """SDP of a 200: `ours`, `alaw` (G.711 A-law only), `none`, `broken`, `video`."""
    hangs_up_after: float | None = None
    """BYE so long after the 200."""
    reinvites_after: float | None = None
    """A re-INVITE so long after the 200."""
    refuses_reinvites: bool = False
    forks: bool = False
    """A second phone behind the same proxy answers too, with a tag of its own."""
    ignores_cancel: bool = False
    """Says 200 to a CANCEL and goes on as if it had not come."""
    babbles: str = ""
    """Something malformed comes before each proper answer: name of a way to be wrong."""
    away: tuple[tuple[float, float], ...] = ()
    """From when until when it is out of reach, after the INVITE was due; infinity: for ever."""
    contact_after: float = 0.0
    tcp: bool = False
    """Reached over TCP."""
    name: str = ""
    """Host name in place of the address."""
    gives_up_after: float = 0.0
    """Of one that rings us: CANCEL so long after its INVITE."""
    offers_late: bool = False
    """Of one that rings us: its INVITE has no session."""
    forgets_ack: bool = False
    """Of one that rings us: its 200 is never acknowledged."""

    @property
    def is_lost(self) -> bool:
        """Tell whether it goes out of reach for ever: then it cannot be told that a leg is over."""
        return any(until == float("inf") for _, until in self.away)

    @property
    def is_silent(self) -> bool:
        """Tell whether it never hears anything."""
        return any(start <= 0 and until == float("inf") for start, until in self.away)


NONSENSE_TAG: Final = "x0x0"
TALKS_NONSENSE: Final = NONSENSE_TAG.encode()
UNREADABLE_TO: Final = b"\r\nTo: <<<"


def babble(how: str, invite: bytes) -> bytes:
    """Return something that is no proper answer to an INVITE."""
    if how == "noise":
        return b"\xff\xfe\x00" * 20
    request: Any = parse_message(invite)
    answer = serialize(response_to(request, 200, to_tag=NONSENSE_TAG))
    ways = {
        "no call-id": answer.replace(b"Call-ID:", b"X-Lost:"),
        "no cseq": answer.replace(b"CSeq:", b"X-Lost:"),
        "bad status": answer.replace(b"SIP/2.0 200", b"SIP/2.0 2OO"),
        "cut": answer[: len(answer) // 2],
        "wrong length": answer.replace(b"Content-Length: 0", b"Content-Length: 900"),
        "other branch": answer.replace(b"branch=z9hG4bK", b"branch=z9hG4bKother"),
        "two vias": answer.replace(b"Via:", b"Via: SIP/2.0/UDP 10.8.8.8;branch=z9hG4bKx\r\nVia:", 1),
        "bad to": re.sub(rb"\r\nTo:[^\r]*", UNREADABLE_TO, answer),
    }
    return ways[how]


BABBLES: Final = (
    "noise", "no call-id", "no cseq", "bad status", "cut", "wrong length", "other branch", "two vias",
    "bad to",
)  # fmt: skip
