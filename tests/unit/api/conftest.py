"""A node and an account for every test that asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .node import ApiNode, TestAccount


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ApiNode]:
    running = ApiNode(tmp_path)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def acme(node: ApiNode) -> TestAccount:
    return node.given_account()
