"""Who is logged in at whose phone: `hotdesk.users` of devices, read from both ends."""

from typing import Final

from offhook.api.envelope import Reply
from offhook.api.lists import ListOf, document_list, whole_list
from offhook.api.request import Request
from offhook.api.routing import Route
from offhook.api.services import ApiServices
from offhook.directory import Document, Json, list_kind
from offhook.directory.hotdesks import hotdesked
from offhook.directory.ordering import OWNED_DEVICES, owner_scope

from .collections import ACCOUNT_ITEM
from .directory import Users

USERS_MAX: Final = 100
"""Users at one device that are shown."""


class Hotdesks:
    """`/hotdesks` of an account, a user or a device."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services
        self._users = Users(services)

    async def index(self, request: Request) -> Reply:
        """GET: every device at which somebody is logged in."""
        return await document_list(
            request,
            self._services.documents,
            ListOf(list_kind("device"), request.account_id),
            _device,
            keep=lambda device: bool(hotdesked(device)),
        )

    async def of_user(self, request: Request) -> Reply:
        """GET: the devices at which the user is logged in."""
        user = await self._services.documents.read(request.account_id, request.arguments["id"], type="user")
        return await document_list(
            request,
            self._services.documents,
            ListOf(OWNED_DEVICES, owner_scope(request.account_id, user.id)),
            _device,
            keep=lambda device: user.id in hotdesked(device),
        )

    async def of_device(self, request: Request) -> Reply:
        """GET: the users who are logged in at the device."""
        documents = self._services.documents
        device = await documents.read(request.account_id, request.arguments["id"], type="device")
        users = [
            await self._services.store.documents.get(request.account_id, user_id, type="user")
            for user_id in list(hotdesked(device))[:USERS_MAX]
        ]
        return whole_list(request, [self._users.summary(user) for user in users if user is not None])

    def routes(self) -> list[Route]:
        """Return the routes of all three."""
        return [
            Route(f"{ACCOUNT_ITEM}/hotdesks", {"GET": self.index}),
            Route(f"{ACCOUNT_ITEM}/users/{{id}}/hotdesks", {"GET": self.of_user}),
            Route(f"{ACCOUNT_ITEM}/devices/{{id}}/hotdesks", {"GET": self.of_device}),
        ]


def _device(device: Document) -> Json:
    return {"id": device.id, "device_id": device.id, "device_name": device.data.get("name", "")}
