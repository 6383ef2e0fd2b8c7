"""Every route with a foreign token, a child's, a sibling's and none: nothing leaks, nothing changes."""

import pytest

from offhook.api.application import routes_of
from offhook.api.routing import Access, Route

from .node import ApiNode, TestAccount
from .sockets import Socket

PICTURE = b"\x89PNG\r\n\x1a\nJane"
PROBE = {"name": "changed", "contact": "1002", "extension": "9", "numbers": ["9"], "api_key": "x"}


NOBODY = "0" * 32
"""Id of what the victim does not have."""


class Known(dict[str, str]):
    """Values for a path; what has none is nobody's."""

    def __missing__(self, name: str) -> str:
        return NOBODY


class Tenants:
    """An account with something of everything, and callers who have no business there."""

    def __init__(self, node: ApiNode) -> None:
        self.node = node
        self.parent = node.given_account("Parent")
        self.victim = node.given_account("Victim", below=self.parent.id)
        self.child = node.given_account("Child", below=self.victim.id)
        self.sibling = node.given_account("Sibling", below=self.parent.id)
        self.other = node.given_account("Other")
        victim = self.victim
        self.user = victim.created("users", {"first_name": "Jane", "last_name": "Doe"})
        node.post(
            f"{victim.base}/users/{self.user}/photo", body=PICTURE, headers={"content-type": "image/png"}
        )
        self.device = victim.given_phone("dev1", "1001")
        self.callflow = node.get(f"{victim.base}/callflows").data[0]["id"]
        self.resource = victim.created("resources", {"name": "T", "gateways": [{"server": "gw.example"}]})
        self.button = victim.given_button()
        call = node.get(f"{victim.base}/clicktocall/{self.button}/connect?contact=1001")
        self.call_id = call.data["call_id"]
        Socket(node, token=victim.token()).action("ping")
        self.socket_id = node.get(f"{victim.base}/websockets").data[0]["websocket_session_id"]
        self.number = node.put(f"{victim.base}/phone_numbers/+14158867900").data["id"]
        self.global_resource = node.put(
            "/v2/resources", {"name": "G", "gateways": [{"server": "gw.example"}]}
        ).data["id"]

    def path(self, route: Route) -> str:
        ids = {
            "users": self.user, "devices": self.device, "callflows": self.callflow,
            "resources": self.resource, "clicktocall": self.button,
            "phone_numbers": self.number,
        }  # fmt: skip
        tokens = route.path.split("/")
        noun = next((token for token in tokens if token in ids), "")
        is_global = "accounts" not in tokens
        known = {
            "account_id": self.victim.id, "id": self.global_resource if is_global else ids.get(noun, NOBODY),
            "call_id": self.call_id, "cdr_id": f"202601-{self.call_id}", "number": "1001",
            "username": "dev1", "token": "x.y.z", "session_id": self.socket_id,
        }  # fmt: skip
        return "/v2/" + route.path.format_map(Known(known))

    def state(self) -> tuple[object, ...]:
        """Return all that could have changed."""
        base = self.victim.base
        nouns = ("users", "devices", "callflows", "resources", "clicktocall", "registrations", "children",
                 "api_key")  # fmt: skip
        lists = [self.node.get(f"{base}/{noun}").data for noun in nouns]
        for phone in lists[nouns.index("registrations")]:
            del phone["expires"]  # counts the seconds
        item = self.node.get(f"{base}/devices/{self.device}").data
        channels = [leg["uuid"] for leg in self.node.get(f"{base}/channels").data]
        history = self.node.get(f"{base}/clicktocall/{self.button}/history").data
        photo = self.node.get(f"{base}/users/{self.user}/photo").body
        told = list(self.node.registered.told)
        return (self.node.get(base).data, lists, item, channels, photo, told, [e["id"] for e in history],
                self.node.get(f"/v2/resources/{self.global_resource}").data)  # fmt: skip


@pytest.fixture
def tenants(node: ApiNode) -> Tenants:
    return Tenants(node)


SECRETS = ("dev1", "Jane", "Victim", "Support button")


def guarded(tenants: Tenants) -> list[Route]:
    routes = routes_of(tenants.node.services).all
    own = ("user_auth", "api_auth", "token_auth", "auth/", "search")
    return [r for r in routes if r.access is not Access.OPEN and not r.path.startswith(own)]


def test_no_route_lets_a_stranger_in(tenants: Tenants) -> None:
    node, before = tenants.node, tenants.state()
    callers: dict[str, TestAccount] = {
        "other": tenants.other, "sibling": tenants.sibling, "child": tenants.child,
    }  # fmt: skip
    tokens = {name: account.token() for name, account in callers.items()} | {"none": ""}
    tried = 0
    for route in guarded(tenants):
        if route.path == "accounts":
            continue  # creates below the caller: nothing of the victim's
        for method in route.methods:
            for name, token in tokens.items():
                answer = node.ask(method, tenants.path(route), PROBE, token=token)
                assert answer.status == (403 if token else 401), (method, route.path, name, answer.body)
                assert not any(secret.encode() in answer.body for secret in SECRETS), (route.path, name)
                tried += 1
    assert tried > 150
    assert tenants.state() == before


def test_ids_of_others_are_unknown_in_ones_own_account(tenants: Tenants) -> None:
    node, before = tenants.node, tenants.state()
    other = tenants.other
    token = other.token()
    for route in guarded(tenants):
        if "{" not in route.path.replace("{account_id}", "") or "{account_id}" not in route.path:
            continue
        path = tenants.path(route).replace(tenants.victim.id, other.id)
        for method in route.methods:
            answer = node.ask(method, path, PROBE, token=token)
            taken = method == "PUT" and "phone_numbers" in path  # a number is one account's
            assert answer.status == (409 if taken else 404), (method, path, answer.status, answer.body)
            assert not any(secret.encode() in answer.body for secret in ("Jane", "Victim", "Support button"))
    assert tenants.state() == before


def test_the_parent_may_do_everything(tenants: Tenants) -> None:
    token = tenants.parent.token()
    for route in guarded(tenants):
        if "{account_id}" in route.path and "GET" in route.methods:
            answer = tenants.node.get(f"{tenants.path(route)}?contact=1001&t=device&q=name&v=a", token=token)
            is_there = NOBODY not in tenants.path(route) and "cdr" not in route.path
            assert answer.status in (200, 202) or not is_there, (route.path, answer.body)
