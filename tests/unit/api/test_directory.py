"""Users, devices, callflows, carriers: documents over HTTP (kazoo-behaviour 7, 1.9, 12.6)."""

import pytest

from .node import ApiNode, TestAccount

FLOW = {"module": "hangup", "data": {}, "children": {}}


def test_device_life(node: ApiNode, acme: TestAccount) -> None:
    made = node.put(f"{acme.base}/devices", {"name": "Desk", "sip": {"username": "dev1"}, "color": "red"})
    assert made.status == 201
    device = made.data["id"]
    assert made.headers["location"] == f"{acme.base}/devices/{device}"
    assert made.data["sip"]["username"] == "dev1"
    assert len(made.data["sip"]["password"]) >= 8
    assert made.data["color"] == "red"
    assert made.data["enabled"] is True
    path = f"{acme.base}/devices/{device}"
    assert node.get(path).data == made.data
    replaced = node.post(path, {"name": "Desk 2"})
    assert replaced.status == 200
    assert "color" not in replaced.data
    assert replaced.data["sip"]["password"] == made.data["sip"]["password"]
    patched = node.patch(path, {"sip": {"password": "newer-pass"}, "x": None})
    assert patched.data["sip"]["username"] == "dev1"
    assert patched.data["sip"]["password"] == "newer-pass"
    gone = node.delete(path)
    assert gone.status == 200
    assert gone.data["_read_only"] == {"deleted": True}
    missing = node.get(path)
    assert missing.status == 404
    assert missing.data == {"message": "bad identifier", "cause": device}
    assert node.put(f"{acme.base}/devices", {"name": "Again", "sip": {"username": "dev1"}}).status == 201


def test_generated_sip_credentials(node: ApiNode, acme: TestAccount) -> None:
    sip = node.put(f"{acme.base}/devices", {"name": "Desk"}).data["sip"]
    assert 2 <= len(sip["username"]) <= 32
    assert 5 <= len(sip["password"]) <= 32


def test_every_bad_field_is_named(node: ApiNode, acme: TestAccount) -> None:
    answer = node.put(
        f"{acme.base}/devices",
        {"sip": {"password": "x", "invite_format": "fax"}, "enabled": "perhaps", "owner_id": 5},
    )
    assert answer.status == 400
    assert answer.json["message"] == "validation error"
    assert answer.json["error"] == "400"
    assert answer.data["name"]["required"] == {"message": "Field is required but missing", "value": "name"}
    assert answer.data["sip.password"]["minLength"]["target"] == 5
    assert "enum" in answer.data["sip.invite_format"]
    assert answer.data["enabled"]["type"]["message"] == "Value did not match type(s): boolean"
    assert "type" in answer.data["owner_id"]


def test_taken_sip_username(node: ApiNode, acme: TestAccount) -> None:
    acme.created("devices", {"name": "A", "sip": {"username": "dev1"}})
    answer = node.put(f"{acme.base}/devices", {"name": "B", "sip": {"username": "DEV1"}})
    assert answer.status == 400
    assert answer.data["sip.username"]["unique"]["message"] == "SIP credentials already in use"
    other = node.given_account("Other")
    assert node.put(f"{other.base}/devices", {"name": "B", "sip": {"username": "dev1"}}).status == 201


def test_id_and_private_keys_are_ignored(node: ApiNode, acme: TestAccount) -> None:
    answer = node.put(f"{acme.base}/devices", {"name": "A", "id": "mine", "_rev": "9", "pvt_account_id": "x"})
    assert answer.status == 201
    assert answer.data["id"] != "mine"
    assert not any(name.startswith(("_", "pvt_")) for name in answer.data)


def test_wrong_type_under_a_noun_is_unknown(node: ApiNode, acme: TestAccount) -> None:
    user = acme.created("users", {"first_name": "Jane", "last_name": "Doe"})
    for method in ("GET", "POST", "PATCH", "DELETE"):
        answer = node.ask(method, f"{acme.base}/devices/{user}", {"name": "x"})
        assert answer.status == 404
        assert answer.json["message"] == "bad_identifier"


