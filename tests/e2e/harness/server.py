"""`offhook serve` as a process of its own."""

import os
import re
import secrets
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from .certificates import Certificate
from .ports import HOST, free_block, free_port, give_back
from .waiting import wait_for

READY_S: Final = 120.0
"""A start takes a second of CPU, which ten busy processes on two cores may stretch to a minute. One that
ends instead of getting ready is noticed at once."""
STOP_S: Final = 20.0
MEDIA_PORTS: Final = 400
"""Four for each leg: enough for 50 calls at once."""

_ERROR: Final = re.compile(
    r'"level": ?"(error|critical)"|\[(error|critical) *\]|Traceback \(most recent call last\)'
)


class Server:
    """A server on free ports with an empty data folder. `stop` says whether it ended well."""

    def __init__(
        self,
        folder: Path,
        *,
        media_ports: int = MEDIA_PORTS,
        certificate: Certificate | None = None,
        **settings: str,
    ) -> None:
        """With a certificate the API, and SIP over websockets, is served over TLS."""
        self.host = HOST
        self.tls: ssl.SSLContext | None = None
        if certificate is not None:
            settings |= {
                "OFFHOOK_HTTP_TLS_CERT": str(certificate.certificate),
                "OFFHOOK_HTTP_TLS_KEY": str(certificate.key),
            }
            self.tls = ssl.create_default_context(cafile=str(certificate.certificate))
        self.http_port = free_port()
        self.sip_port = free_port()
        self.sip_tls_port = free_port()
        self.api_key = secrets.token_hex(32)
        self.log = folder / "server.log"
        self.data = folder / "data"
        self._media = range(first := free_block(media_ports), first + media_ports)
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("OFFHOOK_")} | {
            "OFFHOOK_HTTP_HOST": HOST,
            "OFFHOOK_HTTP_PORT": str(self.http_port),
            "OFFHOOK_SIP_HOST": HOST,
            "OFFHOOK_SIP_PORT": str(self.sip_port),
            "OFFHOOK_SIP_TLS_PORT": str(self.sip_tls_port),
            "OFFHOOK_SIP_GATEWAY_PING_S": "0",  # SIPp fails a scenario at a message that is not in it
            "OFFHOOK_SIP_NAT_PING_S": "0",
            "OFFHOOK_DATA_DIR": str(self.data),
            "OFFHOOK_MEDIA_PORTS": f"{self._media[0]}-{self._media[-1]}",
            "OFFHOOK_MASTER_API_KEY": self.api_key,
            "OFFHOOK_MASTER_REALM": "master.test",
            "OFFHOOK_RATE_BUCKET": "0",
            "OFFHOOK_DRAIN_S": "2",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.stop()
            else:
                self.kill()
        finally:
            self.give_back_ports()

    def give_back_ports(self) -> None:
        """Let others have its media ports; for one that is not run by `with`."""
        give_back(self._media)

    def start(self) -> None:
        """Start it and return when it is ready."""
        program = Path(sys.executable).with_name("offhook")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(program), "serve"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: self.is_ready() or self._has_ended(), timeout_s=READY_S, what="/readyz")
        assert not self._has_ended(), f"the server ended at once:\n{self.log.read_text()}"

    def stop(self) -> None:
        """End it as a service manager does. Raises AssertionError unless it ends well and logged no error."""
        self.ask_to_stop()
        self.assert_stopped()

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        self._running().send_signal(signal.SIGTERM)

    def assert_stopped(self) -> None:
        """Return once it has ended. Raises AssertionError unless it ends well and logged no error."""
        try:
            code = self._running().wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"SIGTERM did not end the server in {STOP_S:g} s:\n{self.tail()}") from None
        assert code == 0, f"the server ended with {code}:\n{self.tail()}"
        assert not self.errors(), "\n".join(self.errors())

    def kill(self) -> None:
        """End it as a crash does."""
        if not self._has_ended():
            self._running().kill()
        self._running().wait()

    def errors(self) -> list[str]:
        """Return the lines of its log that tell of an error."""
        return [line for line in self.log.read_text(errors="replace").splitlines() if _ERROR.search(line)]

    def tail(self, lines: int = 15) -> str:
        """Return the end of its log."""
        return "\n".join(line[:300] for line in self.log.read_text(errors="replace").splitlines()[-lines:])

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running().pid

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process

    def _has_ended(self) -> bool:
        return self._running().poll() is not None

    def is_ready(self) -> bool:
        """Tell whether it takes requests."""
        try:
            url = f"{'https' if self.tls else 'http'}://{HOST}:{self.http_port}/readyz"
            with urllib.request.urlopen(url, timeout=1, context=self.tls) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
