"""Light connections for drivers: the load must cost less than what is measured."""

import asyncio
import socket
from collections.abc import Callable

HTTP_CONNECTIONS = 64
OPEN_BOUND_S = 60.0


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class HttpConnections:
    """Some kept-alive HTTP/1.1 connections to one server; a request takes one that is idle."""

    def __init__(self, host: str, port: int, most: int = HTTP_CONNECTIONS) -> None:
        self._host, self._port, self._most = host, port, most
        self._idle: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.LifoQueue()
        self._open = 0

    async def wait_until_open(self, is_alive: Callable[[], bool]) -> None:
        """Return once the server takes connections. Raises AssertionError if it ends, or does not in time."""
        async with asyncio.timeout(OPEN_BOUND_S):
            while True:
                assert is_alive(), "the server ended at once"
                try:
                    _, writer = await asyncio.open_connection(self._host, self._port)
                    writer.close()
                    return
                except OSError:
                    await asyncio.sleep(0.05)

    async def request(
        self, method: str, path: str, headers: str = "", body: bytes = b""
    ) -> tuple[int, bytes]:
        """Return the status and the body of the answer."""
        length = f"Content-Length: {len(body)}\r\n" if body or method != "GET" else ""
        data = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n{headers}{length}\r\n".encode() + body
        while True:
            reader, writer = await self._take()
            writer.write(data)
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            except (asyncio.IncompleteReadError, ConnectionError):  # it was idle for too long
                self._open -= 1
                writer.close()
                continue
            answer = await _body(reader, head.lower())
            self._idle.put_nowait((reader, writer))
            return int(head.split(" ", 2)[1]), answer

    def close(self) -> None:
        """Close all of them."""
        while not self._idle.empty():
            self._idle.get_nowait()[1].close()

    async def _take(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._idle.empty() and self._open < self._most:
            self._open += 1
            return await asyncio.open_connection(self._host, self._port)
        return await self._idle.get()


async def _body(reader: asyncio.StreamReader, head: str) -> bytes:
    if "transfer-encoding: chunked" in head:
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
        return body
    _, found, rest = head.partition("content-length:")
    return await reader.readexactly(int(rest.split("\r\n", 1)[0])) if found else b""
