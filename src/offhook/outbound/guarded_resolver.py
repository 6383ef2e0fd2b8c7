"""Names to addresses for requests to URIs that customers wrote: only to where they may lead.

What is checked is the address that is connected to, at each connection: a name that was public when the
webhook was saved may lead inside when it is used (DNS rebinding).
"""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from offhook.delivery import is_reachable
from offhook.delivery.errors import FORBIDDEN, NO_NAME, TIMEOUT, Undeliverable
from offhook.delivery.targets import Network

LOOKUP_S: Final = 5.0
"""A name that takes longer counts as a failure; the delivery is tried again."""

LOOKUPS_MAX: Final = 32
"""Threads that wait for the system's resolver. Names that hang hold one each for its 5 to 20 s."""

CONNECTABLE_MAX: Final = 8
"""Addresses of a name that are tried."""


class GuardedResolver(AbstractResolver):
    """Looks names up with the system's resolver and passes on addresses that may be reached."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = tuple(allowed)
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="offhook-webhook-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises Undeliverable if it has none, or one that is forbidden."""
        addresses = await self._look_up(host, port, family)
        for _, address in addresses:
            self.check(address)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=family,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for family, address in addresses
        ]

    def check(self, address: str) -> None:
        """Raise Undeliverable if an IP address may not be reached."""
        if not is_reachable(address, self._allowed):
            raise Undeliverable(FORBIDDEN, address)

    async def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _look_up(
        self, host: str, port: int, family: socket.AddressFamily
    ) -> Sequence[tuple[socket.AddressFamily, str]]:
        def ask() -> Sequence[tuple[socket.AddressFamily, str]]:
            found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
            return [(entry[0], str(entry[4][0])) for entry in found][:CONNECTABLE_MAX]

        try:
            async with asyncio.timeout(LOOKUP_S):
                return await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        except TimeoutError:
            raise Undeliverable(TIMEOUT, f"looking up {host}") from None
        except (OSError, UnicodeError):
            raise Undeliverable(NO_NAME, host) from None
