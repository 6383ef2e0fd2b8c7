"""The control channel of a relay process: commands out, replies in, in the same order."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, cast

MAX_IN_FLIGHT: Final = 128
"""Commands whose reply is awaited. RTPProxy drops a reply that does not fit into the socket's buffer, and
Linux's default buffer holds some 270 short messages."""

REPLY_BOUND_S: Final = 8.0
"""A relay that answers nothing for this long is taken for dead; it usually answers in 30 µs. A machine whose
cores were fought over by six processes has kept it waiting for 2 s: losing every call then would be worse."""

MAX_REPLY_BYTES: Final = 16_384
"""More than RTPProxy's own reply buffer (8 KiB): whatever sends this much without a line end is broken."""

LOST: Final = ""
"""Given as the reply to every command that waits when the channel is lost or closed."""

OnReply = Callable[[str, str], None]
"""Called once for each command, with the command and its reply, both without line end."""


class ControlChannel(asyncio.Protocol):
    """Pipelines commands; writes once per turn of the loop; bounds the wait for replies."""

    def __init__(self, on_lost: Callable[[str], None]) -> None:
        self._reply_bound_s = REPLY_BOUND_S
        self._on_lost: Callable[[str], None] | None = on_lost
        self._transport: asyncio.WriteTransport | None = None
        self._in_flight: deque[tuple[str, OnReply]] = deque()
        self._backlog: deque[tuple[str, OnReply]] = deque()
        self._received = b""
        self._flush_is_due = False
        self._is_closed = False
        self._watch: asyncio.TimerHandle | None = None
        self._quiet_since = 0.0  # the last reply came, or the first command went out
        self._loop = asyncio.get_running_loop()

    @property
    def waiting(self) -> int:
        """Return how many commands have no reply yet."""
        return len(self._in_flight) + len(self._backlog)

    def bound_replies(self, seconds: float) -> None:
        """Change how long the relay may be silent (it needs longer to start than to answer)."""
        self._reply_bound_s = seconds
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._watch_over()

    def send(self, command: str, on_reply: OnReply) -> None:
        """Queue one command; `on_reply` follows, once."""
        if self._is_closed:
            self._loop.call_soon(on_reply, command, LOST)
            return
        self._backlog.append((command, on_reply))
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)

    async def ask(self, command: str) -> str:
        """Send a command; return its reply, or LOST."""
        answer: asyncio.Future[str] = self._loop.create_future()
        self.send(command, lambda _, reply: None if answer.done() else answer.set_result(reply))
        return await answer

    def close(self) -> None:
        """Close without reporting a loss."""
        self._on_lost = None
        self._give_up("closed")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio)."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the loss (asyncio)."""
        self._give_up(str(exc) if exc else "the relay process ended")

    def data_received(self, data: bytes) -> None:
        """Hand each reply to its command (asyncio)."""
        lines = (self._received + data).split(b"\n")
        self._received = lines.pop()
        self._quiet_since = self._loop.time()
        for line in lines:
            if not self._in_flight:
                self._give_up("a reply without a command")
                return
            command, on_reply = self._in_flight.popleft()
            on_reply(command, line.decode("ascii", "replace"))
        if len(self._received) > MAX_REPLY_BYTES:
            self._give_up("a reply without end")
        elif self._backlog:
            self._flush()

    def _flush(self) -> None:
        self._flush_is_due = False
        if self._transport is None:
            return
        count = min(len(self._backlog), MAX_IN_FLIGHT - len(self._in_flight))
        if count <= 0:
            return
        if not self._in_flight:
            self._quiet_since = self._loop.time()
        batch = [self._backlog.popleft() for _ in range(count)]
        self._in_flight.extend(batch)
        self._transport.write("".join([f"{command}\n" for command, _ in batch]).encode())
        self._watch_over()

    def _watch_over(self) -> None:
        if self._in_flight and self._watch is None:
            self._watch = self._loop.call_at(self._quiet_since + self._reply_bound_s, self._check_progress)

    def _check_progress(self) -> None:
        self._watch = None
        if self._in_flight and self._loop.time() - self._quiet_since >= self._reply_bound_s:
            self._give_up(f"no answer for {self._reply_bound_s:.0f} s")
        else:
            self._watch_over()

    def _give_up(self, why: str) -> None:
        self._is_closed = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost(why)
        waiting = [*self._in_flight, *self._backlog]
        self._in_flight.clear()
        self._backlog.clear()
        for command, on_reply in waiting:
            on_reply(command, LOST)
