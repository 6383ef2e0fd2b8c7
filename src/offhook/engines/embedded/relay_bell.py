"""Waking RTPProxy's packet threads, so that they let go of the sockets of deleted sessions.

They do so only when a packet comes or a port is opened: on an idle relay that may be never, and on a
full one it cannot be, since no port opens while all are held. So after `D` a datagram goes to a session
of our own, the bell. It has one side, and passes nothing on.
"""

import asyncio
import contextlib
import socket
from ipaddress import ip_address
from typing import Final

from .relay_host import RelayHost

BELL_COMMAND: Final = "U bell 127.0.0.1 9 bell"
"""Opens the bell, or finds it open."""
BELL_DELAY_S: Final = 0.1
"""Closings within this time are rung for together."""


class RelayBell:
    """Rings the bell of the relay that listens at an address."""

    def __init__(self, host: RelayHost, bind_address: str) -> None:
        self._host = host
        self._address = "127.0.0.1" if ip_address(bind_address).is_unspecified else bind_address
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Open the socket it rings from."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def close(self) -> None:
        """Ring no more. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ring_soon(self) -> None:
        """Ring once for all that was closed lately."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BELL_DELAY_S, self._find)

    def _find(self) -> None:
        """Ask for the bell's port: should the session have timed out, this opens it again."""
        self._timer = None
        if self._host.channel is not None:
            self._host.channel.send(BELL_COMMAND, self._ring)

    def _ring(self, _command: str, reply: str) -> None:
        port = reply.partition(" ")[0]
        if self._socket is None or not port.isdigit():
            return
        for number in (int(port), int(port) + 1):  # RTP and RTCP have a thread each
            with contextlib.suppress(OSError):
                self._socket.sendto(b"", (self._address, number))
