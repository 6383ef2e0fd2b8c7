"""Programs for tests of crashes and full disks: `python -m tests.contract.stores.given_processes …`."""

import asyncio
import resource
import sys
from pathlib import Path

from offhook.app.errors import StorageLost
from offhook.stores.sqlite import SqliteStore

from .given import given_document, given_plan

ROOM_BYTES = 64 * 1024


async def accept_until_killed(path: Path) -> None:
    """Print the number of each call once it is accepted; the appends of a call follow its acceptance."""
    store = await SqliteStore.open(path)

    async def caller(lane: int) -> None:
        for number in range(lane, 10**9, 8):
            await store.journal.accept(given_plan(f"c2c-{number}"), 1000.0)
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            store.journal.append(f"c2c-{number}", 1, 1001.0, b"ringing")
            if number % 3 == 0:
                await store.journal.finish(f"c2c-{number}", 2, 1002.0, b"ended", None, [])
                sys.stdout.write(f"{number} ended\n")
                sys.stdout.flush()

    await asyncio.gather(*(caller(lane) for lane in range(8)))


async def live_through_a_full_disk(path: Path) -> None:
    """Let files grow no more for a while; print what happened to whom."""
    store = await SqliteStore.open(path)
    await store.journal.accept(given_plan("c2c-live"), 1000.0)
    grown = max(file.stat().st_size for file in path.parent.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (grown + ROOM_BYTES, limits[1]))
    refused = 0
    for number in range(1, 41):
        try:
            document = given_document(number, filler="x" * 8_000)
            await store.documents.put(document, [], expected_revision=None)
        except StorageLost:
            refused += 1
        store.journal.append("c2c-live", number, 1000.0, b"%d" % number)
    print("refused", refused)
    try:
        await store.journal.finish("c2c-live", 41, 1041.0, b"end", None, [])
    except StorageLost:
        print("finish refused")
    print("readable", len(await store.journal.open_calls()))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    while True:
        try:
            await store.journal.finish("c2c-live", 41, 1041.0, b"end", None, [])
        except StorageLost:
            await asyncio.sleep(0.05)
        else:
            break
    print("entries", len(await store.journal.entries("c2c-live")))
    await store.close()


if __name__ == "__main__":
    program = {"accept": accept_until_killed, "full": live_through_a_full_disk}[sys.argv[1]]
    asyncio.run(program(Path(sys.argv[2])))
