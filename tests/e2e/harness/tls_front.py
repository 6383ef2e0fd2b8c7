"""TLS in front of a far end that speaks only TCP (SIPp as Debian builds it): a trunk over TLS."""

import contextlib
import selectors
import socket
import ssl
import threading
from types import TracebackType
from typing import Final, Self

from .certificates import Certificate
from .ports import HOST

HANDSHAKE_S: Final = 10.0
TURN_S: Final = 0.05
PIECE: Final = 65_536


class TlsFront:
    """Takes connections over TLS and passes what they carry to a TCP port, and back."""

    def __init__(
        self, certificate: Certificate, behind: int, *, client_ca: Certificate | None = None
    ) -> None:
        self._behind = behind
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.certificate, certificate.key)
        if client_ca is not None:
            self._context.load_verify_locations(client_ca.certificate)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.sni_callback = self._note_name
        self.names: list[str | None] = []
        """Server names that clients asked for."""
        self.refused = 0
        """Handshakes that came to nothing."""
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._accept, name="tls front")]

    def _note_name(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        self.names.append(name)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        self._listener.settimeout(TURN_S)
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self._serve, args=(connection,), name="tls connection")
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.ExitStack() as closing:
            closing.enter_context(connection)
            connection.settimeout(HANDSHAKE_S)
            try:
                outside = closing.enter_context(self._context.wrap_socket(connection, server_side=True))
            except (ssl.SSLError, OSError):
                self.refused += 1
                return
            with contextlib.suppress(OSError):  # one of them is gone: so is the other, then
                inside = closing.enter_context(socket.create_connection((HOST, self._behind)))
                self._pass_on(outside, inside)

    def _pass_on(self, outside: ssl.SSLSocket, inside: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(outside, selectors.EVENT_READ, inside)
            selector.register(inside, selectors.EVENT_READ, outside)
            while not self._stopped.is_set():
                for key, _ in selector.select(TURN_S):
                    source: socket.socket = key.fileobj  # type: ignore[assignment]
                    data = source.recv(PIECE)
                    if not data:
                        return
                    key.data.sendall(data)
