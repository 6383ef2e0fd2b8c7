"""One call: state, end, timeline (design 2.2)."""

from offhook.api.call_json import call_item
from offhook.api.envelope import Reply
from offhook.api.errors import fault
from offhook.api.ladder import draw_ladder
from offhook.api.request import Request
from offhook.api.routing import Route
from offhook.api.services import ApiServices
from offhook.app.ports import CallView
from offhook.calls.model import By

from .collections import ACCOUNT_ITEM


class CallEndpoints:
    """`/calls/{call_id}`."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services

    async def read(self, request: Request) -> Reply:
        """GET: the call as it stands, or how it ended."""
        return Reply(data=call_item(await self._call(request)))

    async def hang_up(self, request: Request) -> Reply:
        """DELETE: end it, in whatever state it is; a call that is over stays as it was."""
        call_id = request.arguments["call_id"]
        await self._services.calls.hang_up(request.account_id, call_id, By.API)
        return Reply(data=call_item(await self._call(request)))

    async def timeline(self, request: Request) -> Reply:
        """GET …/timeline: what happened, in order; `?format=text` a ladder for people."""
        call_id = request.arguments["call_id"]
        steps = await self._services.calls.timeline(request.account_id, call_id)
        if steps is None:
            raise fault("bad_identifier", cause=call_id)
        if request.query.get("format") == "text":
            text = draw_ladder(await self._call(request), steps)
            return Reply(body=text.encode("utf-8", "replace"), content_type="text/plain; charset=utf-8")
        return Reply(data=list(steps), is_list=True)

    async def _call(self, request: Request) -> CallView:
        call_id = request.arguments["call_id"]
        view = await self._services.calls.get(request.account_id, call_id)
        if view is None:
            raise fault("bad_identifier", cause=call_id)
        return view

    def routes(self) -> list[Route]:
        """Return the routes of a call."""
        base = f"{ACCOUNT_ITEM}/calls/{{call_id}}"
        return [
            Route(base, {"GET": self.read, "DELETE": self.hang_up}),
            Route(f"{base}/timeline", {"GET": self.timeline}),
        ]
