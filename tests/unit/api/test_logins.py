"""Logins, tokens, privileges (kazoo-behaviour 3)."""

import asyncio
import base64
import hashlib
import json

import pytest

from offhook.app.auth import ExpiredToken
from offhook.directory.model import Document

from .node import API_KEY, ApiNode, TestAccount, md5_credentials


def test_api_auth_answers_like_kazoo(node: ApiNode) -> None:
    answer = node.put("/v2/api_auth", {"api_key": API_KEY}, token="")
    assert answer.status == 201
    assert set(answer.json) == {
        "auth_token", "data", "node", "request_id", "revision", "status", "timestamp", "tokens", "version",
    }  # fmt: skip
    assert answer.json["revision"] == "automatic"
    assert answer.json["status"] == "success"
    assert answer.data["account_id"] == node.master
    assert answer.data["account_name"] == "master"
    assert "owner_id" not in answer.data
    assert answer.headers["content-type"] == "application/json"
    header, claims, _ = answer.json["auth_token"].split(".")
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert decoded["account_id"] == node.master
    assert decoded["method"] == "cb_api_auth"
    assert 0 < decoded["exp"] - node.run(_epoch(node)) <= 3600
    assert json.loads(base64.urlsafe_b64decode(header + "=="))["typ"] == "JWT"


async def _epoch(node: ApiNode) -> float:
    return node.clock.epoch()


def given_user(
    acme: TestAccount, username: str = "jane", password: str = "s3cret-pass", **more: object
) -> str:
    names = {"first_name": "Jane", "last_name": "Doe"}
    return acme.created("users", names | {"username": username, "password": password} | more)


def login(node: ApiNode, acme: TestAccount, password: str = "s3cret-pass", **more: object):
    credentials = md5_credentials("jane", password)
    return node.put("/v2/user_auth", {"credentials": credentials, "account_name": "Acme"} | more, token="")


def test_user_auth_by_name_realm_and_number(node: ApiNode, acme: TestAccount) -> None:
    user = given_user(acme)
    device = acme.created("devices", {"name": "Desk"})
    flow = {"module": "device", "data": {"id": device}, "children": {}}
    acme.created("callflows", {"numbers": ["+14158867900"], "flow": flow})
    md5, sha = md5_credentials("jane", "s3cret-pass"), "2c1ab0"
    for selector in ({"account_name": "aC-me!"}, {"account_realm": acme.realm}, {"realm": acme.realm},
                     {"phone_number": "4158867900"}):  # fmt: skip
        answer = node.put("/v2/user_auth", {"credentials": md5} | selector, token="")
        assert answer.status == 201, (selector, answer.body)
        assert answer.data["owner_id"] == user
        assert answer.data["account_id"] == acme.id
        assert node.get(f"{acme.base}/users/{user}", token=answer.json["auth_token"]).status == 200
    assert node.put("/v2/user_auth", {"credentials": sha, "account_name": "acme"}, token="").status == 401


def test_user_auth_with_sha1(node: ApiNode, acme: TestAccount) -> None:
    given_user(acme)
    digest = hashlib.sha1(b"jane:s3cret-pass").hexdigest()
    data = {"credentials": digest, "method": "sha", "account_name": "acme"}
    assert node.put("/v2/user_auth", data, token="").status == 201


def test_wrong_password_and_unknown_account_look_the_same(node: ApiNode, acme: TestAccount) -> None:
    given_user(acme)
    wrong = login(node, acme, "guess")
    unknown = login(node, acme, account_name="nobody")
    none = node.put("/v2/user_auth", {"credentials": "0" * 32}, token="")
    for answer in (wrong, unknown, none):
        assert answer.status == 401
        assert answer.json["message"] == "invalid_credentials"
        assert answer.data == {"message": "invalid credentials"}
        assert answer.json["error"] == "401"


