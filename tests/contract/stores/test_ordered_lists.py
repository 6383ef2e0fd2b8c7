"""Documents in the order of their label, slice by slice; several documents in one step."""

import pytest
from msgspec.structs import replace

from offhook.app.errors import KeyTaken, RevisionConflict
from offhook.app.ports import DocumentKey, DocumentRange, DocumentWrite

from .given import ACCOUNT, given_document

pytestmark = pytest.mark.anyio

KIND = "list:device"


def listed(label: str) -> DocumentKey:
    return DocumentKey(kind=KIND, value=label, scope=ACCOUNT, unique=False)


async def given_labels(store, *labels: str) -> None:
    for number, label in enumerate(labels, 1):
        await store.documents.put(given_document(number), [listed(label)], expected_revision=None)


def wanted(**options) -> DocumentRange:
    return DocumentRange(**{"kind": KIND, "scope": ACCOUNT, "limit": 10} | options)


def labels_of(found) -> list[str]:
    return [mark[0] for mark, _ in found.rows]


async def test_rows_come_in_order_of_label_and_id(store):
    await given_labels(store, "b", "é", "a", "b", "")
    found = await store.documents.slice(wanted())
    assert labels_of(found) == ["", "a", "b", "b", "é"]
    assert [int(document.id, 16) for _, document in found.rows] == [5, 3, 1, 4, 2]
    assert found.next is None


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_slices_hold_every_row_once(store, backwards, limit):
    await given_labels(store, *"dacbabfa")
    seen, mark = [], None
    while True:
        found = await store.documents.slice(wanted(start=mark, backwards=backwards, limit=limit))
        assert len(found.rows) <= limit
        seen += labels_of(found)
        mark = found.next
        if mark is None:
            break
    assert seen == sorted("dacbabfa", reverse=backwards)


async def test_a_slice_goes_on_where_it_would_although_rows_come_and_go(store):
    await given_labels(store, "a", "b", "c", "d")
    first = await store.documents.slice(wanted(limit=2))
    gone = await store.documents.get(ACCOUNT, given_document(3).id, type="device")
    await store.documents.put(replace(gone, deleted=True), [], expected_revision=gone.revision)
    await store.documents.put(given_document(9), [listed("a2")], expected_revision=None)
    assert labels_of(await store.documents.slice(wanted(start=first.next))) == ["d"]


async def test_a_slice_ends_at_its_last_row(store):
    await given_labels(store, "a", "b", "c", "d")
    first, last = ("b", "", ""), ("c", ACCOUNT, "f" * 32)
    assert labels_of(await store.documents.slice(wanted(start=first, end=last))) == ["b", "c"]
    found = await store.documents.slice(wanted(start=last, end=first, backwards=True))
    assert labels_of(found) == ["c", "b"]


async def test_a_filter_sees_documents_and_says_where_to_go_on(store, monkeypatch):
    monkeypatch.setattr("offhook.stores.sqlite.documents.SCANNED_MAX", 3)
    await given_labels(store, *"abcdefgh")
    is_late = lambda document: int(document.id, 16) > 4  # noqa: E731
    found = await store.documents.slice(wanted(), keep=is_late)
    assert (labels_of(found), found.next[0]) == ([], "d")
    found = await store.documents.slice(wanted(start=found.next), keep=is_late)
    assert (labels_of(found), found.next[0]) == (["e", "f"], "g")
    found = await store.documents.slice(wanted(start=found.next, limit=1), keep=is_late)
    assert (labels_of(found), found.next[0]) == (["g"], "h")


async def test_lists_of_other_accounts_do_not_mix(store):
    await given_labels(store, "a")
    other = DocumentKey(kind=KIND, value="a", scope="b" * 32, unique=False)
    await store.documents.put(given_document(7, account_id="b" * 32), [other], expected_revision=None)
    assert len((await store.documents.slice(wanted())).rows) == 1


async def test_several_documents_are_stored_together(store):
    key = DocumentKey(kind="sip_username", value="dev", scope="acme")
    writes = [
        DocumentWrite(document=given_document(number), keys=[key] if number == 1 else [],
                      expected_revision=None)
        for number in range(1, 31)
    ]  # fmt: skip
    stored = await store.documents.put_all(writes)
    assert [document.revision[:2] for document in stored] == ["1-"] * 30
    swapped = [
        DocumentWrite(document=document, keys=[key] if number == 2 else [],
                      expected_revision=document.revision)
        for number, document in enumerate(stored, 1)
    ]  # fmt: skip
    await store.documents.put_all(swapped)
    [holder] = await store.documents.find("sip_username", "dev", scope="acme")
    assert holder.id == given_document(2).id


@pytest.mark.parametrize("fault", ["revision", "key"])
async def test_one_refused_write_stores_none(store, fault):
    key = DocumentKey(kind="realm", value="acme.example.com")
    taken = await store.documents.put(given_document(1), [key], expected_revision=None)
    writes = [
        DocumentWrite(document=given_document(2), keys=[], expected_revision=None),
        DocumentWrite(document=given_document(3), keys=[key] if fault == "key" else [],
                      expected_revision=None if fault == "key" else "1-x"),
    ]  # fmt: skip
    with pytest.raises(KeyTaken if fault == "key" else RevisionConflict):
        await store.documents.put_all(writes)
    assert await store.documents.list(ACCOUNT, type="device") == [taken]
