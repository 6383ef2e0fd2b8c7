"""Answers compared field by field with those of kazoo-behaviour, one case per row of its tables."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .node import ApiNode

CASES = json.loads((Path(__file__).parent / "golden" / "answers.json").read_text("utf-8"))

ALWAYS = ("node", "request_id", "timestamp", "tokens")
"""In every envelope, and never twice the same."""


class Known:
    """A node with something of everything, and the words that stand for it in the golden answers."""

    def __init__(self, node: ApiNode) -> None:
        self.node = node
        parent = node.given_account("Parent")
        acme = node.given_account("Acme", below=parent.id)
        user = acme.created(
            "users", {"first_name": "Jane", "last_name": "Doe", "username": "jane", "password": "secret-1"}
        )
        device = acme.created(
            "devices", {"name": "Desk", "owner_id": user, "sip": {"username": "dev1", "password": "secret-2"}}
        )
        self.words = {
            "{M}": node.master, "{P}": parent.id, "{A}": acme.id, "{REALM}": acme.realm,
            "{U}": user, "{D}": device, "{T}": acme.token(),
        }  # fmt: skip

    def read(self, text: str) -> str:
        for word, value in self.words.items():
            text = text.replace(word, value)
        return text


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    node = ApiNode(Path(tmp_path_factory.mktemp("golden")))
    yield Known(node)
    node.stop()


@pytest.mark.parametrize("case", CASES, ids=[case["row"] for case in CASES])
def test_an_answer_is_kazoos(known: Known, case: dict[str, Any]) -> None:
    method, path = case["ask"]
    token = known.read(case["token"]) if "token" in case else None
    body = case["body"].encode() if "body" in case else None
    answer = known.node.ask(method, known.read(path), case.get("data"), token=token, body=body)
    assert answer.status == case["status"]
    for name, value in case.get("headers", {}).items():
        assert answer.headers[name] == value, name
    assert not set(case.get("without", ())) & answer.headers.keys()
    envelope = answer.json
    assert set(ALWAYS) <= envelope.keys()
    given = {name: value for name, value in envelope.items() if name not in ALWAYS}
    wanted = json.loads(known.read(json.dumps(case["answer"])))
    if "auth_token" not in wanted:  # the test's own
        given.pop("auth_token", None)
    if given.pop("version", None) is not None:  # only for those who are known
        assert token in (None, known.words["{T}"])
    assert_same(given, wanted, "")


def assert_same(given: Any, wanted: Any, path: str) -> None:
    """Compare field by field; `*` stands for anything."""
    if wanted == "*":
        return
    if isinstance(wanted, dict) and isinstance(given, dict):
        assert given.keys() == wanted.keys(), f"keys of {path or 'the envelope'}"
        for name in wanted:
            assert_same(given[name], wanted[name], f"{path}.{name}")
        return
    if isinstance(wanted, list) and isinstance(given, list):
        assert len(given) == len(wanted), path
        for index, (one, other) in enumerate(zip(given, wanted, strict=True)):
            assert_same(one, other, f"{path}.{index}")
        return
    assert given == wanted, path
