"""Lists and items of documents: what users, devices, callflows, carriers and buttons have in common."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from offhook.api.envelope import Reply, document_reply, etags, public
from offhook.api.errors import field_fault, precondition_failed
from offhook.api.lists import ListOf, document_list
from offhook.api.request import Request
from offhook.api.routing import Handler, Route
from offhook.api.services import ApiServices
from offhook.app.documents import Place, Precondition, no_precondition
from offhook.app.errors import NotAllowed
from offhook.app.quirks import PUT_TAKES_ID
from offhook.calls.model import CallPlan
from offhook.directory import Document, Json, list_kind, merge

ID: Final = re.compile(r"[0-9a-f]{32}\Z")


class Collection:
    """One document type of an account under one noun."""

    type: str
    """Document type in the store."""
    noun: str
    """Path token."""

    def __init__(self, services: ApiServices) -> None:
        self.services = services

    # --- what a type may change ---------------------------------------------------------------------

    def summary(self, document: Document) -> Json:
        """Return a list item."""
        return picked(document, ("name",))

    async def shown(self, request: Request, document: Document) -> Json:
        """Return the document as a single answer shows it."""
        return public(document)

    def check_write(self, request: Request, document_id: str) -> None:
        """Raise NotAllowed if this caller may not write this document: here, unless an administrator."""
        if not request.caller.is_admin:
            raise NotAllowed

    def check_change(self, request: Request, stored: Document) -> None:
        """Raise NotAllowed or InvalidDocument if this caller may not change a document in this way."""

    def place(self, request: Request) -> Place:
        """Return where the documents of this request are kept."""
        return Place(type=self.type, account_id=request.account_id, realm=realm_of(request))

    # --- endpoints ----------------------------------------------------------------------------------

    async def index(self, request: Request) -> Reply:
        """GET of the collection."""
        wanted = ListOf(list_kind(self.type), self.place(request).account_id)
        return await document_list(request, self.services.documents, wanted, self.summary)

    async def create(self, request: Request) -> Reply:
        """PUT to the collection: 201 with Location."""
        self.check_write(request, "")
        if "if-match" in request.headers:
            raise precondition_failed()
        document = await self._created(request)
        reply = document_reply(document, await self.shown(request, document))
        reply.location = "+"
        return reply

    async def _created(self, request: Request) -> Document:
        """Store what a PUT asks for, under an id of its choice if the server is set so. Raises ApiError."""
        wanted = request.data.get("id") if PUT_TAKES_ID in self.services.settings.quirks else None
        if wanted is None:
            return await self.services.documents.create(self.place(request), request.data)
        if not isinstance(wanted, str) or not ID.match(wanted):
            raise field_fault("id", "pattern", "must be 32 hex digits", value=str(wanted)[:64])
        return await self.services.documents.create(self.place(request), request.data, document_id=wanted)

    async def read(self, request: Request) -> Reply:
        """GET of an item."""
        document = await self.document(request)
        return document_reply(document, await self.shown(request, document))

    async def replace(self, request: Request) -> Reply:
        """POST to an item."""
        return await self._write(request, self.services.documents.replace)

    async def patch(self, request: Request) -> Reply:
        """PATCH of an item."""
        return await self._write(request, self.services.documents.patch)

    async def delete(self, request: Request) -> Reply:
        """DELETE of an item: the document with `_read_only.deleted`."""
        self.check_write(request, request.arguments["id"])
        gone = await self.services.documents.delete(
            self.place(request),
            request.arguments["id"],
            for_good=is_for_good(request),
            precondition=if_match(request),
        )
        return deleted_reply(gone)

    def document_id(self, request: Request) -> str:
        """Return the id in the path."""
        return request.arguments["id"]

    async def document(self, request: Request) -> Document:
        """Return the document of the path. Raises UnknownDocument."""
        place = self.place(request)
        return await self.services.documents.read(place.account_id, self.document_id(request), type=self.type)

    async def _write(self, request: Request, write: Callable[..., Any]) -> Reply:
        id = self.document_id(request)
        self.check_write(request, id)
        matches = if_match(request)

        def check(stored: Document) -> None:
            matches(stored)
            self.check_change(request, stored)

        document: Document = await write(self.place(request), id, request.data, precondition=check)
        return document_reply(document, await self.shown(request, document))

    def routes(self) -> list[Route]:
        """Return the routes of collection and item."""
        base = f"accounts/{{account_id}}/{self.noun}"
        return [Route(base, self.collection_handlers()), Route(f"{base}/{{id}}", self.item_handlers())]

    def collection_handlers(self) -> dict[str, Handler]:
        """Return what the collection's path answers."""
        return {"GET": self.index, "PUT": self.create}

    def item_handlers(self) -> dict[str, Handler]:
        """Return what an item's path answers."""
        return {"GET": self.read, "POST": self.replace, "PATCH": self.patch, "DELETE": self.delete}


def realm_of(request: Request) -> str:
    """Return the SIP realm of the account in the path."""
    account = request.account
    return str(account.data.get("realm", "")) if account is not None else ""


def call_location(request: Request, plan: CallPlan) -> str:
    """Return where a call can be followed."""
    return f"/v2/accounts/{request.account_id}/calls/{plan.call_id}"


def visitors_key(services: ApiServices, request: Request, plan: CallPlan, asked: Document) -> Json:
    """Return the call token for a visitor who pressed a button or dialled, and nothing for other callers."""
    if not request.is_visitor:
        return {}
    sees_request = asked.data.get("expose_request") is True
    return {"call_token": services.call_tokens.issue(plan, sees_request=sees_request)}


def picked(document: Document, names: tuple[str, ...], defaults: Mapping[str, Any] | None = None) -> Json:
    """Return a summary: the id and those keys the document has."""
    data = document.data
    item: Json = {"id": document.id}
    if defaults:
        item.update(defaults)
    item.update((name, data[name]) for name in names if name in data)
    return item


def if_match(request: Request) -> Precondition:
    """Return the check that If-Match asks for; it raises 412."""
    field = request.headers.get("if-match")
    if field is None:
        return no_precondition
    wanted = etags(field)

    def check(document: Document) -> None:
        if wanted != ["*"] and document.revision not in wanted:
            raise precondition_failed()

    return check


def wanted_data(request: Request, stored: Document) -> Json:
    """Return what a POST or PATCH wants a stored document to be."""
    return merge(stored.data, request.data) if request.method == "PATCH" else request.data


def is_for_good(request: Request) -> bool:
    """Tell whether the client wants more than a soft delete."""
    return request.value("should_soft_delete") in (False, "false")


def deleted_reply(document: Document) -> Reply:
    """Return the answer to DELETE."""
    return document_reply(document, {**public(document), "_read_only": {"deleted": True}})


ACCOUNT_ITEM: Final = "accounts/{account_id}"
