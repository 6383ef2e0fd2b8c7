"""The account tree: the master account, children, API keys, removal (kazoo-behaviour 3.4, 3.6, 7.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from offhook.directory.model import Document, Json
from offhook.kernel import Clock, Random, gregorian_s

from .document_writes import keys_of
from .documents import DocumentService, Precondition, no_precondition
from .errors import AppError, InvalidDocument, NotAllowed
from .ports import DocumentWrite, Settings, Store

API_KEY_DIGITS: Final = 64
"""KAZOO's length."""

MASTER_SETTING: Final = "master_account_id"
SECRET_SETTING: Final = "secret"  # noqa: S105 (a name, no secret)

TRIAL_EXPIRES: Final = "trial_expires"

MASTER_NAME: Final = "master"

TREE_DEPTH_MAX: Final = 20
"""Resellers of resellers: five levels are rare. Each level costs a key per account below it."""


MOVED_MAX: Final = 10_000
"""Accounts that change their place in one step: their keys are written within seconds."""


class AccountHasDescendants(AppError):
    """An account with accounts below it cannot be deleted. Maps to KAZOO's 500 of that name."""

    code = "account-has-descendants"


@dataclass(frozen=True, slots=True)
class Master:
    """The account that everything else stands below."""

    account_id: str
    api_key: str
    created: bool
    """True on the very first start: tell the operator the key."""


async def installation_secret(settings: Settings, random: Random) -> str:
    """Return the secret that tokens and stored passwords depend on; made on the first start."""
    return await settings.set_once(SECRET_SETTING, random.hex(64))


async def ensure_master(
    documents: DocumentService,
    store: Store,
    random: Random,
    *,
    api_key: str | None = None,
    realm: str | None = None,
) -> Master:
    """Return the master account, made on the first start with the given API key and realm, if any.

    Safe to repeat after a crash between its two writes, and with several nodes.
    """
    account_id = await store.settings.set_once(MASTER_SETTING, random.hex(32))
    found = await store.documents.get(account_id, account_id, type="account")
    if found is not None:
        return Master(account_id, str(found.private.get("api_key", "")), created=False)
    key = api_key or random.hex(API_KEY_DIGITS)
    data: Json = {"name": MASTER_NAME}
    if realm:
        data["realm"] = realm
    await documents.create_account(data, private={"tree": [], "api_key": key}, account_id=account_id)
    return Master(account_id, key, created=True)