def test_missing_credentials_is_a_validation_error(node: ApiNode) -> None:
    answer = node.put("/v2/user_auth", {"account_name": "acme"}, token="")
    assert answer.status == 400
    assert answer.data == {"credentials": {"required": {"message": "Field is required but missing",
                                                        "value": "credentials"}}}  # fmt: skip


def test_api_auth_refuses_other_keys_and_does_not_echo_unknown_ones(node: ApiNode) -> None:
    extra = node.put("/v2/api_auth", {"api_key": API_KEY, "x": 1}, token="")
    assert extra.status == 400
    assert "additionalProperties" in extra.data["x"]
    unknown = node.put("/v2/api_auth", {"api_key": "6" * 64}, token="")
    assert unknown.status == 404
    assert unknown.json["message"] == "bad identifier"
    assert b"6666" not in unknown.body


def test_failed_logins_slow_down(node: ApiNode, acme: TestAccount) -> None:
    given_user(acme)
    for _ in range(6):
        assert login(node, acme, "guess").status in (401, 429)
    held = login(node, acme)
    assert held.status == 429
    assert int(held.headers["retry-after"]) >= 1
    assert held.json["message"] == "too_many_requests"
    node.address = "192.0.2.99"
    assert login(node, acme).status == 201  # somebody else is not held up
    node.address = "192.0.2.7"
    node.clock.ahead_s += 120
    assert login(node, acme).status == 201


def test_deleted_token_is_dead(node: ApiNode, acme: TestAccount) -> None:
    token = acme.token()
    assert node.get("/v2/token_auth", token=token).data["account_id"] == acme.id
    assert node.delete("/v2/token_auth", token=token).status == 200
    dead = node.get(acme.base, token=token)
    assert dead.status == 401
    assert (dead.json["message"], dead.data) == ("invalid credentials", {})
    assert node.get(acme.base, token=acme.token()).status == 200


def test_token_expires(node: ApiNode, acme: TestAccount) -> None:
    token = acme.token()
    node.clock.ahead_s += 3_601
    dead = node.get(acme.base, token=token)
    assert dead.status == 401
    assert dead.json["message"] == "invalid credentials"


def test_new_password_ends_older_tokens(node: ApiNode, acme: TestAccount) -> None:
    user = given_user(acme)
    token = login(node, acme).json["auth_token"]
    assert node.get(f"{acme.base}/users", token=token).status == 200
    assert node.patch(f"{acme.base}/users/{user}", {"password": "an0ther-pass"}).status == 200
    assert node.get(f"{acme.base}/users", token=token).status == 401
    assert login(node, acme).status == 401
    assert login(node, acme, "an0ther-pass").status == 201


def test_disabled_user_and_account(node: ApiNode, acme: TestAccount) -> None:
    user = given_user(acme)
    token = login(node, acme).json["auth_token"]
    node.patch(f"{acme.base}/users/{user}", {"enabled": False})
    assert login(node, acme).status == 401
    assert node.get(acme.base, token=token).status == 401
    node.patch(f"{acme.base}/users/{user}", {"enabled": True})
    node.patch(acme.base, {"enabled": False})
    answer = login(node, acme)
    assert answer.status == 400
    assert answer.data == {"account": {"disabled": {"message": "account disabled"}}}


def test_token_may_come_in_every_place(node: ApiNode, acme: TestAccount) -> None:
    token = acme.token()
    path = f"{acme.base}/users"
    for headers in ({"authorization": f"Bearer {token}"}, {"x-auth-token": token},
                    {"authorization": f"bearer {token}"}):  # fmt: skip
        assert node.get(path, token="", headers=headers).status == 200
    assert node.get(f"{path}?auth_token={token}", token="").status == 200
    body = json.dumps({"data": {}, "auth_token": token}).encode()
    assert node.ask("GET", path, body=body, token="").status == 200
    assert node.get(path, token="", headers={"authorization": token}).status == 401


