"""Logins and tokens (kazoo-behaviour 3.1 to 3.3)."""

from typing import Final

from offhook.api import audit
from offhook.api.envelope import Reply
from offhook.api.errors import fault, field_fault, plain
from offhook.api.request import Request
from offhook.api.routing import Access, Route
from offhook.api.services import ApiServices
from offhook.app.auth import Login
from offhook.app.errors import InvalidDocument
from offhook.app.tokens import Principal
from offhook.directory.model import Document, Json
from offhook.directory.validation import validate

from .collections import ACCOUNT_ITEM

RECOVERY_ANSWER: Final = "if this user exists and has an e-mail address, a link was sent to it"


class Logins:
    """`/user_auth`, `/api_auth`, `/token_auth`."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services

    async def user_login(self, request: Request) -> Reply:
        """PUT /user_auth: a token for a user."""
        data = _checked("user_auth", request.data)
        return await self._token(await self._services.auth.user_login(data, address=request.address))

    async def api_login(self, request: Request) -> Reply:
        """PUT /api_auth: a token for an account. An unknown key is 404 as KAZOO's, but is not echoed."""
        data = _checked("api_auth", request.data)
        login = await self._services.auth.api_login(data["api_key"], address=request.address)
        if login is None:
            raise plain(404, "bad identifier", [])
        return await self._token(login)

    async def ask_for_recovery(self, request: Request) -> Reply:
        """PUT /user_auth/recovery: a mail with a link, if there is such a user; the answer does not tell."""
        recovery = self._services.recovery
        if not recovery.is_available:
            raise field_fault("recovery", "disabled", "password recovery is not set up on this server")
        data = _checked("user_auth_recovery", request.data)
        if not recovery.may_lead_to(data["ui_url"]):
            raise field_fault(
                "ui_url", "invalid", "not a page of this installation", value=data["ui_url"][:200]
            )
        recovery.request(data, data["ui_url"])
        return Reply(data=RECOVERY_ANSWER)

    async def recover(self, request: Request) -> Reply:
        """POST /user_auth/recovery `{"reset_id": …}`: log in once with what the link brought."""
        reset_id = request.value("reset_id")
        if not isinstance(reset_id, str) or not reset_id:
            raise field_fault("reset_id", "required", "Field is required but missing", value="reset_id")
        return await self._token(await self._services.recovery.take(reset_id))

    async def impersonate(self, request: Request) -> Reply:
        """PUT /accounts/{account}/users/{user}/user_auth: the master's administrators become that user."""
        user = await self._services.documents.read(request.account_id, request.arguments["id"], type="user")
        action = request.value("action")
        if action != "impersonate_user":
            raise field_fault(
                "action", "enum", "Value not found in enumerated list of values",
                target=["impersonate_user"], value=str(action)[:100],
            )  # fmt: skip
        login = self._services.auth.impersonate(request.caller, request.target, user)
        audit.impersonated(request, user.id)
        return await self._token(login)

    async def token_info(self, request: Request) -> Reply:
        """GET /auth/tokeninfo: what the token says."""
        return Reply(data=self._services.auth.token_info(request.caller))

    async def read_token(self, request: Request) -> Reply:
        """GET /token_auth: whose token this is."""
        return await self._whose(request, request.caller)

    async def read_user_token(self, request: Request) -> Reply:
        """GET /user_auth/{token}: the same, for the token in effect only."""
        if request.arguments["token"] != request.caller.token:
            raise fault("invalid_credentials")
        return await self._whose(request, request.caller)

    async def delete_token(self, request: Request) -> Reply:
        """DELETE /token_auth: the token is dead from now on."""
        await self._services.auth.revoke(request.caller)
        return Reply(data={})

    async def _whose(self, request: Request, principal: Principal) -> Reply:
        documents = self._services.documents
        account = await documents.read(principal.account_id, principal.account_id, type="account")
        user = None
        if principal.owner_id:
            user = await documents.read(principal.account_id, principal.owner_id, type="user")
        data = await self._auth_data(account, user)
        return Reply(data={**data, "method": principal.method, "id": principal.token_id})

    async def _auth_data(self, account: Document, user: Document | None) -> Json:
        accounts = self._services.accounts
        data = auth_data(account, user)
        data["is_reseller"] = accounts.is_reseller(account)
        data["reseller_id"] = await accounts.reseller_of(account)
        return data

    async def _token(self, login: Login) -> Reply:
        return Reply(
            data=await self._auth_data(login.account, login.user),
            revision="automatic",
            auth_token=login.principal.token,
        )

    def routes(self) -> list[Route]:
        """Return the routes of logins and tokens."""
        return [
            Route("user_auth", {"PUT": self.user_login}, Access.OPEN, is_login=True),
            Route(
                "user_auth/recovery",
                {"PUT": self.ask_for_recovery, "POST": self.recover},
                Access.OPEN,
                is_login=True,
            ),
            Route("api_auth", {"PUT": self.api_login}, Access.OPEN, is_login=True),
            Route("token_auth", {"GET": self.read_token, "DELETE": self.delete_token}),
            Route("user_auth/{token}", {"GET": self.read_user_token}),
            Route("auth/tokeninfo", {"GET": self.token_info}),
            Route(f"{ACCOUNT_ITEM}/users/{{id}}/user_auth", {"PUT": self.impersonate}),
        ]


def auth_data(account: Document, user: Document | None) -> Json:
    """Return what a login tells."""
    data: Json = {
        "account_id": account.id,
        "account_name": account.data.get("name", ""),
        "language": (user.data.get("language") if user else None) or account.data.get("language", "en-us"),
        "apps": [],
        "cluster_id": "",
        "capabilities": {"voicemail": {"transcription": {"available": False, "default": False}}},
    }
    if user is not None:
        data["owner_id"] = user.id
    return data


def _checked(schema: str, data: Json) -> Json:
    cleaned, faults = validate(schema, data)
    if faults:
        raise InvalidDocument(faults)
    return cleaned
