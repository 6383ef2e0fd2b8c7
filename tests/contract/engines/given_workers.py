"""A pool with one engine worker, a real process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from offhook.bootstrap.node import WORKER_PROGRAM
from offhook.engines.workers import Begin, WorkerPool
from offhook.settings import Settings

from .given_engine import HOST, Legs, Reports, build_embedded, confirming, given_media_ports, until


def build_pool(
    folder: Path, home_media: tuple[int, int], media: tuple[int, int], port: int = 0
) -> WorkerPool:
    """Return a pool whose worker has the SIP port (0: any) and the media ports."""
    home, _, _ = build_embedded(folder, home_media)
    settings = Settings(
        sip_host=HOST,
        sip_port=port,
        media_ports=f"{media[0]}-{media[1]}",
        data_dir=str(folder / "worker"),
        log_level="error",
    )
    begin = Begin(1, msgspec.json.encode(settings), "a secret")
    return WorkerPool(home, [begin], program=WORKER_PROGRAM)


@asynccontextmanager
async def given_worker_legs(folder: Path, port: int = 0) -> AsyncIterator[Legs]:
    """Run legs in a worker, the journal has every answer at once; afterwards no leg may be left in it."""
    with given_media_ports() as home_media, given_media_ports() as media:
        pool = build_pool(folder, home_media, media, port)
        reports = Reports()
        await pool.start(confirming(pool, reports))
        try:
            yield Legs(pool, reports)
            assert pool.count() == 0, "a leg is left"
            await until(lambda: pool.hosts[0].load.legs == 0)
        finally:
            await pool.stop()
