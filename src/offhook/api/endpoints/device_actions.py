"""What a device is told outside calls: look at your configuration, or any NOTIFY (kazoo-behaviour 7.3)."""

from typing import Final

from offhook.api.envelope import Reply
from offhook.api.errors import plain
from offhook.api.request import Request
from offhook.api.routing import Route
from offhook.app.errors import InvalidDocument
from offhook.app.planning.phones import address_of_record
from offhook.app.planning.profile import Profile
from offhook.app.ports import PhoneNotice
from offhook.directory.model import Document, Json
from offhook.directory.validation import validate

from .collections import ACCOUNT_ITEM
from .directory import Devices

CHECK_SYNC: Final = PhoneNotice(event="check-sync")
"""Phones fetch their configuration when they get this."""


class DeviceActions(Devices):
    """Devices, with what they can be told."""

    async def act(self, request: Request) -> Reply:
        """PUT …/{id} `{"action": "notify", "data": {"event": …}}`: send the device a SIP NOTIFY."""
        device = await self.document(request)
        action = request.value("action")
        if action is None:
            raise plain(400, "action required")
        if action != "notify":
            raise plain(400, "invalid action", str(action)[:100])
        return self._told(request, device, _notice(request.data), "NOTIFY sent")

    async def sync(self, request: Request) -> Reply:
        """POST …/{id}/sync: let the device fetch its configuration."""
        return self._told(request, await self.document(request), CHECK_SYNC, "sync request sent")

    def _told(self, request: Request, device: Document, notice: PhoneNotice, words: str) -> Reply:
        phone = Profile(account=request.target, device=device)
        if self.services.notices.notify(address_of_record(phone), notice) == 0:
            raise plain(400, "invalid data", "the device is not registered")
        return Reply(data=words, status=202)

    def routes(self) -> list[Route]:
        """Return the routes of devices, their status and their actions."""
        base = f"{ACCOUNT_ITEM}/devices/{{id}}"
        kept = [route for route in super().routes() if route.path != base]
        return [
            *kept,
            Route(base, {**self.item_handlers(), "PUT": self.act}),
            Route(f"{base}/sync", {"POST": self.sync}),
        ]


def _notice(data: Json) -> PhoneNotice:
    """Return what to send. KAZOO has the parameters in `data.data`, its older documents in `data`."""
    inner = data.get("data")
    cleaned, faults = validate("devices_notify", inner if isinstance(inner, dict) else data)
    if faults:
        raise InvalidDocument(faults)
    body: Json = cleaned.get("body", {})
    return PhoneNotice(
        event=cleaned["event"], content_type=body.get("content_type", ""), body=body.get("data", "").encode()
    )
