"""What the HTTP API costs in process: microseconds of CPU (all threads) per request, sockets left out.

Run: python -m benchmarks.api
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import structlog
import uvloop
from tests.unit.api.node import ApiNode

from offhook.api import ApiSettings
from offhook.app.document_writes import keys_of
from offhook.app.ports import DocumentWrite
from offhook.directory import Document

from .report import Row, show

READS = 3_000
WRITES = 1_600
LANES = 16
LENGTHS = (20, 1_000, 100_000)
"""Documents in the lists that are paged."""
LIMITED = ApiSettings(rate_bucket=10**9)
"""Nothing is refused, but the buckets are kept, as on a server."""


def measure() -> list[Row]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory() as folder:
        node = ApiNode(Path(folder), settings=LIMITED, loop_factory=uvloop.new_event_loop)  # as on a server
        try:
            return _rows(node)
        finally:
            node.stop()


def _rows(node: ApiNode) -> list[Row]:
    acme = node.given_account()
    acme.given_two_phones()
    button = acme.given_button()
    item = f"{acme.base}/clicktocall/{button}"
    document = {"name": "Support button", "extension": "1001", "timeout": 20}
    cases: list[tuple[str, int, int, tuple[Any, ...]]] = [
        ("read a document", READS, 1, ("GET", item)),
        ("read the token", READS, 1, ("GET", "/v2/token_auth")),
        ("list a few documents", READS // 3, 1, ("GET", f"{acme.base}/devices")),
        ("validated write", WRITES // 4, 1, ("PUT", f"{acme.base}/clicktocall", document)),
        (f"validated write, {LANES} at once", WRITES, LANES, ("PUT", f"{acme.base}/clicktocall", document)),
        ("dry run of a connect", READS // 6, 1, ("GET", f"{item}/connect?contact=1002&dry_run=true")),
        ("refused without a token", READS, 1, ("GET", item, None, "")),
    ]
    rows = [
        Row(f"api: {what}", node.run(_cost(node, count, lanes, arguments)), "µs CPU")
        for what, count, lanes, arguments in cases
    ]
    return rows + _pages(node)


def _pages(node: ApiNode) -> list[Row]:
    """Measure a page from the middle of longer and longer lists: it should always cost the same."""
    rows = []
    other = node.given_account("Many")
    stored = 0
    for total in LENGTHS:
        node.run(_store(node, other.id, range(stored, total)))
        stored = total
        page = ("GET", f"{other.base}/clicktocall?page_size={LENGTHS[0] // 2}&start_key=b05")
        cost = node.run(_cost(node, READS // 6, 1, page))
        rows.append(Row(f"api: page of {LENGTHS[0] // 2} out of {total:,} documents", cost, "µs CPU"))
    return rows


async def _store(node: ApiNode, account_id: str, numbers: range) -> None:
    """Store buttons, a thousand at a time."""
    for first in range(0, len(numbers), 1_000):
        documents = [
            Document(
                id=f"{number:032x}", account_id=account_id, type="clicktocall", created_at=1.0,
                modified_at=1.0,
                data={"name": f"b{number * 7_919 % 100_003:06}", "extension": "1001"},
            )
            for number in numbers[first : first + 1_000]
        ]  # fmt: skip
        writes = [DocumentWrite(document=d, keys=keys_of(d), expected_revision=None) for d in documents]
        await node.store.documents.put_all(writes)


async def _cost(node: ApiNode, count: int, lanes: int, arguments: tuple[Any, ...]) -> float:
    method, path, *rest = arguments
    data = rest[0] if rest else None
    token = rest[1] if len(rest) > 1 else None

    async def lane() -> None:
        for _ in range(count // lanes):
            await node.asking(method, path, data, token=token)

    began = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(lanes):
            group.create_task(lane())
    return (time.process_time() - began) / count * 1e6


def main() -> None:
    show(measure())


if __name__ == "__main__":
    main()
