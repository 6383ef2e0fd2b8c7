"""`offhook call` and `offhook explain`: a call seen from outside, over the API like any client."""

import json
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final
from urllib.parse import quote

from rich.console import Console
from rich.tree import Tree

from offhook.client import Answer, ApiClient, ApiRefused, ApiUnreachable, Event, Json

EXIT: Final[Mapping[str, int]] = {
    "connected": 0,
    "busy": 10,
    "no_answer": 11,
    "rejected": 12,
    "unreachable": 13,
    "canceled": 14,
    "failed": 15,
    "platform_error": 16,
}
"""Exit status by outcome (design 2.3)."""

RECONNECTS_MAX: Final = 10
"""A stream that breaks so often without a step between has no server behind it."""

_STEPS: Final = {
    "leg_dialed": "is called",
    "leg_ringing": "rings",
    "leg_answered": "answers",
    "bridged": "both are joined",
    "leg_held": "holds, or comes back",
    "leg_ended": "is over",
    "transfer_begun": "a party is being replaced",
    "transfer_failed": "nobody came in its place",
    "linked": "put through to another call",
    "media_played": "hears something once",
    "call_recorded": "recorded, or no more",
}


class Wrong(Exception):
    """Options that do not go together."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where the server is, and who is asking."""

    server: str
    api_key: str
    token: str
    account_id: str = ""

    def client(self) -> ApiClient:
        """Return a client that is logged in. Raises Wrong, ApiRefused, ApiUnreachable, ValueError."""
        client = ApiClient(self.server)
        if self.token:
            return client.take_token(self.token)
        if not self.api_key:
            raise Wrong("an API key or a token is needed: --api-key, OFFHOOK_API_KEY, --token, OFFHOOK_TOKEN")
        return client.login(self.api_key)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be called, and by whom."""

    contact: str
    button: str
    device: str
    user: str
    options: tuple[str, ...] = ()

    def request(self, base: str, **more: str) -> tuple[str, dict[str, str]]:
        """Return path and query. Raises Wrong."""
        chosen = [(noun, id) for noun, id in self._callers() if id]
        if len(chosen) != 1:
            raise Wrong("say who is to call: one of --button, --device and --user")
        noun, id = chosen[0]
        query = dict(map(_option, self.options)) | more
        if noun == "clicktocall":
            return f"{base}/clicktocall/{quote(id, safe='')}/connect", query | {"contact": self.contact}
        return f"{base}/{noun}/{quote(id, safe='')}/quickcall/{quote(self.contact, safe='')}", query

    def _callers(self) -> tuple[tuple[str, str], ...]:
        return (("clicktocall", self.button), ("devices", self.device), ("users", self.user))


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Wrong(f"{text!r} is no name=value")
    return name, value


def run_call(access: Access, asked: Asked, *, as_json: bool) -> int:
    """Place the call and follow it; return the exit status of its outcome."""
    try:
        client = access.client()
        base = f"/v2/accounts/{access.account_id or client.account_id}"
        path, query = asked.request(base)
        placed = client.request("GET", path, query=query)
        if placed.status != 202:
            raise ApiRefused(placed)
        where = placed.headers.get("location") or f"{base}/calls/{placed.data['call_id']}"
        return _followed(client, where, as_json=as_json)
    except (ApiRefused, ApiUnreachable, Wrong, ValueError) as error:
        print(f"offhook call: {error}", file=sys.stderr)
        return 1


def _followed(client: ApiClient, where: str, *, as_json: bool) -> int:
    out = Console(highlight=False)
    if not as_json:
        out.print(f"call {where.rpartition('/')[2]}", markup=False)
    last: Json = {}
    with _ended_by_ctrl_c(client, where):
        for event in _steps(client, where):
            last = event.data
            if as_json:
                print(json.dumps(last), flush=True)
            else:
                out.print(_step(last), markup=False)
    return EXIT.get(str(last.get("outcome", "")), 1)


@contextmanager
def _ended_by_ctrl_c(client: ApiClient, where: str) -> Iterator[None]:
    """Let the first Ctrl-C end the call, whose stream then tells so; the second one ends us."""

    def end(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        with suppress(ApiUnreachable):
            client.request("DELETE", where)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _steps(client: ApiClient, where: str) -> Iterator[Event]:
    """Yield the steps to the last, over several connections if need be. Raises ApiUnreachable, ApiRefused."""
    attempts, after = 0, ""
    while True:
        try:
            for event in client.events(f"{where}/events", after=after):
                attempts, after = 0, event.id
                yield event
                if event.data.get("final"):
                    return
            reason = ApiUnreachable("the stream of the call ended before the call")
        except ApiUnreachable as error:
            reason = error
        attempts += 1
        if attempts >= RECONNECTS_MAX:
            raise reason


def _step(step: Json) -> str:
    """Return a step in a line: `23:00:18.281  extension dev1@acme.example.com rings`."""
    at = str(step.get("at", ""))[11:23]
    if step.get("final"):
        side = f", {step['side']}" if step.get("side") else ""
        reason = f" {step['sip_code']} {step.get('sip_reason', '')}".rstrip() if step.get("sip_code") else ""
        return f"{at}  {step.get('outcome')} ({step.get('hangup_cause')}{reason}{side}, by {step.get('by')})"
    leg = step.get("leg")
    who = f"{leg.get('side')} {leg.get('to', '')} ".replace("  ", " ") if isinstance(leg, dict) else ""
    cause = f" ({leg['hangup_cause']})" if isinstance(leg, dict) and "hangup_cause" in leg else ""
    return f"{at}  {who}{_STEPS.get(str(step.get('type')), step.get('type'))}{cause}"


def run_explain(access: Access, asked: Asked, *, as_json: bool) -> int:
    """Print the plan of a call; return whether it could be carried out."""
    try:
        client = access.client()
        path, query = asked.request(f"/v2/accounts/{access.account_id or client.account_id}", dry_run="true")
        answer: Answer = client.request("GET", path, query=query)
        if answer.status != 200:
            raise ApiRefused(answer)
    except (ApiRefused, ApiUnreachable, Wrong, ValueError) as error:
        print(f"offhook explain: {error}", file=sys.stderr)
        return 1
    plan = answer.data
    if as_json:
        print(json.dumps(plan, indent=1))
    else:
        Console(highlight=False).print(_plan(plan))
    return (
        EXIT["unreachable"] if any("unreachable_cause" in plan[name] for name in ("first", "second")) else 0
    )


def _plan(plan: Json) -> Tree:
    tree = Tree(f"{plan['kind']} with {plan['contact']}")
    for name in ("first", "second"):
        party = plan[name]
        branch = tree.add(_plain(f"{name}: {party['side']} {party['number']}"))
        branch.add(_plain(party["route"]))
        if "unreachable_cause" in party:
            branch.add(_plain(f"unreachable: {party['unreachable_cause']}"))
        for step in party["steps"]:
            ring = branch.add(_plain(f"ring for {step['timeout_s']:g} s"))
            for endpoint in step["endpoints"]:
                ring.add(_plain(_endpoint(endpoint)))
    rest = {key: value for key, value in plan.items() if key not in ("kind", "contact", "first", "second")}
    for key, value in rest.items():
        tree.add(_plain(f"{key}: {value if not isinstance(value, dict | list) else json.dumps(value)}"))
    return tree


def _endpoint(endpoint: Json) -> str:
    caller = f"{endpoint['caller_id_name']} <{endpoint['caller_id_number']}>".strip()
    answers = ", answers by itself" if endpoint.get("auto_answer") else ""
    return f"{endpoint['kind']} {endpoint['request_uri']}, sees {caller}{answers}"


def _plain(value: Any) -> str:
    """Keep rich from reading markup in what a server says."""
    return str(value).replace("[", r"\[")
