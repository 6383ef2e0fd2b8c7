"""Live legs as KAZOO's channels (kazoo-behaviour 8)."""

from collections.abc import Callable, Iterator

from offhook.api.channel_json import channel_details, channel_item
from offhook.api.envelope import Reply
from offhook.api.errors import plain
from offhook.api.lists import whole_list
from offhook.api.request import Request
from offhook.api.routing import Handler, Route
from offhook.api.services import ApiServices
from offhook.app.ports import CallView
from offhook.calls.model import Leg, LegState

from .collections import ACCOUNT_ITEM

IsWanted = Callable[[Leg, str], bool]
"""Takes a leg and the id in the path."""


class ChannelEndpoints:
    """`/channels` of an account, a user or a device."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services

    async def index(self, request: Request) -> Reply:
        """GET: all live legs of the account."""
        now = self._services.clock.epoch()
        return whole_list(request, [channel_item(view, leg, now) for view, leg in self._legs(request)])

    async def of_user(self, request: Request) -> Reply:
        """GET …/users/{id}/channels."""
        return await self._of(request, "user", lambda leg, id: leg.endpoint.owner_id == id)

    async def of_device(self, request: Request) -> Reply:
        """GET …/devices/{id}/channels."""
        return await self._of(request, "device", lambda leg, id: leg.endpoint.endpoint_id == id)

    async def read(self, request: Request) -> Reply:
        """GET …/{call id}: one live leg; the call's own id gives its first."""
        wanted = request.arguments["call_id"]
        now = self._services.clock.epoch()
        for view, leg in self._legs(request):
            if wanted in (leg.leg_id, view.plan.call_id):
                return Reply(data=channel_details(view, leg, now))
        raise plain(404, "bad identifier", [wanted[:200]])

    async def _of(self, request: Request, type: str, is_wanted: IsWanted) -> Reply:
        id = request.arguments["id"]
        await self._services.documents.read(request.account_id, id, type=type)
        now = self._services.clock.epoch()
        return whole_list(
            request,
            [channel_item(view, leg, now) for view, leg in self._legs(request) if is_wanted(leg, id)],
        )

    def _legs(self, request: Request) -> Iterator[tuple[CallView, Leg]]:
        for view in self._services.calls.live(request.account_id):
            for leg in view.legs:
                if leg.state not in (LegState.PLANNED, LegState.ENDED):
                    yield view, leg

    def routes(self) -> list[Route]:
        """Return the routes of channels."""
        handlers: dict[str, Handler] = {
            f"{ACCOUNT_ITEM}/channels": self.index,
            f"{ACCOUNT_ITEM}/channels/{{call_id}}": self.read,
            f"{ACCOUNT_ITEM}/users/{{id}}/channels": self.of_user,
            f"{ACCOUNT_ITEM}/devices/{{id}}/channels": self.of_device,
        }
        return [Route(path, {"GET": handler}) for path, handler in handlers.items()]
