"""Accounts and the tree (kazoo-behaviour 3.4, 3.6, 7.1)."""

import pytest

from offhook.kernel import gregorian_s

from .node import ApiNode, TestAccount


def test_created_account_reads_like_kazoos(node: ApiNode) -> None:
    answer = node.put(f"/v2/accounts/{node.master}", {"name": "Acme", "realm": "acme.sip.example.com"})
    assert answer.status == 201
    account = answer.data
    assert answer.headers["location"] == f"/v2/accounts/{account['id']}"
    assert len(account["id"]) == 32
    expected = {
        "name": "Acme", "realm": "acme.sip.example.com", "enabled": True, "language": "en-us",
        "timezone": "America/Los_Angeles", "call_restriction": {}, "music_on_hold": {}, "preflow": {},
        "ringtones": {}, "notifications": {}, "is_reseller": False, "reseller_id": node.master,
        "superduper_admin": False, "wnm_allow_additions": False, "billing_mode": "limits_only",
    }  # fmt: skip
    assert {name: account.get(name) for name in expected} == expected
    assert account["created"] > 63_000_000_000
    assert not any(name.startswith(("_", "pvt_")) for name in account)
    assert "api_key" not in account
    assert answer.headers["etag"] == f'"{answer.json["revision"]}"'


def test_put_without_id_creates_a_child_of_the_caller(node: ApiNode, acme: TestAccount) -> None:
    answer = node.put("/v2/accounts", {"name": "Below"}, token=acme.token())
    assert answer.status == 201
    assert answer.data["reseller_id"] == node.master
    assert answer.data["realm"].endswith(".sip.example.com")
    listed = node.get(f"{acme.base}/children").data
    assert [item["name"] for item in listed] == ["Below"]


def test_tree_lists(node: ApiNode, acme: TestAccount) -> None:
    child = node.given_account("Child", below=acme.id)
    grandchild = node.given_account("Grandchild", below=child.id)
    other = node.given_account("Other")
    names = lambda answer: [item["name"] for item in answer.data]  # noqa: E731
    assert names(node.get(f"{acme.base}/descendants")) == ["Child", "Grandchild"]
    assert names(node.get(f"{acme.base}/siblings")) == ["Other"]
    assert names(node.get(f"{grandchild.base}/parents")) == ["master", "Acme", "Child"]
    assert names(node.get(f"{grandchild.base}/tree", token=acme.token())) == ["Acme", "Child"]
    assert names(node.get(f"{acme.base}/siblings", token=acme.token())) == []
    assert set(node.get(f"{acme.base}/children").data[0]) == {
        "id",
        "name",
        "realm",
        "flags",
        "descendants_count",
    }
    assert other.id


def test_masquerade_goes_down_never_up_or_sideways(node: ApiNode, acme: TestAccount) -> None:
    child = node.given_account("Child", below=acme.id)
    other = node.given_account("Other")
    assert node.get(child.base, token=acme.token()).status == 200
    for target, token in ((acme, child.token()), (other, acme.token()), (acme, other.token())):
        answer = node.get(target.base, token=token)
        assert answer.status == 403
        assert answer.json["message"] == "forbidden"
    assert node.get(f"/v2/accounts/{node.master}", token=acme.token()).status == 403


def test_name_and_realm_are_unique(node: ApiNode, acme: TestAccount) -> None:
    name = node.put(f"/v2/accounts/{node.master}", {"name": "a c m e"})
    assert name.status == 400
    assert name.json["message"] == "validation error"
    assert name.data["name"]["unique"]["message"] == "Account name already in use"
    realm = node.put(f"/v2/accounts/{node.master}", {"name": "Else", "realm": acme.realm.upper()})
    assert realm.data["realm"]["unique"]["message"] == "Account realm already in use"


def test_post_keeps_realm_and_patch_merges(node: ApiNode, acme: TestAccount) -> None:
    assert node.post(acme.base, {"name": "Acme", "x": {"a": 1, "b": 2}}).data["realm"] == acme.realm
    patched = node.patch(acme.base, {"x": {"b": None, "c": 3}}).data
    assert patched["x"] == {"a": 1, "c": 3}
    assert patched["realm"] == acme.realm


def test_new_realm_takes_devices_along(node: ApiNode, acme: TestAccount) -> None:
    acme.created("devices", {"name": "Desk", "sip": {"username": "dev1"}})
    assert node.patch(acme.base, {"realm": "new.example.com"}).status == 200
    found = node.run(node.store.documents.find("sip_username", "dev1", scope="new.example.com"))
    assert len(found) == 1
    assert node.run(node.store.documents.find("sip_username", "dev1", scope=acme.realm)) == []


