"""What was said on each leg: the SIP messages as they were on the wire, and what the media did.

One bounded memory for the whole node, in two parts. A message comes in as the bytes that the socket gave or
got, which costs a microsecond. When there are many such, the oldest leg's are packed together, to a fourth of
their size; when there are many of these, the oldest is forgotten. Words are made when somebody asks.
"""

import re
import zlib
from collections import OrderedDict, deque
from typing import Final

import msgspec

from offhook.app.ports import TraceLine
from offhook.sip.flows import Flow

RAW_BYTES_MAX: Final = 1024 * 1024
"""Of messages as they came: those of the last hundred calls or so. More would weigh on each standing call."""

PACKED_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of packed ones: those of 10,000 calls, less than 2 KB each. Packing a call's takes some 40 µs."""

RECORD_BYTES: Final = 400
"""What a message costs beside its own bytes: record, time, flow with its addresses."""

BLOCK_BYTES: Final = 160
"""What a packed block costs beside its bytes."""

LEGS_MAX: Final = 20_000
"""Legs that may have records, live ones and the last that ended; the oldest is forgotten."""

BLOCK_RECORDS_MAX: Final = 50
"""Messages of a leg that are packed at the latest; a leg has about eight, a peer that repeats itself more."""

BLOCKS_MAX: Final = 2
"""Per leg; the oldest makes room. So a leg keeps its last 50 to 150 messages."""

_LEVEL: Final = 1
_WINDOW_BITS: Final = -12
_MEMORY_LEVEL: Final = 6
"""A raw deflate stream with a window of 4 KiB: a small state is set up in a fraction of the time."""

_USUAL: Final = b"\r\nCall-ID: "
_CALL_ID: Final = re.compile(rb"\r\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]{1,200})", re.IGNORECASE)
_CSEQ_METHOD: Final = re.compile(rb"\r\ncseq[ \t]*:[ \t]*\d{1,10}[ \t]+([A-Za-z]{1,20})", re.IGNORECASE)

Record = tuple[float, bool, bytes, Flow | None]
"""Time, is it ours, the message, its flow; or, without a flow, words about media."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Record]).decode


class _Leg:
    """The records of one leg, oldest first: the packed ones, then those as they came."""

    __slots__ = ("blocks", "raw")

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.raw: list[Record] = []


class SipTrace:
    """Remembers messages by Call-ID, for legs that were announced with `follow`."""

    def __init__(
        self, *, raw_bytes_max: int = RAW_BYTES_MAX, packed_bytes_max: int = PACKED_BYTES_MAX
    ) -> None:
        self._legs: OrderedDict[str, _Leg] = OrderedDict()
        self._callers: OrderedDict[str, _Leg] = OrderedDict()  # by the Call-ID that a caller has chosen
        self._raw: deque[_Leg] = deque()  # legs with raw records, by the oldest of these
        self._raw_bytes = 0
        self._raw_bytes_max = raw_bytes_max
        self._packed: deque[tuple[_Leg, bytes]] = deque()
        self._packed_bytes = 0
        self._packed_bytes_max = packed_bytes_max

    @property
    def kept_bytes(self) -> int:
        """What the records cost now."""
        return self._raw_bytes + self._packed_bytes

    def follow(self, leg_id: str, *, sip_call_id: str = "") -> None:
        """Remember what is said with this Call-ID from now on, or with the one that a caller has chosen."""
        leg = self._legs[leg_id] = _Leg()
        if len(self._legs) > LEGS_MAX:
            self._legs.popitem(last=False)
        if sip_call_id:
            self._callers[sip_call_id] = leg
            if len(self._callers) > LEGS_MAX:
                self._callers.popitem(last=False)

    def follows(self, data: bytes) -> bool:
        """Tell whether a message belongs to a leg that is remembered: one that lives, or ended lately."""
        call_id = _call_id(data)
        return call_id in self._legs or call_id in self._callers

    def note(self, data: bytes, flow: Flow, at: float, *, outgoing: bool) -> None:
        """Take one message off or onto the wire; at is Unix seconds."""
        call_id = _call_id(data)
        leg = self._legs.get(call_id) or self._callers.get(call_id)
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
        if leg is None:
            return []
        packed = [record for block in leg.blocks for record in _unpacked(block)]
        return [_line(record) for record in (*packed, *leg.raw)]

    def _keep(self, leg: _Leg, record: Record) -> None:
        if len(leg.raw) >= BLOCK_RECORDS_MAX:
            self._pack(leg)
        if not leg.raw:
            self._raw.append(leg)
        leg.raw.append(record)
        self._raw_bytes += len(record[2]) + RECORD_BYTES
        while self._raw_bytes > self._raw_bytes_max:
            self._pack(self._raw.popleft())

    def _pack(self, leg: _Leg) -> None:
        """Turn the raw records of a leg into a block. It may have none: packed before its turn came."""
        records, leg.raw = leg.raw, []
        if not records:
            return
        self._raw_bytes -= sum(len(record[2]) + RECORD_BYTES for record in records)
        block = _packed(records)
        leg.blocks.append(block)
        if len(leg.blocks) > BLOCKS_MAX:
            del leg.blocks[0]
        self._packed.append((leg, block))
        self._packed_bytes += len(block) + BLOCK_BYTES
        while self._packed_bytes > self._packed_bytes_max:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        leg, block = self._packed.popleft()
        self._packed_bytes -= len(block) + BLOCK_BYTES
        if leg.blocks and leg.blocks[0] is block:  # else the leg gave it up before
            del leg.blocks[0]


def _packed(records: list[Record]) -> bytes:
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)
    return stream.compress(_encode(records)) + stream.flush()


def _unpacked(block: bytes) -> list[Record]:
    return _decode(zlib.decompress(block, _WINDOW_BITS))


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
