"""What a two-leg call costs the SIP core alone: CPU time and memory, no sockets, no media.

The peer is another core; only the calls into ours are timed. Run: python -m benchmarks.sip_core
"""

import gc
import random
import time
import tracemalloc
from collections.abc import Iterator

from offhook.sip.commands import InviteRequest
from offhook.sip.config import UserAgentConfig
from offhook.sip.events import DialogEnded, InviteAnswered, InviteEnded, RequestReceived
from offhook.sip.flows import Flow
from offhook.sip.user_agent import UserAgentCore

from .report import Row, show

OURS, THEIRS = ("192.0.2.1", 5060), ("192.0.2.2", 5060)
TO_THEM, TO_US = Flow("udp", OURS, THEIRS), Flow("udp", THEIRS, OURS)
SDP = (
    b"v=0\r\no=- 20518 0 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 54609 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
)
HOLD_S = 40.0
"""Longer than 64*T1, so that standing calls have no transactions left."""


class PooledRandom:
    """Random digits at the price of the real source."""

    def __init__(self) -> None:
        self._random = random.Random(7)
        self._pool = ""

    def hex(self, length: int) -> str:
        if len(self._pool) < length:
            self._pool = self._random.randbytes(4096).hex()
        digits, self._pool = self._pool[:length], self._pool[length:]
        return digits

    def uniform(self) -> float:
        return self._random.random()


class Bench:
    """Our core places two-leg calls to another core that rings and answers."""

    def __init__(self) -> None:
        self.ours = UserAgentCore(UserAgentConfig(advertised={"udp": OURS}), PooledRandom())
        self.theirs = UserAgentCore(UserAgentConfig(advertised={"udp": THEIRS}), PooledRandom())
        self.now = 0.0
        self.spent_ns = 0
        self.messages = 0
        self.dialogs: list[InviteAnswered] = []
        self.ended = 0

    def leg(self, number: int) -> InviteRequest:
        return InviteRequest(
            request_uri=f"sip:dev{number}@192.0.2.2:5060",
            from_='"Customer" <sip:+15551234567@acme.example.com>',
            to=f"<sip:dev{number}@acme.example.com>",
            flow=TO_THEM,
            headers=(("P-Asserted-Identity", "<sip:+15551234567@acme.example.com>"), ("Supported", "timer")),
            body=SDP,
        )

    def timed(self, action) -> None:  # type: ignore[no-untyped-def]
        started = time.thread_time_ns()
        action()
        self.spent_ns += time.thread_time_ns() - started

    def pump(self) -> None:
        """Carry messages both ways until nothing is left."""
        while True:
            for data, _ in self._our_output():
                self.theirs.receive_message(data, TO_US, self.now)
            self._act_as_them()
            replies = self.theirs.messages_to_send()
            if not replies:
                return
            self.messages += len(replies)
            for data, _ in replies:
                self.timed(lambda d=data: self.ours.receive_message(d, TO_THEM, self.now))

    def _our_output(self) -> list[tuple[bytes, Flow]]:
        started = time.thread_time_ns()
        while (event := self.ours.next_event()) is not None:
            if isinstance(event, InviteAnswered):
                self.ours.send_ack(event.dialog, b"", self.now)
                self.dialogs.append(event)
            elif isinstance(event, DialogEnded):
                self.ended += 1
            elif isinstance(event, InviteEnded):
                raise SystemExit(f"a call failed: {event}")
        output = self.ours.messages_to_send()
        self.spent_ns += time.thread_time_ns() - started
        self.messages += len(output)
        return output

    def _act_as_them(self) -> None:
        while (event := self.theirs.next_event()) is not None:
            if isinstance(event, RequestReceived):
                self.theirs.respond(event.transaction, 180, now=self.now)
                self.theirs.respond(event.transaction, 200, body=SDP, now=self.now)

    def set_up(self, number: int) -> None:
        for leg in (0, 1):
            self.timed(lambda n=2 * number + leg: self.ours.invite(self.leg(n), self.now))
            self.pump()

    def tear_down(self, answered: InviteAnswered) -> None:
        self.timed(lambda: self.ours.bye(answered.dialog, self.now))
        self.pump()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.timed(lambda: self.ours.handle_timer(self.now))
        self.theirs.handle_timer(self.now)
        self.pump()


def cpu_per_call(calls: int, standing: int) -> tuple[float, float]:
    """Return µs of our CPU and messages per two-leg call, with other calls standing."""
    bench = Bench()
    for number in range(standing):
        bench.set_up(number)
    bench.pass_time(HOLD_S)
    bench.dialogs.clear()
    bench.spent_ns = bench.messages = 0
    for number in range(calls):
        bench.set_up(standing + number)
        while bench.dialogs:
            bench.tear_down(bench.dialogs.pop())
        bench.pass_time(0.02)
    bench.pass_time(HOLD_S)
    assert bench.ended == 2 * calls
    return bench.spent_ns / calls / 1000, bench.messages / calls


def bytes_per_call(standing: int) -> float:
    """Return bytes that our core holds per standing two-leg call (its handles included)."""
    bench = Bench()
    kept = []
    gc.collect()
    tracemalloc.start()
    for number in range(standing):
        bench.set_up(number)
    bench.pass_time(HOLD_S)
    bench.pass_time(HOLD_S)
    kept, bench.dialogs = [(answered.invite, answered.dialog) for answered in bench.dialogs], []
    del bench.theirs
    gc.collect()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(kept) == 2 * standing
    return size / standing


def measure() -> Iterator[Row]:
    cpu_per_call(200, 0)  # warm up
    for standing in (10, 1_000, 5_000):
        least, messages = min(cpu_per_call(500, standing) for _ in range(3))
        what = f"SIP core alone, two-leg call of {messages:.0f} messages, {standing:,} standing"
        yield Row(what, least, "µs CPU")
    yield Row("SIP core alone, memory per standing call", bytes_per_call(1_000), "bytes")


def main() -> None:
    show(measure())


if __name__ == "__main__":
    main()
