"""What a plan costs: microseconds of CPU (all threads) per connect, with documents in SQLite.

Run: python -m benchmarks.planning
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from offhook.app.planning import Planning, plan_connect, read_connect
from offhook.app.ports import Document, Store
from offhook.directory.keys import document_keys
from offhook.stores.sqlite import SqliteStore
from offhook.system import SystemRandom

from .report import Row, show

PLANS = 2_000
CALLFLOWS = (10, 1_000)
ACCOUNT_ID = "a" * 32
REALM = "acme.example.com"
NOW = 1_700_000_000.0


class BoundPhone(msgspec.Struct, frozen=True):
    """A registered contact."""

    contact: str
    path: tuple[str, ...] = ()
    flow_id: str = ""
    user_agent: str = ""
    registered_at: float = 1.0


def registered(aor: str) -> list[BoundPhone]:
    return [BoundPhone(f"{aor.partition('@')[0]}@10.0.0.5:5062")]


async def measure() -> list[tuple[str, float]]:
    rows = []
    for callflows in CALLFLOWS:
        with tempfile.TemporaryDirectory() as folder:
            store = await SqliteStore.open(Path(folder) / "offhook.db")
            try:
                account, button = await fill(store, callflows)
                for what, contact in (("an extension", "1002"), ("a carrier", "+14158867900")):
                    cost = await cost_us(store, account, button, contact)
                    rows.append((f"connect to {what}, {callflows} callflows", cost))
            finally:
                await store.close()
    return rows


async def cost_us(store: Store, account: Document, button: Document, contact: str) -> float:
    planning = Planning(documents=store.documents, registrations=registered, random=SystemRandom())
    request = read_connect({"contact": contact})
    started = time.process_time()
    for _ in range(PLANS):
        planned = await plan_connect(request, button=button, account=account, world=planning, now=NOW)
        assert planned.plan.second.steps
    return (time.process_time() - started) / PLANS * 1e6


async def fill(store: Store, callflows: int) -> tuple[Document, Document]:
    """Store an account in which 1001 is a user with two phones, 1002 a phone, and the rest a carrier's."""
    account = await put(store, "account", ACCOUNT_ID, name="Acme", realm=REALM)
    await put(store, "user", "jane", first_name="Jane", last_name="Doe")
    for name, owner in (("desk", "jane"), ("mobile", "jane"), ("front", "")):
        owned = {"owner_id": owner} if owner else {}
        await put(store, "device", name, name=name, sip={"username": name, "password": "secret"}, **owned)
    await flow(store, ["1001"], "user", {"id": "jane"})
    await flow(store, ["1002"], "device", {"id": "front"})
    await flow(store, ["no_match"], "resources", {})
    for number in range(callflows - 3):
        await flow(
            store, [f"2{number:05}"], "device", {"id": "front"}, patterns=["^77$"] if number < 3 else []
        )
    gateways = [{"server": "gw.example.net", "username": "u", "password": "p"}]
    await put(store, "resource", "carrier", name="Carrier", gateways=gateways, rules=[r"^(\+\d+)$"])
    return account, await put(store, "clicktocall", "c" * 32, name="Call us", extension="1001")


async def flow(
    store: Store, numbers: list[str], module: str, data: dict[str, Any], patterns: list[str] | None = None
) -> None:
    step = {"module": module, "data": data, "children": {}}
    await put(store, "callflow", f"flow{numbers[0]}", numbers=numbers, patterns=patterns or [], flow=step)


async def put(store: Store, kind: str, document_id: str, **data: Any) -> Document:
    document = Document(
        id=document_id, account_id=ACCOUNT_ID, type=kind, data=data, created_at=NOW, modified_at=NOW
    )
    return await store.documents.put(document, document_keys(document, realm=REALM), expected_revision=None)


def main() -> None:
    show(Row(f"plan: {what}", cost, "µs CPU") for what, cost in asyncio.run(measure()))


if __name__ == "__main__":
    main()
