"""Phone numbers of an account (kazoo-behaviour 7.8)."""

import re
from typing import Final

from offhook.api.envelope import Reply, document_reply, public
from offhook.api.errors import ApiError, field_fault
from offhook.api.lists import ListOf, document_list
from offhook.api.request import Request
from offhook.api.routing import Handler, Route
from offhook.app.documents import Place
from offhook.app.errors import RevisionConflict
from offhook.directory import Document, Json, list_kind
from offhook.directory.numbers import normalise
from offhook.kernel import gregorian_s

from .collections import ACCOUNT_ITEM, Collection, deleted_reply, if_match

NUMBER: Final = re.compile(r"\+[1-9][0-9]{4,17}\Z")
"""E.164 has at most 15 digits; KAZOO's tests use some more."""


class PhoneNumbers(Collection):
    """`/phone_numbers`: which numbers are the account's. Calls are routed by callflows, as in KAZOO."""

    type = "phone_number"
    noun = "phone_numbers"

    def document_id(self, request: Request) -> str:
        """Return the number in the path, in E.164 form. Raises ApiError 400 if it is none."""
        number = normalise(request.arguments["id"].replace(" ", ""))
        if not NUMBER.match(number):
            raise field_fault("number", "invalid", "not a phone number", value=request.arguments["id"][:40])
        return number

    async def numbers(self, request: Request) -> Reply:
        """GET: `{"numbers": {number: …}, "cascade_quantity": 0}`, page by page."""
        wanted = ListOf(list_kind(self.type), request.account_id)
        reply = await document_list(request, self.services.documents, wanted, self.summary)
        if isinstance(reply.data, list):
            numbers: Json = {}
            for item in reply.data:
                number = item.pop("id")
                used_by = await self._used_by(request, number) if "state" in item else {}
                numbers[number] = item | used_by
            reply.data = {"numbers": numbers, "cascade_quantity": 0}
        return reply

    async def add(self, request: Request) -> Reply:
        """PUT …/{number}: it is the account's from now on; 409 if it is anybody's."""
        return await self._add(request)

    async def activate(self, request: Request) -> Reply:
        """PUT …/{number}/activate: add it, or take it into service again."""
        number = self.document_id(request)
        found = await self.services.store.documents.get(request.account_id, number, type=self.type)
        if found is None:
            return await self._add(request)
        return document_reply(found, await self.shown(request, found))

    async def delete(self, request: Request) -> Reply:
        """DELETE …/{number}: it is nobody's from now on."""
        self.check_write(request, "")
        gone = await self.services.documents.delete(
            self.place(request), self.document_id(request), for_good=True, precondition=if_match(request)
        )
        return deleted_reply(gone)

    async def shown(self, request: Request, document: Document) -> Json:
        """Add what the server knows about the number."""
        used = await self._used_by(request, document.id)
        known = {
            "state": "in_service",
            "created": gregorian_s(document.created_at),
            "modified": gregorian_s(document.modified_at),
            "features": sorted({"cnam", "e911"} & document.data.keys()),
        }
        return {**public(document), "_read_only": known | used}

    def summary(self, document: Document) -> Json:
        """Return a number as lists show it."""
        return {
            "id": document.id,
            "state": "in_service",
            "assigned_to": document.account_id,
            "features": sorted({"cnam", "e911"} & document.data.keys()),
            "created": gregorian_s(document.created_at),
            "updated": gregorian_s(document.modified_at),
        }

    async def _add(self, request: Request) -> Reply:
        self.check_write(request, "")
        number = self.document_id(request)
        if await self.services.store.documents.find("phone_number", number):
            raise _exists(number)
        place = Place(type=self.type, account_id=request.account_id)
        try:
            document = await self.services.documents.create(place, request.data, document_id=number)
        except RevisionConflict:
            raise _exists(number) from None
        return document_reply(document, await self.shown(request, document))

    async def _used_by(self, request: Request, number: str) -> Json:
        found = await self.services.store.documents.find("callflow_number", number, scope=request.account_id)
        return {"used_by": "callflow"} if found else {}

    def routes(self) -> list[Route]:
        """Return the routes of numbers."""
        base = f"{ACCOUNT_ITEM}/phone_numbers"
        item: dict[str, Handler] = {
            "GET": self.read,
            "PUT": self.add,
            "POST": self.replace,
            "PATCH": self.patch,
            "DELETE": self.delete,
        }
        return [
            Route(base, {"GET": self.numbers}),
            Route(f"{base}/{{id}}", item),
            Route(f"{base}/{{id}}/activate", {"PUT": self.activate}),
        ]


def _exists(number: str) -> ApiError:
    return ApiError(409, "number_exists", {"message": f"number {number} already exists", "cause": number})