def test_user_rules(node: ApiNode, acme: TestAccount) -> None:
    names = {"first_name": "Jane", "last_name": "Doe"}
    made = node.put(f"{acme.base}/users", names | {"username": "Jane@X", "password": "s3cret-pass"})
    assert made.data["username"] == "jane@x"
    assert made.data["priv_level"] == "user"
    no_password = node.put(f"{acme.base}/users", names | {"username": "bob"})
    assert no_password.data["password"]["required"]["value"] == "password"
    no_name = node.put(f"{acme.base}/users", names | {"password": "s3cret-pass"})
    assert no_name.data["username"]["required"]["value"] == "username"
    taken = node.put(f"{acme.base}/users", names | {"username": "JANE@x", "password": "s3cret-pass"})
    assert taken.data["username"]["unique"]["message"] == "Username must be unique within account"
    bad = node.put(f"{acme.base}/users", names | {"email": "nowhere"})
    assert "wrong_format" in bad.data["email"]
    path = f"{acme.base}/users/{made.data['id']}"
    renamed = node.patch(path, {"username": "janet"})
    assert renamed.data["password"]["required"]["value"] == "password"
    assert node.patch(path, {"username": "janet", "password": "s3cret-pass"}).status == 200


def test_summaries(node: ApiNode, acme: TestAccount) -> None:
    user = acme.created("users", {"first_name": "Jane", "last_name": "Doe", "email": "j@example.com"})
    device = acme.created("devices", {"name": "Desk", "owner_id": user, "sip": {"username": "dev1"}})
    carrier = acme.created("resources", {"name": "Trunk", "gateways": [{"server": "gw.example.com"}]})
    flow = {"module": "user", "data": {"id": user}, "children": {"_": FLOW}}
    callflow = acme.created("callflows", {"numbers": ["1001"], "name": "Jane", "flow": flow})
    assert node.get(f"{acme.base}/users").data == [
        {"id": user, "features": [], "email": "j@example.com", "first_name": "Jane", "last_name": "Doe",
         "priv_level": "user"}
    ]  # fmt: skip
    assert node.get(f"{acme.base}/devices").data == [
        {"id": device, "device_type": "sip_device", "enabled": True, "name": "Desk", "owner_id": user,
         "username": "dev1"}
    ]  # fmt: skip
    resource = node.get(f"{acme.base}/resources").data[0]
    assert resource["id"] == carrier
    assert resource["weight_cost"] == 50
    listed = node.get(f"{acme.base}/callflows").data[0]
    assert listed["id"] == callflow
    assert (listed["numbers"], listed["patterns"], listed["featurecode"]) == (["1001"], [], False)
    assert listed["modules"] == ["hangup", "user"]
    shown = node.get(f"{acme.base}/callflows/{callflow}").data
    assert shown["metadata"] == {user: {"name": "Jane Doe", "pvt_type": "user"}}
    owned = node.get(f"{acme.base}/users/{user}/devices").data
    assert [(item["id"], item["hotdesked"]) for item in owned] == [(device, False)]


def test_callflow_rules(node: ApiNode, acme: TestAccount) -> None:
    first = acme.created("callflows", {"numbers": ["1001"], "name": "Main", "flow": FLOW})
    none = node.put(f"{acme.base}/callflows", {"flow": FLOW})
    assert none.data["numbers"]["required"]["message"] == (
        "Callflows must be assigned at least one number or pattern"
    )
    taken = node.put(f"{acme.base}/callflows", {"numbers": ["1001"], "flow": FLOW})
    assert taken.data["numbers"]["unique"]["message"] == f"Number 1001 exists in callflow {first} Main"
    evil = node.put(f"{acme.base}/callflows", {"patterns": ["(a+"], "flow": FLOW})
    assert "error" in evil.data["patterns.0"]


def test_global_resources_are_the_masters(node: ApiNode, acme: TestAccount) -> None:
    data = {"name": "Trunk", "gateways": [{"server": "gw.example.com"}], "rules": ["^\\+(\\d+)$"]}
    made = node.put("/v2/resources", data)
    assert made.status == 201
    assert made.headers["location"] == f"/v2/resources/{made.data['id']}"
    token = acme.token()
    for method, path in (("GET", "/v2/resources"), ("PUT", "/v2/resources"),
                         ("GET", f"/v2/resources/{made.data['id']}"),
                         ("DELETE", f"/v2/resources/{made.data['id']}")):  # fmt: skip
        assert node.ask(method, path, data if method == "PUT" else None, token=token).status == 403
    assert node.get(f"{acme.base}/resources/{made.data['id']}").status == 404
    assert [item["name"] for item in node.get("/v2/resources").data] == ["Trunk"]


