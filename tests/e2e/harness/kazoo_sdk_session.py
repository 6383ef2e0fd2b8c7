"""What an integrator does with kazoo-sdk, from login to the end of a call. A process of its own.

The SDK changes the interpreter's JSON decoder, so it must not be imported by the tests themselves.
Run as `python kazoo_sdk_session.py BASE_URL API_KEY`; prints what it did, one line each; any fault raises.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import kazoo
from kazoo.exceptions import KazooApiBadDataError, KazooApiError

Json = dict[str, Any]

DOCUMENTS: tuple[tuple[str, Json, Json], ...] = (
    (
        "user",
        {
            "first_name": "Jane",
            "last_name": "Doe",
            "username": "jane",
            "password": "pw",
            "priv_level": "admin",
        },
        {"first_name": "Janet", "last_name": "Doe", "username": "jane", "password": "pw"},
    ),
    (
        "device",
        {"name": "Desk", "sip": {"username": "dev1"}},
        {"name": "Desk 2", "sip": {"username": "dev1"}},
    ),
    (
        "callflow",
        {"numbers": ["1001"], "flow": {"module": "hangup", "data": {}, "children": {}}},
        {"numbers": ["1002"], "flow": {"module": "hangup", "data": {}, "children": {}}},
    ),
    (
        "webhook",
        {"name": "Ends", "uri": "https://example.com/hook", "hook": "channel_destroy", "enabled": False},
        {"name": "Ends 2", "uri": "https://example.com/hook", "hook": "all", "enabled": False},
    ),
    (
        "local_resource",
        {"name": "Carrier", "gateways": [{"server": "sip.example.net"}]},
        {"name": "Carrier 2", "gateways": [{"server": "sip.example.net"}]},
    ),
    ("media", {"name": "Hold", "media_source": "upload"}, {"name": "Hold 2", "media_source": "upload"}),
)
"""Resource of the SDK, document to create, document to replace it with."""

LISTS = {"media": "get_all_media"}


def main(base_url: str, api_key: str) -> None:
    master = kazoo.Client(base_url=base_url, api_key=api_key)
    master.authenticate()
    print("login: api_auth")
    name = f"SDK {time.time_ns()}"
    account = master.create_account({"name": name, "realm": f"sdk{time.time_ns()}.test"})["data"]
    account_id = account["id"]
    for kind, new, replaced in DOCUMENTS:
        walk(master, account_id, kind, new, replaced)
    log_in_as_user(base_url, master, account_id, name)
    the_account(master, account_id)
    errors(master, account_id)
    press(master, account_id)
    master.delete_account(account_id)
    print("account: delete")


def walk(client: Any, account_id: str, kind: str, new: Json, replaced: Json) -> None:
    def of(verb: str) -> Callable[..., Json]:
        return getattr(client, f"{verb}_{kind}")  # type: ignore[no-any-return]

    created = of("create")(account_id, dict(new))
    id = created["data"]["id"]
    assert of("get")(account_id, id)["revision"] == created["revision"]
    listed = getattr(client, LISTS.get(kind, f"get_{kind}s"))(account_id)["data"]
    assert id in [item["id"] for item in listed], listed
    changed = of("update")(account_id, id, dict(replaced))["data"]
    assert all(
        changed[key] == replaced[key]
        for key in replaced
        if key not in ("password", "sip", "flow", "gateways")
    )
    gone = of("delete")(account_id, id)["data"]
    assert gone["_read_only"]["deleted"] is True
    try:
        of("get")(account_id, id)
    except KazooApiError:
        print(f"{kind}: create, get, list, update, delete")
    else:
        raise AssertionError(f"{kind} is still there")


def log_in_as_user(base_url: str, master: Any, account_id: str, account_name: str) -> None:
    user = {
        "first_name": "A",
        "last_name": "B",
        "username": "alice",
        "password": "s3cret",
        "priv_level": "admin",
    }
    created = master.create_user(account_id, user)["data"]
    client = kazoo.Client(base_url=base_url, username="alice", password="s3cret", account_name=account_name)
    client.authenticate()
    assert client.auth_data["data"]["owner_id"] == created["id"]
    assert client.get_account(account_id)["data"]["id"] == account_id
    print("login: user_auth")


def the_account(client: Any, account_id: str) -> None:
    data = client.get_account(account_id)["data"]
    client.update_account(account_id, {**data, "timezone": "Europe/Berlin"})
    assert client.get_account(account_id)["data"]["timezone"] == "Europe/Berlin"
    child = client.manual_request(f"/accounts/{account_id}", "put", data={"data": {"name": f"c{account_id}"}})
    assert child[0]
    assert [item["id"] for item in client.get_account_children(account_id)["data"]] == [child[1]["id"]]
    assert len(client.get_account_descendants(account_id)["data"]) == 1
    client.delete_account(child[1]["id"])
    assert client.get_all_devices_status(account_id)["data"] == []
    client.get_limits(account_id)
    client.create_phone_number(account_id, "%2B14155550142")
    assert "+14155550142" in client.get_phone_numbers(account_id)["data"]["numbers"]
    print("account: get, update, children, descendants, limits, phone_numbers")


def errors(client: Any, account_id: str) -> None:
    faults: Json = {}
    try:
        client.create_device(account_id, {"enabled": True})
    except KazooApiBadDataError as error:
        faults = error.field_errors
    assert "required" in faults["name"]
    print("error: the field that is missing")


def press(client: Any, account_id: str) -> None:
    def ask(path: str, method: str = "get", data: Json | None = None) -> Any:
        done, answer = client.manual_request(f"/accounts/{account_id}/{path}", method, data=data)
        assert done, answer.text
        return answer

    device = client.create_device(account_id, {"name": "Desk", "sip": {"username": "silent"}})["data"]
    flow = {"module": "device", "data": {"id": device["id"]}, "children": {}}
    client.create_callflow(account_id, {"numbers": ["2001"], "flow": flow})
    button = ask("clicktocall", "put", {"data": {"name": "Support", "extension": "2001"}})["id"]
    assert [item["id"] for item in ask("clicktocall")] == [button]
    call = ask(f"clicktocall/{button}/connect", "post", {"data": {"contact": "+14158867900"}})
    assert call["application_data"]["route"] == "+14158867900"
    quick = ask(f"devices/{device['id']}/quickcall/2001")
    assert quick["endpoints"][0]["endpoint_id"] == device["id"]
    history = over(lambda: [item for item in ask(f"clicktocall/{button}/history") if "result" in item])
    assert (history[0]["result"], history[0]["contact"]) == ("error", "+14158867900")
    legs = over(lambda: ask("cdrs"))
    assert legs[0]["hangup_cause"]
    ask("channels")
    print("call: connect, quickcall, history, cdrs, channels")


def over(found: Callable[[], list[Json]]) -> list[Json]:
    for _ in range(100):
        rows = found()
        if rows:
            return rows
        time.sleep(0.1)
    raise AssertionError("nothing was recorded in 10 s")


if __name__ == "__main__":
    main(*sys.argv[1:])
