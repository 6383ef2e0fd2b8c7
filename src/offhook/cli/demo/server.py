"""A real `offhook serve` in a process of its own, on free ports and in a folder that is thrown away."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

READY_S: Final = 20.0
STOP_S: Final = 15.0
MEDIA_PORTS: Final = 32
PORTS_START, PORTS_END = 10_000, 32_000


class DemoFailed(Exception):
    """Something was not as it should be; the text says what."""


@dataclass(frozen=True, slots=True)
class DemoServer:
    """Where it is, and how to get in."""

    api: str
    """`http://127.0.0.1:port/v2`"""
    sip: tuple[str, int]
    api_key: str
    log: Path


@contextlib.asynccontextmanager
async def running_server() -> AsyncIterator[DemoServer]:
    """Start the server, wait until it is ready, end it as a service manager would. Raises DemoFailed."""
    with tempfile.TemporaryDirectory(prefix="offhook-demo-") as folder:
        log = Path(folder) / "server.log"
        http_port, sip_port, media_port = _free_port(), _free_port(), _free_port(room=MEDIA_PORTS)
        api_key = secrets.token_hex(32)
        settings = {
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": str(http_port),
            "SIP_HOST": "127.0.0.1",
            "SIP_PORT": str(sip_port),
            "DATA_DIR": str(Path(folder) / "data"),
            "MEDIA_PORTS": f"{media_port}-{media_port + MEDIA_PORTS - 1}",
            "MASTER_API_KEY": api_key,
        }
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OFFHOOK_")}
        environment |= {f"OFFHOOK_{name}": value for name, value in settings.items()}
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "offhook", "serve", env=environment, stdout=output, stderr=output
            )
        server = DemoServer(f"http://127.0.0.1:{http_port}/v2", ("127.0.0.1", sip_port), api_key, log)
        try:
            await _wait_until_ready(http_port, process, log)
            yield server
        finally:
            await _stop(process)


async def _wait_until_ready(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    async with aiohttp.ClientSession() as http:
        for _ in range(int(READY_S / 0.1)):
            if process.returncode is not None:
                break
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)
    said = await asyncio.to_thread(log.read_text, errors="replace")
    raise DemoFailed(f"the server did not start:\n{said}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _free_port(room: int = 1) -> int:
    """Return an even port that is free now for TCP and UDP, with `room` ports in all.

    Below the range from which the system gives ports to clients: there a port can be taken any moment.
    """
    while True:
        port = secrets.randbelow(PORTS_END - PORTS_START - room) + PORTS_START & ~1
        if all(_is_free(port + offset) for offset in range(room)):
            return port


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