class Accounts:
    """What can be done to accounts beside reading them."""

    def __init__(
        self,
        store: Store,
        documents: DocumentService,
        *,
        clock: Clock,
        random: Random,
        master_account_id: str,
    ) -> None:
        self._store = store
        self._documents = documents
        self._clock = clock
        self._random = random
        self.master_account_id = master_account_id

    async def create_child(self, parent: Document, data: Json) -> Document:
        """Store a new account below another. Raises InvalidDocument, NotAllowed if the tree is too deep."""
        tree = [*_tree(parent), parent.id]
        if len(tree) > TREE_DEPTH_MAX:
            raise NotAllowed
        private: Json = {"tree": tree, "api_key": self._random.hex(API_KEY_DIGITS)}
        return await self._documents.create_account(data, private=private, parent=parent.data)

    async def delete(self, account: Document, *, precondition: Precondition = no_precondition) -> Document:
        """Delete an account and all it owns. Raises AccountHasDescendants, NotAllowed for the master."""
        if account.id == self.master_account_id:
            raise NotAllowed
        if await self.children(account.id):
            raise AccountHasDescendants
        precondition(account)
        await self._store.documents.delete_account(account.id, deleted_at=self._clock.epoch())
        gone = msgspec.structs.replace(account, deleted=True)
        self._documents.tell(gone, account)
        return gone

    async def rotate_api_key(self, account: Document) -> str:
        """Replace the API key and return the new one. Tokens made with the old one live on (as KAZOO's)."""
        key = self._random.hex(API_KEY_DIGITS)
        await self._documents.keep_private(account, {**account.private, "api_key": key})
        return key

    async def move(self, account: Document, parent_id: str) -> Document:
        """Put an account with all below it under another parent, in one step.

        Raises InvalidDocument if the parent is unknown, below the account, or the tree would be too deep or
        too many accounts would move; NotAllowed for the master, RevisionConflict.
        """
        if account.id == self.master_account_id:
            raise NotAllowed
        parent = await self._store.documents.get(parent_id, parent_id, type="account")
        if parent is None:
            raise _bad_target("not_found", "there is no such account", parent_id)
        above = [*_tree(parent), parent.id]
        if account.id in above:
            raise _bad_target("invalid", "an account cannot be moved below itself", parent_id)
        moved = [account, *await self.descendants(account.id)]
        if len(moved) > MOVED_MAX:
            raise _bad_target("maxItems", f"more than {MOVED_MAX} accounts would move", parent_id)
        writes = [_moved(one, account.id, above, self._clock.epoch()) for one in moved]
        if any(len(_tree(write.document)) > TREE_DEPTH_MAX for write in writes):
            raise _bad_target("maxItems", f"the tree would be deeper than {TREE_DEPTH_MAX}", parent_id)
        stored = await self._store.documents.put_all(writes)
        for now, before in zip(stored, moved, strict=True):
            self._documents.tell(now, before)
        return stored[0]

    async def set_reseller(self, account: Document, *, is_reseller: bool) -> Document:
        """Promote or demote: what accounts below it name as their reseller. Raises RevisionConflict."""
        if account.id == self.master_account_id:
            raise NotAllowed
        private = {name: value for name, value in account.private.items() if name != "reseller"}
        if is_reseller:
            private["reseller"] = True
        return await self._documents.keep_private(account, private)

    async def set_expiry(self, account: Document, at_gregorian_s: int | None) -> Document:
        """Let an account end at a time, or never. Raises NotAllowed for the master, RevisionConflict."""
        if account.id == self.master_account_id:
            raise NotAllowed
        private = {name: value for name, value in account.private.items() if name != TRIAL_EXPIRES}
        if at_gregorian_s is not None:
            private[TRIAL_EXPIRES] = at_gregorian_s
        return await self._documents.keep_private(account, private)

    async def descendants_count(self, account_id: str) -> int:
        """Return how many accounts are below."""
        return await self._store.documents.count("ancestor", account_id)

    def is_reseller(self, account: Document) -> bool:
        """Tell whether accounts below it name it as their reseller."""
        return account.id == self.master_account_id or account.private.get("reseller") is True

    async def reseller_of(self, account: Document) -> str:
        """Return the id of the nearest account above that is a reseller; the master if there is none."""
        for ancestor_id in reversed(_tree(account)):
            ancestor = await self._store.documents.get(ancestor_id, ancestor_id, type="account")
            if ancestor is not None and self.is_reseller(ancestor):
                return ancestor_id
        return self.master_account_id

    async def children(self, account_id: str) -> Sequence[Document]:
        """Return the accounts directly below."""
        return await self._store.documents.find("parent", account_id)

    async def descendants(self, account_id: str) -> Sequence[Document]:
        """Return all accounts below."""
        return await self._store.documents.find("ancestor", account_id)

    async def siblings(self, account: Document) -> Sequence[Document]:
        """Return the other accounts of the same parent."""
        tree = _tree(account)
        if not tree:
            return []
        return [child for child in await self.children(tree[-1]) if child.id != account.id]

    async def parents(self, account: Document) -> Sequence[Document]:
        """Return the ancestors, root first."""
        found = [await self._store.documents.get(id, id, type="account") for id in _tree(account)]
        return [ancestor for ancestor in found if ancestor is not None]


def expires_gregorian_s(account: Document) -> int | None:
    """Return when the account's time is over (KAZOO's `pvt_trial_expires`), or None."""
    found = account.private.get(TRIAL_EXPIRES)
    return found if isinstance(found, int) else None


def refuse_closed(account: Document, now: float) -> None:
    """Raise InvalidDocument, in KAZOO's words, if an account is disabled or over. now is Unix seconds."""
    if account.data.get("enabled", True) is False:
        raise InvalidDocument({"account": {"disabled": {"message": "account disabled"}}})
    expires = expires_gregorian_s(account)
    if expires is not None and expires <= gregorian_s(now):
        raise InvalidDocument({"account": {"expired": {"message": "account expired", "cause": expires}}})


def _moved(account: Document, top_id: str, above: list[str], now: float) -> DocumentWrite:
    """Return an account below (or at) the top with the top's new ancestors in place of its old ones."""
    tree = list(_tree(account))
    below = tree[tree.index(top_id) :] if top_id in tree else []
    private = {**account.private, "tree": [*above, *below]}
    document = msgspec.structs.replace(account, private=private, modified_at=now)
    return DocumentWrite(document=document, keys=keys_of(document), expected_revision=account.revision)


def _bad_target(code: str, message: str, parent_id: str) -> InvalidDocument:
    return InvalidDocument({"to": {code: {"message": message, "cause": parent_id[:100]}}})


def _tree(account: Document) -> Sequence[str]:
    tree = account.private.get("tree", ())
    assert isinstance(tree, (list, tuple))
    return tree
