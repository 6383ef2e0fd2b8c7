"""A small account in memory, and the words to fill it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from offhook.app.planning import (
    CallerId,
    InboundRequest,
    Planning,
    plan_connect,
    plan_phone_call,
    plan_quickcall,
    plan_trunk_call,
    read_connect,
    read_quickcall,
)
from offhook.app.planning.planned import Planned
from offhook.calls.model import CallPlan
from offhook.directory.keys import document_keys
from offhook.directory.model import Document
from offhook.directory.numbers import normalise

ACCOUNT_ID = "a" * 32
BUTTON_ID = "c" * 32
REALM = "acme.sip.example.com"
NOW = 1_709_280_800.0


class SteadyRandom:
    """Counts instead of rolling dice."""

    def __init__(self) -> None:
        self.count = 0

    def hex(self, length: int) -> str:
        self.count += 1
        return f"{self.count:0{length}x}"[-length:]

    def uniform(self) -> float:
        self.count += 1
        return (self.count * 0.37) % 1.0


class PhoneBinding(msgspec.Struct, frozen=True):
    contact: str
    path: tuple[str, ...] = ()
    flow_id: str = ""
    user_agent: str = ""
    registered_at: float = NOW


class Account:
    """Documents and registrations of one account."""

    def __init__(self, **data: Any) -> None:
        self.documents: dict[tuple[str, str, str], Document] = {}
        self.bindings: dict[str, list[PhoneBinding]] = {}
        self.live: dict[str, str] = {}
        self.resting: dict[tuple[str, str], str] = {}
        self.reads = 0
        self.account = self.add("account", ACCOUNT_ID, realm=REALM, name="Acme", **data)

    # --- filling it -------------------------------------------------------------------------------

    def add(self, kind: str, document_id: str, *, account_id: str = ACCOUNT_ID, **data: Any) -> Document:
        document = Document(
            id=document_id,
            account_id=account_id,
            type=kind,
            data=data,
            revision="1-0",
            created_at=NOW,
            modified_at=NOW,
        )
        self.documents[account_id, kind, document_id] = document
        return document

    def given_device(self, name: str, *, registered: bool = True, owner: str = "", **data: Any) -> Document:
        sip = {"username": name, "password": "secret-of-" + name} | data.pop("sip", {})
        if owner:
            data["owner_id"] = owner
        self.bindings.pop(f"sip:{name}@{REALM}", None)
        if registered:
            self.given_binding(name, f"sip:{name}@10.0.0.5:5062")
        return self.add("device", name, name=name, sip=sip, **data)

    def given_binding(self, username: str, contact: str, **extra: Any) -> None:
        self.bindings.setdefault(f"sip:{username}@{REALM}", []).append(PhoneBinding(contact, **extra))

    def given_user(self, user_id: str, first: str, last: str, **data: Any) -> Document:
        return self.add("user", user_id, first_name=first, last_name=last, **data)

    def given_callflow(self, number: str, module: str, data: Any = None, **children: Any) -> Document:
        return self.given_flow([number], node(module, data, **children))

    def given_flow(self, numbers: Sequence[str], flow: Any, patterns: Sequence[str] = ()) -> Document:
        flow_id = "flow-" + "-".join([*numbers, *patterns])
        return self.add(
            "callflow",
            flow_id,
            numbers=[normalise(number) for number in numbers],
            patterns=list(patterns),
            flow=flow,
        )

    def given_extension(self, number: str, username: str, **device: Any) -> None:
        """A number that rings one phone."""
        self.given_device(username, **device)
        self.given_callflow(number, "device", {"id": username})

    def given_carrier(self, name: str, *, account_id: str = ACCOUNT_ID, **data: Any) -> Document:
        data.setdefault("gateways", [{"server": f"{name}.example.net"}])
        data.setdefault("rules", [r"^\+?(\d+)$"])
        return self.add("resource", name, account_id=account_id, name=name, **data)

    def given_way_out(self) -> None:
        """Unknown numbers go to the carriers."""
        self.given_callflow("no_match", "resources", {})

    def button(self, **data: Any) -> Document:
        return self.add("clicktocall", BUTTON_ID, **({"name": "Call us", "extension": "1001"} | data))

    # --- the ports ----------------------------------------------------------------------------------

    async def get(self, account_id: str, document_id: str, *, type: str) -> Document | None:
        self.reads += 1
        return self.documents.get((account_id, type, document_id))

    async def find(self, kind: str, value: str, *, scope: str = "") -> list[Document]:
        self.reads += 1
        return [
            document
            for document in self.documents.values()
            if any(
                (key.kind, key.value, key.scope) == (kind, value, scope)
                for key in document_keys(document, realm=REALM)
            )
        ]

    async def list(
        self, account_id: str, *, type: str, after: str = "", limit: int | None = None
    ) -> list[Document]:
        self.reads += 1
        found = [
            document
            for (owner, kind, _), document in self.documents.items()
            if (owner, kind) == (account_id, type)
        ]
        return sorted(found, key=lambda document: document.id)[:limit]

    def world(self, *, sip_uri_allow: Sequence[str] = ()) -> Planning:
        return Planning(
            documents=self,  # type: ignore[arg-type]
            registrations=lambda aor: self.bindings.get(aor, []),
            random=SteadyRandom(),
            sip_uri_allow=sip_uri_allow,
            interaction_of=lambda account_id, call_id: self.live.get(call_id),
            resting=lambda resource_id, uri: self.resting.get((resource_id, uri), ""),
        )

    # --- what is asked ------------------------------------------------------------------------------

    def connect(
        self,
        contact: str,
        button: Document | None = None,
        *,
        query: dict[str, Any] | None = None,
        visitor: bool = False,
        sip_uri_allow: Sequence[str] = (),
        **data: Any,
    ) -> Planned:
        request = read_connect({"contact": contact} | data, query=query, visitor=visitor)
        pressed = button or self.button()
        return asyncio.run(
            plan_connect(
                request,
                button=pressed,
                account=self.account,
                world=self.world(sip_uri_allow=sip_uri_allow),
                now=NOW,
            )
        )

    def quickcall(
        self,
        endpoint: Document,
        number: str,
        *,
        query: dict[str, Any] | None = None,
        sip_uri_allow: Sequence[str] = (),
        visitor: bool = False,
        **data: Any,
    ) -> Planned:
        request = read_quickcall(number, data, query=query, visitor=visitor)
        return asyncio.run(
            plan_quickcall(
                request,
                endpoint=endpoint,
                account=self.account,
                world=self.world(sip_uri_allow=sip_uri_allow),
                now=NOW,
            )
        )

    def dialled(self, device: Document, number: str, **request: Any) -> CallPlan:
        """A phone of the account dials a number."""
        asked = InboundRequest(number=number, received="an INVITE", **request)
        return asyncio.run(
            plan_phone_call(asked, device=device, account=self.account, world=self.world(), now=NOW)
        )

    def brought(
        self, number: str, *, name: str = "", caller: str = "+15550001111", **request: Any
    ) -> CallPlan:
        """A carrier brings a call for a number."""
        resource = self.given_carrier("trunk", rules=["^never$"])
        asked = InboundRequest(number=number, caller=CallerId(name, caller), received="an INVITE", **request)
        return asyncio.run(
            plan_trunk_call(asked, resource=resource, account=self.account, world=self.world(), now=NOW)
        )


def node(module: str, data: Any = None, **children: Any) -> dict[str, Any]:
    """A callflow node; the keyword `then` is the branch `_`."""
    branches = {"_": children["then"]} if "then" in children else {}
    return {"module": module, "data": data or {}, "children": branches}


def header(endpoint: Any, name: str) -> str | None:
    """Return the value of a header field of a leg, or None."""
    values = [value for own, value in endpoint.headers if own.lower() == name.lower()]
    assert len(values) <= 1, f"{name} twice"
    return values[0] if values else None
