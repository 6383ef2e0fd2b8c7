"""Documents by the beginning of their name (KAZOO's `search`)."""

from typing import Final

from offhook.api.envelope import Reply
from offhook.api.errors import field_fault
from offhook.api.lists import ListOf, document_list
from offhook.api.request import Request
from offhook.api.routing import Route
from offhook.api.services import ApiServices
from offhook.directory import Document, Json, list_kind
from offhook.directory.ordering import DESCENDANTS

from .accounts import AccountEndpoints, account_summary
from .collections import ACCOUNT_ITEM
from .directory import Callflows, Users, device_summary

TYPES: Final = ("account", "user", "device", "callflow")
VIEWS: Final = ("name", "realm", "id")
QUERY_MAX: Final = 128


class SearchEndpoints:
    """`/search?t=type&q=view&v=beginning`."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services
        users, callflows = Users(services), Callflows(services)
        self._accounts = AccountEndpoints(services)
        self._summaries = {
            "account": account_summary,
            "user": users.summary,
            "device": device_summary,
            "callflow": callflows.summary,
        }

    async def below_caller(self, request: Request) -> Reply:
        """GET /search: in the caller's account."""
        return await self._search(request, request.caller.account_id)

    async def in_account(self, request: Request) -> Reply:
        """GET …/search: accounts below this one, or its documents."""
        return await self._search(request, request.account_id)

    async def _search(self, request: Request, account_id: str) -> Reply:
        type = _choice(request, "t", TYPES, "")
        view = _choice(request, "q", VIEWS, "name")
        query = request.query.get("v", "")[:QUERY_MAX].lower()
        if not query:
            raise field_fault("v", "required", "Field is required but missing", value="v")
        kind = DESCENDANTS if type == "account" else list_kind(type)
        if view == "name":
            request.query["start_key"] = request.query.get("start_key") or query
            request.query["end_key"] = f"{query}\U0010ffff"

        def keep(document: Document) -> bool:
            return _of(view, document).startswith(query)

        wanted = ListOf(kind, account_id)
        return await document_list(
            request,
            self._services.documents,
            wanted,
            self._summaries[type],
            keep=None if view == "name" else keep,
            complete=self._accounts.count_below if type == "account" else None,
        )

    def routes(self) -> list[Route]:
        """Return the routes of searches."""
        return [
            Route("search", {"GET": self.below_caller}),
            Route(f"{ACCOUNT_ITEM}/search", {"GET": self.in_account}),
        ]


def _of(view: str, document: Document) -> str:
    if view == "id":
        return document.id
    data: Json = document.data
    return str(data.get(view, "")).lower()


def _choice(request: Request, name: str, choices: tuple[str, ...], default: str) -> str:
    value = request.query.get(name, default)
    if not value:
        raise field_fault(name, "required", "Field is required but missing", value=name)
    if value not in choices:
        raise field_fault(
            name,
            "enum",
            "Value not found in enumerated list of values",
            target=list(choices),
            value=value[:64],
        )
    return value
