"""The last step of every write of documents: keys, what webhooks are told, who else has to know."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from offhook.directory import Document, DocumentKey, document_keys, list_keys, taken_fault

from .errors import InvalidDocument, KeyTaken, RevisionConflict
from .outbox import NO_DOCUMENT_OUTBOX, DocumentOutbox
from .storage import Documents, DocumentWrite

REALM_ATTEMPTS: Final = 3
"""A device that is changed while its account gets a new realm is read again; thrice is no accident."""

Observer = Callable[[Document, Document | None], None]
"""Told of a document after it was stored, and of what it was before."""

Change = tuple[Document, Document | None]
"""A document as it is to be stored, and as it is stored now (None: it is new)."""


class DocumentWrites:
    """Stores complete documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._observers: list[Observer] = []
        self.outbox: DocumentOutbox = NO_DOCUMENT_OUTBOX
        """Stored with every document: what webhooks are to be told of it."""

    def observe(self, observer: Observer) -> None:
        """Call observer after every write (caches forget what they knew)."""
        self._observers.append(observer)

    def tell(self, document: Document, before: Document | None) -> None:
        """Let the observers know of a write."""
        for observer in self._observers:
            observer(document, before)

    async def put(self, document: Document, realm: str, *, before: Document | None) -> Document:
        """Store one document; an account with a new realm takes its devices along.

        realm is that of the account: devices are known by it. Raises InvalidDocument if a key is taken,
        RevisionConflict, StorageLost.
        """
        if before is not None and _changes_realm(document, before):
            return await self._put_with_devices(document, before)
        [stored] = await self.put_all([(document, before)], realm)
        return stored

    async def put_all(self, changes: Sequence[Change], realm: str) -> Sequence[Document]:
        """Store documents of one account in one step, all or none. Raises as put does."""
        rows = [
            () if document is before else self.outbox.rows_of_document(document, before)
            for document, before in changes
        ]
        writes = [
            DocumentWrite(
                document=document,
                keys=keys_of(document, realm=realm),
                expected_revision=before.revision if before is not None else None,
                outbox=outbox,
            )
            for (document, before), outbox in zip(changes, rows, strict=True)
        ]
        try:
            stored = await self._documents.put_all(writes)
        except KeyTaken as error:
            asked_for = changes[0][0]
            holder = await self._documents.get(asked_for.account_id, error.document_id, type=asked_for.type)
            raise InvalidDocument(taken_fault(error.kind, error.value, holder)) from None
        for document, (_, before) in zip(stored, changes, strict=True):
            self.tell(document, before)
        for outbox in rows:
            self.outbox.stored(outbox)
        return stored

    async def remove(self, gone: Document, stored: Document) -> None:
        """Delete a document for good. Raises RevisionConflict, StorageLost."""
        rows = self.outbox.rows_of_document(gone, stored)
        await self._documents.remove(gone.account_id, gone.id, expected_revision=stored.revision, outbox=rows)
        self.tell(gone, stored)
        self.outbox.stored(rows)

    async def _put_with_devices(self, account: Document, before: Document) -> Document:
        """Store an account with a new realm and key its devices by it: they register as `username@realm`."""
        for _ in range(REALM_ATTEMPTS - 1):
            with suppress(RevisionConflict):  # somebody changed a device meanwhile
                return await self._try_put_with_devices(account, before)
        return await self._try_put_with_devices(account, before)

    async def _try_put_with_devices(self, account: Document, before: Document) -> Document:
        devices = await self._documents.list(account.id, type="device")
        changes = [(account, before), *((device, device) for device in devices)]
        stored = await self.put_all(changes, str(account.data.get("realm", "")))
        return stored[0]


def keys_of(document: Document, *, realm: str = "") -> list[DocumentKey]:
    """Return every key a document is stored with: to be found by, and to be listed by."""
    return [*document_keys(document, realm=realm), *list_keys(document)]


def _changes_realm(document: Document, before: Document) -> bool:
    return document.type == "account" and document.data.get("realm") != before.data.get("realm")