def test_device_status_and_registrations(node: ApiNode, acme: TestAccount) -> None:
    user = acme.created("users", {"first_name": "Jane", "last_name": "Doe"})
    device = acme.created("devices", {"name": "Desk", "owner_id": user, "sip": {"username": "dev1"}})
    acme.created("devices", {"name": "Other", "sip": {"username": "dev2"}})
    assert node.get(f"{acme.base}/devices/status").data == []
    node.registered.add("dev1", acme.realm)
    node.registered.add("dev1", "elsewhere.example.com")
    assert node.get(f"{acme.base}/devices/status").data == [{"device_id": device, "registered": True}]
    item = node.get(f"{acme.base}/registrations").data[0]
    expected = {
        "username": "dev1", "realm": acme.realm, "authorizing_id": device, "authorizing_type": "device",
        "owner_id": user, "account_name": "Acme", "account_realm": acme.realm,
        "contact": "sip:dev1@10.0.0.5:5062", "original_contact": "sip:dev1@10.0.0.5:5062",
        "contact_ip": "10.0.0.5", "contact_port": 5062, "call_id": "x1@10.0.0.5", "user_agent": "baresip",
        "from_user": "dev1", "from_host": acme.realm, "to_user": "dev1", "to_host": acme.realm,
        "suppress_unregister_notify": False,
    }  # fmt: skip
    assert {name: item.get(name) for name in expected} == expected
    assert item["event_timestamp"] == 1_767_225_600 + 62_167_219_200
    assert node.get(f"{acme.base}/registrations/count").data == {"count": 1}
    assert node.delete(f"{acme.base}/registrations/dev9").status == 404
    assert node.delete(f"{acme.base}/registrations/dev1").data == "ok"
    assert node.get(f"{acme.base}/registrations/count").data == {"count": 0}
    node.registered.add("dev1", acme.realm)
    assert node.delete(f"{acme.base}/registrations").data == "ok"
    assert [registration.realm for registration in node.registered.known] == ["elsewhere.example.com"]


# --- revisions --------------------------------------------------------------------------------------


def test_etag_and_if_none_match(node: ApiNode, acme: TestAccount) -> None:
    device = acme.created("devices", {"name": "Desk"})
    path = f"{acme.base}/devices/{device}"
    first = node.get(path)
    revision = first.json["revision"]
    assert first.headers["etag"] == f'"{revision}"'
    same = node.get(path, headers={"if-none-match": f'"{revision}"'})
    assert (same.status, same.body) == (304, b"")
    assert node.get(path, headers={"if-none-match": f'"1-other", W/"{revision}"'}).status == 304
    node.patch(path, {"name": "Desk 2"})
    assert node.get(path, headers={"if-none-match": f'"{revision}"'}).status == 200
    listed = node.get(f"{acme.base}/devices")
    assert node.get(f"{acme.base}/devices", headers={"if-none-match": listed.headers["etag"]}).status == 304
    empty = node.get(f"{acme.base}/users", headers={"if-none-match": '"x"'})
    assert (empty.status, empty.data) == (200, [])
    assert "etag" not in empty.headers


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_if_match(node: ApiNode, acme: TestAccount, method: str) -> None:
    path = f"{acme.base}/devices/{acme.created('devices', {'name': 'Desk'})}"
    revision = node.get(path).json["revision"]
    stale = node.ask(method, path, {"name": "New"}, headers={"if-match": '"1-stale"'})
    assert (stale.status, stale.body) == (412, b"")
    assert node.get(path).data["name"] == "Desk"
    assert node.ask(method, path, {"name": "New"}, headers={"if-match": f'"{revision}"'}).status == 200


def test_if_match_on_create_fails(node: ApiNode, acme: TestAccount) -> None:
    answer = node.put(f"{acme.base}/devices", {"name": "Desk"}, headers={"if-match": '"1-x"'})
    assert answer.status == 412
    assert node.get(f"{acme.base}/devices").data == []


def test_hard_delete(node: ApiNode, acme: TestAccount) -> None:
    path = f"{acme.base}/devices/{acme.created('devices', {'name': 'Desk'})}"
    assert node.delete(f"{path}?should_soft_delete=false").status == 200
    assert node.get(path).status == 404
