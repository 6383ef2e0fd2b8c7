"""A forgotten password: a link by mail, used once, and nothing told to strangers (kazoo-behaviour 3.1)."""

import asyncio
import re
from pathlib import Path

import pytest

from .node import Answer, ApiNode, TestAccount, md5_credentials

PAGE = "https://ui.example.com/login?lang=de"
LINK = re.compile(r"https://ui\.example\.com/login\?lang=de&recovery=([0-9a-f]{64})")


def given_user(acme: TestAccount, **data: object) -> str:
    user = {"first_name": "J", "last_name": "D", "username": "jane", "password": "old-1"}
    return acme.created("users", user | {"email": "j@example.com"} | data)


def ask(node: ApiNode, username: str = "jane", *, page: str = PAGE, account: str = "Acme") -> Answer:
    data = {"username": username, "account_name": account, "ui_url": page}
    answer = node.put("/v2/user_auth/recovery", data, token="")
    node.run(asyncio.sleep(0.05))
    return answer


def link_id(node: ApiNode) -> str:
    found = LINK.search(node.mailbox.mails[-1][1])
    assert found is not None
    return found[1]


def take(node: ApiNode, reset_id: object) -> Answer:
    return node.post("/v2/user_auth/recovery", {"reset_id": reset_id}, token="")


def test_a_link_logs_in_once_and_a_new_password_is_chosen(node: ApiNode, acme: TestAccount) -> None:
    user = given_user(acme)
    assert ask(node, "JANE").status == 201
    assert node.mailbox.mails[0][0] == "j@example.com"
    login = take(node, link_id(node))
    assert (login.status, login.data["owner_id"]) == (200, user)
    path, token = f"{acme.base}/users/{user}", login.json["auth_token"]
    assert node.get(path, token=token).data["require_password_update"] is True
    changed = node.patch(path, {"password": "new-1", "require_password_update": False}, token=token)
    assert changed.status == 200
    credentials = {"credentials": md5_credentials("jane", "new-1"), "account_name": "Acme"}
    assert node.put("/v2/user_auth", credentials, token="").status == 201
    assert take(node, link_id(node)).status == 401


def test_strangers_learn_nothing(node: ApiNode, acme: TestAccount) -> None:
    given_user(acme)
    acme.created("users", {"first_name": "N", "last_name": "M", "username": "nomail", "password": "p-1"})
    given_user(acme, username="off", enabled=False)
    answers = [ask(node, name) for name in ("jane", "nobody", "nomail", "off")] + [ask(node, account="none")]
    assert len({(answer.status, str(answer.data)) for answer in answers}) == 1
    assert [to for to, _ in node.mailbox.mails] == ["j@example.com"]


def test_a_mailbox_is_not_filled(node: ApiNode, acme: TestAccount) -> None:
    given_user(acme)
    for _ in range(3):
        ask(node)
    assert len(node.mailbox.mails) == 1
    node.clock.ahead_s += 301
    ask(node)
    assert len(node.mailbox.mails) == 2


def test_old_links_are_dead(node: ApiNode, acme: TestAccount) -> None:
    user = given_user(acme)
    ask(node)
    first = link_id(node)
    node.clock.ahead_s += 301
    ask(node)
    assert take(node, first).status == 401  # a later one takes its place
    second = link_id(node)
    assert node.patch(f"{acme.base}/users/{user}", {"password": "other-1"}).status == 200
    assert take(node, second).status == 401  # the password was changed meanwhile
    node.clock.ahead_s += 301
    ask(node)
    node.clock.ahead_s += 3_601
    assert take(node, link_id(node)).status == 401
    for nonsense in ("", None, 5):
        assert take(node, nonsense).status == 400
    assert take(node, "0" * 64).status == 401


@pytest.mark.parametrize(
    "page",
    ["https://evil.example.net/", "https://ui.example.com.evil.net/", "javascript:alert(1)",
     "//ui.example.com/",
     "https://ui.example.com@evil.net/", "https://x@ui.example.com/", "ftp://ui.example.com/"],
)  # fmt: skip
def test_links_lead_to_known_hosts_only(node: ApiNode, acme: TestAccount, page: str) -> None:
    given_user(acme)
    refused = ask(node, page=page)
    assert (refused.status, list(refused.data)) == (400, ["ui_url"])
    assert node.mailbox.mails == []


def test_a_mail_server_that_fails_is_nobodys_news(node: ApiNode, acme: TestAccount) -> None:
    given_user(acme)
    node.mailbox.fails = True
    assert ask(node).status == 201


def test_without_a_mail_server_there_is_no_recovery(tmp_path: Path) -> None:
    node = ApiNode(tmp_path, recovery_hosts=frozenset())
    try:
        refused = ask(node)
        assert (refused.status, list(refused.data["recovery"])) == (400, ["disabled"])
    finally:
        node.stop()
