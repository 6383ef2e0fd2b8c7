"""Headless Chromium, driven over its DevTools protocol, with a microphone that plays a tone."""

import contextlib
import functools
import http.server
import itertools
import json
import os
import signal
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from websockets.sync.client import ClientConnection, connect

from .ports import HOST
from .tones import write_wav
from .waiting import wait_for

START_S: Final = 60.0
"""It takes two seconds on an idle machine."""
ANSWER_S: Final = 30.0
"""For one command."""
TONE_S: Final = 60
"""The file is played over and over; its seam is heard once a minute."""

_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # tests run as root in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--use-fake-ui-for-media-stream",  # the microphone is allowed without asking
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--ignore-certificate-errors",  # the server's certificate is its own
    "--remote-debugging-port=0",
)


class Browser:
    """One browser process. Pages are opened from a folder that it serves on loopback."""

    def __init__(self, folder: Path, *, tone_hz: float = 600.0) -> None:
        """Prepare; the folder takes the browser's profile and log."""
        self._folder = folder
        self._tone = folder / "microphone.wav"
        write_wav(self._tone, tone_hz, seconds=TONE_S)
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = contextlib.ExitStack()
        self._address = ""

    def __enter__(self) -> Self:
        log = self._closing.enter_context((self._folder / "chromium.log").open("wb"))
        profile = self._folder / "profile"
        self._process = subprocess.Popen(
            [
                "chromium",
                *_FLAGS,
                f"--use-file-for-fake-audio-capture={self._tone}",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self._closing.callback(self._end)
        port_file = profile / "DevToolsActivePort"
        wait_for(
            lambda: port_file.exists() and bool(port_file.read_text().strip()),
            timeout_s=START_S,
            what="Chromium's DevTools",
        )
        self._address = f"http://{HOST}:{port_file.read_text().split()[0]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def open(self, url: str) -> "Page":
        """Open a page in a tab of its own."""
        request = urllib.request.Request(f"{self._address}/json/new?{url}", method="PUT")
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
            target = json.load(answer)
        socket = self._closing.enter_context(connect(target["webSocketDebuggerUrl"], max_size=None))
        page = Page(socket)
        loaded = f"document.readyState === 'complete' && location.href === {json.dumps(url)}"
        wait_for(lambda: page.evaluate(loaded), timeout_s=ANSWER_S, what=f"the page {url}")
        return page

    def serve(self, folder: Path) -> str:
        """Serve a folder on loopback, which browsers trust like TLS; return its URL."""
        handler = functools.partial(_Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer((HOST, 0), handler)
        thread = threading.Thread(target=server.serve_forever, name="pages")
        thread.start()
        self._closing.callback(server.server_close)
        self._closing.callback(thread.join)
        self._closing.callback(server.shutdown)
        return f"http://{HOST}:{server.server_port}"

    def _end(self) -> None:
        """End it with all its children."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression; a promise is waited for. Raises AssertionError if it throws."""
        answer = self.command(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, json.dumps(answer["exceptionDetails"])[:2_000]
        return answer["result"].get("value")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a DevTools command; return its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        end = time.monotonic() + ANSWER_S
        while True:
            message = json.loads(self._socket.recv(timeout=max(0.1, end - time.monotonic())))
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                return dict(message["result"])


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """A file server that writes no log."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
