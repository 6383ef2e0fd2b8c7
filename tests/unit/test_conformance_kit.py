"""The conformance kit, at servers that answer otherwise than anybody foresaw."""

import json
from typing import Any, Self

import pytest

from offhook.client import Answer, ApiClient
from offhook.conformance import calls, kit, run

TALKATIVE = b'{"data": "no object here", "status": "success"}'


class Odd(ApiClient):
    """A server that refuses each first try with 429 and answers everything with a text."""

    def login(self, api_key: str) -> Self:
        self.sent = 0
        return self

    def request(self, method: str, path: str, data: Any = None, **options: Any) -> Answer:
        self.sent += 1
        if self.sent % 2:
            return Answer(429, {}, b"")
        if self.sent == 2:
            return Answer(201, {}, json.dumps({"data": {**data, "id": "a" * 32}}).encode())
        return Answer(200, {}, TALKATIVE)


def test_every_sequence_ends_in_rows_whatever_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "ApiClient", Odd)
    monkeypatch.setattr(kit, "WAIT_S", 0.0)
    monkeypatch.setattr(calls, "HISTORY_S", 0.0)
    rows = run.run_kit("http://127.0.0.1:1", "0" * 64)
    assert not any(row.seen.startswith("429") for row in rows)
    assert [row.feature for row in rows if row.expected == "answers to build upon"]
    assert (rows[0].ok, rows[-1].feature) == (True, "accounts: DELETE of all that was made")
