"""A client of KAZOO's v2 API: one connection per request, nothing but the standard library.

Commands and the conformance kit use it; it knows nothing of the server's insides.
"""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

Json = dict[str, Any]

TIMEOUT_S: Final = 90.0
"""Longer than a blocking connect or quickcall waits."""

ANSWER_MAX_BYTES: Final = 64_000_000
"""Ten thousand CDRs, the longest list, have some 15 MB."""

EVENT_MAX_BYTES: Final = 1_000_000
"""A line of a stream of events; a call's have about 1 KB."""


class ApiUnreachable(Exception):
    """No answer came: wrong address, refused, too late, or no HTTP."""


class ApiRefused(Exception):
    """The server answered, but not what was hoped for."""

    def __init__(self, answer: "Answer") -> None:
        super().__init__(answer.status)
        self.answer = answer

    def __str__(self) -> str:
        return f"{self.answer.status} {self.answer.told}"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: bytes = field(repr=False)

    @property
    def envelope(self) -> Json:
        """The JSON object of the body, or an empty one."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def data(self) -> Any:
        """The `data` of the envelope."""
        return self.envelope.get("data")

    @property
    def told(self) -> str:
        """What an error says, in a line."""
        envelope = self.envelope
        data = envelope.get("data")
        if envelope.get("message") == "validation error" and isinstance(data, dict):
            return "; ".join(_fault(path, codes) for path, codes in data.items())
        return str(envelope.get("message", ""))


def _fault(path: str, codes: Any) -> str:
    details: Any = next(iter(codes.values()), {}) if isinstance(codes, dict) else codes
    return f"{path}: {details.get('message', '') if isinstance(details, dict) else details}"


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event."""

    id: str
    name: str
    data: Json


class ApiClient:
    """Speaks to one server; with a token once it is logged in."""

    def __init__(self, target: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """target is the server's address, with or without `/v2`. Raises ValueError."""
        parts = urlsplit(target if "//" in target else f"http://{target}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{target!r} is no http(s) address")
        self._is_tls = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        path = parts.path.rstrip("/")
        self._base = path.removesuffix("/v2")
        self._timeout_s = timeout_s
        self.token = ""
        self.account_id = ""

    def login(self, api_key: str) -> Self:
        """Get a token for the account of an API key. Raises ApiRefused, ApiUnreachable."""
        answer = self.request("PUT", "/v2/api_auth", {"api_key": api_key}, token="")
        if answer.status != 201:
            raise ApiRefused(answer)
        self.token = str(answer.envelope.get("auth_token", ""))
        self.account_id = str(answer.data.get("account_id", ""))
        return self

    def take_token(self, token: str) -> Self:
        """Use a token that is there already. Raises ApiRefused, ApiUnreachable."""
        self.token = token
        self.account_id = str(self.get("/v2/token_auth").get("account_id", ""))
        return self

    def get(self, path: str, **query: str) -> Any:
        """Return the data of an answer. Raises ApiRefused, ApiUnreachable."""
        answer = self.request("GET", path, query=query)
        if answer.status >= 300:
            raise ApiRefused(answer)
        return answer.data

    def request(
        self,
        method: str,
        path: str,
        data: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        token: str | None = None,
    ) -> Answer:
        """Send one request; data goes into the envelope, body goes out as it is. Raises ApiUnreachable."""
        connection = self._connection()
        try:
            response = self._ask(connection, method, path, data, query, headers, body, token)
            content = response.read(ANSWER_MAX_BYTES)
            lower = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, lower, content)
        except (OSError, http.client.HTTPException) as error:
            raise ApiUnreachable(f"{self._host}: {error}") from None
        finally:
            connection.close()

    def events(self, path: str, *, after: str = "", timeout_s: float | None = None) -> Iterator[Event]:
        """Yield the events of a stream until it ends. Raises ApiRefused, ApiUnreachable."""
        connection = self._connection(timeout_s)
        headers = {"accept": "text/event-stream"} | ({"last-event-id": after} if after else {})
        try:
            response = self._ask(connection, "GET", path, None, None, headers, None, None)
            if response.status == 204:
                return
            if response.status != 200:
                lower = {name.lower(): value for name, value in response.getheaders()}
                raise ApiRefused(Answer(response.status, lower, response.read(ANSWER_MAX_BYTES)))
            yield from _events(response)
        except (OSError, http.client.HTTPException) as error:
            raise ApiUnreachable(f"{self._host}: {error}") from None
        finally:
            connection.close()

    def _connection(self, timeout_s: float | None = None) -> http.client.HTTPConnection:
        timeout = self._timeout_s if timeout_s is None else timeout_s
        if not self._is_tls:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=context)

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        data: Any,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        token: str | None,
    ) -> http.client.HTTPResponse:
        sent: dict[str, str] = {}
        if body is None and data is not None:
            body = json.dumps({"data": data}).encode()
            sent["content-type"] = "application/json"
        used = self.token if token is None else token
        if used:
            sent["x-auth-token"] = used
        target = self._base + path + (f"?{urlencode(query)}" if query else "")
        connection.request(method, target, body, {**sent, **(headers or {})})
        return connection.getresponse()


def _events(response: http.client.HTTPResponse) -> Iterator[Event]:
    fields: dict[str, str] = {}
    while line := response.readline(EVENT_MAX_BYTES):
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text:
            name, _, value = text.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            yield Event(fields.get("id", ""), fields.get("event", "message"), _object(fields["data"]))
        fields = {}


def _object(text: str) -> Json:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
