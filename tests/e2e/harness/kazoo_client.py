"""A client of KAZOO's API, written from its documentation: what integrators have."""

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

from .waiting import wait_for

Json = dict[str, Any]

TIMEOUT_S: Final = 90.0
"""Longer than a blocking request waits."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    envelope: Json
    headers: Mapping[str, str] = field(repr=False)

    @property
    def data(self) -> Any:
        """The `data` of the envelope."""
        return self.envelope.get("data")

    def expect(self, *statuses: int) -> "Answer":
        """Return itself if the status is one of these. Raises AssertionError otherwise."""
        assert self.status in statuses, f"expected {statuses}, got {self.status}: {self.envelope}"
        return self


class KazooClient:
    """HTTP with KAZOO's envelope and token. Safe to use from several threads after login."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.host, self.port, self._tls = host, port, tls
        self.token = ""
        self.account_id = ""

    def login(self, api_key: str) -> None:
        """Get a token for the account that has this API key."""
        answer = self.request("PUT", "/v2/api_auth", {"api_key": api_key}).expect(201)
        self.token = answer.envelope["auth_token"]
        self.account_id = answer.data["account_id"]

    def request(
        self,
        method: str,
        path: str,
        data: Json | None = None,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        anonymous: bool = False,
    ) -> Answer:
        """Send one request; `body` goes out as it is, in place of an envelope around `data`."""
        if body is None and data is not None:
            body = json.dumps({"data": data}).encode()
        sent = {"content-type": "application/json"} if body is not None else {}
        if self.token and not anonymous:
            sent["x-auth-token"] = self.token
        target = path + (f"?{urlencode(query)}" if query else "")
        connection = self._connection()
        try:
            connection.request(method, target, body, {**sent, **(headers or {})})
            response = connection.getresponse()
            return _parse(response.status, response.read(), dict(response.getheaders()))
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
        return http.client.HTTPSConnection(self.host, self.port, timeout=TIMEOUT_S, context=self._tls)

    def create_account(self, name: str, realm: str) -> "Account":
        """Create a child account."""
        path = f"/v2/accounts/{self.account_id}"
        answer = self.request("PUT", path, {"name": name, "realm": realm}).expect(201)
        return Account(self, answer.data["id"], realm)


class Account:
    """One account, in the words of somebody who sets up telephones."""

    def __init__(self, client: KazooClient, account_id: str, realm: str) -> None:
        self.client = client
        self.id = account_id
        self.realm = realm

    def path(self, *parts: str) -> str:
        """Return the path of something in this account."""
        return "/".join(["/v2/accounts", self.id, *(quote(part, safe="") for part in parts)])

    def get(self, *parts: str, **query: str) -> Any:
        """Return the data of something in this account."""
        return self.client.request("GET", self.path(*parts), query=query).expect(200).data

    def create(self, collection: str, document: Json) -> str:
        """Create a document; return its id."""
        answer = self.client.request("PUT", self.path(collection), document).expect(201)
        return str(answer.data["id"])

    def create_phone(self, username: str, password: str, **more: Any) -> str:
        """Create a device that registers with digest; return its id."""
        return self.create(
            "devices", {"name": username, "sip": {"username": username, "password": password}, **more}
        )

    def create_static_phone(self, name: str, uri: str, **more: Any) -> str:
        """Create a device that is always reached at one SIP URI; return its id."""
        sip = {"username": name, "password": "never-used", "invite_format": "route", "route": uri}
        return self.create("devices", {"name": name, "sip": sip, **more})

    def create_extension(self, number: str, device_id: str, *, timeout: int = 20) -> None:
        """Let a number ring a device."""
        flow = {"module": "device", "data": {"id": device_id, "timeout": timeout}, "children": {}}
        self.create("callflows", {"numbers": [number], "flow": flow})

    def create_button(self, extension: str, **more: Any) -> str:
        """Create a click-to-call button; return its id."""
        return self.create("clicktocall", {"name": f"Call {extension}", "extension": extension, **more})

    def connect(self, button_id: str, contact: str, **query: str) -> str:
        """Press the button without waiting; return the call id."""
        path = self.path("clicktocall", button_id, "connect")
        answer = self.client.request("GET", path, query={"contact": contact, **query}).expect(202)
        return str(answer.data["call_id"])

    def quickcall(self, device_id: str, number: str, *, method: str = "GET", **query: str) -> Answer:
        """Let a device call a number."""
        return self.client.request(method, self.path("devices", device_id, "quickcall", number), query=query)

    def call(self, call_id: str) -> Json:
        """Return the call as it stands now."""
        return dict(self.get("calls", call_id))

    def wait_for_outcome(self, call_id: str, *, timeout_s: float = 20.0) -> Json:
        """Return the call once it is over, with every leg."""
        return wait_for(
            lambda: call if (call := self.call(call_id))["state"] == "ended" else None,
            timeout_s=timeout_s,
            what=f"the outcome of {call_id}",
        )

    def wait_for_time(self, call_id: str, milestone: str, *, timeout_s: float = 10.0) -> Json:
        """Return the call once it has passed a milestone: `second_ringing`, `bridged`."""
        return wait_for(
            lambda: call if milestone in (call := self.call(call_id)).get("times", {}) else None,
            timeout_s=timeout_s,
            what=f"{call_id} to be {milestone}",
        )

    def hang_up(self, call_id: str) -> None:
        """End a call from outside."""
        self.client.request("DELETE", self.path("calls", call_id)).expect(200, 202, 204)

    def history(self, button_id: str, call_id: str) -> list[Json]:
        """Return the history items of a call."""
        items = self.get("clicktocall", button_id, "history", paginate="false")
        return [item for item in items if item.get("call_id") == call_id]

    def cdrs(self, interaction_id: str) -> list[Json]:
        """Return the CDRs of an interaction, in full."""
        answer = self.client.request("GET", self.path("cdrs", "legs", interaction_id))
        return list(answer.data) if answer.status == 200 else []

    def registered(self) -> list[str]:
        """Return the SIP user names that are registered now."""
        return [str(item["username"]) for item in self.get("registrations")]

    def wait_registered(self, *usernames: str, timeout_s: float = 10.0) -> None:
        """Return once all of them are registered."""
        wait_for(
            lambda: set(usernames) <= set(self.registered()),
            timeout_s=timeout_s,
            what=f"{', '.join(usernames)} to register",
        )


def _parse(status: int, body: bytes, headers: Mapping[str, str]) -> Answer:
    lower = {name.lower(): value for name, value in headers.items()}
    envelope = json.loads(body) if body.strip().startswith(b"{") else {}
    return Answer(status, envelope, lower)
