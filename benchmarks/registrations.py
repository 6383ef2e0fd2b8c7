"""What 10,000 registered phones cost: REGISTER and keep-alive of each every 60 s, memory, and a restart.

A real `offhook serve` and a generator of our own that plays the phones over UDP, from 20 addresses. Half of
them answer the last challenge again, as RFC 3261 22.1 allows; the others come without credentials each time.
CPU is the server's own, from the kernel's accounting.

Run: python -m benchmarks.registrations [devices] [every_s]
"""

import asyncio
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from offhook.sip.bindings import Binding
from offhook.sip.digest import Challenge, answer_challenge, choose_challenge
from offhook.sip.registrar import Registrar

from .report import Row, show

DEVICES = 10_000
EVERY_S = 60.0
FIRST_PER_S = 400.0
"""Pace of the first registrations."""
ADDRESSES = [f"127.0.0.{number}" for number in range(2, 22)]
HOST = "127.0.0.1"
REALM = "bench.test"
MEASURED_S = 60.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Phone:
    """One device: what it sends, and what it was told."""

    def __init__(self, number: int, server: tuple[str, int], local: tuple[str, int]) -> None:
        self.name = f"dev{number:05}"
        self.reuses_nonce = number % 2 == 0
        self.is_registered = False
        self._server, self._local = server, local
        self._challenge: Challenge | None = None
        self._uses = 0
        self._cseq = 0

    def register(self) -> bytes:
        """Return a REGISTER; with credentials if it reuses its nonce."""
        if not self.reuses_nonce:
            self._challenge = None
        return self._message()

    def answer(self, response: bytes) -> bytes | None:
        """Take a response; return the REGISTER that answers a challenge, if it is one."""
        if response.startswith(b"SIP/2.0 200"):
            self.is_registered = True
            return None
        assert response.startswith(b"SIP/2.0 401"), response
        values = re.findall(r"WWW-Authenticate: (.*)\r\n", response.decode())
        self._challenge, self._uses = choose_challenge(values), 0
        return self._message()

    def _message(self) -> bytes:
        self._cseq += 1
        uri, authorization = f"sip:{REALM}", ""
        if self._challenge is not None:
            self._uses += 1
            value = answer_challenge(
                self._challenge, self.name, "pa55word", method="REGISTER", uri=uri, cnonce="0a4f113b",
                nc=self._uses,
            )  # fmt: skip
            authorization = f"Authorization: {value}\r\n"
        host, port = self._local
        via = f"SIP/2.0/UDP {host}:{port};branch=z9hG4bK{self.name}{self._cseq};rport"
        return (
            f"REGISTER {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n"
            f"From: <sip:{self.name}@{REALM}>;tag={self.name}\r\nTo: <sip:{self.name}@{REALM}>\r\n"
            f"Call-ID: {self.name}@bench\r\nCSeq: {self._cseq} REGISTER\r\n"
            f"Contact: <sip:{self.name}@{host}:{port}>;expires=120\r\nUser-Agent: Bench Phone 1.0\r\n"
            f"Allow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\n{authorization}Content-Length: 0\r\n\r\n"
        ).encode()


