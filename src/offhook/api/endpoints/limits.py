"""Limits of an account (kazoo-behaviour 7.7)."""

from offhook.api.envelope import Reply, document_reply
from offhook.api.request import Request
from offhook.api.routing import Route
from offhook.api.services import ApiServices
from offhook.app.account_calls import LIMITS_ID
from offhook.app.documents import Place
from offhook.app.errors import NotAllowed
from offhook.directory import validate

from .collections import ACCOUNT_ITEM, if_match


class LimitEndpoints:
    """`/limits`: one document, always there."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services

    async def read(self, request: Request) -> Reply:
        """GET: the limits; those that are not set are not limited."""
        found = await self._services.store.documents.get(request.account_id, LIMITS_ID, type="limits")
        if found is None:
            defaults, _ = validate("limits", {})
            return Reply(data={**defaults, "id": LIMITS_ID})
        return document_reply(found)

    async def replace(self, request: Request) -> Reply:
        """POST: set them. For the master, and for whoever the account names as its reseller."""
        await self._check_rights(request)
        place = Place(type="limits", account_id=request.account_id)
        documents = self._services.documents
        if await self._services.store.documents.get(request.account_id, LIMITS_ID, type="limits") is None:
            return document_reply(await documents.create(place, request.data, document_id=LIMITS_ID))
        changed = await documents.replace(place, LIMITS_ID, request.data, precondition=if_match(request))
        return document_reply(changed)

    async def _check_rights(self, request: Request) -> None:
        caller = request.caller
        if not caller.is_admin:
            raise NotAllowed
        if caller.is_master:
            return
        reseller_id = await self._services.accounts.reseller_of(request.target)
        if caller.account_id in (request.account_id, "") or caller.account_id != reseller_id:
            raise NotAllowed

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [Route(f"{ACCOUNT_ITEM}/limits", {"GET": self.read, "POST": self.replace})]
