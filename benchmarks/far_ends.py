"""Two phones that answer every call at once, in one light process: for rates that SIPp cannot reach.

They speak just enough SIP over UDP for a benchmark: a repeated INVITE gets its answer again, a BYE is
repeated until it is answered. The second phone hangs up after the hold time. What they saw is written as JSON
at the end.

Run: python -m benchmarks.far_ends FIRST_PORT SECOND_PORT HOLD_S [STANDING_FROM]   (until standard input ends)
Calls whose dialled number, without country and area code, is STANDING_FROM or more are never hung up.
"""

import heapq
import json
import select
import socket
import sys
import time
from typing import Final

HOST: Final = "127.0.0.1"
BUFFER_BYTES: Final = 8 * 1024 * 1024
DRAIN_MAX: Final = 200
BYE_RETRY_S: Final = 0.5
BYE_TRIES: Final = 8
SDP: Final = (
    b"v=0\r\no=far 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


class Phone:
    """One of the two. `calls` holds what happened to each, by Call-ID."""

    def __init__(self, port: int, *, hold_s: float | None, standing_from: int = 10_000_000) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self.socket.setblocking(False)
        self.socket.bind((HOST, port))
        self.contact = f"<sip:far@{HOST}:{port}>".encode()
        self.via = f"SIP/2.0/UDP {HOST}:{port};branch=z9hG4bK".encode()
        self.hold_s = hold_s
        """None: the other side hangs up."""
        self.standing_from = standing_from
        self.calls: dict[bytes, FarCall] = {}
        self.due: list[tuple[float, bytes]] = []

    def read(self) -> None:
        """Take what has come."""
        for _ in range(DRAIN_MAX):
            try:
                data, source = self.socket.recvfrom(65_535)
            except BlockingIOError:
                return
            self._take(data, source, time.monotonic())

    def _take(self, data: bytes, source: tuple[str, int], now: float) -> None:
        call = self.calls.get(call_id := _field(data, b"\r\nCall-ID: "))
        if data.startswith(b"SIP/2.0"):
            if call is not None and b" BYE\r\n" in data:
                call.is_over = True
        elif data.startswith(b"INVITE"):
            if call is None:
                call = self.calls[call_id] = FarCall(data, source, now)
                call.accept(self, data)
                if self.hold_s is not None:
                    self._send(call, _response(data, b"180 Ringing", call.tag, self.contact))
            elif call.is_acknowledged:
                call.accept(self, data)  # a re-INVITE
            self._send(call, call.ok)
        elif call is None:
            self.socket.sendto(_response(data, b"481 No such call", b"", b""), source)
        elif data.startswith(b"ACK"):
            if not call.is_acknowledged:
                call.is_acknowledged, call.acknowledged_at = True, now
                if self.hold_s is not None and int(call.user[-7:]) < self.standing_from:
                    heapq.heappush(self.due, (now + self.hold_s, call_id))
        elif data.startswith((b"BYE", b"CANCEL", b"OPTIONS", b"UPDATE")):
            call.is_over = call.is_over or data.startswith((b"BYE", b"CANCEL"))
            self._send(call, _response(data, b"200 OK", b"", b""))

    def _send(self, call: "FarCall", data: bytes) -> None:
        self.socket.sendto(data, call.peer)

    def hang_up_due(self, now: float) -> float:
        """Send the BYEs whose time has come; return how long until the next."""
        while self.due and self.due[0][0] <= now:
            _, call_id = heapq.heappop(self.due)
            call = self.calls[call_id]
            if call.is_over or call.byes >= BYE_TRIES:
                continue
            call.byes += 1
            self._send(call, call.bye(self))
            heapq.heappush(self.due, (now + BYE_RETRY_S, call_id))
        return self.due[0][0] - now if self.due else 1.0


class FarCall:
    """One call at a phone."""

    __slots__ = (
        "acknowledged_at", "byes", "invite", "invited_at", "is_acknowledged", "is_over", "ok", "peer", "tag",
    )  # fmt: skip

    def __init__(self, invite: bytes, peer: tuple[str, int], at: float) -> None:
        self.invite = invite
        self.peer = peer
        self.invited_at = at
        self.acknowledged_at = 0.0
        self.is_acknowledged = self.is_over = False
        self.byes = 0
        self.tag = b"far" + str(id(self)).encode()
        self.ok = b""

    def accept(self, phone: Phone, invite: bytes) -> None:
        """Make the 200 of an INVITE or a re-INVITE."""
        self.ok = _response(invite, b"200 OK", self.tag, phone.contact, SDP)

    def bye(self, phone: Phone) -> bytes:
        """Return the BYE of our side."""
        invite = self.invite
        target = _field(invite, b"\r\nContact: ").partition(b"<")[2].partition(b">")[0]
        to = _field(invite, b"\r\nTo: ")
        lines = (
            b"BYE " + target + b" SIP/2.0",
            b"Via: " + phone.via + self.tag,
            b"From: " + to + b";tag=" + self.tag,
            b"To: " + _field(invite, b"\r\nFrom: "),
            b"Call-ID: " + _field(invite, b"\r\nCall-ID: "),
            b"CSeq: 1 BYE",
            b"Max-Forwards: 70",
            b"Content-Length: 0",
        )
        return b"\r\n".join(lines) + b"\r\n\r\n"

    @property
    def user(self) -> str:
        """The user part of the Request-URI: what was dialled."""
        return self.invite[: self.invite.find(b"@")].rpartition(b"sip:")[2].decode()


def _field(data: bytes, name: bytes) -> bytes:
    begin = data.find(name)
    return data[begin + len(name) : data.find(b"\r\n", begin + len(name))] if begin >= 0 else b""


def _response(request: bytes, status: bytes, tag: bytes, contact: bytes, body: bytes = b"") -> bytes:
    head = request[: request.find(b"\r\n\r\n")].split(b"\r\n")
    kept = [
        line
        for line in head
        if line.startswith((b"Via: ", b"From: ", b"Call-ID: ", b"CSeq: ", b"Record-Route"))
    ]
    to = _field(request, b"\r\nTo: ")
    to += b";tag=" + tag if tag and b";tag=" not in to else b""
    lines = [b"SIP/2.0 " + status, *kept, b"To: " + to]
    if contact:
        lines.append(b"Contact: " + contact)
    if body:
        lines.append(b"Content-Type: application/sdp")
    lines.append(b"Content-Length: " + str(len(body)).encode())
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _seen(phone: Phone) -> list[tuple[str, str, float, float, bool]]:
    """Return call id, what was dialled, times of INVITE and ACK, and whether it is over, for each call."""
    return [
        (call_id.decode(), call.user, call.invited_at, call.acknowledged_at, call.is_over)
        for call_id, call in phone.calls.items()
    ]


def main() -> None:
    first = Phone(int(sys.argv[1]), hold_s=None)
    standing = [int(word) for word in sys.argv[4:5]]
    second = Phone(int(sys.argv[2]), hold_s=float(sys.argv[3]), standing_from=(*standing, 10_000_000)[0])
    sockets = {first.socket: first, second.socket: second}
    wait_s = 0.1
    while True:
        ready, _, _ = select.select([*sockets, sys.stdin], [], [], min(wait_s, 0.1))
        if sys.stdin in ready:
            break
        for each in ready:
            sockets[each].read()
        wait_s = max(0.0, second.hang_up_due(time.monotonic()))
    json.dump({"first": _seen(first), "second": _seen(second)}, sys.stdout)


if __name__ == "__main__":
    main()
