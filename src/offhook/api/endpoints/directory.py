"""Users, devices, callflows and carriers (kazoo-behaviour 7.2, 7.3, 7.5, 7.6)."""

from typing import Any, Final

from offhook.api.envelope import Reply, public
from offhook.api.errors import field_fault
from offhook.api.lists import ListOf, document_list, whole_list
from offhook.api.request import Request
from offhook.api.routing import Route
from offhook.app.documents import Place
from offhook.app.errors import Faults, InvalidDocument, NotAllowed
from offhook.directory.hotdesks import hotdesked
from offhook.directory.model import GLOBAL_ACCOUNT, Document, Json
from offhook.directory.ordering import OWNED_DEVICES, owner_scope

from .collections import ACCOUNT_ITEM, Collection, picked, realm_of, wanted_data

USER_SUMMARY: Final = (
    "username", "email", "first_name", "last_name", "priv_level", "presence_id", "timezone", "flags",
)  # fmt: skip
DEVICE_SUMMARY: Final = ("name", "mac_address", "owner_id", "enabled", "device_type", "flags")
CALLFLOW_SUMMARY: Final = ("name", "type", "numbers", "patterns", "owner_id", "group_id", "flags")
RESOURCE_SUMMARY: Final = ("name", "enabled", "weight_cost", "template_name", "classifiers")

DIAL_BOUNDS: Final = ("dial_out", "call_restriction")
"""What of a user says which numbers its phones may dial, and how often."""

DEVICE_TYPE: Final = "sip_device"
"""What a device is that does not say it."""

REFERENCES_MAX: Final = 100
"""Documents of a callflow whose names are looked up for `metadata`."""

FLOW_NODES_MAX: Final = 1_000
"""Nodes of a callflow that are walked for `modules` and `metadata`."""


class Users(Collection):
    """People who own devices and log in."""

    type = "user"
    noun = "users"

    def summary(self, document: Document) -> Json:
        """Return a list item."""
        return picked(document, USER_SUMMARY, {"features": []})

    def check_write(self, request: Request, document_id: str) -> None:
        """Let a plain user change only its own document, and not its own privileges."""
        caller = request.caller
        if caller.is_admin:
            return
        if document_id != caller.owner_id or request.method == "DELETE":
            raise NotAllowed
        data = request.data
        if data.get("priv_level", "user") != "user" or data.get("enabled", True) is not True:
            raise NotAllowed

    def check_change(self, request: Request, stored: Document) -> None:
        """Keep a plain user off what bounds its calls, which a POST without it would lift as well."""
        if request.caller.is_admin:
            return
        wanted = wanted_data(request, stored)
        if any((wanted.get(bound) or {}) != (stored.data.get(bound) or {}) for bound in DIAL_BOUNDS):
            raise NotAllowed

    async def delete(self, request: Request) -> Reply:
        """DELETE of an item, and of its picture."""
        reply = await super().delete(request)
        await self.services.photos.remove(request.arguments["id"])
        return reply

    async def devices(self, request: Request) -> Reply:
        """GET of a user's own devices, and of those it is hot-desked into."""
        user = await self.document(request)
        wanted = ListOf(OWNED_DEVICES, owner_scope(request.account_id, user.id))

        def summary(device: Document) -> Json:
            return {**device_summary(device), "hotdesked": user.id in hotdesked(device)}

        return await document_list(request, self.services.documents, wanted, summary)

    def routes(self) -> list[Route]:
        """Return the routes of users and their devices."""
        path = f"{ACCOUNT_ITEM}/users/{{id}}/devices"
        return [*super().routes(), Route(path, {"GET": self.devices})]


class Devices(Collection):
    """Phones."""

    type = "device"
    noun = "devices"

    def summary(self, document: Document) -> Json:
        """Return a list item."""
        return device_summary(document)

    async def replace(self, request: Request) -> Reply:
        """POST to a device; what kind of device it is stays."""
        await self._keep_kind(request)
        return await super().replace(request)

    async def patch(self, request: Request) -> Reply:
        """PATCH of a device; what kind of device it is stays."""
        await self._keep_kind(request)
        return await super().patch(request)

    async def _keep_kind(self, request: Request) -> None:
        """Refuse another device_type, as KAZOO does for all but the master account."""
        wanted = request.data.get("device_type")
        if wanted is None or request.caller.is_master:
            return
        known = (await self.document(request)).data.get("device_type", DEVICE_TYPE)
        if wanted != known:
            raise field_fault("device_type", "invalid", "cannot change device type", target=known,
                              cause=str(wanted)[:64])  # fmt: skip

    async def status(self, request: Request) -> Reply:
        """GET of the registered devices."""
        realm = realm_of(request)
        usernames = {phone.username.lower() for phone in self.services.registrations.of_realm(realm)}
        devices: Json = {}
        for username in sorted(usernames):
            for device in await self.services.store.documents.find(
                "sip_username", username, scope=realm.lower()
            ):
                if device.account_id == request.account_id:
                    devices[device.id] = {"device_id": device.id, "registered": True}
        return whole_list(request, list(devices.values()))

    def routes(self) -> list[Route]:
        """Return the routes of devices and their status."""
        return [*super().routes(), Route(f"{ACCOUNT_ITEM}/devices/status", {"GET": self.status})]


