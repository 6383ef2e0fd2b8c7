"""Fixtures of the end-to-end tests. Everything here runs real processes, so everything here is slow."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from .harness import Account, KazooClient, RtpEndpoint, Server, Sipp
from .harness.scenario import Scenario

_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all of this folder as slow."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server, shared by the tests of a module; it must end well."""
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def master(server: Server) -> KazooClient:
    """A client that is logged in to the master account."""
    client = KazooClient(server.host, server.http_port)
    client.login(server.api_key)
    return client


@pytest.fixture
def account(master: KazooClient) -> Account:
    """An account of the test's own."""
    number = next(_numbers)
    return master.create_account(f"Acme {number}", f"acme{number}.test")


FarEnd = Callable[..., Sipp]


@pytest.fixture
def far_end(tmp_path: Path) -> Iterator[FarEnd]:
    """Start SIPp with a scenario; ended after the test."""
    started: list[Sipp] = []

    def start(
        scenario: Scenario,
        *,
        calls: int = 1,
        transport: str = "udp",
        lost_percent: int = 0,
        media: RtpEndpoint | None = None,
        calling: str = "",
    ) -> Sipp:
        folder = tmp_path / f"sipp-{len(started)}"
        folder.mkdir()
        sipp = Sipp(
            scenario,
            folder,
            calls=calls,
            transport=transport,
            lost_percent=lost_percent,
            media=media,
            calling=calling,
        )
        started.append(sipp)
        sipp.start()
        return sipp

    yield start
    for sipp in started:
        sipp.stop()
