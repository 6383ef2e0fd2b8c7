"""Which gateways are asked how they are, and how: each as the resources that name it say."""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from offhook.directory.model import Document
from offhook.engines.embedded.gateway_health import FAILURES, GatewayHealth
from offhook.engines.embedded.resolver import Resolver
from offhook.sip.flows import Flow, TlsPeer

PATIENCE_S = 10.0
URI = "sip:+15551234567@192.0.2.9:5061;transport=tls"


class Endpoint:
    """Sockets that send nothing, and note by which certificates a server is asked."""

    def __init__(self) -> None:
        self.core = self
        self.asked: list[Any] = []
        self.authorities: set[str] = set()

    def flow_to(self, transport: str, remote: tuple[str, int], tls: TlsPeer) -> Flow:
        self.authorities.add(tls.ca)
        return Flow(transport, ("192.0.2.1", 5061), remote, "", tls)

    def request(self, asked: Any, now: float) -> Any:
        self.asked.append(SimpleNamespace(context=None, flow=asked.flow))
        return self.asked[-1]

    def flush(self) -> None:
        """Send nothing."""


class Asker:
    """Gateways that are asked all the time."""

    def __init__(self) -> None:
        self.endpoint = Endpoint()
        self.health = GatewayHealth(
            self.endpoint,  # type: ignore[arg-type]
            Resolver(),
            SimpleNamespace(find=self._none),
            clock=SimpleNamespace(monotonic=lambda: 1.0),
            interval_s=0.01,
        )

    async def _none(self, kind: str, value: str) -> Sequence[Document]:
        return []

    def write(self, resource_id: str, ca: str, *, deleted: bool = False) -> None:
        gateway = {"server": "192.0.2.9", "port": 5061, "transport": "tls", "tls_ca": ca}
        data = {"gateways": [gateway]}
        self.health.observe(
            Document(
                id=resource_id, account_id=resource_id, type="resource", data=data, private={},
                created_at=1.0, modified_at=1.0, deleted=deleted,
            ),
            None,
        )  # fmt: skip

    async def is_asked_by(self, *authorities: str) -> None:
        """Return when exactly these are asked by."""
        self.endpoint.authorities.clear()
        await until(lambda: self.endpoint.authorities >= set(authorities))
        self.endpoint.authorities.clear()
        await until(lambda: bool(self.endpoint.authorities))
        assert self.endpoint.authorities <= set(authorities)

    async def answer(self, ca: str, status: int) -> None:
        """Let the questions that trust one authority be answered, often enough."""
        self.endpoint.asked.clear()
        await until(lambda: len([one for one in self.endpoint.asked if one.flow.tls.ca == ca]) >= FAILURES)
        for one in [one for one in self.endpoint.asked if one.flow.tls.ca == ca]:
            self.health.take(SimpleNamespace(request=one, status=status))  # type: ignore[arg-type]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():
            await asyncio.sleep(0.005)


def test_a_corrected_certificate_is_asked_by_and_everybody_has_his_own() -> None:
    asker = Asker()

    async def scenario() -> None:
        await asker.health.start()
        try:
            asker.write("acme", "wrong")
            await asker.is_asked_by("wrong")
            asker.write("acme", "right")
            asker.write("other", "theirs")
            await until(lambda: {"right", "theirs"} <= asker.endpoint.authorities)
            await asker.is_asked_by("right", "theirs")
            await asker.answer("theirs", 503)
            assert not asker.health.is_down(URI)
            await asker.answer("right", 503)
            assert asker.health.is_down(URI)
            asker.write("acme", "right", deleted=True)
            asker.write("other", "theirs", deleted=True)
            assert not asker.health.is_down(URI)
        finally:
            await asker.health.stop()

    asyncio.run(scenario())
