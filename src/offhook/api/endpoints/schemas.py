"""The JSON Schemas of documents, by KAZOO's names, and validation without storing (kazoo-behaviour 7)."""

from typing import Final

from offhook.api.envelope import Reply
from offhook.api.errors import fault
from offhook.api.lists import plain_list
from offhook.api.request import Request
from offhook.api.routing import Access, Route
from offhook.api.services import ApiServices
from offhook.app.errors import InvalidDocument
from offhook.directory import Json, validate
from offhook.directory.schemas import DOCUMENTS, SCHEMAS

_PLURALS: Final = {
    "account": "accounts",
    "user": "users",
    "device": "devices",
    "callflow": "callflows",
    "resource": "resources",
    "phone_number": "phone_numbers",
    "webhook": "webhooks",
}
"""KAZOO's names of those that are not called as our document type."""

BY_NAME: Final = {_PLURALS.get(name, name): name for name in SCHEMAS}


class SchemaEndpoints:
    """`/schemas`: anybody may read them."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services

    async def index(self, request: Request) -> Reply:
        """GET: their names."""
        return plain_list(sorted(BY_NAME))

    async def read(self, request: Request) -> Reply:
        """GET …/{name}."""
        name = self._name(request)
        return Reply(data=public_schema(request.arguments["name"], SCHEMAS[name]))

    async def validate(self, request: Request) -> Reply:
        """PUT …/{name}/validation: the document as it would be stored, or KAZOO's validation error."""
        cleaned, faults = validate(self._name(request), request.data)
        if faults:
            raise InvalidDocument(faults)
        return Reply(data=cleaned, status=200)

    def _name(self, request: Request) -> str:
        name = request.arguments["name"]
        known = BY_NAME.get(name) or (name if name in DOCUMENTS else None)
        if known is None:
            raise fault("bad_identifier", cause=name[:100])
        return known

    def routes(self) -> list[Route]:
        """Return the routes of schemas."""
        return [
            Route("schemas", {"GET": self.index}, Access.OPEN),
            Route("schemas/{name}", {"GET": self.read}, Access.OPEN),
            Route("schemas/{name}/validation", {"PUT": self.validate}, Access.OPEN),
        ]


def public_schema(name: str, schema: Json) -> Json:
    """Return a schema with its id; its `x-` keywords say what else the server checks."""
    return {"id": name, **schema}
