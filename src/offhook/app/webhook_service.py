"""What the API does with webhooks beyond writing their documents."""

import ipaddress
from collections.abc import Collection, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from offhook.delivery import is_reachable
from offhook.delivery.targets import Network
from offhook.directory.model import Document
from offhook.kernel import Clock

from .documents import DocumentService, Place
from .errors import UnknownDocument
from .outbox import Outbox
from .ports import Listing, Page, TimeRange
from .webhooks import Subscriptions, WebhookOutbox

LOOPBACK: Final = "127.0.0.1"


class WebhookService:
    """Re-enabling, attempts, redelivery."""

    def __init__(
        self,
        documents: DocumentService,
        subscriptions: Subscriptions,
        outbox: Outbox,
        rows: WebhookOutbox,
        *,
        clock: Clock,
        allowed: Sequence[Network] = (),
    ) -> None:
        self._documents = documents
        self._subscriptions = subscriptions
        self._outbox = outbox
        self._rows = rows
        self._clock = clock
        self._allowed = tuple(allowed)

    async def refresh(self) -> None:
        """Await this after webhooks were written: from here on they get their events."""
        await self._subscriptions.refresh()

    def may_reach(self, uri: str) -> bool:
        """Tell whether a URI's host may be sent to, as far as that is known before its name is looked up."""
        try:
            host = urlsplit(uri).hostname or ""
        except ValueError:
            return False
        name = host.rstrip(".")
        if name == "localhost" or name.endswith(".localhost"):
            host = LOOPBACK
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return True
        return is_reachable(host, self._allowed)

    async def re_enable(self, account_ids: Collection[str]) -> int:
        """Enable the webhooks of these accounts that we have disabled; return how many there were."""
        stopped = [hook for hook in self._subscriptions.all_of(account_ids) if not hook.is_enabled]
        count = 0
        for hook in stopped:
            document = await self._documents.read(hook.account_id, hook.id, type="webhook")
            if "disabled_message" in document.private:
                place = Place(type="webhook", account_id=hook.account_id)
                await self._documents.patch(place, hook.id, {"enabled": True})
                count += 1
        return count

    async def attempts(self, account_id: str, hook_id: str, between: TimeRange, page: Page) -> Listing:
        """Return the attempts of a webhook, or of the account if hook_id is empty. Raises BadPageKey."""
        return await self._outbox.attempts(account_id, hook_id, between, page)

    async def redeliver(self, webhook: Document, attempt_id: str) -> str:
        """Send the event of an attempt again, under its id, after what waits of the same call; return the id.

        It waits if the webhook is disabled. Raises UnknownDocument.
        """
        attempt = await self._outbox.attempt(webhook.account_id, webhook.id, attempt_id)
        if attempt is None:
            raise UnknownDocument(attempt_id)
        now = self._clock.epoch()
        row = msgspec.structs.replace(attempt.row, created_at=now)
        self._outbox.add([row], at=now)
        self._rows.stored([row])
        return row.webhook_id
