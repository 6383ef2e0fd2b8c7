"""SIP over UDP: one socket that is drained when it is readable, and that keeps what it cannot send yet."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import structlog

_log = structlog.get_logger("offhook.sip")

DRAIN_MAX: Final = 64
"""Datagrams read in one turn of the loop: enough to empty a burst, few enough to stay fair to HTTP."""

DATAGRAM_MAX: Final = 65_535

RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""About 8,000 datagrams wait while the loop is busy; the kernel may grant less (net.core.rmem_max)."""

UNSENT_MAX: Final = 4_096
"""Datagrams kept while the socket is full; beyond that they are lost, as on any network."""

SHORTEST_MESSAGE: Final = 5
"""What is shorter is a keep-alive (RFC 5626 3.5.1 allows CRLF CRLF)."""

Address = tuple[str, int]
TakeDatagrams = Callable[[list[tuple[bytes, Address]], Address], None]
"""Called with what came in one turn of the loop, and with our address."""


class UdpSocket:
    """One bound socket, from `start()` to `close()`."""

    def __init__(self, bound: socket.socket, local: Address, on_datagrams: TakeDatagrams) -> None:
        self.local = local
        self._socket: socket.socket | None = bound
        self._on_datagrams = on_datagrams
        self._unsent: list[tuple[bytes, Address]] = []

    def start(self) -> None:
        """Begin to read."""
        assert self._socket is not None
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._on_readable)

    def close(self) -> None:
        """Close; idempotent."""
        bound, self._socket = self._socket, None
        if bound is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(bound.fileno())
            loop.remove_writer(bound.fileno())
            bound.close()

    def _on_readable(self) -> None:
        """Drain the socket, then hand over all that came at once."""
        bound = self._socket
        if bound is None:
            return
        came = []
        for _ in range(DRAIN_MAX):
            try:
                data, remote = bound.recvfrom(DATAGRAM_MAX)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                continue  # an ICMP error of an earlier packet; the timers deal with it
            if len(data) >= SHORTEST_MESSAGE:
                came.append((data, remote[:2]))
        self._on_datagrams(came, self.local)

    def send(self, data: bytes, remote: Address) -> None:
        """Send, or keep it until the socket has room."""
        if self._socket is None:
            return
        if self._unsent:
            self._keep(data, remote)
            return
        try:
            self._socket.sendto(data, remote)
        except (BlockingIOError, InterruptedError):
            self._keep(data, remote)
            asyncio.get_running_loop().add_writer(self._socket.fileno(), self._on_writable)
        except OSError as error:
            _log.debug("datagram not sent", remote=remote, error=str(error))

    def _keep(self, data: bytes, remote: Address) -> None:
        if len(self._unsent) < UNSENT_MAX:
            self._unsent.append((data, remote))

    def _on_writable(self) -> None:
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_writer(self._socket.fileno())
        unsent, self._unsent = self._unsent, []
        for data, remote in unsent:
            self.send(data, remote)


def bind_both(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Return a UDP socket and a TCP listener with the same port; port 0 takes a free one. Raises OSError."""
    tries = 20 if port == 0 else 1  # a free UDP port may be taken for TCP
    for attempt in range(1, tries + 1):
        udp = socket.socket(_family_of(host), socket.SOCK_DGRAM)
        try:
            udp.setblocking(False)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            _keep_to_ipv6(udp)
            _bind(udp, host, port)
            return udp, bind_listener(host, udp.getsockname()[1])
        except OSError:
            udp.close()
            if attempt == tries:
                raise
    raise AssertionError("the last try returns or raises")


def bind_listener(host: str, port: int) -> socket.socket:
    """Return a bound TCP socket that does not listen yet. Raises OSError."""
    listener = socket.socket(_family_of(host), socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _keep_to_ipv6(listener)
        _bind(listener, host, port)
    except OSError:
        listener.close()
        raise
    return listener


def _bind(sock: socket.socket, host: str, port: int) -> None:
    """Bind; an OSError says where, since a node has many ports."""
    try:
        sock.bind((host, port))
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}: {host}, port {port}") from None


def _family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _keep_to_ipv6(unbound: socket.socket) -> None:
    """`::` beside `0.0.0.0` must not take the IPv4 port too."""
    if unbound.family == socket.AF_INET6:
        unbound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
