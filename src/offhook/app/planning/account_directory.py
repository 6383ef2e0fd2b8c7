"""The documents of one account, as a plan sees them: each is read once, and only of this account."""

from collections.abc import Sequence
from typing import Final

from offhook.app.ports import Document, Documents
from offhook.directory.keys import CALLFLOW_NUMBER, CALLFLOW_PATTERNS, OWNER_ID, RESOURCE
from offhook.directory.model import GLOBAL_ACCOUNT

from .numbers import normalise

MAX_CALLFLOWS: Final = 2_000
"""Callflows looked through for the account's first public number."""


class AccountDirectory:
    """Reads documents and remembers them for the length of one plan."""

    def __init__(self, documents: Documents, account: Document) -> None:
        self.account = account
        self.account_id = account.id
        self.realm = str(account.data.get("realm", ""))
        self._documents = documents
        self._seen: dict[tuple[str, str], Document | None] = {}

    async def get(self, type: str, document_id: object) -> Document | None:
        """Return a live document of the account, or None."""
        if not isinstance(document_id, str) or not document_id:
            return None
        key = (type, document_id)
        if key not in self._seen:
            self._seen[key] = await self._documents.get(self.account_id, document_id, type=type)
        return self._seen[key]

    async def owner_of(self, device: Document) -> Document | None:
        """Return the user a device belongs to."""
        return await self.get("user", device.data.get("owner_id"))

    async def devices_of(self, user: Document) -> list[Document]:
        """Return the devices a user owns or is hot-desked into, oldest first."""
        found = await self._documents.find(OWNER_ID, user.id, scope=self.account_id)
        return [document for document in found if document.type == "device"]

    async def callflow_of_number(self, number: str) -> Document | None:
        """Return the callflow that has exactly this number, as given or normalised."""
        for spelling in dict.fromkeys((number, normalise(number))):
            for document in await self._documents.find(CALLFLOW_NUMBER, spelling, scope=self.account_id):
                return document
        return None

    async def callflows_with_patterns(self) -> list[Document]:
        """Return the callflows that have patterns, oldest first."""
        return await self._documents.find(CALLFLOW_PATTERNS, "", scope=self.account_id)

    async def first_public_number(self) -> str:
        """Return the account's first `+…` number, or an empty string."""
        callflows = await self._documents.list(self.account_id, type="callflow", limit=MAX_CALLFLOWS)
        for callflow in callflows:
            for number in callflow.data.get("numbers") or ():
                if isinstance(number, str) and number.startswith("+"):
                    return number
        return ""

    async def resources_of(self, account_id: str = "") -> Sequence[Document]:
        """Return the carriers of the account, or of one above it; none of any other account."""
        if account_id and account_id not in (self.account_id, *self._ancestors()):
            return ()
        return await self._documents.find(RESOURCE, "", scope=account_id or self.account_id)

    async def resources_above(self) -> list[Sequence[Document]]:
        """Return the carriers of each account above, nearest first, then the installation's."""
        return [
            await self._documents.find(RESOURCE, "", scope=account_id)
            for account_id in [*reversed(self._ancestors()), GLOBAL_ACCOUNT]
        ]

    def _ancestors(self) -> list[str]:
        """Return the ids of the accounts above, root first."""
        return [account_id for account_id in self.account.private.get("tree") or () if account_id]
