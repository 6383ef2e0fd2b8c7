"""Reading and writing documents: completed, validated, keyed, revised (kazoo-behaviour 7 and 12.6)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from offhook.delivery import new_signing_secret, webhook_private
from offhook.directory import Document, Faults, IsPlayable, Json, complete_account, complete_device, merge
from offhook.kernel import Clock, Random

from .document_checks import DocumentChecks
from .document_writes import Change, DocumentWrites
from .errors import InvalidDocument, InvalidDocuments, UnknownDocument
from .outbox import DocumentOutbox
from .passwords import Passwords
from .ports import DocumentRange, DocumentSlice, Store

ID_DIGITS: Final = 32

Precondition = Callable[[Document], None]
"""Raises if the stored document is not the one the client means (If-Match)."""


def no_precondition(document: Document) -> None:
    """Accept any revision: the last writer wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where documents of a type are kept."""

    type: str
    account_id: str
    realm: str = ""
    """The account's SIP domain; devices are known by it."""


class DocumentService:
    """Documents of every type."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        random: Random,
        passwords: Passwords,
        realm_suffix: str,
        is_playable: IsPlayable | None = None,
    ) -> None:
        self._documents = store.documents
        self._checks = DocumentChecks(store.documents, is_playable)
        self._writes = DocumentWrites(store.documents)
        self._clock = clock
        self._random = random
        self._passwords = passwords
        self._realm_suffix = realm_suffix
        self.may_play = self._checks.may_play
        self.observe = self._writes.observe
        self.tell = self._writes.tell

    def fill(self, outbox: DocumentOutbox) -> None:
        """Store with every document what webhooks are to be told of it."""
        self._writes.outbox = outbox

    # --- reading ------------------------------------------------------------------------------------

    async def read(self, account_id: str, document_id: str, *, type: str) -> Document:
        """Return a live document. Raises UnknownDocument."""
        found = await self._documents.get(account_id, document_id, type=type)
        if found is None:
            raise UnknownDocument(document_id)
        return found

    async def slice(
        self, wanted: DocumentRange, *, keep: Callable[[Document], bool] | None = None
    ) -> DocumentSlice:
        """Return a part of an ordered list (directory.ordering)."""
        return await self._documents.slice(wanted, keep=keep)

    async def list(self, account_id: str, *, type: str) -> Sequence[Document]:
        """Return all live documents of a type."""
        return await self._documents.list(account_id, type=type)

    # --- writing ------------------------------------------------------------------------------------

    async def create(self, place: Place, data: Json, *, document_id: str = "") -> Document:
        """Store a new document; an id in data is ignored. Raises InvalidDocument, StorageLost.

        document_id is for types whose ids mean something (a number); RevisionConflict if it is taken.
        """
        new_id = document_id or self._random.hex(ID_DIGITS)
        document = self._new(place.type, place.account_id, new_id, data)
        return await self._save(document, place.realm, before=None)

    async def create_account(
        self, data: Json, *, private: Json, parent: Json | None = None, account_id: str = ""
    ) -> Document:
        """Store a new account. Raises InvalidDocument, StorageLost."""
        new_id = account_id or self._random.hex(ID_DIGITS)
        document = self._new("account", new_id, new_id, data)
        document.private = private
        return await self._save(document, "", before=None, parent=parent)

    async def replace(
        self, place: Place, document_id: str, data: Json, *, precondition: Precondition = no_precondition
    ) -> Document:
        """Replace all public fields. Raises UnknownDocument, InvalidDocument, RevisionConflict, StorageLost.

        What was made up at creation (realm, SIP credentials) stays unless data says otherwise: a phone
        would fall silent because its form has no such field.
        """
        stored = await self.read(place.account_id, document_id, type=place.type)
        kept = _with_made_up(data, stored)
        return await self._save(self._changed(stored, kept), place.realm, before=stored, check=precondition)

    async def patch(
        self, place: Place, document_id: str, data: Json, *, precondition: Precondition = no_precondition
    ) -> Document:
        """Merge into the stored fields; null removes. Raises as replace does."""
        stored = await self.read(place.account_id, document_id, type=place.type)
        changed = self._changed(stored, merge(stored.data, data))
        return await self._save(changed, place.realm, before=stored, check=precondition)

    async def delete(
        self,
        place: Place,
        document_id: str,
        *,
        for_good: bool = False,
        precondition: Precondition = no_precondition,
    ) -> Document:
        """Delete a document and return it. Raises UnknownDocument, RevisionConflict, StorageLost."""
        stored = await self.read(place.account_id, document_id, type=place.type)
        precondition(stored)
        gone = msgspec.structs.replace(stored, deleted=True, modified_at=self._clock.epoch())
        if for_good:
            await self._writes.remove(gone, stored)
            return gone
        return await self._writes.put(gone, place.realm, before=stored)

    async def keep_private(self, document: Document, private: Json, *, realm: str = "") -> Document:
        """Replace what clients never see of a document. Raises RevisionConflict, StorageLost."""
        changed = msgspec.structs.replace(document, private=private, modified_at=self._clock.epoch())
        return await self._writes.put(changed, realm, before=document)

    async def save_all(
        self, place: Place, wanted: Sequence[tuple[Json, Document | None]]
    ) -> Sequence[Document]:
        """Store several documents in one step, all or none: the data of each, and what is stored now, if any.

        For types that need no completion. Raises InvalidDocuments, RevisionConflict, StorageLost.
        """
        changes: list[Change] = []
        faults: dict[int, Faults] = {}
        for number, (data, before) in enumerate(wanted):
            if before is None:
                document = self._new(place.type, place.account_id, self._random.hex(ID_DIGITS), data)
            else:
                document = self._changed(before, data)
            document.data, wrong = await self._checks.validated(document, before)
            changes.append((document, before))
            if wrong:
                faults[number] = wrong
        if faults:
            raise InvalidDocuments(faults)
        return await self._writes.put_all(changes, place.realm)

    # --- how a write is made ------------------------------------------------------------------------

    def _new(self, type: str, account_id: str, document_id: str, data: Json) -> Document:
        now = self._clock.epoch()
        return Document(
            id=document_id, account_id=account_id, type=type, data=data, created_at=now, modified_at=now
        )

    def _changed(self, stored: Document, data: Json) -> Document:
        return msgspec.structs.replace(stored, data=data, modified_at=self._clock.epoch())

    async def _save(
        self,
        document: Document,
        realm: str,
        *,
        before: Document | None,
        parent: Json | None = None,
        check: Precondition = no_precondition,
    ) -> Document:
        data, faults = await self._checks.validated(document, before)
        if faults:
            raise InvalidDocument(faults)
        password = data.pop("password", None) if document.type == "user" else None
        document.data = self._completed(document.type, data, realm, parent)
        if before is not None:
            check(before)
        if isinstance(password, str):
            await self._keep_password(document, password)
        elif document.type == "user" and "username" not in data:
            document.private = {}  # nobody logs in without a name
        if document.type == "webhook":
            document.private = webhook_private(
                document.private, document.data, make_secret=partial(new_signing_secret, self._random)
            )
        return await self._writes.put(document, realm, before=before)

    def _completed(self, type: str, data: Json, realm: str, parent: Json | None) -> Json:
        if type == "account":
            return complete_account(data, random=self._random, realm_suffix=self._realm_suffix, parent=parent)
        if type == "device":
            return complete_device(data, random=self._random, realm=realm)
        return data

    async def _keep_password(self, document: Document, password: str) -> None:
        """Store what logins are compared with; older tokens of the user die."""
        username = str(document.data["username"])
        document.private = {
            **document.private,
            "credentials": await self._passwords.credentials(document.account_id, username, password),
            "identity": self._random.hex(32),
        }
        document.private.pop("reset", None)  # a link that was sent is of no use any more


def _with_made_up(data: Json, stored: Document) -> Json:
    if stored.type == "account":
        return {"realm": stored.data.get("realm")} | data
    sip = data.get("sip", {})
    if stored.type != "device" or not isinstance(sip, dict):
        return data
    known = stored.data.get("sip", {})
    made_up = {name: known[name] for name in ("username", "password") if name in known}
    return data | {"sip": made_up | sip}
