"""Registered phones (kazoo-behaviour 7.4)."""

from collections.abc import Sequence
from typing import Final

from offhook.api.envelope import Reply
from offhook.api.errors import plain
from offhook.api.lists import whole_list
from offhook.api.request import Request
from offhook.api.routing import Route
from offhook.api.services import ApiServices
from offhook.app.errors import NotAllowed
from offhook.app.ports import Registration
from offhook.directory.model import Document, Json
from offhook.kernel import gregorian_s

from .collections import ACCOUNT_ITEM

DEFAULT_PORTS: Final = {"tls": 5061}


class RegistrationEndpoints:
    """`/registrations` of an account."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services

    async def index(self, request: Request) -> Reply:
        """GET: all of them, without pages."""
        registrations = self._services.registrations.of_realm(self._realm(request))
        devices = await self._devices(request, registrations)
        now = self._services.clock.epoch()
        account = request.target
        return whole_list(
            request,
            [
                registration_item(registration, devices.get(registration.username), account, now)
                for registration in registrations
            ],
        )

    async def count(self, request: Request) -> Reply:
        """GET …/count."""
        return Reply(data={"count": len(self._services.registrations.of_realm(self._realm(request)))})

    async def count_all(self, request: Request) -> Reply:
        """GET /registrations/count: of the whole installation, for the master account."""
        if not (request.caller.is_master and request.caller.is_admin):
            raise NotAllowed
        return Reply(data={"count": self._services.registrations.count()})

    async def flush(self, request: Request) -> Reply:
        """DELETE: forget them all; phones register again by themselves."""
        self._services.registrations.remove(self._realm(request))
        return Reply(data="ok")

    async def remove(self, request: Request) -> Reply:
        """DELETE …/{sip username}: forget one phone's."""
        username = request.arguments["username"]
        if not self._services.registrations.remove(self._realm(request), username):
            raise plain(404, "bad identifier", [username[:100]])
        return Reply(data="ok")

    def _realm(self, request: Request) -> str:
        return str(request.target.data.get("realm", ""))

    async def _devices(self, request: Request, registrations: Sequence[Registration]) -> dict[str, Document]:
        found: dict[str, Document] = {}
        for username in {registration.username for registration in registrations}:
            for document in await self._services.store.documents.find(
                "sip_username", username, scope=self._realm(request)
            ):
                found[username] = document
        return found

    def routes(self) -> list[Route]:
        """Return the routes of registrations."""
        base = f"{ACCOUNT_ITEM}/registrations"
        return [
            Route("registrations/count", {"GET": self.count_all}),
            Route(base, {"GET": self.index, "DELETE": self.flush}),
            Route(f"{base}/count", {"GET": self.count}),
            Route(f"{base}/{{username}}", {"DELETE": self.remove}),
        ]


def registration_item(
    registration: Registration, device: Document | None, account: Document, now: float
) -> Json:
    """Return a registration as KAZOO shows it."""
    realm = registration.realm
    item: Json = {
        "username": registration.username,
        "realm": realm,
        "account_id": account.id,
        "account_name": account.data.get("name", ""),
        "account_realm": realm,
        "contact": registration.contact,
        "original_contact": registration.contact,
        "contact_ip": registration.received_host,
        "contact_port": registration.received_port or DEFAULT_PORTS.get(registration.transport, 5060),
        "call_id": registration.call_id,
        "user_agent": registration.user_agent,
        "expires": max(0, int(registration.expires_at - now)),
        "event_timestamp": gregorian_s(registration.registered_at),
        "from_user": registration.username,
        "from_host": realm,
        "to_user": registration.username,
        "to_host": realm,
        "transport": registration.transport,
        "suppress_unregister_notify": False,
    }
    if device is not None:
        item["authorizing_id"] = device.id
        item["authorizing_type"] = "device"
        if "owner_id" in device.data:
            item["owner_id"] = device.data["owner_id"]
    return item