class Callflows(Collection):
    """What a number rings."""

    type = "callflow"
    noun = "callflows"

    def summary(self, document: Document) -> Json:
        """Return a list item."""
        modules, _ = walk_flow(document.data.get("flow"))
        return {
            **picked(document, CALLFLOW_SUMMARY, {"numbers": [], "patterns": []}),
            "featurecode": document.data.get("featurecode") or False,
            "modules": sorted(modules),
        }

    async def shown(self, request: Request, document: Document) -> Json:
        """Add the names of documents that the flow refers to."""
        _, references = walk_flow(document.data.get("flow"))
        metadata: Json = {}
        for reference in sorted(references)[:REFERENCES_MAX]:
            found = await self._referenced(request.account_id, reference)
            if found is not None:
                metadata[reference] = {**_named(found), "pvt_type": found.type}
        return {**public(document), "metadata": metadata}

    async def _referenced(self, account_id: str, document_id: str) -> Document | None:
        for type in ("device", "user", "callflow", "resource"):
            found = await self.services.store.documents.get(account_id, document_id, type=type)
            if found is not None:
                return found
        return None


class Resources(Collection):
    """Carriers of an account."""

    type = "resource"
    noun = "resources"

    def summary(self, document: Document) -> Json:
        """Return a list item."""
        return picked(document, RESOURCE_SUMMARY)

    def check_change(self, request: Request, stored: Document) -> None:
        """Raise InvalidDocument if the caller may not say that a carrier calls from these addresses."""
        _refuse(foreign_networks(request, wanted_data(request, stored), stored.data))

    async def _created(self, request: Request) -> Document:
        _refuse(foreign_networks(request, request.data, {}))
        return await super()._created(request)


class GlobalResources(Resources):
    """Carriers of the installation: for the master account only."""

    def place(self, request: Request) -> Place:
        """Return where they are kept. Raises NotAllowed for anybody but the master account."""
        if not (request.caller.is_master and request.caller.is_admin):
            raise NotAllowed
        return Place(type=self.type, account_id=GLOBAL_ACCOUNT)

    def routes(self) -> list[Route]:
        """Return the routes without an account."""
        return [
            Route("resources", self.collection_handlers()),
            Route("resources/{id}", self.item_handlers()),
        ]


def foreign_networks(request: Request, data: Json, before: Json) -> Faults:
    """Return a fault if a resource shall have addresses that this caller may not add; else none.

    Who calls from them is believed without a password, so only the operator says whose they are
    (decision 0014). Addresses that it has added stay when others change the resource.
    """
    if request.caller.is_master and request.caller.is_admin:
        return {}
    known = _networks(before)
    if all(network in known for network in _networks(data)):
        return {}
    text = "Only the master account adds addresses that calls come from: use inbound.username"
    return {"inbound.addresses": {"forbidden": {"message": text}}}


def _networks(data: Json) -> list[Any]:
    """Return `inbound.addresses`, unchecked; none if it is something else, which validation refuses."""
    inbound = data.get("inbound")
    addresses = inbound.get("addresses") if isinstance(inbound, dict) else None
    return addresses if isinstance(addresses, list) else []


def _refuse(faults: Faults) -> None:
    if faults:
        raise InvalidDocument(faults)


def device_summary(document: Document) -> Json:
    """Return a device as lists show it; `username` is the SIP one."""
    item = picked(document, DEVICE_SUMMARY, {"device_type": DEVICE_TYPE, "enabled": True})
    username = document.data.get("sip", {}).get("username")
    if username is not None:
        item["username"] = username
    return item


def walk_flow(flow: Any) -> tuple[set[str], set[str]]:
    """Return the modules of a callflow and the ids it refers to."""
    modules: set[str] = set()
    references: set[str] = set()
    pending = [flow]
    for _ in range(FLOW_NODES_MAX):
        if not pending:
            break
        node = pending.pop()
        if not isinstance(node, dict):
            continue
        modules.add(str(node.get("module", "")))
        data = node.get("data", {})
        if isinstance(data, dict):
            references.update(_ids(data))
        children = node.get("children", {})
        if isinstance(children, dict):
            pending.extend(children.values())
    return modules - {""}, references


def _ids(data: Json) -> set[str]:
    endpoints = data.get("endpoints", ())
    members = [data, *(endpoints if isinstance(endpoints, list) else ())]
    found = (member.get("id") for member in members if isinstance(member, dict))
    return {id for id in found if isinstance(id, str)}


def _named(document: Document) -> Json:
    data = document.data
    if document.type == "user":
        return {"name": f"{data.get('first_name', '')} {data.get('last_name', '')}".strip()}
    return {name: data[name] for name in ("name", "numbers") if name in data}
