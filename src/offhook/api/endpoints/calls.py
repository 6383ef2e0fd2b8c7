"""One call: state, end, events, timeline (design 2.2)."""

import re
from typing import Final

from offhook.api.call_json import call_item, step_item, visitor_call_item
from offhook.api.envelope import Reply
from offhook.api.errors import fault, field_fault
from offhook.api.ladder import draw_ladder
from offhook.api.pcap import CONTENT_TYPE as PCAP_TYPE
from offhook.api.pcap import pcap_of
from offhook.api.request import Request
from offhook.api.routing import Access, Route
from offhook.api.services import ApiServices
from offhook.api.sse import event_reply, last_event_id
from offhook.app.ports import CallView
from offhook.calls.model import By

from .collections import ACCOUNT_ITEM

TIMELINE_FORMATS: Final = ("json", "text", "pcap")
FILE_NAME: Final = re.compile(r"[^A-Za-z0-9._-]")


class CallEndpoints:
    """`/calls/{call_id}`: for the account, and for the visitor who holds the call's token."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services

    async def read(self, request: Request) -> Reply:
        """GET: the call as it stands, or how it ended."""
        return self._shown(request, await self._call(request))

    async def hang_up(self, request: Request) -> Reply:
        """DELETE: end it, in whatever state it is; a call that is over stays as it was."""
        by = By.API if request.call_pass is None else By.VISITOR
        await self._services.calls.hang_up(request.account_id, request.arguments["call_id"], by)
        return self._shown(request, await self._call(request))

    async def events(self, request: Request) -> Reply:
        """GET …/events: every step from `accepted` to the outcome, as it happens or as it was."""
        call_id, after = request.arguments["call_id"], last_event_id(request)
        stream = await self._services.call_streams.open(request.account_id, call_id, after=after)
        if stream is None:
            raise fault("bad_identifier", cause=call_id)
        for_visitor = _sees_less(request)
        return event_reply(stream, lambda step: step_item(step, for_visitor=for_visitor))

    async def timeline(self, request: Request) -> Reply:
        """GET …/timeline: what happened, in order; `?format=text` a ladder for people, `pcap` the SIP."""
        form, call_id = request.query.get("format", "json"), request.arguments["call_id"]
        if form not in TIMELINE_FORMATS:
            raise field_fault(
                "format", "enum", "Value not found in enumerated list of values", target=TIMELINE_FORMATS
            )
        if form == "pcap":
            return await self._pcap(request, call_id)
        steps = await self._services.calls.timeline(request.account_id, call_id)
        if steps is None:
            raise fault("bad_identifier", cause=call_id)
        if form == "text":
            text = draw_ladder(await self._call(request), steps)
            return Reply(body=text.encode("utf-8", "replace"), content_type="text/plain; charset=utf-8")
        return Reply(data=list(steps), is_list=True)

    async def _pcap(self, request: Request, call_id: str) -> Reply:
        lines = await self._services.calls.signalling(request.account_id, call_id)
        if lines is None:
            raise fault("bad_identifier", cause=call_id)
        name = f'attachment; filename="{FILE_NAME.sub("_", call_id)[:100]}.pcap"'
        return Reply(
            body=pcap_of(lines),
            content_type=PCAP_TYPE,
            headers=((b"content-disposition", name.encode("ascii")),),
        )

    async def _call(self, request: Request) -> CallView:
        call_id = request.arguments["call_id"]
        view = await self._services.calls.get(request.account_id, call_id)
        if view is None:
            raise fault("bad_identifier", cause=call_id)
        return view

    def _shown(self, request: Request, view: CallView) -> Reply:
        return Reply(data=visitor_call_item(view) if _sees_less(request) else call_item(view))

    def routes(self) -> list[Route]:
        """Return the routes of a call."""
        base = f"{ACCOUNT_ITEM}/calls/{{call_id}}"
        return [
            Route(base, {"GET": self.read, "DELETE": self.hang_up}, Access.CALL),
            Route(f"{base}/events", {"GET": self.events}, Access.CALL),
            Route(f"{base}/timeline", {"GET": self.timeline}),
        ]


def _sees_less(request: Request) -> bool:
    """Tell whether this is a visitor whose button does not say `expose_request`."""
    return request.call_pass is not None and not request.call_pass.sees_request