def test_basic_credentials(node: ApiNode, acme: TestAccount) -> None:
    given_user(acme)
    good = base64.b64encode(f"{acme.id}:{md5_credentials('jane', 's3cret-pass')}".encode()).decode()
    bad = base64.b64encode(f"{acme.id}:{'0' * 32}".encode()).decode()
    path = f"{acme.base}/devices"
    assert node.get(path, token="", headers={"authorization": f"Basic {good}"}).status == 200
    assert node.get(path, token="", headers={"authorization": f"Basic {good}"}).status == 200
    for wrong in (bad, "%%%", ""):
        assert node.get(path, token="", headers={"authorization": f"Basic {wrong}"}).status == 401


def test_account_header_must_match(node: ApiNode, acme: TestAccount) -> None:
    token = acme.token()
    assert node.get(acme.base, token=token, headers={"x-auth-account-id": acme.id}).status == 200
    assert node.get(acme.base, token=token, headers={"x-auth-account-id": node.master}).status == 401


def test_forged_and_foreign_tokens(node: ApiNode, acme: TestAccount) -> None:
    head, claims, signature = acme.token().split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    for token in (f"{head}.{claims}.{signature[:-2]}AA", f"{none}.{claims}.", f"{head}.{claims}.", "a.b.c",
                  "x" * 5_000, f"{head}.{'A' * 1000}.{signature}"):  # fmt: skip
        answer = node.get(acme.base, token=token)
        assert answer.status == 401, token
        assert answer.json["message"] == "invalid_credentials"


def test_plain_user_may_not_administer(node: ApiNode, acme: TestAccount) -> None:
    own = given_user(acme)
    other = acme.created("users", {"first_name": "A", "last_name": "B"})
    token = login(node, acme).json["auth_token"]
    refused = [
        node.put(acme.base, {"name": "child"}, token=token),
        node.put("/v2/accounts", {"name": "child"}, token=token),
        node.patch(acme.base, {"name": "renamed"}, token=token),
        node.delete(acme.base, token=token),
        node.get(f"{acme.base}/api_key", token=token),
        node.put(f"{acme.base}/api_key", token=token),
        node.patch(f"{acme.base}/users/{own}", {"priv_level": "admin"}, token=token),
        node.patch(f"{acme.base}/users/{other}", {"last_name": "X"}, token=token),
        node.put(f"{acme.base}/users", {"first_name": "A", "last_name": "B"}, token=token),
        node.delete(f"{acme.base}/users/{own}", token=token),
    ]
    assert [answer.status for answer in refused] == [403] * len(refused)
    assert "api_key" not in node.get(f"{acme.base}?include_api_key=true", token=token).data
    assert node.patch(f"{acme.base}/users/{own}", {"last_name": "X"}, token=token).status == 200


BARRED = {"dial_out": {"enabled": False}, "call_restriction": {"international": {"action": "deny"}}}


@pytest.mark.parametrize("bounds", [{}, BARRED])
def test_a_plain_user_lifts_no_bound_of_its_calls(
    node: ApiNode, acme: TestAccount, bounds: dict[str, object]
) -> None:
    path = f"{acme.base}/users/{given_user(acme, **bounds)}"
    token = login(node, acme).json["auth_token"]
    own = node.get(path, token=token).data
    refused = [
        node.patch(path, {"dial_out": {"enabled": True}}, token=token),
        node.patch(path, {"dial_out": {"calls": 100}}, token=token),
        node.patch(path, {"call_restriction": {"international": {"action": "inherit"}}}, token=token),
        node.post(path, own | {"dial_out": {"calls_per_minute": 100}}, token=token),
    ]
    if bounds:
        refused.append(node.post(path, {"first_name": "Jane", "last_name": "X"}, token=token))
        refused.append(node.patch(path, {"dial_out": None}, token=token))
    assert [answer.status for answer in refused] == [403] * len(refused)
    assert node.post(path, own | {"last_name": "X"}, token=token).status == 200
    after = node.get(path).data
    assert {name: after.get(name) for name in BARRED} == {name: own.get(name) for name in BARRED}
    assert node.patch(path, {"dial_out": {"enabled": True}}).status == 200  # an administrator


