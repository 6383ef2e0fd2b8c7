"""Click-to-call buttons: documents, history, connect (kazoo-behaviour 5)."""

from typing import Final

import msgspec

from offhook.api.call_json import answered_item, attempt_item
from offhook.api.envelope import Reply
from offhook.api.errors import fault
from offhook.api.lists import listing_reply, page_of, time_range
from offhook.api.placing import CallAnswers, CallPlacing
from offhook.api.request import Request
from offhook.api.routing import Access, Route
from offhook.api.row_filters import filled, row_filter
from offhook.api.services import ApiServices
from offhook.app.planning import ConnectRequest, Planned, read_connect
from offhook.app.ports import CallView, Listing, Page, TimeRange
from offhook.directory.model import Document, Json

from .collections import ACCOUNT_ITEM, Collection, call_location, picked, visitors_key

SUMMARY: Final = ("name", "extension")


class Buttons(Collection):
    """`/clicktocall`."""

    type = "clicktocall"
    noun = "clicktocall"

    def __init__(self, services: ApiServices) -> None:
        super().__init__(services)
        self._placing = CallPlacing(services)

    def summary(self, document: Document) -> Json:
        """Return a list item."""
        return picked(document, SUMMARY)

    async def history(self, request: Request) -> Reply:
        """GET …/history: attempts, newest first. The first page begins with those still in progress."""
        button = await self.document(request)
        page = page_of(request)
        between = time_range(request, self.services.clock.epoch())
        only = row_filter(request)
        going_on = self._going_on(request, button.id, page, between)
        if only is not None:
            going_on = [item for item in going_on if only.keep(item)]
        rest = msgspec.structs.replace(page, size=page.size - len(going_on))
        history = self.services.store.history
        listing = await filled(
            rest, lambda part: history.list(request.account_id, button.id, between, part, only=only)
        )
        over = {item["id"] for item in listing.items}
        items = [item for item in going_on if item["id"] not in over] + listing.items
        return listing_reply(request, Listing(items=items, next_key=listing.next_key), page)

    def _going_on(self, request: Request, button_id: str, page: Page, between: TimeRange) -> list[Json]:
        """Return the attempts in progress, newest first; none on later pages."""
        if page.start_key or page.ascending or "created_to" in request.query:
            return []
        views = reversed(self.services.calls.live(request.account_id))
        found = [attempt_item(view) for view in views if view.plan.authorizing_id == button_id]
        return [item for item in found if item["timestamp"] >= between.from_gregorian_s][: page.size - 1]

    async def connect(self, request: Request) -> Reply:
        """GET or POST …/connect: 202 at once, or with `blocking` 200 and the attempt's history item."""
        button = await self._button(request)
        wanted = read_connect(
            request.data, query=request.query, envelope=request.envelope, visitor=request.is_visitor
        )
        if request.is_true("dry_run"):
            return await self._dry_run(request, button, wanted)

        def accepted(planned: Planned) -> Reply:
            data = planned.answer | visitors_key(self.services, request, planned.plan, button)
            location = call_location(request, planned.plan)
            return Reply(data=data, status=202, revision=button.revision, location=location)

        return await self._placing.answer(
            request,
            button,
            lambda asked: self.services.call_requests.connect(request.target, button, wanted, asked),
            CallAnswers(accepted=accepted, reached=_reached if wanted.blocking else None),
        )

    async def _dry_run(self, request: Request, button: Document, wanted: ConnectRequest) -> Reply:
        """Answer with the plan; no packet leaves, nothing is counted."""
        if request.is_visitor:
            raise fault("invalid_credentials")  # a plan shows what a visitor must not see
        planned = await self.services.call_requests.plan_connect(request.target, button, wanted)
        left = self.services.call_requests.invocations_left(button)
        quota = {} if left is None else {"invocations_left": left}
        limits = await self.services.call_requests.limits_left(planned)
        return Reply(data={**planned.explanation, **quota, **limits})

    async def _button(self, request: Request) -> Document:
        """Return the button of the path, if this caller may press it (401, 403 or 404 otherwise)."""
        button = await self.services.store.documents.get(
            request.account_id, request.arguments["id"], type=self.type
        )
        is_open = button is not None and button.data.get("auth_required", True) is False
        if request.is_visitor and not is_open:
            raise fault("invalid_credentials" if request.principal is None else "forbidden")
        if button is None:
            raise fault("bad_identifier", cause=request.arguments["id"])
        return button

    def routes(self) -> list[Route]:
        """Return the routes of buttons."""
        item = f"{ACCOUNT_ITEM}/{self.noun}/{{id}}"
        return [
            *super().routes(),
            Route(f"{item}/history", {"GET": self.history}),
            Route(f"{item}/connect", {"GET": self.connect, "POST": self.connect}, Access.OPTIONAL),
        ]


def _reached(view: CallView, accepted: Reply) -> Reply:
    """Return what a blocking connect says: the attempt's history item.

    A visitor who may not see the request does not see the call's variables either, and gets its token.
    """
    item = answered_item(view)
    if "custom_application_vars" not in accepted.data:
        del item["custom_application_vars"]
    key = {name: accepted.data[name] for name in ("call_token",) if name in accepted.data}
    return Reply(data=item | key, location=accepted.location)
