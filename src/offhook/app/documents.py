"""Reading and writing documents: completed, validated, keyed, revised (kazoo-behaviour 7 and 12.6)."""

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from offhook.delivery import webhook_private
from offhook.directory import (
    Document,
    DocumentKey,
    Faults,
    IsPlayable,
    Json,
    complete_account,
    complete_device,
    document_keys,
    list_keys,
    merge,
    taken_fault,
    validate,
)
from offhook.kernel import Clock, Random

from .errors import InvalidDocument, KeyTaken, RevisionConflict, UnknownDocument
from .outbox import NO_DOCUMENT_OUTBOX, DocumentOutbox
from .passwords import Passwords
from .ports import DocumentRange, DocumentSlice, DocumentWrite, Store

ID_DIGITS: Final = 32

MEDIA_ID: Final = re.compile(r"[0-9a-f]{32}\Z")
"""Ids of media documents; other names are files that the operator put into the media folder."""

REALM_ATTEMPTS: Final = 3
"""A device that is changed while its account gets a new realm is read again; thrice is no accident."""

Precondition = Callable[[Document], None]
"""Raises if the stored document is not the one the client means (If-Match)."""

Observer = Callable[[Document, Document | None], None]
"""Told of a document after it was stored, and of what it was before."""


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
        self._clock = clock
        self._random = random
        self._passwords = passwords
        self._realm_suffix = realm_suffix
        self._is_playable = is_playable
        self._observers: list[Observer] = []
        self._outbox: DocumentOutbox = NO_DOCUMENT_OUTBOX

    def fill(self, outbox: DocumentOutbox) -> None:
        """Store with every document what webhooks are to be told of it."""
        self._outbox = outbox

    def observe(self, observer: Observer) -> None:
        """Call observer after every write (caches forget what they knew)."""
        self._observers.append(observer)

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
            await self._remove(gone, stored)
            return gone
        return await self._put(gone, place.realm, before=stored)

    async def keep_private(self, document: Document, private: Json, *, realm: str = "") -> Document:
        """Replace what clients never see of a document. Raises RevisionConflict, StorageLost."""
        changed = msgspec.structs.replace(document, private=private, modified_at=self._clock.epoch())
        return await self._put(changed, realm, before=document)

    def tell(self, document: Document, before: Document | None) -> None:
        """Let the observers know of a write."""
        for observer in self._observers:
            observer(document, before)

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
        data, faults = await self._validated(document)
        password = data.pop("password", None) if document.type == "user" else None
        if document.type == "user" and not faults:
            faults = password_faults(data, password, before)
        if faults:
            raise InvalidDocument(faults)
        document.data = self._completed(document.type, data, realm, parent)
        if before is not None:
            check(before)
        if isinstance(password, str):
            await self._keep_password(document, password)
        elif document.type == "user" and "username" not in data:
            document.private = {}  # nobody logs in without a name
        if document.type == "webhook":
            document.private = webhook_private(
                document.private, document.data, make_secret=self._signing_secret
            )
        if before is not None and _changes_realm(document, before):
            return await self._put_with_devices(document, before)
        return await self._put(document, realm, before=before)

    def _signing_secret(self) -> str:
        """Return a key in the form of Standard Webhooks: 24 random bytes."""
        return "whsec_" + b64encode(bytes.fromhex(self._random.hex(48))).decode()

    async def _validated(self, document: Document) -> tuple[Json, Faults]:
        """Validate; media ids must be those of the account's own uploads.

        They are taken on trust first: most documents name none, and looking for one takes a wait.
        """
        asked: set[str] = set()

        def is_playable(text: str, known: frozenset[str] | None = None) -> bool:
            if MEDIA_ID.match(text):
                asked.add(text)
                return known is None or text in known
            return self._is_playable is None or self._is_playable(text)

        result = validate(document.type, document.data, is_playable=is_playable)
        if not asked:
            return result
        known = frozenset([id for id in asked if await self._is_own_media(document.account_id, id)])
        return validate(document.type, document.data, is_playable=partial(is_playable, known=known))

    async def may_play(self, account_id: str, media: str) -> bool:
        """Tell whether an account may play a media text: its own upload, a tone, or what everybody has."""
        if MEDIA_ID.match(media):
            return await self._is_own_media(account_id, media)
        return self._is_playable is None or self._is_playable(media)

    async def _is_own_media(self, account_id: str, media_id: str) -> bool:
        found = await self._documents.get(account_id, media_id, type="media")
        return found is not None and found.private.get("uploaded") is True

    def _completed(self, type: str, data: Json, realm: str, parent: Json | None) -> Json:
        if type == "account":
            return complete_account(data, random=self._random, realm_suffix=self._realm_suffix, parent=parent)
        if type == "device":
            return complete_device(data, random=self._random, realm=realm)
        return data

    async def _put(self, document: Document, realm: str, *, before: Document | None) -> Document:
        [stored] = await self._put_all([(document, before)], realm)
        return stored

    async def _put_all(
        self, changes: Sequence[tuple[Document, Document | None]], realm: str
    ) -> Sequence[Document]:
        """Store documents of one account in one step; the first of them is what the client asked for."""
        rows = [
            () if document is before else self._outbox.rows_of_document(document, before)
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
            holder = await self._documents.get(
                changes[0][0].account_id, error.document_id, type=changes[0][0].type
            )
            raise InvalidDocument(taken_fault(error.kind, error.value, holder)) from None
        for document, (_, before) in zip(stored, changes, strict=True):
            self.tell(document, before)
        for outbox in rows:
            self._outbox.stored(outbox)
        return stored

    async def _remove(self, gone: Document, stored: Document) -> None:
        rows = self._outbox.rows_of_document(gone, stored)
        await self._documents.remove(gone.account_id, gone.id, expected_revision=stored.revision, outbox=rows)
        self.tell(gone, stored)
        self._outbox.stored(rows)

    async def _keep_password(self, document: Document, password: str) -> None:
        """Store what logins are compared with; older tokens of the user die."""
        username = str(document.data["username"])
        document.private = {
            **document.private,
            "credentials": await self._passwords.credentials(document.account_id, username, password),
            "identity": self._random.hex(32),
        }
        document.private.pop("reset", None)  # a link that was sent is of no use any more

    async def _put_with_devices(self, account: Document, before: Document) -> Document:
        """Store an account with a new realm and key its devices by it: they register as `username@realm`."""
        for _ in range(REALM_ATTEMPTS - 1):
            with suppress(RevisionConflict):  # somebody changed a device meanwhile
                return await self._try_put_with_devices(account, before)
        return await self._try_put_with_devices(account, before)

    async def _try_put_with_devices(self, account: Document, before: Document) -> Document:
        devices = await self._documents.list(account.id, type="device")
        changes = [(account, before), *((device, device) for device in devices)]
        stored = await self._put_all(changes, str(account.data.get("realm", "")))
        return stored[0]


def keys_of(document: Document, *, realm: str = "") -> list[DocumentKey]:
    """Return every key a document is stored with: to be found by, and to be listed by."""
    return [*document_keys(document, realm=realm), *list_keys(document)]


def _changes_realm(document: Document, before: Document) -> bool:
    return document.type == "account" and document.data.get("realm") != before.data.get("realm")


def password_faults(data: Json, password: object, before: Document | None) -> Faults:
    """Return what is wrong with username and password.

    A password is needed whenever the username is new or changes: the stored digests contain both.
    """
    username = data.get("username")
    had = before.data.get("username") if before is not None else None
    if password is not None and username is None:
        return _required("username")
    if username is not None and username != had and password is None:
        return _required("password")
    return {}


def _required(name: str) -> Faults:
    return {name: {"required": {"message": "Field is required but missing", "value": name}}}


def _with_made_up(data: Json, stored: Document) -> Json:
    if stored.type == "account":
        return {"realm": stored.data.get("realm")} | data
    sip = data.get("sip", {})
    if stored.type != "device" or not isinstance(sip, dict):
        return data
    known = stored.data.get("sip", {})
    made_up = {name: known[name] for name in ("username", "password") if name in known}
    return data | {"sip": made_up | sip}
