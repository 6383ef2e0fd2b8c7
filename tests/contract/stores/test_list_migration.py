"""Documents that an earlier version stored stand in the lists of this one."""

from pathlib import Path

import msgspec
import pytest

from offhook.app.ports import DocumentRange
from offhook.directory import document_keys, list_keys
from offhook.directory.model import Document
from offhook.stores.sqlite import SqliteStore
from offhook.stores.sqlite.connections import open_writer
from offhook.stores.sqlite.documents import ADD_KEY, UPSERT

from .given import ACCOUNT

pytestmark = pytest.mark.anyio

PARENT = "b" * 32


def given_document(type: str, number: int, data: dict, private: dict | None = None) -> Document:
    account_id = f"{number:032x}" if type == "account" else ACCOUNT
    return Document(id=f"{number:032x}", account_id=account_id, type=type, data=data, private=private or {},
                    created_at=1.0, modified_at=1.0)  # fmt: skip


DOCUMENTS = [
    given_document("device", 1, {"name": "Desk", "owner_id": "u1", "hotdesk": {"users": {"u2": {}}}}),
    given_document("device", 2, {}),
    given_document("user", 3, {"first_name": "Jane", "last_name": "Doe"}),
    given_document("callflow", 4, {"numbers": ["1001"], "name": "Reception"}),
    given_document("callflow", 5, {"patterns": ["^9"]}),
    given_document("account", 6, {"name": "Acme", "realm": "a.example.com"}, {"tree": ["r", PARENT]}),
]


def given_old_database(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr("offhook.stores.sqlite.connections.SCHEMA_VERSION", 2)
        connection = open_writer(path)
    for document in DOCUMENTS:
        place = (document.account_id, document.id)
        encoded = [msgspec.json.encode(part) for part in (document.data, document.private)]
        connection.execute(UPSERT, (*place, document.type, *encoded, "1-x", 1.0, 1.0, False))
        for key in document_keys(document, realm="acme"):
            connection.execute(ADD_KEY, (key.kind, key.scope, key.value, *place, key.unique))
    connection.close()


async def test_every_document_is_listed_where_it_would_be_now(tmp_path, monkeypatch):
    path = tmp_path / "old.sqlite"
    given_old_database(path, monkeypatch)
    store = await SqliteStore.open(path)
    try:
        for document in DOCUMENTS:
            for key in list_keys(document):
                found = await store.documents.slice(DocumentRange(kind=key.kind, scope=key.scope, limit=10))
                labels = {row.id: mark[0] for mark, row in found.rows}
                assert labels[document.id] == key.value, key
    finally:
        await store.close()
