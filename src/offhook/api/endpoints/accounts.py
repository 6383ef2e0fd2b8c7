"""Accounts: the document, the tree, the API key (kazoo-behaviour 3.6, 7.1)."""

from offhook.api.envelope import Reply, document_reply, public
from offhook.api.errors import field_fault, precondition_failed
from offhook.api.lists import ListOf, document_list, whole_list
from offhook.api.request import Request
from offhook.api.routing import Route
from offhook.app.accounts import Accounts, expires_gregorian_s
from offhook.app.errors import NotAllowed
from offhook.directory.model import Document, Json
from offhook.directory.ordering import CHILDREN, DESCENDANTS
from offhook.kernel import gregorian_s

from .collections import ACCOUNT_ITEM, Collection, deleted_reply, if_match


class AccountEndpoints(Collection):
    """`/accounts` and what hangs below an account that is not a document of its own."""

    type = "account"
    noun = "accounts"

    async def create_below_caller(self, request: Request) -> Reply:
        """PUT without an id: create a child of the caller's account."""
        account_id = request.caller.account_id
        parent = await self.services.documents.read(account_id, account_id, type="account")
        return await self._create_child(request, parent)

    async def create_below(self, request: Request) -> Reply:
        """PUT to an account: create a child of it."""
        return await self._create_child(request, request.target)

    async def _create_child(self, request: Request, parent: Document) -> Reply:
        self.check_write(request, "")
        if "if-match" in request.headers:
            raise precondition_failed()
        document = await self.services.accounts.create_child(parent, request.data)
        reply = document_reply(document, await self.shown(request, document))
        reply.location = f"/{request.segments[0]}/accounts/{document.id}"
        return reply

    async def read(self, request: Request) -> Reply:
        """GET of the account."""
        return document_reply(request.target, await self.shown(request, request.target))

    async def delete(self, request: Request) -> Reply:
        """DELETE of the account with all it owns, pictures and sounds too."""
        self.check_write(request, request.account_id)
        documents = self.services.documents
        users, media = [await documents.list(request.account_id, type=type) for type in ("user", "media")]
        gone = await self.services.accounts.delete(request.target, precondition=if_match(request))
        for user in users:
            await self.services.photos.remove(user.id)
        for sound in media:
            await self.services.media.forget(request.account_id, sound.id)
        return deleted_reply(gone)

    def check_write(self, request: Request, document_id: str) -> None:
        """Keep plain users off accounts, and an account off its own `enabled`."""
        caller = request.caller
        if not caller.is_admin:
            raise NotAllowed
        is_own = document_id == caller.account_id and not caller.is_master
        if is_own and (request.data.get("enabled", True) is not True or request.method == "DELETE"):
            raise NotAllowed

    async def shown(self, request: Request, document: Document) -> Json:
        """Add what KAZOO shows read-only; the API key only when asked for, and to administrators."""
        tree = document.private.get("tree", ())
        caller = request.caller
        accounts = self.services.accounts
        data: Json = {
            "enabled": True,
            **public(document),
            "created": gregorian_s(document.created_at),
            "is_reseller": accounts.is_reseller(document),
            "superduper_admin": document.id == self.services.accounts.master_account_id,
            "wnm_allow_additions": False,
        }
        if tree:
            data["reseller_id"] = await accounts.reseller_of(document)
        expires = expires_gregorian_s(document)
        if expires is not None:
            data["trial_time_left"] = expires - gregorian_s(self.services.clock.epoch())
        data["billing_mode"] = _billing_mode(data.get("reseller_id"), caller.account_id, accounts)
        if caller.is_admin and request.is_true("include_api_key"):
            data["api_key"] = document.private.get("api_key", "")
        return data

    def document_id(self, request: Request) -> str:
        """Return the id in the path."""
        return request.account_id

    # --- tree ---------------------------------------------------------------------------------------

    async def children(self, request: Request) -> Reply:
        """GET of the accounts directly below."""
        return await self._accounts(request, ListOf(CHILDREN, request.account_id))

    async def descendants(self, request: Request) -> Reply:
        """GET of all accounts below."""
        return await self._accounts(request, ListOf(DESCENDANTS, request.account_id))

    async def siblings(self, request: Request) -> Reply:
        """GET of the accounts beside it; only for callers above it."""
        if request.caller.account_id == request.account_id and not request.caller.is_master:
            return whole_list(request, [])
        tree = request.target.private.get("tree")
        if not tree:
            return whole_list(request, [])
        return await self._accounts(request, ListOf(CHILDREN, tree[-1]), without=request.account_id)

    async def parents(self, request: Request) -> Reply:
        """GET of the ancestors that the caller may address, root first."""
        found = await self.services.accounts.parents(request.target)
        reachable = [parent for parent in found if self.services.auth.reaches(request.caller, parent)]
        items = [{"id": parent.id, "name": parent.data.get("name", "")} for parent in reachable]
        return whole_list(request, items)

    async def _accounts(self, request: Request, wanted: ListOf, *, without: str = "") -> Reply:
        keep = (lambda account: account.id != without) if without else None
        return await document_list(
            request, self.services.documents, wanted, account_summary, keep=keep, complete=self.count_below
        )

    async def count_below(self, items: list[Json]) -> None:
        """Add to accounts of a list how many are below each."""
        for item in items:
            item["descendants_count"] = await self.services.accounts.descendants_count(item["id"])

    async def move(self, request: Request) -> Reply:
        """POST …/move `{"to": id}`: another parent. For the master account."""
        self._only_master(request)
        target = request.value("to")
        if not isinstance(target, str) or not target:
            raise field_fault("to", "required", "Field is required but missing", value="to")
        moved = await self.services.accounts.move(request.target, target)
        return document_reply(moved, await self.shown(request, moved))

    async def promote(self, request: Request) -> Reply:
        """PUT …/reseller: accounts made below it name it as their reseller. For the master account."""
        return await self._set_reseller(request, is_reseller=True)

    async def demote(self, request: Request) -> Reply:
        """DELETE …/reseller."""
        return await self._set_reseller(request, is_reseller=False)

    async def _set_reseller(self, request: Request, *, is_reseller: bool) -> Reply:
        self._only_master(request)
        account = await self.services.accounts.set_reseller(request.target, is_reseller=is_reseller)
        return document_reply(account, await self.shown(request, account))

    async def expire(self, request: Request) -> Reply:
        """POST …/trial `{"expires": Gregorian seconds, or null}`: for accounts above, never for one's own.

        KAZOO has no endpoint for it: there it is written into the database.
        """
        caller = request.caller
        if not caller.is_admin or caller.account_id == request.account_id:
            raise NotAllowed
        if "expires" not in request.data:
            raise field_fault("expires", "required", "Field is required but missing", value="expires")
        expires = request.data["expires"]
        if expires is not None and (not isinstance(expires, int) or isinstance(expires, bool) or expires < 0):
            text = "Value did not match type(s): integer, null"
            raise field_fault("expires", "type", text, target="integer", value=str(expires)[:40])
        account = await self.services.accounts.set_expiry(request.target, expires)
        return document_reply(account, await self.shown(request, account))

    def _only_master(self, request: Request) -> None:
        if not (request.caller.is_master and request.caller.is_admin):
            raise NotAllowed

    # --- API key ------------------------------------------------------------------------------------

    async def read_api_key(self, request: Request) -> Reply:
        """GET of the API key."""
        if not request.caller.is_admin:
            raise NotAllowed
        return Reply(data={"api_key": request.target.private.get("api_key", "")})

    async def rotate_api_key(self, request: Request) -> Reply:
        """PUT: a new API key."""
        if not request.caller.is_admin:
            raise NotAllowed
        return Reply(data={"api_key": await self.services.accounts.rotate_api_key(request.target)})

    def routes(self) -> list[Route]:
        """Return the routes of accounts."""
        return [
            Route("accounts", {"PUT": self.create_below_caller}),
            Route(
                ACCOUNT_ITEM,
                {
                    "GET": self.read,
                    "PUT": self.create_below,
                    "POST": self.replace,
                    "PATCH": self.patch,
                    "DELETE": self.delete,
                },
            ),
            Route(f"{ACCOUNT_ITEM}/children", {"GET": self.children}),
            Route(f"{ACCOUNT_ITEM}/descendants", {"GET": self.descendants}),
            Route(f"{ACCOUNT_ITEM}/siblings", {"GET": self.siblings}),
            Route(f"{ACCOUNT_ITEM}/parents", {"GET": self.parents}),
            Route(f"{ACCOUNT_ITEM}/tree", {"GET": self.parents}),
            Route(f"{ACCOUNT_ITEM}/ancestors", {"GET": self.parents}),
            Route(f"{ACCOUNT_ITEM}/move", {"POST": self.move}),
            Route(f"{ACCOUNT_ITEM}/trial", {"POST": self.expire}),
            Route(f"{ACCOUNT_ITEM}/reseller", {"PUT": self.promote, "DELETE": self.demote}),
            Route(f"{ACCOUNT_ITEM}/api_key", {"GET": self.read_api_key, "PUT": self.rotate_api_key}),
        ]


def account_summary(document: Document) -> Json:
    """Return an account as lists show it."""
    data = document.data
    return {
        "id": document.id,
        "name": data.get("name", ""),
        "realm": data.get("realm", ""),
        "flags": data.get("flags", []),
    }


def _billing_mode(reseller_id: str | None, caller_id: str, accounts: Accounts) -> str:
    """Return who is billed: by KAZOO's words, seen from the caller."""
    if reseller_id == caller_id:
        return "limits_only"
    return "normal" if reseller_id in (None, accounts.master_account_id) else "manual"
