"""One RTP stream each way over a UDP socket: sends a tone, listens, keeps what it hears (RFC 3550)."""

import asyncio
import contextlib
import random
import socket
import struct
from array import array
from collections.abc import Callable, Sequence
from typing import Final

from offhook.audio.g711 import PCMA, PCMU, SAMPLE_RATE, SILENCE, decode, encode
from offhook.audio.hearing import Ear

PACKET_MS: Final = 20
PACKET_SAMPLES: Final = SAMPLE_RATE * PACKET_MS // 1000
MAX_RECORDED_SAMPLES: Final = 300 * SAMPLE_RATE
"""Five minutes, 4.8 MB: a phone left alone must not eat the memory."""
MAX_PACKET_BYTES: Final = 2_048
MAX_LATE_S: Final = 0.2
"""A sender that was held up this long starts afresh instead of sending what is due in a burst."""
PORT_ATTEMPTS: Final = 50
MAX_PACKETS_A_TURN: Final = 16
RECEIVE_BUFFER_BYTES: Final = 1 << 18
"""Three seconds' worth, should the loop be busy."""

_HEADER: Final = struct.Struct("!BBHII")
_VERSION_2: Final = 0x80
_MARKER: Final = 0x80


class RtpStream:
    """Open it, put its port into an SDP, start it when the other side's is known, close it."""

    def __init__(self, frequencies_hz: Sequence[float] = ()) -> None:
        self.ear = Ear(frequencies_hz)
        self.recorded: array[int] = array("h")
        """What was heard so far, 16-bit samples at 8 kHz."""
        self.packets_sent = 0
        self.packets_received = 0
        self.packets_refused = 0
        """Not RTP, or in a payload type we do not play."""
        self.port = 0
        """Our port, once open."""
        self.on_heard: Callable[[float], None] = lambda frequency_hz: None
        """Called with a frequency of interest for each 50 ms it is heard."""
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._packets: list[bytes] = []
        self._remote = ("", 0)
        self._payload_type = PCMU
        self._sequence = random.getrandbits(16)
        self._timestamp = random.getrandbits(32)
        self._ssrc = random.getrandbits(32)
        self._marker = _MARKER
        self._due = 0.0
        self._highest_received: int | None = None

    def open(self, host: str, port: int = 0) -> int:
        """Bind an even port (any, unless given) and listen; return it. Raises OSError."""
        sock = _bind(host, port)
        self._socket = sock
        asyncio.get_running_loop().add_reader(sock.fileno(), self._on_readable)
        self.port = int(sock.getsockname()[1])
        return self.port

    def start(self, remote: tuple[str, int], payload_type: int, samples: "array[int]") -> None:
        """Send `samples` over and over to `remote` in packets of 20 ms; again: to a new address."""
        self._payload_type = payload_type
        self._remote = remote
        payload = encode(samples, payload_type) or SILENCE[payload_type] * PACKET_SAMPLES
        payload += payload[: -len(payload) % PACKET_SAMPLES]
        starts = range(0, len(payload), PACKET_SAMPLES)
        self._packets = [payload[at : at + PACKET_SAMPLES] for at in starts]
        if self._timer is None:
            self._due = asyncio.get_running_loop().time()
            self._send_next()

    def pause(self) -> None:
        """Stop sending, keep listening (hold)."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._marker = _MARKER

    def close(self) -> None:
        """Stop and free the port. Idempotent."""
        self.pause()
        sock, self._socket = self._socket, None
        if sock is not None:
            asyncio.get_running_loop().remove_reader(sock.fileno())
            sock.close()

    def receive(self, data: bytes) -> None:
        """Listen to one packet; whatever is no RTP we play is counted and dropped."""
        payload_type, sequence, payload = _read(data)
        if payload_type not in (PCMU, PCMA):
            self.packets_refused += 1
            return
        if self._is_late(sequence):
            return
        self.packets_received += 1
        samples = decode(payload, payload_type)
        if len(self.recorded) < MAX_RECORDED_SAMPLES:
            self.recorded.extend(samples)
        for frequency_hz in self.ear.listen(samples):
            self.on_heard(frequency_hz)

    def _on_readable(self) -> None:
        for _ in range(MAX_PACKETS_A_TURN):
            if self._socket is None:
                return
            try:
                data = self._socket.recv(MAX_PACKET_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error: the other side is not there yet, or no longer
            self.receive(data)

    def _is_late(self, sequence: int) -> bool:
        """Tell whether a packet repeats or comes after its successor: there is no jitter buffer here."""
        last = self._highest_received
        if last is not None and 0 < (last - sequence + 1) & 0xFFFF < 100:
            return True
        self._highest_received = sequence
        return False

    def _send_next(self) -> None:
        loop = asyncio.get_running_loop()
        if self._socket is not None and self._remote[1]:
            with contextlib.suppress(OSError):  # a packet that cannot be sent is a lost packet
                self._socket.sendto(self._packet(), self._remote)
            self.packets_sent += 1
        self._due = max(self._due + PACKET_MS / 1000, loop.time() - MAX_LATE_S)
        self._timer = loop.call_at(self._due, self._send_next)

    def _packet(self) -> bytes:
        header = _HEADER.pack(
            _VERSION_2, self._marker | self._payload_type, self._sequence, self._timestamp, self._ssrc
        )
        self._marker = 0
        self._sequence = self._sequence + 1 & 0xFFFF
        self._timestamp = self._timestamp + PACKET_SAMPLES & 0xFFFFFFFF
        return header + self._packets[self.packets_sent % len(self._packets)]


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(PORT_ATTEMPTS):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            sock.bind((host, port))
        except OSError:
            sock.close()
            raise
        if port or sock.getsockname()[1] % 2 == 0:
            return sock
        sock.close()
    raise OSError("no even port is free")


def _read(data: bytes) -> tuple[int, int, bytes]:
    """Return payload type, sequence number and payload; payload type -1 if it is not RTP."""
    if len(data) < _HEADER.size or data[0] & 0xC0 != _VERSION_2:
        return -1, 0, b""
    start = _HEADER.size + 4 * (data[0] & 0x0F)
    if data[0] & 0x10:  # a header extension: its length in words follows a 16-bit profile word
        if len(data) < start + 4:
            return -1, 0, b""
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    end = len(data) - (data[-1] if data[0] & 0x20 else 0)
    if end < start:
        return -1, 0, b""
    return data[1] & 0x7F, int.from_bytes(data[2:4], "big"), data[start:end]
