"""The account tree: the master account, children, API keys, removal (kazoo-behaviour 3.4, 3.6, 7.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from offhook.directory.model import Document, Json
from offhook.kernel import Clock, Random

from .documents import DocumentService, Precondition, no_precondition
from .errors import AppError, NotAllowed
from .ports import Settings, Store

API_KEY_DIGITS: Final = 64
"""KAZOO's length."""

MASTER_SETTING: Final = "master_account_id"
SECRET_SETTING: Final = "secret"  # noqa: S105 (a name, no secret)

MASTER_NAME: Final = "master"

TREE_DEPTH_MAX: Final = 20
"""Resellers of resellers: five levels are rare. Each level costs a key per account below it."""


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


def _tree(account: Document) -> Sequence[str]:
    tree = account.private.get("tree", ())
    assert isinstance(tree, (list, tuple))
    return tree
