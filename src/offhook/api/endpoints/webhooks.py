"""Webhooks: documents, what there is to ask for, attempts, redelivery (kazoo-behaviour 10)."""

from typing import Final

from offhook.api.envelope import Reply, public
from offhook.api.errors import fault, field_fault, plain
from offhook.api.lists import listing_reply, page_of, time_range
from offhook.api.request import Request
from offhook.api.routing import Access, Route
from offhook.api.services import ApiServices
from offhook.app.quirks import WEBHOOK_PATCH_IS_SHALLOW
from offhook.app.webhook_samples import HOOKS, samples
from offhook.directory.checks import WEBHOOK_MODIFIERS
from offhook.directory.model import Document, Json

from .collections import ACCOUNT_ITEM, Collection, picked

SUMMARY: Final = ("hook", "name", "uri", "group", "enabled")


class Webhooks(Collection):
    """`/webhooks`."""

    type = "webhook"
    noun = "webhooks"

    def __init__(self, services: ApiServices) -> None:
        super().__init__(services)
        self._samples = samples()

    # --- documents ----------------------------------------------------------------------------------

    def summary(self, document: Document) -> Json:
        """Return a list item."""
        return picked(document, SUMMARY) | _disabled(document)

    async def shown(self, request: Request, document: Document) -> Json:
        """Add why it is disabled, and the signing secret if it has just been made."""
        secret = {}
        if request.method == "PUT" or request.data.get("rotate_secret") is True:
            secret = {"signing_secret": document.private["signing_secret"]}
        return public(document) | _disabled(document) | secret

    def check_write(self, request: Request, document_id: str) -> None:
        """Refuse plain users, and an address that this server must not be made to talk to."""
        super().check_write(request, document_id)
        uri = request.data.get("uri")
        if isinstance(uri, str) and not self.services.webhooks.may_reach(uri):
            raise field_fault("uri", "error", "invalid client URL", cause=uri[:256])

    async def create(self, request: Request) -> Reply:
        """PUT: 201; the answer holds the signing secret."""
        reply = await super().create(request)
        await self.services.webhooks.refresh()
        return reply

    async def replace(self, request: Request) -> Reply:
        """POST to an item."""
        reply = await super().replace(request)
        await self.services.webhooks.refresh()
        return reply

    async def patch(self, request: Request) -> Reply:
        """PATCH of an item: `rotate_secret` makes a new secret, `enabled` starts it again."""
        if WEBHOOK_PATCH_IS_SHALLOW in self.services.settings.quirks:
            request.data = {**(await self.document(request)).data, **request.data}
            return await self.replace(request)
        reply = await super().patch(request)
        await self.services.webhooks.refresh()
        return reply

    # --- all of an account --------------------------------------------------------------------------

    async def re_enable(self, request: Request) -> Reply:
        """PATCH of the collection with `re-enable`: start all that were stopped because they failed."""
        _demand_re_enable(request)
        await self.services.webhooks.re_enable({request.account_id})
        return Reply(data="hooks updated")

    async def re_enable_descendants(self, request: Request) -> Reply:
        """PATCH of all collections below the account."""
        _demand_re_enable(request)
        below = await self.services.accounts.descendants(request.account_id)
        await self.services.webhooks.re_enable({account.id for account in below})
        return Reply(data="hooks updated")

    async def attempts(self, request: Request) -> Reply:
        """GET …/attempts: of one webhook, or of all; newest first, month based."""
        hook_id = (await self.document(request)).id if "id" in request.arguments else ""
        page, between = page_of(request), time_range(request, self.services.clock.epoch())
        listing = await self.services.webhooks.attempts(request.account_id, hook_id, between, page)
        return listing_reply(request, listing, page)

    async def redeliver(self, request: Request) -> Reply:
        """POST …/attempts/{attempt_id}/redeliver: 202, the event is sent again under the same id."""
        document = await self.document(request)
        if document.data.get("enabled", True) is not True:
            raise plain(409, "the webhook is disabled", document.id)
        event_id = await self.services.webhooks.redeliver(document, request.arguments["attempt_id"])
        return Reply(data={"event_id": event_id, "hook_id": document.id}, status=202)

    # --- for everybody ------------------------------------------------------------------------------

    async def available(self, request: Request) -> Reply:
        """GET /webhooks: what a webhook may ask for."""
        return Reply(data=[_described(*hook) for hook in HOOKS], is_list=True)

    async def sample_names(self, request: Request) -> Reply:
        """GET /webhooks/samples."""
        return Reply(data=sorted(self._samples), is_list=True)

    async def sample(self, request: Request) -> Reply:
        """GET /webhooks/samples/{name}: example payloads."""
        name = request.arguments["name"]
        found = self._samples.get(name)
        if found is None:
            raise fault("bad_identifier", cause=name)
        return Reply(data=found, is_list=True)

    def routes(self) -> list[Route]:
        """Return the routes of webhooks."""
        base = f"{ACCOUNT_ITEM}/{self.noun}"
        collection = self.collection_handlers() | {"PATCH": self.re_enable}
        return [
            Route("webhooks", {"GET": self.available}, Access.OPEN),
            Route("webhooks/samples", {"GET": self.sample_names}, Access.OPEN),
            Route("webhooks/samples/{name}", {"GET": self.sample}, Access.OPEN),
            Route(base, collection),
            Route(f"{base}/{{id}}", self.item_handlers()),
            Route(f"{base}/attempts", {"GET": self.attempts}),
            Route(f"{base}/{{id}}/attempts", {"GET": self.attempts}),
            Route(f"{base}/{{id}}/attempts/{{attempt_id}}/redeliver", {"POST": self.redeliver}),
            Route(f"{ACCOUNT_ITEM}/descendants/webhooks", {"PATCH": self.re_enable_descendants}),
        ]


def _disabled(document: Document) -> Json:
    reason = document.private.get("disabled_message")
    return {"disable_reason": reason} if reason else {}


def _demand_re_enable(request: Request) -> None:
    wanted = request.data.get("re-enable")
    if wanted is None:
        raise field_fault("re-enable", "required", "Field is required but missing", value="re-enable")
    if wanted not in (True, "true"):
        message = "value not found in enumerated list of values"
        raise field_fault("re-enable", "enum", message, target=[True], value=str(wanted)[:40])


def _described(hook: str, name: str, description: str) -> Json:
    item: Json = {"id": hook, "name": name, "description": description}
    if hook == "object":
        item["modifiers"] = {
            modifier: {"type": "array", "items": list(values)}
            for modifier, values in WEBHOOK_MODIFIERS.items()
        }
    return item
