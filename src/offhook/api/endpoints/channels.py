"""Live legs as KAZOO's channels (kazoo-behaviour 8)."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from offhook.api.channel_json import channel_details, channel_item
from offhook.api.envelope import Reply
from offhook.api.errors import fault, field_fault, plain
from offhook.api.lists import whole_list
from offhook.api.request import Request
from offhook.api.routing import Handler, Route
from offhook.api.services import ApiServices
from offhook.app.errors import NotAllowed
from offhook.app.ports import CallView
from offhook.calls.model import Leg, LegState

from .channel_actions import ChannelActions
from .collections import ACCOUNT_ITEM

SYSTEM_WIDE_MAX: Final = 2_000
"""Calls whose legs are shown of the whole installation: about 2 MB of JSON."""

IsWanted = Callable[[Leg, str], bool]
"""Takes a leg and the id in the path."""


class ChannelEndpoints:
    """`/channels` of an account, a user or a device."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services
        self._actions = ChannelActions(services)

    async def index(self, request: Request) -> Reply:
        """GET: all live legs of the account."""
        now = self._services.clock.epoch()
        return whole_list(request, [channel_item(view, leg, now) for view, leg in self._legs(request)])

    async def everywhere(self, request: Request) -> Reply:
        """GET /channels: the live legs of all accounts; for the master account, if the server is set so."""
        if not (request.caller.is_master and request.caller.is_admin):
            raise NotAllowed
        if not self._services.settings.system_wide_channels:
            raise fault("forbidden", text="OFFHOOK_SYSTEM_WIDE_CHANNELS is not set")
        now = self._services.clock.epoch()
        views = self._services.calls.live_anywhere(SYSTEM_WIDE_MAX)
        return whole_list(request, [channel_item(view, leg, now) for view, leg in _live_legs(views)])

    async def of_user(self, request: Request) -> Reply:
        """GET …/users/{id}/channels."""
        return await self._of(request, "user", lambda leg, id: leg.endpoint.owner_id == id)

    async def of_device(self, request: Request) -> Reply:
        """GET …/devices/{id}/channels."""
        return await self._of(request, "device", lambda leg, id: leg.endpoint.endpoint_id == id)

    async def read(self, request: Request) -> Reply:
        """GET …/{call id}: one live leg; the call's own id gives its first."""
        view, leg = self._leg(request)
        return Reply(data=channel_details(view, leg, self._services.clock.epoch()))

    # --- actions ------------------------------------------------------------------------------------

    async def act(self, request: Request) -> Reply:
        """POST …/{call id} `{"action": …}`: done at once, or refused with a reason."""
        action = request.value("action")
        values = {**request.query, **request.data}
        await self._actions.carry_out(request, self._leg(request), action, values)
        return Reply(data=f"{action} initiated", status=202)

    async def metaflow(self, request: Request) -> Reply:
        """PUT …/{call id} `{"action": "metaflow", "data": {"module": …, "data": {…}}}`."""
        found = self._leg(request)
        module, data = request.data.get("module"), request.data.get("data", {})
        if not isinstance(module, str):
            raise field_fault("module", "required", "Field is required but missing", value="module")
        await self._actions.carry_out(request, found, module, data if isinstance(data, dict) else {})
        return Reply(data="metaflow sent")

    def _leg(self, request: Request) -> tuple[CallView, Leg]:
        """Return the leg of the path; the call's own id gives its first. Raises ApiError 404."""
        wanted = request.arguments["call_id"]
        for view, leg in self._legs(request):
            if wanted in (leg.leg_id, view.plan.call_id):
                return view, leg
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
        return _live_legs(self._services.calls.live(request.account_id))

    def routes(self) -> list[Route]:
        """Return the routes of channels."""
        handlers: dict[str, Handler] = {
            "channels": self.everywhere,
            f"{ACCOUNT_ITEM}/channels": self.index,
            f"{ACCOUNT_ITEM}/users/{{id}}/channels": self.of_user,
            f"{ACCOUNT_ITEM}/devices/{{id}}/channels": self.of_device,
        }
        one: dict[str, Handler] = {"GET": self.read, "PUT": self.metaflow, "POST": self.act}
        lists = [Route(path, {"GET": handler}) for path, handler in handlers.items()]
        return [*lists, Route(f"{ACCOUNT_ITEM}/channels/{{call_id}}", one)]


def _live_legs(views: Iterable[CallView]) -> Iterator[tuple[CallView, Leg]]:
    for view in views:
        for leg in view.legs:
            if leg.state not in (LegState.PLANNED, LegState.ENDED):
                yield view, leg
