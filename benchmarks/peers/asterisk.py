"""Debian's Asterisk from a folder, by AMI (Originate and Dial) and by ARI (two channels and a bridge)."""

import asyncio
import base64
import json
from pathlib import Path
from urllib.parse import quote

import websockets
from tests.peers.asterisk import Asterisk, is_here

from .connections import HttpConnections, free_port
from .system import PlacingFailed, Plan

SECRET = "bench"
RTP = (40_000, 59_999)
RING_S = 30

PJSIP = """[global]
type = global
user_agent = Asterisk
[udp]
type = transport
protocol = udp
bind = {host}:{sip}
[far](!)
type = endpoint
transport = udp
context = none
disallow = all
allow = ulaw
direct_media = no
[first](far)
aors = first
[first]
type = aor
contact = sip:first@{host}:{first}
qualify_frequency = 0
[second](far)
aors = second
[second]
type = aor
contact = sip:second@{host}:{second}
qualify_frequency = 0
[by-address]
type = identify
endpoint = first
match = {host}
"""
EXTENSIONS = """[general]
static = yes
[dial]
exten => _X.,1,Dial(PJSIP/second/sip:${{EXTEN}}@{host}:{second},{ring})
 same => n,Hangup()
"""
MANAGER = """[general]
enabled = yes
bindaddr = 127.0.0.1
port = {ami}
webenabled = no
[bench]
secret = {secret}
deny = 0.0.0.0/0.0.0.0
permit = 127.0.0.1/255.255.255.255
read = call
write = call,originate
"""
HTTP = "[general]\nenabled = yes\nbindaddr = 127.0.0.1\nbindport = {ari}\nsessionlimit = 1000\n"
ARI = "[general]\nenabled = yes\n[bench]\ntype = user\nread_only = no\npassword = {secret}\n"

AMI_MODULES = ("app_dial",)
ARI_MODULES = (
    "res_stasis", "res_stasis_answer", "res_stasis_device_state", "res_stasis_playback",
    "res_stasis_recording", "res_stasis_snoop", "app_stasis", "res_ari_model", "res_ari",
    "res_ari_applications", "res_ari_asterisk", "res_ari_bridges", "res_ari_channels", "res_ari_events",
)  # fmt: skip

__all__ = ["AsteriskByAmi", "AsteriskByAri", "is_here"]


class _Asterisk:
    """The program, with the far ends as its two endpoints."""

    name = "Asterisk"
    modules: tuple[str, ...] = ()

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._plan = plan
        self.ami, self.ari = free_port(), free_port()
        words = {
            "host": plan.host, "first": plan.first_port, "second": plan.second_port, "ring": RING_S,
            "sip": free_port(), "ami": self.ami, "ari": self.ari, "secret": SECRET,
        }  # fmt: skip
        files = {
            "pjsip.conf": PJSIP, "extensions.conf": EXTENSIONS, "manager.conf": MANAGER, "http.conf": HTTP,
            "ari.conf": ARI,
        }  # fmt: skip
        filled = {name: text.format(**words) for name, text in files.items()}
        self._program = Asterisk(folder, filled, rtp=RTP, modules=self.modules)

    @property
    def processes(self) -> list[int]:
        """One process with many threads."""
        return [self._program.pid]

    async def live(self) -> int:
        """Return how many channels it has."""
        return len(await asyncio.to_thread(self._program.channels))

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self._program.stop)


