"""Quickcalls of devices and users (kazoo-behaviour 6)."""

from collections.abc import Callable
from typing import Final

from offhook.api.envelope import Reply
from offhook.api.errors import ApiError, fault
from offhook.api.placing import CallAnswers, CallPlacing
from offhook.api.request import Request
from offhook.api.routing import Access, Route
from offhook.api.services import ApiServices
from offhook.app.planning import Planned, QuickcallRequest, quickcall_failure, read_quickcall
from offhook.app.ports import CallView
from offhook.directory.model import Document

from .collections import ACCOUNT_ITEM, call_location, visitors_key

OPEN_FLAG: Final = "allow_anonymous_quickcalls"

Reached = Callable[[CallView, Reply], Reply | ApiError]


class Quickcalls:
    """`/devices/{id}/quickcall/{number}`, or the same for users."""

    def __init__(self, services: ApiServices, type: str) -> None:
        self._services = services
        self._type = type
        self._placing = CallPlacing(services)

    async def start(self, request: Request) -> Reply:
        """GET: 202 at once."""
        return await self._answer(request, None)

    async def start_and_wait(self, request: Request) -> Reply:
        """POST: 202 once a device has answered, 500 if none did (never the device document: ODDITY-29)."""
        return await self._answer(request, lambda view, accepted: self._reached(request, view, accepted))

    async def _answer(self, request: Request, reached: Reached | None) -> Reply:
        endpoint, wanted = await self._wanted(request)
        if request.is_true("dry_run"):
            return await self._dry_run(request, endpoint, wanted)

        def accepted(planned: Planned) -> Reply:
            data = planned.answer | visitors_key(self._services, request, planned.plan, endpoint)
            location = call_location(request, planned.plan)
            return Reply(data=data, status=202, revision=endpoint.revision, location=location)

        return await self._placing.answer(
            request,
            endpoint,
            lambda asked: self._services.call_requests.quickcall(request.target, endpoint, wanted, asked),
            CallAnswers(accepted=accepted, reached=reached),
        )

    def _reached(self, request: Request, view: CallView, accepted: Reply) -> Reply | ApiError:
        if view.ending is not None and not view.times.first_answered:
            return self._failed(request, accepted.data, view)
        answered = [leg.leg_id for leg in view.legs if leg.answered_at]
        return Reply(
            data={
                **accepted.data,
                "application_response": "SUCCESS",
                "answered_call_id": answered[0] if answered else view.plan.call_id,
            },
            status=202,
            revision=accepted.revision,
            location=accepted.location,
        )

    async def _wanted(self, request: Request) -> tuple[Document, QuickcallRequest]:
        """Return who is to be rung and how, if this caller may (401, 403 or 404 otherwise)."""
        id = request.arguments["id"]
        endpoint = await self._services.store.documents.get(request.account_id, id, type=self._type)
        is_open = endpoint is not None and endpoint.data.get(OPEN_FLAG) is True
        if request.is_visitor and not is_open:
            raise fault("invalid_credentials" if request.principal is None else "forbidden")
        if endpoint is None:
            raise fault("bad_identifier", cause=id)
        wanted = read_quickcall(
            request.arguments["number"],
            request.data,
            query=request.query,
            envelope=request.envelope,
            visitor=request.is_visitor,
        )
        return endpoint, wanted

    async def _dry_run(self, request: Request, endpoint: Document, wanted: QuickcallRequest) -> Reply:
        if request.is_visitor:
            raise fault("invalid_credentials")
        planned = await self._services.call_requests.plan_quickcall(request.target, endpoint, wanted)
        limits = await self._services.call_requests.limits_left(planned)
        return Reply(data={**planned.explanation, **limits})

    def _failed(self, request: Request, answer: dict[str, object], view: CallView) -> ApiError:
        ending = view.ending
        assert ending is not None
        cause = view.first_hangup_cause or ending.hangup_cause
        data = quickcall_failure(answer, cause, request_id=request.request_id, node=self._services.node)
        data["call_id"] = view.plan.call_id
        return ApiError(500, "quickcall initiation failed", data)

    def route(self) -> Route:
        """Return the one route."""
        return Route(
            f"{ACCOUNT_ITEM}/{self._type}s/{{id}}/quickcall/{{number}}",
            {"GET": self.start, "POST": self.start_and_wait},
            Access.OPTIONAL,
        )


def quickcall_routes(services: ApiServices) -> list[Route]:
    """Return the routes for devices and users."""
    return [Quickcalls(services, type).route() for type in ("device", "user")]
