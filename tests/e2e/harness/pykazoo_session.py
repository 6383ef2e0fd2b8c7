"""Drives a server with PyKazoo, an SDK for KAZOO on the package index. Prints a line for each thing done.

Arguments: address with version, API key of an account.
"""

import sys
import time
from typing import Any

from pykazoo.client import PyKazooClient

HISTORY_S = 20.0
DEVICE = {"name": "Desk", "sip": {"username": "pydev", "password": "s3cret-pass"}}
FLOW = {"module": "hangup", "data": {}, "children": {}}


def documents(
    noun: str, calls: tuple[Any, ...], account: str, new: dict[str, Any], change: dict[str, Any]
) -> None:
    """Create, read, list, update and delete one document with the five functions of the SDK."""
    create, read, listing, update, delete = calls
    id = create(account, {"data": new})["data"]["id"]
    stored = read(account, id)["data"]
    assert id in [item["id"] for item in listing(account)["data"]], noun
    [(key, value)] = change.items()
    assert update(account, id, {"data": stored | change})["data"][key] == value, noun
    assert delete(account, id)["data"]["_read_only"]["deleted"] is True, noun
    print(f"{noun}: create, get, list, update, delete")


def main(base: str, api_key: str) -> None:
    """Do everything that the SDK and the server have in common."""
    client = PyKazooClient(base)
    client.authentication.api_auth(api_key)
    account = client.authentication.account_id
    print("login: api_auth")
    users, devices, flows, buttons = client.users, client.devices, client.callflows, client.clicktocalls
    resources, hooks = client.resources, client.webhooks
    user = {"first_name": "Py", "last_name": "Kazoo", "username": "py", "password": "correct horse"}
    documents("users", (users.create_user, users.get_user, users.get_users, users.update_user,
                        users.delete_user), account, user, {"last_name": "Changed"})  # fmt: skip
    documents("devices", (devices.create_device, devices.get_device, devices.get_devices,
                          devices.update_device, devices.delete_device), account, DEVICE,
              {"name": "Hall"})  # fmt: skip
    documents("callflows", (flows.create_callflow, flows.get_callflow, flows.get_callflows,
                            flows.update_callflow, flows.delete_callflow), account,
              {"numbers": ["7100"], "flow": FLOW}, {"name": "Main"})  # fmt: skip
    documents("clicktocalls", (buttons.create_click_to_call, buttons.get_click_to_call,
                               buttons.get_click_to_calls, buttons.update_click_to_call,
                               buttons.delete_click_to_call), account,
              {"name": "Button", "extension": "7101"}, {"name": "Other"})  # fmt: skip
    documents("resources", (resources.create_resource, resources.get_resource, resources.get_resources,
                            resources.update_resource, resources.delete_resource), account,
              {"name": "Carrier", "gateways": [{"server": "gw.example"}]}, {"weight_cost": 7})  # fmt: skip
    documents("webhooks", (hooks.create_webhook, hooks.get_webhook, hooks.get_webhooks, hooks.update_webhook,
                           hooks.delete_webhook), account,
              {"name": "Hook", "uri": "https://example.com/x", "hook": "channel_destroy", "enabled": False},
              {"name": "Other"})  # fmt: skip
    device = devices.create_device(account, {"data": DEVICE})["data"]["id"]
    flow = {"module": "device", "data": {"id": device, "timeout": 4}, "children": {}}
    flows.create_callflow(account, {"data": {"numbers": ["7101"], "flow": flow}})
    button = buttons.create_click_to_call(account, {"data": {"name": "Button", "extension": "7101"}})["data"][
        "id"
    ]
    called = buttons.connect_click_to_call(account, button, {"data": {"contact": "+14158867900"}})["data"]
    until = time.monotonic() + HISTORY_S
    history = buttons.get_click_to_call_history(account, button)["data"]
    while not history[0].get("result") and time.monotonic() < until:
        time.sleep(0.1)
        history = buttons.get_click_to_call_history(account, button)["data"]
    assert (history[0]["call_id"], history[0]["result"]) == (called["call_id"], "error"), history
    quick = client.quickcalls.quick_call_device(account, device, "7101")["data"]
    assert quick["application_name"] == "transfer"
    print("calls: connect, history, quickcall")


if __name__ == "__main__":
    main(*sys.argv[1:])
