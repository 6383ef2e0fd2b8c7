"""The control channel against a relay made of one socket: order, bounds, loss."""

import asyncio
import socket

import pytest

from offhook.engines.embedded.relay_control import LOST, MAX_IN_FLIGHT, MAX_REPLY_BYTES, ControlChannel


class Scripted:
    """The far end of a channel: reads commands, answers when told."""

    def __init__(self) -> None:
        self.lost: list[str] = []
        self.replies: list[tuple[str, str]] = []
        self._ours, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)

    async def connect(self) -> ControlChannel:
        loop = asyncio.get_running_loop()
        make = lambda: ControlChannel(self.lost.append)  # noqa: E731
        _, channel = await loop.create_unix_connection(make, sock=self._ours)
        return channel

    def note(self, command: str, reply: str) -> None:
        self.replies.append((command, reply))

    async def commands(self) -> list[str]:
        """Return what came, once the loop has turned."""
        for _ in range(3):
            await asyncio.sleep(0)
        try:
            return self._theirs.recv(65_536).decode().splitlines()
        except BlockingIOError:
            return []

    async def answer(self, text: str) -> None:
        self._theirs.send(text.encode())
        await asyncio.sleep(0.01)

    def close(self) -> None:
        self._theirs.close()


@pytest.fixture
def relay():
    scripted = Scripted()
    yield scripted
    scripted.close()


def test_commands_of_one_turn_go_out_together_and_replies_find_them(relay):
    async def scenario():
        channel = await relay.connect()
        for command in ("one", "two", "three"):
            channel.send(command, relay.note)
        assert await relay.commands() == ["one", "two", "three"]
        await relay.answer("1\n2")
        assert relay.replies == [("one", "1")]
        assert channel.waiting == 2
        await relay.answer("2\nE50\n")
        assert relay.replies == [("one", "1"), ("two", "22"), ("three", "E50")]
        channel.close()

    asyncio.run(scenario())


def test_no_more_is_sent_than_the_relay_can_answer(relay):
    async def scenario():
        channel = await relay.connect()
        for number in range(MAX_IN_FLIGHT + 5):
            channel.send(f"c{number}", relay.note)
        assert len(await relay.commands()) == MAX_IN_FLIGHT
        assert await relay.commands() == []
        await relay.answer("0\n" * 3)
        assert await relay.commands() == [f"c{MAX_IN_FLIGHT + number}" for number in range(3)]
        assert channel.waiting == MAX_IN_FLIGHT + 2
        channel.close()

    asyncio.run(scenario())


def test_silence_is_bounded(relay):
    async def scenario():
        channel = await relay.connect()
        channel.bound_replies(0.1)
        channel.send("one", relay.note)
        await asyncio.sleep(0.06)
        await relay.answer("1\n")
        channel.send("two", relay.note)
        await asyncio.sleep(0.06)
        assert relay.lost == []
        await asyncio.sleep(0.1)
        assert relay.lost == ["no answer for 0 s"]
        assert relay.replies == [("one", "1"), ("two", LOST)]

    asyncio.run(scenario())


@pytest.mark.parametrize("nonsense", ["1\n2\n", "x" * (MAX_REPLY_BYTES + 1)])
def test_a_relay_that_talks_nonsense_is_given_up(relay, nonsense):
    async def scenario():
        channel = await relay.connect()
        channel.send("one", relay.note)
        await relay.commands()
        await relay.answer(nonsense)
        assert len(relay.lost) == 1
        assert relay.replies[-1][1] in ("1", LOST)

    asyncio.run(scenario())


def test_every_waiting_command_is_told_of_the_loss_once(relay):
    async def scenario():
        channel = await relay.connect()
        channel.send("sent", relay.note)
        await relay.commands()
        channel.send("queued", relay.note)
        relay.close()
        await asyncio.sleep(0.01)
        channel.send("late", relay.note)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert relay.replies == [("sent", LOST), ("queued", LOST), ("late", LOST)]
        assert len(relay.lost) == 1
        assert await channel.ask("later still") == LOST

    asyncio.run(scenario())


def test_closing_it_ourselves_is_no_loss(relay):
    async def scenario():
        channel = await relay.connect()
        channel.send("one", relay.note)
        channel.close()
        channel.close()
        await asyncio.sleep(0.01)
        assert relay.lost == []
        assert relay.replies == [("one", LOST)]

    asyncio.run(scenario())