class AsteriskByAmi(_Asterisk):
    """Originate to the first phone, into an extension that dials the second."""

    name = "Asterisk 22 by AMI"
    modules = AMI_MODULES

    async def __aenter__(self) -> "AsteriskByAmi":
        await asyncio.to_thread(self._program.start)
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.ami)
        await self._reader.readline()
        self._waiting: dict[str, asyncio.Future[bool]] = {}
        self._writer.write(f"Action: Login\r\nUsername: bench\r\nSecret: {SECRET}\r\n\r\n".encode())
        assert b"Success" in await self._reader.readuntil(b"\r\n\r\n")
        self._listening = asyncio.create_task(self._listen(), name="ami")
        return self

    async def __aexit__(self, *error: object) -> None:
        self._listening.cancel()
        self._writer.close()
        await super().__aexit__()

    async def place(self, number: int) -> str:
        """Originate; the answer says that it is queued."""
        name = f"b{number}"
        answered = self._waiting[name] = asyncio.get_running_loop().create_future()
        host, port = self._plan.host, self._plan.first_port
        self._writer.write(
            f"Action: Originate\r\nActionID: {name}\r\nChannel: PJSIP/first/sip:{number}@{host}:{port}\r\n"
            f"Context: dial\r\nExten: {number}\r\nPriority: 1\r\n"
            f"Timeout: {RING_S}000\r\nAsync: true\r\n\r\n".encode()
        )
        if not await answered:
            raise PlacingFailed(name)
        return str(number)

    async def _listen(self) -> None:
        """Read the answers, and the events as a program must that wants to know what became of its calls."""
        while True:
            block = await self._reader.readuntil(b"\r\n\r\n")
            if not block.startswith(b"Response: "):
                continue
            name = block.partition(b"ActionID: ")[2].partition(b"\r\n")[0].decode()
            waiting = self._waiting.pop(name, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(block.startswith(b"Response: Success"))


class AsteriskByAri(_Asterisk):
    """A channel to each phone and a bridge, by an application that listens on the websocket."""

    name = "Asterisk 22 by ARI"
    modules = ARI_MODULES

    async def __aenter__(self) -> "AsteriskByAri":
        await asyncio.to_thread(self._program.start)
        self._http = HttpConnections("127.0.0.1", self.ari)
        token = base64.b64encode(f"bench:{SECRET}".encode()).decode()
        self._headers = f"Authorization: Basic {token}\r\n"
        address = f"ws://127.0.0.1:{self.ari}/ari/events?app=bench&api_key=bench:{SECRET}"
        self._events = await websockets.connect(address, max_size=None)
        self._tasks: set[asyncio.Task[None]] = set()
        self._others: dict[str, str] = {}
        self._listening = asyncio.create_task(self._listen(), name="ari")
        return self

    async def __aexit__(self, *error: object) -> None:
        self._listening.cancel()
        await self._events.close()
        self._http.close()
        await super().__aexit__()

    async def place(self, number: int) -> str:
        """Create the first channel; the application goes on when it has answered."""
        await self._dial("first", number, self._plan.first_port, f"first-{number}")
        return str(number)

    async def _dial(self, side: str, number: int, port: int, channel: str) -> None:
        where = quote(f"PJSIP/{side}/sip:{number}@{self._plan.host}:{port}", safe="")
        path = f"/ari/channels?endpoint={where}&app=bench&channelId={channel}&timeout={RING_S}"
        status, body = await self._http.request("POST", path, self._headers)
        if status >= 300:
            raise PlacingFailed(f"{status} {body[:100]!r}")

    async def _listen(self) -> None:
        async for text in self._events:
            event = json.loads(text)
            if event["type"] in ("StasisStart", "StasisEnd", "ChannelDestroyed"):
                task = asyncio.create_task(self._take(event), name=event["type"])
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _take(self, event: dict) -> None:
        channel = event["channel"]["id"]
        side, _, number = channel.partition("-")
        other = f"{'second' if side == 'first' else 'first'}-{number}"
        if event["type"] != "StasisStart":
            await self._http.request("DELETE", f"/ari/channels/{other}", self._headers)
            if side == "first":
                await self._http.request("DELETE", f"/ari/bridges/bridge-{number}", self._headers)
        elif side == "first":
            await self._dial("second", int(number), self._plan.second_port, other)
        else:
            bridge = f"/ari/bridges/bridge-{number}"
            await self._http.request("POST", f"{bridge}?type=mixing", self._headers)
            await self._http.request("POST", f"{bridge}/addChannel?channel={other},{channel}", self._headers)
