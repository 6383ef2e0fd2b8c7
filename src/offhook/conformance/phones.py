"""What belongs to phones and their users beside calls (kazoo-behaviour 7.2, 7.3, 7.4, 7.6)."""

from typing import Final

from .kit import OK, Kit, has

PNG: Final = b"\x89PNG\r\n\x1a\n" + bytes(24)

ONLY_MASTER: Final = {200, 403}
"""Another account's key gets 403."""


def phones(kit: Kit) -> None:
    """Notices, hotdesks, live legs and registrations of the installation."""
    user = kit.create("users", {"first_name": "Hot", "last_name": "Desk", "email": "hot@example.com"})
    device = kit.create("devices", {"name": "Shared", "hotdesk": {"users": {user: {}}}})
    _notices(kit, f"{kit.base}/devices/{device}")
    kit.expect(
        "hotdesks: of a user",
        kit.ask("GET", f"{kit.base}/users/{user}/hotdesks"),
        200,
        wants="the device's id and name",
        holds=lambda a: has(a.data[0], {"device_id": device, "device_name": "Shared"}),
    )
    kit.expect(
        "hotdesks: of a device",
        kit.ask("GET", f"{kit.base}/devices/{device}/hotdesks"),
        200,
        wants="the user",
        holds=lambda a: len(a.data) == 1,
    )
    counted = kit.ask("GET", "/v2/registrations/count")
    kit.expect("registrations: count of all, for the master account", counted, ONLY_MASTER)
    kit.expect(
        "channels: of all, for the master account", kit.ask("GET", "/v2/channels"), ONLY_MASTER | {400}
    )
    _pictures(kit, f"{kit.base}/users/{user}")


def _notices(kit: Kit, path: str) -> None:
    """Ask for notices to a phone that is not registered: KAZOO says that they were sent."""
    told = {200, 202, 400}
    kit.expect("devices: sync", kit.ask("POST", f"{path}/sync", {}), told)
    notify = {"action": "notify", "data": {"event": "check-sync"}}
    kit.expect("devices: notify", kit.ask("PUT", path, notify), told)
    kit.fails("devices: notify without an event", kit.ask("PUT", path, {"action": "notify", "data": {}}), 400)
    kit.fails("devices: an action nobody has", kit.ask("PUT", path, {"action": "dance"}), 400, word="action")


def _pictures(kit: Kit, path: str) -> None:
    headers = {"content-type": "image/png"}
    kit.fails("users: photo before there is one", kit.ask("GET", f"{path}/photo"), 404)
    kit.expect("users: photo, POST", kit.ask("POST", f"{path}/photo", body=PNG, headers=headers), OK)
    kit.expect(
        "users: photo, GET",
        kit.ask("GET", f"{path}/photo"),
        200,
        wants="the same bytes",
        holds=lambda a: a.body == PNG,
    )
    kit.expect(
        "users: vcard",
        kit.ask("GET", f"{path}/vcard"),
        200,
        wants="a card with the name",
        holds=lambda a: a.body.startswith(b"BEGIN:VCARD") and b"FN:Hot Desk" in a.body,
    )
    kit.expect("users: photo, DELETE", kit.ask("DELETE", f"{path}/photo"), 200)


def carriers_at_once(kit: Kit) -> None:
    """Several carriers in one request."""
    path = f"{kit.base}/resources/collection"
    one = {"name": "Of several", "gateways": [{"server": "sip.example.net"}]}
    made = kit.ask("PUT", path, [one, one])
    kit.expect("resources: a collection", made, OK)
    kit.expect(
        "resources: a collection is listed",
        kit.ask("GET", f"{kit.base}/resources", query={"filter_name": "Of several"}),
        200,
        wants="two",
        holds=lambda a: len(a.data) == 2,
    )
    refused = kit.ask("PUT", path, [one, {"name": "No gateways"}])
    kit.expect(
        "resources: a collection with a fault",
        refused,
        {200, 201, 400},
        wants="errors, and nothing stored",
        holds=lambda a: len(a.data["errors"]) == 1,
    )
