"""Damaged SIP messages without end, from a seed; and who sends them."""

import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from .ports import HOST

PIECES: Final = (
    b"", b"\r\n", b"\r\n\r\n", b"\0", b";", b":", b",", b'"', b"<", b">", b"@", b"=", b"%", b"*", b"sip:",
    b"SIP/2.0", b"branch=z9hG4bK", b";tag=", b"-1", b"4294967296", b"99999999999999999999",
    b"Content-Length: 99999\r\n", b"Via: SIP/2.0/UDP 127.0.0.9:9;branch=z9hG4bK9\r\n", b"Require: 100rel\r\n",
    b"\xff\xfe", "\u00e9\u4e16".encode(), b"Contact: *\r\n", b"Expires: 0\r\n", b"application/sdp",
    b"m=audio 0 RTP/AVP\r\n", b"A" * 300, b" " * 300,
)  # fmt: skip
METHODS: Final = (
    "REGISTER", "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE", "PRACK", "REFER", "NOTIFY",
    "SUBSCRIBE", "MESSAGE", "PUBLISH",
)  # fmt: skip
STATUSES: Final = (100, 180, 183, 200, 302, 401, 407, 481, 486, 487, 491, 500, 503, 603)
SDP: Final = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.9\r\ns=-\r\nc=IN IP4 127.0.0.9\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
)


def requests_and_answers(realm: str, call_ids: Callable[[], Sequence[str]], seed: int) -> Iterator[bytes]:
    """Yield valid messages of every method and status: half with the Call-ID of a leg, but nobody's tags."""
    rng = random.Random(seed)
    number = 0
    while True:
        number += 1
        known = call_ids()
        call_id = rng.choice(known) if known and rng.random() < 0.5 else f"storm{number}"
        method = rng.choice(METHODS)
        is_request, to_tag = rng.random() < 0.7, ";tag=there" if rng.random() < 0.4 else ""
        lines = [
            f"{method} sip:100@{realm} SIP/2.0" if is_request else f"SIP/2.0 {rng.choice(STATUSES)} Storm",
            f"Via: SIP/2.0/UDP {HOST}:9;branch=z9hG4bKstorm{number};rport",
            "Max-Forwards: 70",
            f"From: <sip:100@{realm}>;tag=storm{number}",
            f"To: <sip:100@{realm}>{to_tag}",
            f"Call-ID: {call_id}",
            f"CSeq: {rng.randrange(1, 9)} {method}",
            f"Contact: <sip:100@{HOST}:9>",
            "Content-Type: application/sdp",
            f"Content-Length: {len(SDP)}",
            "",
            SDP,
        ]
        yield "\r\n".join(lines).encode()


def damaged(message: bytes, rng: random.Random) -> bytes:
    """Return a message with up to five things done to it: cut, copied, replaced, moved, or a bit turned."""
    data = bytearray(message)
    for _ in range(rng.randrange(6)):
        at, length = rng.randrange(len(data) + 1), rng.randrange(1, 40)
        match rng.randrange(6):
            case 0:
                del data[at : at + length]
            case 1:
                data[at:at] = rng.choice(PIECES)
            case 2:
                data[at : at + length] = rng.choice(PIECES)
            case 3:
                data[at:at] = data[max(0, at - length) : at]
            case 4 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case _:
                lines = bytes(data).split(b"\r\n")
                rng.shuffle(lines)
                data = bytearray(b"\r\n".join(lines))
    return bytes(data[:60_000])


class Storm:
    """Sends damaged messages to a SIP port, evenly, from several addresses of the loopback network.

    It waits for a server that is slower, so that the kernel drops little: what is tested is who reads them.
    """

    ADDRESSES: Final = tuple(f"127.0.0.{number}" for number in range(40, 60))
    AHEAD_MAX: Final = 150
    """Datagrams that the server has not read yet: fewer than its socket holds."""
    WAIT_MAX_S: Final = 2.0
    """Then the missing ones were dropped."""

    def __init__(
        self, port: int, messages: Iterator[bytes], heard: Callable[[], float], *, seed: int
    ) -> None:
        """heard tells how many messages the server has read so far."""
        self._target = (HOST, port)
        self._messages = messages
        self._heard = heard
        self._lost = -heard()
        self._rng = random.Random(seed)
        self.sent = 0

    def run(self, count: int, per_second: float) -> None:
        """Send so many, and read nothing of what comes back."""
        sockets = [self._open(address) for address in self.ADDRESSES]
        started = time.monotonic()
        for number in range(count):
            ahead_s = started + number / per_second - time.monotonic()
            if ahead_s > 0.01:
                time.sleep(ahead_s)
            if number % self.AHEAD_MAX == 0:
                self._wait_for_server()
            data = damaged(next(self._messages), self._rng)
            try:
                sockets[number % len(sockets)].sendto(data, self._target)
            except OSError:
                continue  # an ICMP error of an answer to port 9
            self.sent += 1
        for one in sockets:
            one.close()

    def _wait_for_server(self) -> None:
        began = time.monotonic()
        while self.sent - self._lost - self._heard() > self.AHEAD_MAX:
            if time.monotonic() - began > self.WAIT_MAX_S:
                self._lost = self.sent - self._heard()
            time.sleep(0.005)

    def _open(self, address: str) -> socket.socket:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((address, 0))
        return one
