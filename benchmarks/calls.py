"""What a whole call costs: HTTP, plan, journal, SIP, CDR, with and without the media relay.

A real `offhook serve`, two SIPp far ends, calls offered at a rate, all standing at once, ended by the far
end. CPU is the server's own (and its relay's), from the kernel's accounting; no RTP flows.

Run: python -m benchmarks.calls [calls] [per_second]
"""

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import aiohttp

CALLS = 500
PER_SECOND = 100.0
HOST = "127.0.0.1"
MEDIA_PORTS = "30000-39999"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Row(NamedTuple):
    """A line of the table."""

    what: str
    value: float
    unit: str


async def measure(calls: int = CALLS, per_second: float = PER_SECOND) -> list[Row]:
    """Return the rows for both ways of media; none without sipp."""
    if shutil.which("sipp") is None:
        print("benchmarks.calls: sipp is not installed; skipped", file=sys.stderr)
        return []
    rows = []
    for media in ("rtp-io", "direct"):
        with tempfile.TemporaryDirectory() as folder:
            rows += await _measure(Path(folder), media, calls, per_second)
    return rows


async def _measure(folder: Path, media: str, calls: int, per_second: float) -> list[Row]:
    hold_s = calls / per_second + 3.0
    async with _server(folder, media) as (server, base, api_key), aiohttp.ClientSession() as http:
        ports = [_free_port(), _free_port()]
        phones = [_sipp(ports[0], folder, WAITS, hold_s), _sipp(ports[1], folder, HANGS_UP, hold_s)]
        try:
            client = await _Client.login(http, base, api_key)
            button = await client.set_up(ports)
            await client.run(button, min(50, calls), per_second)  # warm-up: imports, first allocations
            await client.all_ended()
            quiet = _usage(server.pid)
            answer_ms = await client.run(button, calls, per_second)
            await asyncio.sleep(1.0)
            standing = _usage(server.pid)
            await client.all_ended()
            used = _usage(server.pid)
        finally:
            for phone in phones:
                phone.kill()
                phone.wait()
        joined = await client.outcomes()
    assert joined == calls + min(50, calls), f"only {joined} calls were joined"
    with_media = "with relay" if media == "rtp-io" else "media direct"
    server_ms = (used.own_s - quiet.own_s) * 1000 / calls
    relay_ms = (used.children_s - quiet.children_s) * 1000 / calls
    kib = (standing.kib - quiet.kib) / calls
    return [
        Row(f"whole call, {with_media}: CPU of the server", server_ms, "ms"),
        Row(f"whole call, {with_media}: CPU of the relay", relay_ms, "ms"),
        Row(f"{calls} standing calls, {with_media}: memory per call", kib, "KiB"),
        Row(f"connect answered, {with_media}: p50", median(answer_ms), "ms"),
        Row(f"connect answered, {with_media}: p99", quantiles(answer_ms, n=100)[98], "ms"),
    ]


class _Client:
    """Sets an account up, places calls and ends them."""

    def __init__(self, http: aiohttp.ClientSession, base: str, token: str, account: str) -> None:
        self._http, self._base, self._token, self.account = http, base, token, account

    @classmethod
    async def login(cls, http: aiohttp.ClientSession, base: str, api_key: str) -> "_Client":
        async with http.put(f"{base}/api_auth", json={"data": {"api_key": api_key}}) as answer:
            body = await answer.json()
        return cls(http, base, body["auth_token"], body["data"]["account_id"])

    async def request(self, method: str, path: str, data: object = None) -> dict:
        headers = {"X-Auth-Token": self._token}
        body = None if data is None else {"data": data}
        async with self._http.request(method, f"{self._base}{path}", json=body, headers=headers) as answer:
            envelope = await answer.json()
            assert answer.status < 300, envelope
            return envelope["data"]

    async def set_up(self, ports: list[int]) -> str:
        for number, port in enumerate(ports, 1001):
            sip = {"invite_format": "route", "route": f"sip:{number}@{HOST}:{port}"}
            path = f"/accounts/{self.account}"
            device = await self.request("PUT", f"{path}/devices", {"name": f"phone {number}", "sip": sip})
            flow = {"module": "device", "data": {"id": device["id"]}, "children": {}}
            await self.request("PUT", f"{path}/callflows", {"numbers": [str(number)], "flow": flow})
        button = {"name": "Bench", "extension": "1001", "auth_required": True}
        return (await self.request("PUT", f"/accounts/{self.account}/clicktocall", button))["id"]

    async def run(self, button: str, calls: int, per_second: float) -> list[float]:
        """Offer calls at a rate; return the milliseconds each answer took."""
        started = time.monotonic()
        answers = []
        for number in range(calls):
            await asyncio.sleep(max(0.0, started + number / per_second - time.monotonic()))
            answers.append(asyncio.create_task(self._connect(button)))
        return list(await asyncio.gather(*answers))

    async def all_ended(self) -> None:
        """Wait until no call is live."""
        while await self._metric("offhook_calls_live ") > 0:
            await asyncio.sleep(1.0)  # asking costs the server 5 ms

    async def outcomes(self) -> int:
        """Return how many calls ended joined."""
        return int(await self._metric('offhook_calls_ended_total{outcome="connected"} '))

    async def _metric(self, name: str) -> float:
        async with self._http.get(self._base.replace("/v2", "/metrics")) as answer:
            lines = (await answer.text()).splitlines()
        return float(next(line for line in lines if line.startswith(name)).split()[-1])

    async def _connect(self, button: str) -> float:
        began = time.monotonic()
        await self.request("GET", f"/accounts/{self.account}/clicktocall/{button}/connect?contact=1002")
        return (time.monotonic() - began) * 1000


