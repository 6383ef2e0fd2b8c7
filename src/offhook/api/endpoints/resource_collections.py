"""Several carriers in one request: `/resources/collection` (kazoo-behaviour 7.6, 12.4)."""

from typing import Any, Final

from offhook.api.endpoints.directory import GlobalResources, Resources, foreign_networks
from offhook.api.envelope import Reply, public
from offhook.api.errors import ApiError, field_fault
from offhook.api.request import Request
from offhook.api.routing import Handler, Route
from offhook.app.errors import InvalidDocuments
from offhook.directory import Document, Json, merge

COLLECTION_MAX: Final = 100
"""Resources of one request; they are stored in one step, which others wait for."""

UNKNOWN: Final = "resource does not exist"
"""KAZOO's words."""


class _Collections(Resources):
    """All or nothing: with a fault in one of them none is stored, and `errors` tells of each."""

    async def create_many(self, request: Request) -> Reply:
        """PUT of a list: new resources. Faults go by place in the list, as there are no ids yet."""
        self.check_write(request, "")
        self.place(request)
        items = _items(request)
        names = [str(number) for number in range(len(items))]
        return await self._store(request, [(item, None) for item in items], names)

    async def change_many(self, request: Request) -> Reply:
        """POST or PATCH of a list: each item is merged into the resource of its `id`."""
        self.check_write(request, "")
        place = self.place(request)
        wanted: list[tuple[Json, Document | None]] = []
        missing: Json = {}
        for number, item in enumerate(_items(request)):
            id = str(item.get("id", ""))
            stored = await self.services.store.documents.get(place.account_id, id, type=self.type)
            if stored is None:
                missing[id[:64] or str(number)] = UNKNOWN
            else:
                wanted.append((merge(stored.data, item), stored))
        if missing:
            raise _refused(missing)
        names = [stored.id for _, stored in wanted if stored is not None]
        if len(set(names)) < len(names):
            raise field_fault("data", "uniqueItems", "List of items is not unique")
        return await self._store(request, wanted, names)

    async def _store(
        self, request: Request, wanted: list[tuple[Json, Document | None]], names: list[str]
    ) -> Reply:
        faults = {
            name: wrong
            for name, (data, before) in zip(names, wanted, strict=True)
            if (wrong := foreign_networks(request, data, before.data if before is not None else {}))
        }
        if faults:
            raise _refused(faults)
        try:
            stored = await self.services.documents.save_all(self.place(request), wanted)
        except InvalidDocuments as error:
            raise _refused({names[number]: faults for number, faults in error.faults.items()}) from None
        return Reply(data={"successes": {document.id: public(document) for document in stored}})

    def handlers(self) -> dict[str, Handler]:
        """Return what the path answers."""
        return {"PUT": self.create_many, "POST": self.change_many, "PATCH": self.change_many}


class ResourceCollections(_Collections):
    """Of an account."""

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [Route("accounts/{account_id}/resources/collection", self.handlers(), takes_lists=True)]


class GlobalResourceCollections(GlobalResources, _Collections):
    """Of the installation."""

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [Route("resources/collection", self.handlers(), takes_lists=True)]


def _refused(errors: Json) -> ApiError:
    """Return the answer when nothing was stored. KAZOO has these `errors` in a success."""
    return ApiError(400, "validation error", {"errors": errors})


def _items(request: Request) -> list[Json]:
    items: list[Any] = request.items
    if not items:
        raise field_fault("data", "type", "Value did not match type(s): array", target="array")
    if len(items) > COLLECTION_MAX:
        text = f"The list is more than {COLLECTION_MAX} items"
        raise field_fault("data", "maxItems", text, target=COLLECTION_MAX)
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            text = "Value did not match type(s): object"
            raise field_fault(f"data.{number}", "type", text, target="object")
    return items
