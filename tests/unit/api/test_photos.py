"""Pictures of users, and their cards for address books."""

import base64
from pathlib import Path

import pytest

from .node import ApiNode, TestAccount, md5_credentials
from .test_media import SHORT

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40
JPEG = b"\xff\xd8\xff\xe0" + b"\x01" * 40


@pytest.fixture
def jane(acme: TestAccount) -> str:
    return acme.created(
        "users",
        {"first_name": "Jane", "last_name": "Doe; Roe", "email": "jane@example.com", "username": "jane",
         "password": "correct horse", "profile": {"title": "Engineer", "nicknames": ["J", "JD"]},
         "caller_id": {"external": {"number": "+14158867900"}, "internal": {"number": "1001"}}},
    )  # fmt: skip


def path_of(acme: TestAccount, user: str, what: str = "photo") -> str:
    return f"{acme.base}/users/{user}/{what}"


@pytest.mark.parametrize(("content", "kind"), [(PNG, "image/png"), (JPEG, "image/jpeg")])
def test_a_picture_comes_back_as_it_was(
    node: ApiNode, acme: TestAccount, jane: str, content: bytes, kind: str
) -> None:
    path = path_of(acme, jane)
    assert node.get(path).status == 404
    assert node.post(path, body=content, headers={"content-type": "image/anything"}).status == 200
    read = node.get(path)
    assert (read.status, read.body, read.headers["content-type"]) == (200, content, kind)
    assert read.headers["x-content-type-options"] == "nosniff"
    coded = node.get(path, headers={"accept": "application/base64"})
    assert base64.b64decode(coded.body) == content
    assert node.delete(path).status == 200
    assert (node.get(path).status, node.delete(path).status) == (404, 404)


@pytest.mark.parametrize("kind", ["application/base64", "application/x-base64"])
def test_a_picture_may_come_in_base64(node: ApiNode, acme: TestAccount, jane: str, kind: str) -> None:
    coded = b"data:image/png;base64," + base64.b64encode(PNG)
    sent = node.post(path_of(acme, jane), body=coded, headers={"content-type": kind})
    assert sent.status == 200, sent.body
    assert node.get(path_of(acme, jane)).body == PNG


@pytest.mark.parametrize("content", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF", b"hello"])
def test_only_pictures_are_taken(node: ApiNode, acme: TestAccount, jane: str, content: bytes) -> None:
    answer = node.post(path_of(acme, jane), body=content, headers={"content-type": "image/png"})
    assert answer.status == 415, answer.body
    assert node.get(path_of(acme, jane)).status == 404


def test_a_picture_goes_with_its_user(node: ApiNode, acme: TestAccount, jane: str, tmp_path: Path) -> None:
    node.post(path_of(acme, jane), body=PNG, headers={"content-type": "image/png"})
    assert len(list((tmp_path / "photos").iterdir())) == 1
    assert node.delete(f"{acme.base}/users/{jane}").status == 200
    assert list((tmp_path / "photos").iterdir()) == []


def test_pictures_and_sounds_go_with_their_account(
    node: ApiNode, acme: TestAccount, jane: str, tmp_path: Path
) -> None:
    node.post(path_of(acme, jane), body=PNG, headers={"content-type": "image/png"})
    media = acme.created("media", {"name": "Hold"})
    sent = node.post(f"{acme.base}/media/{media}/raw", body=SHORT, headers={"content-type": "audio/wav"})
    assert sent.status == 200
    assert node.delete(acme.base).status == 200
    assert [*(tmp_path / "photos").iterdir(), *(tmp_path / "media").iterdir()] == []


def test_nothing_and_too_much_are_refused(node: ApiNode, acme: TestAccount, jane: str) -> None:
    assert "required" in node.post(path_of(acme, jane)).data["photo"]
    large = node.post(path_of(acme, jane), body=PNG + bytes(1_000_000), headers={"content-type": "image/png"})
    assert "maxSize" in large.data["photo"]


def test_a_plain_user_changes_its_own_picture_only(node: ApiNode, acme: TestAccount, jane: str) -> None:
    other = acme.created("users", {"first_name": "Jim", "last_name": "Doe"})
    login = {"credentials": md5_credentials("jane", "correct horse"), "account_realm": acme.realm}
    token = node.put("/v2/user_auth", login, token="").json["auth_token"]
    headers = {"content-type": "image/png"}
    assert node.post(path_of(acme, jane), body=PNG, headers=headers, token=token).status == 200
    assert node.post(path_of(acme, other), body=PNG, headers=headers, token=token).status == 403
    assert node.delete(path_of(acme, jane), token=token).status == 200


def test_a_card_tells_who_it_is(node: ApiNode, acme: TestAccount, jane: str) -> None:
    node.post(path_of(acme, jane), body=PNG, headers={"content-type": "image/png"})
    answer = node.get(path_of(acme, jane, "vcard"))
    assert (answer.status, answer.headers["content-type"]) == (200, "text/x-vcard")
    lines = answer.body.decode().replace("\r\n ", "").splitlines()
    assert lines == [
        "BEGIN:VCARD",
        "VERSION:3.0",
        "FN:Jane Doe\\; Roe",
        "N:Doe\\; Roe;Jane;;;",
        "EMAIL;TYPE=INTERNET:jane@example.com",
        "ORG:Acme",
        "TITLE:Engineer",
        "NICKNAME:J,JD",
        "TEL;TYPE=WORK,VOICE:+14158867900",
        "TEL;TYPE=WORK,VOICE:1001",
        f"PHOTO;ENCODING=b;TYPE=PNG:{base64.b64encode(PNG).decode()}",
        "END:VCARD",
    ]
    assert all(len(line) <= 75 for line in answer.body.split(b"\r\n"))
