"""What was said on each leg: the SIP messages as they were on the wire, and what the media did.

One bounded memory for the whole node: when it is full, the oldest message of whatever leg makes room. A
message is kept as the bytes that the socket gave or got, so that taking it costs a microsecond; words are
made when somebody asks.
"""

import re
from collections import OrderedDict, deque
from typing import Final

from offhook.app.ports import TraceLine
from offhook.sip.flows import Flow

KEPT_BYTES_MAX: Final = 32 * 1024 * 1024
"""Of all messages together: about 4,000 calls. At 10,000 standing calls it adds 3.3 KB to each."""

RECORD_BYTES: Final = 400
"""What a message costs beside its own bytes: record, time, flow with its addresses, place in the queue."""

LEGS_MAX: Final = 20_000
"""Legs that may have records, live ones and the last that ended; the oldest is forgotten."""

RECORDS_MAX: Final = 100
"""Per leg. A call has about ten; a peer that repeats itself pushes out the oldest."""

_USUAL: Final = b"\r\nCall-ID: "
_CALL_ID: Final = re.compile(rb"\r\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]{1,200})", re.IGNORECASE)
_CSEQ_METHOD: Final = re.compile(rb"\r\ncseq[ \t]*:[ \t]*\d{1,10}[ \t]+([A-Za-z]{1,20})", re.IGNORECASE)

Record = tuple[float, bool, bytes, Flow | None]
"""Time, is it ours, the message, its flow; or, without a flow, words about media."""


class _Leg:
    """The records of one leg, oldest first."""

    __slots__ = ("owed", "records")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.owed = 0
        """Records this leg has given up before their turn in the queue came."""


class SipTrace:
    """Remembers messages by Call-ID, for legs that were announced with `follow`."""

    def __init__(self, *, kept_bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._legs: OrderedDict[str, _Leg] = OrderedDict()
        self._queue: deque[tuple[_Leg, int]] = deque()  # one entry per record that was ever kept, in order
        self._kept_bytes = 0
        self._kept_bytes_max = kept_bytes_max

    @property
    def kept_bytes(self) -> int:
        """What the records cost now."""
        return self._kept_bytes

    def follow(self, leg_id: str) -> None:
        """Remember what is said with this Call-ID from now on."""
        self._legs[leg_id] = _Leg()
        if len(self._legs) > LEGS_MAX:
            self._legs.popitem(last=False)

    def note(self, data: bytes, flow: Flow, at: float, *, outgoing: bool) -> None:
        """Take one message off or onto the wire; at is Unix seconds."""
        leg = self._legs.get(_call_id(data))
        if leg is not None:
            self._keep(leg, (at, outgoing, data, flow))

    def remark(self, leg_id: str, words: str, at: float) -> None:
        """Take a media event of a leg."""
        leg = self._legs.get(leg_id)
        if leg is not None:
            self._keep(leg, (at, True, words.encode(), None))

    def lines(self, leg_id: str) -> list[TraceLine]:
        """Return what was said on a leg, oldest first; empty if it is not remembered."""
        leg = self._legs.get(leg_id)
        return [] if leg is None else [_line(record) for record in leg.records]

    def _keep(self, leg: _Leg, record: Record) -> None:
        if len(leg.records) >= RECORDS_MAX:
            del leg.records[0]
            leg.owed += 1
        leg.records.append(record)
        size_bytes = len(record[2]) + RECORD_BYTES
        self._queue.append((leg, size_bytes))
        self._kept_bytes += size_bytes
        while self._kept_bytes > self._kept_bytes_max:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        leg, size_bytes = self._queue.popleft()
        self._kept_bytes -= size_bytes
        if leg.owed:
            leg.owed -= 1
        else:
            del leg.records[0]


def _call_id(data: bytes) -> str:
    """Return the Call-ID, empty if there is none: found at once if it is written as we and most phones do."""
    begin = data.find(_USUAL)
    if begin >= 0:
        begin += len(_USUAL)
        return data[begin : data.find(b"\r\n", begin)].decode("ascii", "replace").strip()
    found = _CALL_ID.search(data)
    return found[1].decode("ascii", "replace").strip() if found is not None else ""


def _line(record: Record) -> TraceLine:
    at, outgoing, data, flow = record
    if flow is None:
        return TraceLine(at, outgoing, data.decode(), "", kind="media")
    peer = f"{flow.transport}:{flow.remote[0]}:{flow.remote[1]}"
    return TraceLine(at, outgoing, summary_of(data), peer, data=data, local=flow.local, remote=flow.remote)


def summary_of(data: bytes) -> str:
    """Return `INVITE` for a request, `180 Ringing (INVITE)` for a response."""
    line = data[: data.find(b"\r\n")].decode("utf-8", "replace")
    if not line.startswith("SIP/2.0 "):
        return line.partition(" ")[0][:20]
    found = _CSEQ_METHOD.search(data)
    method = found[1].decode("ascii") if found else "?"
    return f"{line[8:60].strip()} ({method})"