class Phones:
    """All devices, over one socket per address."""

    def __init__(self, count: int, server: tuple[str, int]) -> None:
        self._server = server
        self._sockets = [self._open(address) for address in ADDRESSES]
        self.phones = [
            Phone(number, server, self._sockets[number % len(ADDRESSES)].getsockname())
            for number in range(count)
        ]
        self._by_name = {phone.name: (phone, number) for number, phone in enumerate(self.phones)}
        self.answers = 0

    def _open(self, address: str) -> socket.socket:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((address, 0))
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        return one

    def start(self) -> None:
        for one in self._sockets:
            asyncio.get_running_loop().add_reader(one.fileno(), self._on_readable, one)

    def stop(self) -> None:
        for one in self._sockets:
            asyncio.get_running_loop().remove_reader(one.fileno())
            one.close()

    def _send(self, number: int, data: bytes) -> None:
        self._sockets[number % len(ADDRESSES)].sendto(data, self._server)

    def _on_readable(self, one: socket.socket) -> None:
        for _ in range(64):
            try:
                data = one.recv(65_535)
            except BlockingIOError:
                return
            self.answers += 1
            found = re.search(rb"Call-ID: (\w+)@bench", data)
            assert found is not None, data
            phone, number = self._by_name[found[1].decode()]
            answer = phone.answer(data)
            if answer is not None:
                self._send(number, answer)

    def register_missing(self) -> None:
        """Try again those that had no answer."""
        for number, phone in enumerate(self.phones):
            if not phone.is_registered:
                self._send(number, phone.register())

    async def run(self, seconds: float, per_second: float, *, keep_alive: bool) -> None:
        """Let one phone after another register, evenly; keep-alives go half a turn later."""
        started, count = time.monotonic(), len(self.phones)
        for number in range(int(seconds * per_second)):
            await asyncio.sleep(max(0.0, started + number / per_second - time.monotonic()))
            self._send(number % count, self.phones[number % count].register())
            if keep_alive:
                self._send((number + count // 2) % count, b"\r\n\r\n")


async def measure(devices: int = DEVICES, every_s: float = EVERY_S) -> AsyncIterator[Row]:
    """Yield the rows of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        node = _Node(folder)
        with node.running():
            account = node.account_id()
        _import_devices(node, folder, account, devices)
        with node.running() as server:
            for row in await _measure(node, server, devices, every_s):
                yield row
        for row in _measure_restart(node, devices):
            yield row
    for count in (10, devices):
        yield Row(f"look-up of a phone among {count}: CPU", _look_up_us(count), "µs")


async def _measure(node: "_Node", server: subprocess.Popen, devices: int, every_s: float) -> list[Row]:
    phones = Phones(devices, (HOST, node.sip_port))
    phones.start()
    empty = _usage(server.pid)
    await phones.run(devices / FIRST_PER_S, FIRST_PER_S, keep_alive=False)
    for _ in range(20):  # a datagram may have been lost; and transactions are forgotten after 32 s
        await asyncio.sleep(2.0)
        phones.register_missing()
    first = _usage(server.pid)
    per_second = devices / every_s
    await phones.run(5.0, per_second, keep_alive=True)
    began, quiet, answers = time.monotonic(), _usage(server.pid), phones.answers
    await phones.run(MEASURED_S, per_second, keep_alive=True)
    used, elapsed = _usage(server.pid), time.monotonic() - began
    await _until(lambda: phones.answers >= answers + 1.4 * MEASURED_S * per_second, "the answers")
    phones.stop()
    assert node.registrations() == devices
    cpu_s = used.cpu_s - quiet.cpu_s
    return [
        Row(f"{devices} phones, once in {every_s:.0f} s: CPU", cpu_s / elapsed * 100, "% of a core"),
        Row("one phone, REGISTER and keep-alive: CPU", cpu_s / (MEASURED_S * per_second) * 1e6, "µs"),
        Row("memory per binding", (first.bytes - empty.bytes) / devices / 1024, "KiB"),
    ]


def _measure_restart(node: "_Node", devices: int) -> list[Row]:
    with node.running() as server:
        started = node.started_s
        used = _usage(server.pid)
        assert node.registrations() == devices, f"{node.registrations()} registrations after the restart"
    return [
        Row(f"restart with {devices} bindings, until ready", started, "s"),
        Row(f"restart with {devices} bindings, CPU", used.cpu_s, "s"),
    ]


def _look_up_us(count: int) -> float:
    """Return what it takes to find the contacts of one of so many."""
    registrar = Registrar()
    registrar.restore(
        Binding(
            aor=f"sip:dev{number}@{REALM}", contact=f"sip:dev{number}@{HOST}:5060", expires_at=2e9,
            registered_at=1e9, received_host=HOST, received_port=5060, transport="udp",
        )
        for number in range(count)
    )  # fmt: skip
    aors = [f"sip:dev{number % count}@{REALM}" for number in range(10_000)]
    began = time.process_time()
    for aor in aors:
        registrar.bindings(aor, 1e9)
    return (time.process_time() - began) / len(aors) * 1e6


async def _until(condition, what: str) -> None:
    for _ in range(600):
        if condition():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"after a minute still not: {what}")


class _Node:
    """A server on a data folder of its own, started as often as wanted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.http_port, self.sip_port = _free_port(), _free_port()
        self.api_key = secrets.token_hex(32)
        self.started_s = 0.0
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("OFFHOOK_")} | {
            "OFFHOOK_HTTP_PORT": str(self.http_port), "OFFHOOK_SIP_HOST": HOST,
            "OFFHOOK_SIP_PORT": str(self.sip_port), "OFFHOOK_DATA_DIR": str(folder),
            "OFFHOOK_MASTER_API_KEY": self.api_key, "OFFHOOK_MASTER_REALM": REALM, "OFFHOOK_MEDIA": "direct",
            "OFFHOOK_LOG_LEVEL": "warning",
        }  # fmt: skip

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen]:
        with (self.folder / "server.log").open("ab") as log:
            began = time.monotonic()
            server = subprocess.Popen([_program(), "serve"], env=self.environment, stdout=log, stderr=log)
        try:
            for _ in range(600):
                try:
                    self._get("/readyz")
                    break
                except (urllib.error.URLError, ConnectionError):
                    time.sleep(0.02)
            self.started_s = time.monotonic() - began
            yield server
        finally:
            server.terminate()
            server.wait(30)

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://{HOST}:{self.http_port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def account_id(self) -> str:
        body = json.dumps({"data": {"api_key": self.api_key}}).encode()
        request = urllib.request.Request(
            f"http://{HOST}:{self.http_port}/v2/api_auth", data=body, method="PUT",
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["data"]["account_id"]

    def registrations(self) -> int:
        return int(float(re.search(r"^offhook_registrations (\S+)", self._get("/metrics"), re.MULTILINE)[1]))


def _import_devices(node: _Node, folder: Path, account: str, devices: int) -> None:
    lines = [
        json.dumps({
            "_id": secrets.token_hex(16), "pvt_type": "device", "pvt_account_id": account,
            "name": f"phone {number}", "sip": {"username": f"dev{number:05}", "password": "pa55word"},
        })
        for number in range(devices)
    ]  # fmt: skip
    path = folder / "devices.jsonl"
    path.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [_program(), "import", str(path)], env=node.environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


class _Usage(NamedTuple):
    cpu_s: float
    bytes: int


def _usage(pid: int) -> _Usage:
    """Return CPU seconds and memory of a process, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return _Usage((int(fields[11]) + int(fields[12])) / TICKS, pages * PAGE)


def _program() -> Path:
    return Path(sys.executable).with_name("offhook")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def main() -> None:
    numbers = [float(word) for word in sys.argv[1:]]
    devices = int(numbers[0]) if numbers else DEVICES
    every_s = numbers[1] if len(numbers) > 1 else EVERY_S
    asyncio.run(_print(devices, every_s))


async def _print(devices: int, every_s: float) -> None:
    async for row in measure(devices, every_s):
        show([row])


if __name__ == "__main__":
    main()