def test_a_plain_user_writes_nothing_but_its_own_document(node: ApiNode, acme: TestAccount) -> None:
    given_user(acme)
    carrier = {"name": "Carrier", "gateways": [{"server": "gw.example.com"}]}
    documents: dict[str, dict[str, object]] = {
        "devices": {"name": "Desk"},
        "callflows": {"numbers": ["no_match"], "flow": {"module": "resources", "data": {}}},
        "resources": carrier,
        "clicktocall": {"name": "Call us", "extension": "1001"},
        "media": {"name": "Hold"},
        "webhooks": {"name": "W", "uri": "https://example.com/", "hook": "all"},
    }
    token = login(node, acme).json["auth_token"]
    for noun, document in documents.items():
        path = f"{acme.base}/{noun}"
        item = f"{path}/{acme.created(noun, document)}"
        refused = [
            node.put(path, document, token=token),
            node.post(item, document, token=token),
            node.patch(item, {"name": "X", "dial_out": {"enabled": True}}, token=token),
            node.delete(item, token=token),
        ]
        assert [answer.status for answer in refused] == [403] * 4, noun
        assert node.get(path, token=token).status == 200
    many = f"{acme.base}/resources/collection"
    refused = [node.put(many, [carrier], token=token), node.patch(many, [{"id": "x"}], token=token),
               node.put(f"{acme.base}/phone_numbers/+14158867900", token=token)]  # fmt: skip
    assert [answer.status for answer in refused] == [403] * 3


def test_priv_level_admin_may(node: ApiNode, acme: TestAccount) -> None:
    given_user(acme, priv_level="admin")
    token = login(node, acme).json["auth_token"]
    assert node.put(acme.base, {"name": "child"}, token=token).status == 201


def test_rotated_api_key(node: ApiNode, acme: TestAccount) -> None:
    before = acme.token()
    assert node.get(f"{acme.base}/api_key").data == {"api_key": acme.api_key}
    rotated = node.put(f"{acme.base}/api_key").data["api_key"]
    assert len(rotated) == 64
    assert rotated != acme.api_key
    assert node.put("/v2/api_auth", {"api_key": acme.api_key}, token="").status == 404
    assert node.api_token(rotated)
    assert node.get(acme.base, token=before).status == 200  # as KAZOO's: older tokens live on


def test_passwords_are_never_stored_in_clear(node: ApiNode, acme: TestAccount) -> None:
    user = given_user(acme)
    shown = node.get(f"{acme.base}/users/{user}")
    assert "password" not in shown.data
    assert b"argon2" not in shown.body
    stored = node.run(node.store.documents.get(acme.id, user, type="user"))
    assert stored is not None
    assert "password" not in stored.data
    assert all("$argon2id$" in form for form in stored.private["credentials"].values())
    assert "s3cret-pass" not in str(stored)


def test_a_check_under_way_does_not_revive_a_deleted_token(node: ApiNode, acme: TestAccount) -> None:
    token = acme.token()
    auth = node.services.auth

    async def revoke_during_check() -> None:
        principal = await auth.check(token)
        assert principal is not None
        auth.forget_changed(*await _changed(node, acme))
        checking = asyncio.ensure_future(auth.check(token))
        await auth.revoke(principal)
        await asyncio.gather(checking, return_exceptions=True)
        with pytest.raises(ExpiredToken):
            await auth.check(token)

    node.run(revoke_during_check())


async def _changed(node: ApiNode, acme: TestAccount) -> tuple[Document, Document]:
    account = await node.services.documents.read(acme.id, acme.id, type="account")
    return account, account
