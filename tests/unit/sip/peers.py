"""Helpers for tests of the core: seeded randomness, and two cores on a virtual network."""

import heapq
import random
from collections.abc import Callable
from itertools import count

from offhook.sip.commands import InviteRequest
from offhook.sip.config import UserAgentConfig
from offhook.sip.events import SipEvent
from offhook.sip.flows import Flow
from offhook.sip.message import Request, Response, parse_message
from offhook.sip.user_agent import UserAgentCore

US = ("192.0.2.1", 5060)
THEM = ("192.0.2.2", 5060)
THIRD = ("192.0.2.3", 5060)
SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


class SeededRandom:
    """The Random port from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def hex(self, length: int) -> str:
        return f"{self._random.getrandbits(4 * length):0{length}x}"

    def uniform(self) -> float:
        return self._random.random()


def make_core(
    address: tuple[str, int] = US, *, seed: int = 1, tcp: bool = True, **settings: object
) -> UserAgentCore:
    advertised = {"udp": address} | ({"tcp": address} if tcp else {})
    return UserAgentCore(UserAgentConfig(advertised=advertised, **settings), SeededRandom(seed))  # type: ignore[arg-type]


def invite_to(
    remote: tuple[str, int] = THEM, *, local: tuple[str, int] = US, transport: str = "udp", **changes: object
) -> InviteRequest:
    fields: dict[str, object] = {
        "request_uri": f"sip:bob@{remote[0]}:{remote[1]}",
        "from_": '"Alice" <sip:alice@example.com>',
        "to": "<sip:bob@example.com>",
        "flow": Flow(transport, local, remote),
        "body": SDP,
    }
    return InviteRequest(**(fields | changes))  # type: ignore[arg-type]


class Wire:
    """One core, and a test that plays the peer: what the core sends is parsed, what it gets is text."""

    def __init__(self, **settings: object) -> None:
        self.core = make_core(**settings)  # type: ignore[arg-type]
        self.now = 100.0
        self.flow = Flow("udp", US, THEM)
        self.sent: list[Request | Response] = []
        self.sent_flows: list[Flow] = []
        self.events: list[SipEvent] = []

    def settle(self) -> None:
        """Drain the core."""
        while (event := self.core.next_event()) is not None:
            self.events.append(event)
        for data, flow in self.core.messages_to_send():
            self.sent.append(parse_message(data))
            self.sent_flows.append(flow)

    def receive(self, text: str | bytes, flow: Flow | None = None) -> None:
        data = text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode()
        self.core.receive_message(data, flow or self.flow, self.now)
        self.settle()

    def wait(self, seconds: float) -> None:
        """Let time pass in steps of the wheel."""
        end = self.now + seconds
        while (due := self.core.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.core.handle_timer(self.now)
            self.settle()
        self.now = end
        self.core.handle_timer(end)
        self.settle()

    def answer(
        self,
        request: Request,
        status: int,
        *,
        tag: str = "them",
        contact: str = "<sip:bob@192.0.2.2:5060>",
        body: str = "",
        extra: str = "",
        flow: Flow | None = None,
    ) -> None:
        """Answer one of the core's requests as a peer would."""
        headers = request.headers
        to = headers.get("To") or ""
        to = to if ";tag=" in to or not tag else f"{to};tag={tag}"
        lines = [f"SIP/2.0 {status} Whatever"]
        lines += [f"Via: {line}" for line in headers.lines("Via")]
        lines += [f"From: {headers.get('From')}", f"To: {to}", f"Call-ID: {request.call_id}"]
        lines += [f"CSeq: {headers.get('CSeq')}"]
        lines += [f"Contact: {contact}"] if contact else []
        lines += [extra] if extra else []
        lines += ["Content-Type: application/sdp"] if body else []
        text = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])
        self.receive(text.encode(), flow)

    # --- what was seen ---

    def requests(self, method: str) -> list[Request]:
        return [message for message in self.sent if isinstance(message, Request) and message.method == method]

    def responses(self, status: int = 0) -> list[Response]:
        return [m for m in self.sent if isinstance(m, Response) and (not status or m.status == status)]

    def last(self, method: str) -> Request:
        return self.requests(method)[-1]

    def seen(self, kind: type) -> list:  # type: ignore[type-arg]
        return [event for event in self.events if isinstance(event, kind)]

    def one(self, kind: type):  # type: ignore[no-untyped-def]
        found = self.seen(kind)
        assert len(found) == 1, f"{len(found)} {kind.__name__} in {self.events}"
        return found[0]

    def take_sent(self) -> list[Request | Response]:
        """Return what was sent since the last call."""
        sent, self.sent = self.sent, []
        self.sent_flows = []
        return sent


class VirtualNetwork:
    """Cores by address; messages are dropped, repeated, delayed and reordered by seed."""

    def __init__(
        self, seed: int, *, loss: float = 0.0, repeat: float = 0.0, delay: float = 0.05, breaks: float = 0.0
    ) -> None:
        self.random = random.Random(seed)
        self.breaks = breaks
        """How often a connection breaks under a message."""
        self.loss, self.repeat, self.delay = loss, repeat, delay
        self.travel_time: float | None = None
        """Set: every packet takes exactly that long, and none overtakes another."""
        self.cores: dict[tuple[str, int], UserAgentCore] = {}
        self.takers: dict[tuple[str, int], Callable[[SipEvent, float], None]] = {}
        self.now = 0.0
        self._queue: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()

    def add(
        self, address: tuple[str, int], core: UserAgentCore, take: Callable[[SipEvent, float], None]
    ) -> None:
        self.cores[address] = core
        self.takers[address] = take

    def at(self, when: float, action: Callable[[float], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._order), action))

    def run(self, until: float) -> None:
        """Do what is due, in order of time, until `until` or until nothing is left."""
        while True:
            self._settle()
            due = [self._queue[0][0]] if self._queue else []
            due += [t for core in self.cores.values() if (t := core.next_timer()) is not None]
            if not due or min(due) > until:
                return
            self.now = max(self.now, min(due))
            while self._queue and self._queue[0][0] <= self.now:
                heapq.heappop(self._queue)[2](self.now)
            for core in self.cores.values():
                core.handle_timer(self.now)

    def _settle(self) -> None:
        for address, core in self.cores.items():
            while (event := core.next_event()) is not None:
                self.takers[address](event, self.now)
        for address, core in self.cores.items():
            for data, flow in core.messages_to_send():
                self._carry(data, flow, address)

    def _carry(self, data: bytes, flow: Flow, sender: tuple[str, int]) -> None:
        copies = 1 + (self.random.random() < self.repeat)
        if flow.transport == "udp" and self.random.random() < self.loss:
            return
        peer = self.cores.get(flow.remote)
        if peer is None:
            return
        if flow.transport == "tcp" and self.random.random() < self.breaks:
            for end, other in ((sender, flow.remote), (flow.remote, sender)):
                self.cores[end].flow_failed(Flow("tcp", end, other), self.now)
            return
        arriving = Flow(flow.transport, flow.remote, sender)
        for _ in range(copies if flow.transport == "udp" else 1):
            when = self.now + self._travel_time(flow)
            self.at(when, lambda now, p=peer: p.receive_message(data, arriving, now))  # type: ignore[misc]

    def _travel_time(self, flow: Flow) -> float:
        if self.travel_time is not None:
            return self.travel_time
        return self.random.random() * self.delay if flow.transport == "udp" else self.delay
