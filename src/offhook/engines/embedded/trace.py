"""What was said on each leg, for the SIP ladder of a call: one short line per message, bounded."""

import re
from collections import OrderedDict, deque
from typing import Final

from offhook.app.ports import TraceLine
from offhook.sip.flows import Flow

LEGS_MAX: Final = 4_000
"""Legs remembered, live ones and the last that ended: about 2 KB each."""

LINES_MAX: Final = 100
"""Lines per leg. A call has about ten; a peer that repeats itself pushes out the oldest."""

_CALL_ID: Final = re.compile(rb"\r\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]{1,200})", re.IGNORECASE)
_CSEQ_METHOD: Final = re.compile(rb"\r\ncseq[ \t]*:[ \t]*\d{1,10}[ \t]+([A-Za-z]{1,20})", re.IGNORECASE)


class SipTrace:
    """Remembers messages by Call-ID, for legs that were announced with `follow`."""

    def __init__(self) -> None:
        self._legs: OrderedDict[str, deque[TraceLine]] = OrderedDict()

    def follow(self, leg_id: str) -> None:
        """Remember what is said with this Call-ID from now on."""
        self._legs[leg_id] = deque(maxlen=LINES_MAX)
        if len(self._legs) > LEGS_MAX:
            self._legs.popitem(last=False)

    def note(self, data: bytes, flow: Flow, at: float, *, outgoing: bool) -> None:
        """Take one message off or onto the wire; at is Unix seconds."""
        found = _CALL_ID.search(data)
        if found is None:
            return
        lines = self._legs.get(found[1].decode("ascii", "replace").rstrip())
        if lines is not None:
            peer = f"{flow.transport}:{flow.remote[0]}:{flow.remote[1]}"
            lines.append(TraceLine(at, outgoing, summary_of(data), peer))

    def lines(self, leg_id: str) -> list[TraceLine]:
        """Return what was said on a leg, oldest first; empty if it is not remembered."""
        return list(self._legs.get(leg_id, ()))


def summary_of(data: bytes) -> str:
    """Return `INVITE` for a request, `180 Ringing (INVITE)` for a response."""
    line = data[: data.find(b"\r\n")].decode("utf-8", "replace")
    if not line.startswith("SIP/2.0 "):
        return line.partition(" ")[0][:20]
    found = _CSEQ_METHOD.search(data)
    method = found[1].decode("ascii") if found else "?"
    return f"{line[8:60].strip()} ({method})"
