"""The few KAZOO requests the demo makes, as any client would."""

from typing import Any, Self

import aiohttp

from .server import DemoFailed

Json = dict[str, Any]


class Client:
    """Logged in to one account."""

    def __init__(self, http: aiohttp.ClientSession, api: str, token: str, account_id: str) -> None:
        self._http = http
        self._api = api
        self._token = token
        self.account_id = account_id

    @classmethod
    async def log_in(cls, http: aiohttp.ClientSession, api: str, api_key: str) -> Self:
        """Return a client of the account the API key belongs to."""
        async with http.put(f"{api}/api_auth", json={"data": {"api_key": api_key}}) as answer:
            body = await answer.json()
            if answer.status != 201:
                raise DemoFailed(f"login: {answer.status} {body}")
        return cls(http, api, body["auth_token"], body["data"]["account_id"])

    def of_account(self, account_id: str) -> Self:
        """Return a client of an account below, with the same token."""
        return type(self)(self._http, self._api, self._token, account_id)

    def url(self, path: str) -> str:
        """Return the address of something in the account."""
        return f"{self._api}/accounts/{self.account_id}{path}"

    async def put(self, path: str, document: Json) -> Json:
        """Create a document and return it."""
        async with self._http.put(self.url(path), json={"data": document}, headers=self._headers()) as answer:
            created: Json = await self._data(answer, path)
        return created

    async def get(self, path: str, **query: str) -> Any:
        """Return the `data` of an answer."""
        async with self._http.get(self.url(path), params=query, headers=self._headers()) as answer:
            return await self._data(answer, path)

    async def text(self, path: str, **query: str) -> str:
        """Return an answer that is text."""
        async with self._http.get(self.url(path), params=query, headers=self._headers()) as answer:
            return await answer.text()

    async def anonymous(self, path: str, **query: str) -> tuple[int, Json]:
        """Return status and `data` of what a stranger asks: a visitor of a web page."""
        async with self._http.get(self.url(path), params=query) as answer:
            body = await answer.json()
            return answer.status, body.get("data", body)

    def _headers(self) -> dict[str, str]:
        return {"X-Auth-Token": self._token}

    async def _data(self, answer: aiohttp.ClientResponse, path: str) -> Any:
        body = await answer.json()
        if answer.status >= 300:
            raise DemoFailed(f"{path}: {answer.status} {body}")
        return body["data"]
