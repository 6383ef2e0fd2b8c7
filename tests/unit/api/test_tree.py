"""The account tree: moving, resellers, searching; users in whose place the master's people act."""

from .node import ApiNode, TestAccount, md5_credentials


def test_an_account_moves_with_all_below_it(node: ApiNode, acme: TestAccount) -> None:
    child = node.given_account("Child", below=acme.id)
    grandchild = node.given_account("Grandchild", below=child.id)
    target = node.given_account("Target")
    answer = node.post(f"{child.base}/move", {"to": target.id})
    assert (answer.status, answer.data["id"]) == (200, child.id)
    assert [item["id"] for item in node.get(f"{grandchild.base}/parents").data] == [
        node.master, target.id, child.id,
    ]  # fmt: skip
    assert node.get(f"{acme.base}/descendants").data == []
    assert [item["name"] for item in node.get(f"{target.base}/descendants").data] == ["Child", "Grandchild"]
    assert node.get(grandchild.base, token=acme.token()).status == 403
    assert node.get(grandchild.base, token=target.token()).status == 200


def test_what_cannot_be_moved_stays(node: ApiNode, acme: TestAccount) -> None:
    child = node.given_account("Child", below=acme.id)
    for data, code in ((None, "required"), ({"to": "f" * 32}, "not_found"), ({"to": child.id}, "invalid"),
                       ({"to": acme.id}, "invalid")):  # fmt: skip
        refused = node.post(f"{acme.base}/move", data)
        assert (refused.status, list(refused.data["to"])) == (400, [code])
    assert node.post(f"/v2/accounts/{node.master}/move", {"to": acme.id}).status == 403
    assert node.post(f"{child.base}/move", {"to": acme.id}, token=acme.token()).status == 403


def test_accounts_name_the_nearest_reseller_above(node: ApiNode, acme: TestAccount) -> None:
    child = node.given_account("Child", below=acme.id)
    grandchild = node.given_account("Grandchild", below=child.id)
    assert node.get(grandchild.base).data["reseller_id"] == node.master
    promoted = node.put(f"{acme.base}/reseller")
    assert (promoted.status, promoted.data["is_reseller"]) == (201, True)
    assert node.get(grandchild.base).data["reseller_id"] == acme.id
    assert node.get(acme.base).data["reseller_id"] == node.master
    login = node.put("/v2/api_auth", {"api_key": acme.api_key}, token="")
    assert (login.data["is_reseller"], login.data["reseller_id"]) == (True, node.master)
    assert node.put(f"{child.base}/reseller", token=acme.token()).status == 403
    assert node.delete(f"{acme.base}/reseller").data["is_reseller"] is False
    assert node.get(grandchild.base).data["reseller_id"] == node.master


def test_search_finds_by_beginning(node: ApiNode, acme: TestAccount) -> None:
    for name in ("Alpha", "Alpine", "Beta"):
        node.given_account(name, below=acme.id)
        acme.created("devices", {"name": name})
    names = lambda query: [i["name"] for i in node.get(f"{acme.base}/search?{query}").data]  # noqa: E731
    assert names("t=account&v=ALP") == ["Alpha", "Alpine"]
    assert names("t=device&v=al&page_size=1") == ["Alpha"]
    assert names("t=account&q=realm&v=zz") == []
    other = node.get(f"/v2/search?t=account&q=id&v={acme.id[:6]}").data
    assert [item["id"] for item in other] == [acme.id]
    for query, field in (("v=a", "t"), ("t=device", "v"), ("t=device&v=a&q=color", "q"), ("t=x&v=a", "t")):
        refused = node.get(f"{acme.base}/search?{query}")
        assert (refused.status, list(refused.data)) == (400, [field])


def test_the_masters_people_act_in_a_users_place(node: ApiNode, acme: TestAccount) -> None:
    user = acme.created(
        "users", {"first_name": "J", "last_name": "D", "username": "jane", "password": "pw-1"}
    )
    path = f"{acme.base}/users/{user}/user_auth"
    answer = node.put(path, body=b'{"action":"impersonate_user","data":{}}')
    assert (answer.status, answer.data["owner_id"], answer.data["account_id"]) == (201, user, acme.id)
    token = answer.json["auth_token"]
    info = node.get("/v2/auth/tokeninfo", token=token).data
    assert (info["account_id"], info["owner_id"]) == (acme.id, user)
    assert info["original_account_id"] == node.master
    assert "identity_sig" not in info
    assert node.get(f"{acme.base}/api_key", token=token).status == 403
    assert node.put(path, body=b'{"action":"impersonate_user","data":{}}', token=acme.token()).status == 403
    assert node.put(path, {}).status == 400
    login = node.put(
        "/v2/user_auth", {"credentials": md5_credentials("jane", "pw-1"), "account_name": "Acme"}, token=""
    )
    assert "original_account_id" not in node.get("/v2/auth/tokeninfo", token=login.json["auth_token"]).data
