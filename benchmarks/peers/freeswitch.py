"""A FreeSWITCH that runs already, by its event socket (ESL): FREESWITCH_ESL=host:port:password[:pid]."""

import asyncio
import os

from .system import PlacingFailed, Plan

VARIABLE = "FREESWITCH_ESL"


def is_here() -> bool:
    """Tell whether one is named."""
    return VARIABLE in os.environ


class FreeswitchByEsl:
    """`bgapi originate` with the second party as the application."""

    name = "FreeSWITCH by ESL"

    def __init__(self, plan: Plan) -> None:
        host, port, self._password, *process = os.environ[VARIABLE].split(":")
        self._address = (host, int(port))
        self._plan = plan
        self._process = [int(each) for each in process]

    @property
    def processes(self) -> list[int]:
        """Known if it runs on this machine and its id was given."""
        return self._process

    async def __aenter__(self) -> "FreeswitchByEsl":
        self._reader, self._writer = await asyncio.open_connection(*self._address)
        await self._reader.readuntil(b"\n\n")
        self._writer.write(f"auth {self._password}\n\n".encode())
        assert b"+OK" in await self._reader.readuntil(b"\n\n"), "the password is wrong"
        self._replies: asyncio.Queue[asyncio.Future[str]] = asyncio.Queue()
        self._listening = asyncio.create_task(self._listen(), name="esl")
        return self

    async def __aexit__(self, *error: object) -> None:
        self._listening.cancel()
        self._writer.close()

    async def place(self, number: int) -> str:
        """Originate in the background; +OK with a job id says that it is accepted."""
        host = self._plan.host
        first = f"sofia/internal/{number}@{host}:{self._plan.first_port}"
        second = (
            f"&bridge({{ignore_early_media=true}}sofia/internal/{number}@{host}:{self._plan.second_port})"
        )
        answer = await self._ask(f"bgapi originate {{ignore_early_media=true}}{first} {second}")
        if "+OK" not in answer:
            raise PlacingFailed(answer)
        return str(number)

    async def live(self) -> int:
        """Return how many channels it has."""
        return int((await self._ask("api show channels count")).split()[0])

    async def _ask(self, command: str) -> str:
        reply: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._replies.put_nowait(reply)
        self._writer.write(f"{command}\n\n".encode())
        return await reply

    async def _listen(self) -> None:
        while True:
            head = (await self._reader.readuntil(b"\n\n")).decode()
            _, found, length = head.partition("Content-Length: ")
            body = await self._reader.readexactly(int(length.split()[0])) if found else b""
            if "command/reply" in head or "api/response" in head:
                (await self._replies.get()).set_result(body.decode() or head)