@asynccontextmanager
async def _server(folder: Path, media: str) -> AsyncIterator[tuple[subprocess.Popen, str, str]]:
    http_port, api_key = _free_port(), secrets.token_hex(32)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OFFHOOK_")} | {
        "OFFHOOK_HTTP_PORT": str(http_port), "OFFHOOK_SIP_HOST": HOST, "OFFHOOK_SIP_PORT": str(_free_port()),
        "OFFHOOK_DATA_DIR": str(folder), "OFFHOOK_MASTER_API_KEY": api_key, "OFFHOOK_MEDIA": media,
        "OFFHOOK_MEDIA_PORTS": MEDIA_PORTS, "OFFHOOK_RATE_BUCKET": "0", "OFFHOOK_LOG_LEVEL": "warning",
    }  # fmt: skip
    program = Path(sys.executable).with_name("offhook")
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen([program, "serve"], env=environment, stdout=log, stderr=log)
    try:
        base = f"http://{HOST}:{http_port}"
        async with aiohttp.ClientSession() as http:
            for _ in range(200):
                try:
                    async with http.get(f"{base}/readyz") as answer:
                        if answer.status == 200:
                            break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
        yield server, f"{base}/v2", api_key
    finally:
        server.terminate()
        server.wait(30)


OK_WITH_SDP = """<send retrans="500"><![CDATA[

      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]{tag}
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:[local_ip]:[local_port]>
      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=far 1 1 IN IP4 [local_ip]
      s=-
      c=IN IP4 [local_ip]
      t=0 0
      m=audio 6000 RTP/AVP 0
      a=rtpmap:0 PCMU/8000

]]></send>"""
OK = """<send><![CDATA[

      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Content-Length: 0

]]></send>"""
ANSWERS = f"""<recv request="INVITE" rrs="true"/>{OK_WITH_SDP.format(tag=";tag=[pid]b[call_number]")}
<recv request="ACK"/>"""
WAITS = f"""{ANSWERS}
<recv request="INVITE" optional="true" next="changed"/><recv request="BYE" next="over"/>
<label id="changed"/>{OK_WITH_SDP.format(tag="")}<recv request="ACK"/><recv request="BYE"/>
<label id="over"/>{OK}"""
"""The first party; with direct media it is given the other's address by a re-INVITE."""
HANGS_UP = f"""<recv request="INVITE" rrs="true"><action>
<ereg regexp=".*" search_in="hdr" header="From:" assign_to="from"/>
<ereg regexp=".*" search_in="hdr" header="To:" assign_to="to"/></action></recv>
{OK_WITH_SDP.format(tag=";tag=[pid]b[call_number]")}
<recv request="ACK"/><pause milliseconds="{{hold_ms}}"/>
<send retrans="500"><![CDATA[

      BYE [next_url] SIP/2.0
      Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
      From:[$to];tag=[pid]b[call_number]
      To:[$from]
      [last_Call-ID:]
      CSeq: 1 BYE
      Max-Forwards: 70
      Content-Length: 0

]]></send><recv response="200"/>"""


def _sipp(port: int, folder: Path, steps: str, hold_s: float) -> subprocess.Popen:
    scenario = folder / f"far-end-{port}.xml"
    body = steps.replace("{hold_ms}", str(int(hold_s * 1000)))
    scenario.write_text(f'<?xml version="1.0"?>\n<scenario name="far end">\n{body}\n</scenario>\n')
    return subprocess.Popen(
        ["sipp", "-sf", str(scenario), "-i", HOST, "-p", str(port), "-nostdin"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


class _Usage(NamedTuple):
    own_s: float
    children_s: float
    kib: float


def _usage(pid: int) -> _Usage:
    """Return CPU seconds of a process and of its children, and the memory of all."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for task in Path(f"/proc/{pid}/task").iterdir():
        children += [child for child in (task / "children").read_text().split() if child not in children]
    kib = sum(_kib(one) for one in (str(pid), *children))
    return _Usage(_cpu_s(str(pid)), sum(map(_cpu_s, children)), kib)


def _cpu_s(pid: str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _kib(pid: str) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1024


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def main() -> None:
    numbers = [float(word) for word in sys.argv[1:]]
    calls = int(numbers[0]) if numbers else CALLS
    for row in asyncio.run(measure(calls, numbers[1] if len(numbers) > 1 else PER_SECOND)):
        print(f"{row.what:<62} {row.value:>10.3f} {row.unit}")


if __name__ == "__main__":
    main()