def test_delete(node: ApiNode, acme: TestAccount) -> None:
    child = node.given_account("Child", below=acme.id)
    token = child.token()
    refused = node.delete(acme.base)
    assert (refused.status, refused.json["message"]) == (500, "account_has_descendants")
    gone = node.delete(child.base)
    assert gone.status == 200
    assert gone.data["_read_only"] == {"deleted": True}
    assert node.get(child.base).status == 404
    assert node.get(child.base, token=token).status == 401
    assert node.delete(acme.base).status == 200
    assert node.delete(f"/v2/accounts/{node.master}").status == 403


def test_account_cannot_disable_or_delete_itself(node: ApiNode, acme: TestAccount) -> None:
    token = acme.token()
    assert node.patch(acme.base, {"enabled": False}, token=token).status == 403
    assert node.delete(acme.base, token=token).status == 403
    assert node.patch(acme.base, {"name": "Acme Inc"}, token=token).status == 200


def test_bad_ids_in_kazoos_words(node: ApiNode) -> None:
    malformed = node.get("/v2/accounts/abc")
    assert malformed.status == 404
    assert malformed.json["message"] == "bad identifier"
    assert malformed.data == {"message": "invalid account_id 'abc'"}
    unknown = node.get(f"/v2/accounts/{'f' * 32}")
    assert unknown.status == 404
    assert unknown.json["message"] == "bad_identifier"
    assert unknown.data == {"message": "bad identifier", "cause": "f" * 32}
    assert node.get(f"/v2/accounts/{'f' * 32}", token="").status == 401  # 401 before 404


def test_account_alias(node: ApiNode, acme: TestAccount) -> None:
    token = acme.token()
    acme.created("devices", {"name": "Desk"})
    assert node.get("/v2/account/devices", token=token).data[0]["name"] == "Desk"
    assert node.get("/v2/account", token=token).data["id"] == acme.id
    assert node.get("/v2/account/devices", token="").status == 401


def test_master_is_made_once(node: ApiNode) -> None:
    from offhook.app.accounts import ensure_master
    from offhook.system import SystemRandom

    again = node.run(ensure_master(node.services.documents, node.store, SystemRandom(), api_key="7" * 64))
    assert again.created is False
    assert again.account_id == node.master
    assert again.api_key == "5" * 64


def test_lists_say_how_many_accounts_are_below(node: ApiNode, acme: TestAccount) -> None:
    child = node.given_account("Child", below=acme.id)
    node.given_account("Grandchild", below=child.id)
    counts = {item["name"]: item["descendants_count"] for item in node.get(
        f"/v2/accounts/{node.master}/descendants").data}  # fmt: skip
    assert counts == {"Acme": 2, "Child": 1, "Grandchild": 0}
    [found] = node.get(f"/v2/accounts/{node.master}/search?t=account&q=name&v=acm").data
    assert found["descendants_count"] == 2


def test_an_account_whose_time_is_over_is_shut(node: ApiNode, acme: TestAccount) -> None:
    acme.given_two_phones()
    button = acme.given_button(auth_required=False)
    token, now = acme.token(), gregorian_s(node.run(_now(node)))
    left = node.post(f"{acme.base}/trial", {"expires": now + 1_000}).data["trial_time_left"]
    assert 900 < left <= 1_000
    assert node.get(acme.base, token=token).status == 200
    node.post(f"{acme.base}/trial", {"expires": now - 5})  # tokens are looked at anew
    expired = {"account": {"expired": {"message": "account expired", "cause": now - 5}}}
    for answer in (
        node.get(acme.base, token=token),
        node.put("/v2/api_auth", {"api_key": acme.api_key}, token=""),
        node.get(f"{acme.base}/clicktocall/{button}/connect?contact=1002", token=""),
    ):
        assert (answer.status, answer.data) == (400, expired)
    assert node.get(acme.base).data["trial_time_left"] < 0  # who is above it still gets in
    node.post(f"{acme.base}/trial", {"expires": None})
    assert "trial_time_left" not in node.get(acme.base, token=token).data


async def _now(node: ApiNode) -> float:
    return node.clock.epoch()


@pytest.mark.parametrize("expires", ["soon", True, -1, 1.5])
def test_times_that_are_none_are_refused(node: ApiNode, acme: TestAccount, expires: object) -> None:
    answer = node.post(f"{acme.base}/trial", {"expires": expires})
    assert (answer.status, list(answer.data)) == (400, ["expires"])
    assert node.post(f"{acme.base}/trial", {}).status == 400


def test_nobody_sets_its_own_time(node: ApiNode, acme: TestAccount) -> None:
    assert node.post(f"{acme.base}/trial", {"expires": None}, token=acme.token()).status == 403
    assert node.post(f"/v2/accounts/{node.master}/trial", {"expires": None}).status == 403
