"""`offhook serve`, over its HTTP API."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from .connections import HTTP_CONNECTIONS, HttpConnections, free_port
from .system import PlacingFailed, Plan

MEDIA_PORTS = "30000-59999"
NUMBER_LENGTH = 7


class Offhook:
    """The server as a user starts it, with one button, a phone and a carrier."""

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        *,
        media: str = "rtp-io",
        workers: int = 1,
        connections: int = HTTP_CONNECTIONS,
    ) -> None:
        self._connections = connections
        self.name = f"offhook, {'with relay' if media == 'rtp-io' else 'no relay'}" + (
            f", {workers} workers" if workers > 1 else ""
        )
        self._folder = folder
        self._plan = plan
        self._media = media
        self._workers = workers
        self._server: subprocess.Popen[bytes] | None = None
        self._http: HttpConnections
        self._connect = ""
        self._token = ""

    @property
    def processes(self) -> list[int]:
        """The server; its relay and workers are its children."""
        assert self._server is not None
        return [self._server.pid]

    async def __aenter__(self) -> "Offhook":
        port, api_key = free_port(), secrets.token_hex(32)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OFFHOOK_")} | {
            "OFFHOOK_HTTP_PORT": str(port), "OFFHOOK_SIP_HOST": self._plan.host,
            "OFFHOOK_SIP_PORT": str(free_port()), "OFFHOOK_DATA_DIR": str(self._folder / "data"),
            "OFFHOOK_MASTER_API_KEY": api_key, "OFFHOOK_MEDIA": self._media,
            "OFFHOOK_MEDIA_PORTS": MEDIA_PORTS, "OFFHOOK_RATE_BUCKET": "0", "OFFHOOK_LOG_LEVEL": "warning",
            "OFFHOOK_WORKERS": str(self._workers), "OFFHOOK_WORKER_SIP_PORT": str(free_port()),
            "OFFHOOK_DRAIN_S": "0",
        }  # fmt: skip
        self._folder.mkdir(parents=True, exist_ok=True)
        program = Path(sys.executable).with_name("offhook")
        with (self._folder / "server.log").open("wb") as log:
            self._server = subprocess.Popen([program, "serve"], env=environment, stdout=log, stderr=log)
        self._http = HttpConnections(self._plan.host, port, self._connections)
        await self._http.wait_until_open(lambda: self._server is not None and self._server.poll() is None)
        answer = await self._api("PUT", "/v2/api_auth", {"api_key": api_key})
        self._token = answer["auth_token"]
        await self._set_up(answer["data"]["account_id"])
        return self

    async def __aexit__(self, *error: object) -> None:
        self._http.close()
        if self._server is not None:
            self._server.terminate()
            await asyncio.to_thread(self._server.wait, 40)

    async def place(self, number: int) -> str:
        """Press the button."""
        contact = f"%2B1555{number:0{NUMBER_LENGTH}d}"
        status, body = await self._http.request("GET", f"{self._connect}?contact={contact}", self._headers())
        if status != 202:
            raise PlacingFailed(f"{status} {body[:200]!r}")
        return str(json.loads(body)["data"]["call_id"])

    async def live(self) -> int:
        """Return how many calls are live."""
        return int(await self.metric("offhook_calls_live "))

    async def metric(self, name: str) -> float:
        """Return the value of a line of /metrics."""
        _, body = await self._http.request("GET", "/metrics", self._headers())
        return float(next(line for line in body.decode().splitlines() if line.startswith(name)).split()[-1])

    async def _set_up(self, account: str) -> None:
        root, host = f"/v2/accounts/{account}", self._plan.host
        sip = {"invite_format": "route", "route": f"sip:first@{host}:{self._plan.first_port}"}
        device = await self._api("PUT", f"{root}/devices", {"name": "phone", "sip": sip})
        flow = {"module": "device", "data": {"id": device["data"]["id"]}, "children": {}}
        await self._api("PUT", f"{root}/callflows", {"numbers": ["1001"], "flow": flow})
        gateway = {"server": host, "port": self._plan.second_port, "enabled": True}
        carrier = {"name": "carrier", "rules": ["^\\+1(\\d*)$"], "gateways": [gateway]}
        await self._api("PUT", f"{root}/resources", carrier)
        flow = {"module": "resources", "data": {}, "children": {}}
        await self._api("PUT", f"{root}/callflows", {"patterns": ["^\\+1555\\d+$"], "flow": flow})
        button = {"name": "Bench", "extension": "1001", "auth_required": True}
        made = await self._api("PUT", f"{root}/clicktocall", button)
        self._connect = f"{root}/clicktocall/{made['data']['id']}/connect"

    async def _api(self, method: str, path: str, data: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps({"data": data}).encode()
        status, answer = await self._http.request(method, path, self._headers(), body)
        assert status < 300, answer
        decoded: dict[str, Any] = json.loads(answer)
        return decoded

    def _headers(self) -> str:
        token = f"X-Auth-Token: {self._token}\r\n" if self._token else ""
        return f"Content-Type: application/json\r\n{token}"
