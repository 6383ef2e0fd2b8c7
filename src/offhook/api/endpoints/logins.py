"""Logins and tokens (kazoo-behaviour 3.1 to 3.3)."""

from offhook.api.envelope import Reply
from offhook.api.errors import fault, plain
from offhook.api.request import Request
from offhook.api.routing import LOGIN_COST, Access, Route
from offhook.api.services import ApiServices
from offhook.app.auth import Login
from offhook.app.errors import InvalidDocument
from offhook.app.tokens import Principal
from offhook.directory.model import Document, Json
from offhook.directory.validation import validate


class Logins:
    """`/user_auth`, `/api_auth`, `/token_auth`."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services

    async def user_login(self, request: Request) -> Reply:
        """PUT /user_auth: a token for a user."""
        data = _checked("user_auth", request.data)
        return self._token(await self._services.auth.user_login(data, address=request.address))

    async def api_login(self, request: Request) -> Reply:
        """PUT /api_auth: a token for an account. An unknown key is 404 as KAZOO's, but is not echoed."""
        data = _checked("api_auth", request.data)
        login = await self._services.auth.api_login(data["api_key"], address=request.address)
        if login is None:
            raise plain(404, "bad identifier", [])
        return self._token(login)

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
        data = auth_data(account, user)
        return Reply(data={**data, "method": principal.method, "id": principal.token_id})

    def _token(self, login: Login) -> Reply:
        return Reply(
            data=auth_data(login.account, login.user),
            revision="automatic",
            auth_token=login.principal.token,
        )

    def routes(self) -> list[Route]:
        """Return the routes of logins and tokens."""
        return [
            Route("user_auth", {"PUT": self.user_login}, Access.OPEN, LOGIN_COST),
            Route("api_auth", {"PUT": self.api_login}, Access.OPEN, LOGIN_COST),
            Route("token_auth", {"GET": self.read_token, "DELETE": self.delete_token}),
            Route("user_auth/{token}", {"GET": self.read_user_token}),
        ]


def auth_data(account: Document, user: Document | None) -> Json:
    """Return what a login tells."""
    tree = account.private.get("tree", ())
    data: Json = {
        "account_id": account.id,
        "account_name": account.data.get("name", ""),
        "language": (user.data.get("language") if user else None) or account.data.get("language", "en-us"),
        "apps": [],
        "is_reseller": False,
        "reseller_id": tree[-1] if tree else account.id,
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
