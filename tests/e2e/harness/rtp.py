"""An RTP endpoint that sends one tone and tells which tone it hears: audio checked by content."""

import random
import struct
import time
from collections import deque
from typing import Final

from .datagrams import DatagramThread
from .ports import free_rtp_port
from .tones import RATE_HZ, WINDOW, decode_ulaw, encode_ulaw, is_tone, sine
from .waiting import wait_for

FRAME: Final = 160
"""Samples in the 20 ms of one packet."""
FRAMES_OF_WINDOW: Final = WINDOW // FRAME
PCMU: Final = 0
KEYS: Final = 101
"""Payload type of pressed keys (RFC 4733) in our tests' sessions."""
ALL_KEYS: Final = "0123456789*#ABCD"
KEY_PACKETS: Final = 8
"""160 ms, then three packets that say that it is over."""
HEADER_OCTETS: Final = 12
FRAMES_KEPT: Final = 3_000
"""A minute of what was heard."""
LATE_S: Final = 0.2
"""A machine that stalls for longer loses packets instead of sending a burst."""


class RtpEndpoint(DatagramThread):
    """Sends a tone in PCMU to whoever it is told, or to whoever sent to it first, and listens."""

    def __init__(self, frequency_hz: float) -> None:
        self.frequency_hz = frequency_hz
        port = free_rtp_port()
        self.received = 0
        self.target: tuple[str, int] | None = None
        self.keys = ""
        """Keys that were pressed at the other end, in order."""
        self._last_key = b""
        self._to_press: deque[str] = deque()
        self._heard: deque[bytes] = deque(maxlen=FRAMES_KEPT)
        super().__init__(f"rtp-{port}", port=port, patience_s=0.01)

    def send_to(self, host: str, port: int) -> None:
        """Begin to send there."""
        self.target = (host, port)

    def press(self, key: str) -> None:
        """Send a key (RFC 4733) in place of the tone."""
        self._to_press.append(key)

    def wait_until_pressed(self, keys: str, *, timeout_s: float = 10.0) -> None:
        """Return once these keys, and no others, were pressed at the other end."""
        wait_for(lambda: self.keys == keys, timeout_s=timeout_s, what=f"keys {keys} at RTP port {self.port}")

    def hears(self, frequency_hz: float) -> bool:
        """Tell whether the last half second was this tone, most of it."""
        return _hears(frequency_hz, list(self._heard)[-FRAMES_OF_WINDOW:])

    def has_heard(self, frequency_hz: float) -> bool:
        """Tell whether some half second was this tone: also when whoever asks was held up meanwhile."""
        frames = list(self._heard)
        starts = range(0, len(frames), FRAMES_OF_WINDOW // 2)
        return any(_hears(frequency_hz, frames[start : start + FRAMES_OF_WINDOW]) for start in starts)

    def wait_until_hears(self, frequency_hz: float, *, timeout_s: float = 10.0) -> None:
        """Return once the tone is heard. Raises AssertionError if it is not heard in time."""
        what = f"{frequency_hz:g} Hz at RTP port {self.port}"
        wait_for(lambda: self.hears(frequency_hz), timeout_s=timeout_s, what=what)

    def wait_until_has_heard(self, frequency_hz: float, *, timeout_s: float = 20.0) -> None:
        """Return once the tone was heard at any time. Raises AssertionError if it is not heard in time."""
        what = f"{frequency_hz:g} Hz at RTP port {self.port}, at any time"
        wait_for(lambda: self.has_heard(frequency_hz), timeout_s=timeout_s, what=what)

    def serve(self) -> None:
        """Listen, and send the tone in time."""
        sequence, due = random.randrange(1 << 15), time.monotonic()
        source = random.getrandbits(32)
        while not self.is_stopped:
            self._listen()
            if self.target is None or time.monotonic() < due:
                continue
            if self._to_press:
                sequence = self._send_key(self._to_press.popleft(), sequence, source, self.target)
            self._send(sequence, source, self.target)
            sequence += 1
            due = max(due + FRAME / RATE_HZ, time.monotonic() - LATE_S)

    def _send(self, sequence: int, source: int, target: tuple[str, int]) -> None:
        first = sequence * FRAME
        payload = bytes(map(encode_ulaw, sine(self.frequency_hz, first, FRAME)))
        header = struct.pack("!BBHII", 0x80, PCMU, sequence & 0xFFFF, first & 0xFFFFFFFF, source)
        self.socket.sendto(header + payload, target)

    def _send_key(self, key: str, sequence: int, source: int, target: tuple[str, int]) -> int:
        """Send a key as a phone does: all packets with the time of its beginning; return the next number."""
        begun = sequence * FRAME & 0xFFFFFFFF
        for number in range(1, KEY_PACKETS + 4):
            is_over = number > KEY_PACKETS
            kind = KEYS | (0x80 if number == 1 else 0)
            header = struct.pack("!BBHII", 0x80, kind, sequence & 0xFFFF, begun, source)
            duration = min(number, KEY_PACKETS) * FRAME
            event = struct.pack("!BBH", ALL_KEYS.index(key), 10 | (0x80 if is_over else 0), duration)
            self.socket.sendto(header + event, target)
            sequence += 1
            time.sleep(FRAME / RATE_HZ)
        return sequence

    def _note_key(self, packet: bytes) -> None:
        """All packets of one key bear the same time."""
        begun = packet[4:8]
        if begun != self._last_key:
            self._last_key = begun
            self.keys += ALL_KEYS[packet[HEADER_OCTETS]]

    def _listen(self) -> None:
        try:
            packet, sender = self.socket.recvfrom(2048)
        except (TimeoutError, ConnectionError):
            return
        if len(packet) > HEADER_OCTETS and packet[1] & 0x7F == KEYS:
            return self._note_key(packet)
        if len(packet) <= HEADER_OCTETS or packet[1] & 0x7F != PCMU:
            return
        self.received += 1
        self.target = self.target or sender
        self._heard.append(packet[HEADER_OCTETS:])


def _hears(frequency_hz: float, frames: list[bytes]) -> bool:
    if len(frames) < FRAMES_OF_WINDOW:
        return False
    return is_tone(frequency_hz, [decode_ulaw(octet) for frame in frames for octet in frame])
