"""A far end on a UDP socket, in a thread of its own."""

import socket
import threading
from types import TracebackType
from typing import Self

from .ports import HOST


class DatagramThread:
    """Binds a port at once; `with` runs `serve` until it ends, then closes the socket.

    serve looks at `is_stopped` at least every few hundredths of a second: receiving waits for patience_s.
    """

    def __init__(self, name: str, *, port: int = 0, patience_s: float = 0.05) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, port))
        self.socket.settimeout(patience_s)
        self.port: int = self.socket.getsockname()[1]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self.serve, name=name)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self.socket.close()

    @property
    def is_stopped(self) -> bool:
        """Tell whether it has to end."""
        return self._stopped.is_set()

    def serve(self) -> None:
        """Hand each datagram to `take`."""
        while not self.is_stopped:
            try:
                data, source = self.socket.recvfrom(65_535)
            except (TimeoutError, ConnectionError):
                continue
            self.take(data, source)

    def take(self, data: bytes, source: tuple[str, int]) -> None:
        """Take what came."""
        raise NotImplementedError
