"""Every adapter of the storage ports runs the same suite: add its opener to `ADAPTERS`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from offhook.app.ports import Store
from offhook.stores.sqlite import SqliteStore


async def _open_sqlite(folder: Path) -> Store:
    return await SqliteStore.open(folder / "offhook.db")


ADAPTERS = {"sqlite": _open_sqlite}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=sorted(ADAPTERS))
def adapter(request):
    return ADAPTERS[request.param]


@pytest.fixture
async def store(adapter, tmp_path) -> AsyncIterator[Store]:
    opened = await adapter(tmp_path)
    yield opened
    await opened.close()
