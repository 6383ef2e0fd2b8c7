import re

import pytest
from msgspec.structs import replace

from offhook.app.errors import KeyTaken, RevisionConflict
from offhook.app.ports import DocumentKey

from .given import ACCOUNT, given_document

pytestmark = pytest.mark.anyio

REALM = DocumentKey(kind="realm", value="acme.example.com")


async def test_a_stored_document_is_read_back_whole(store):
    stored = await store.documents.put(
        given_document(ours={"kept": [1, None, "é"]}), [], expected_revision=None
    )
    assert await store.documents.get(ACCOUNT, stored.id, type="device") == stored
    assert re.fullmatch("1-[0-9a-f]{32}", stored.revision)


async def test_a_document_is_not_found_under_another_type_or_account(store):
    stored = await store.documents.put(given_document(), [], expected_revision=None)
    assert await store.documents.get(ACCOUNT, stored.id, type="user") is None
    assert await store.documents.get("b" * 32, stored.id, type="device") is None
    assert await store.documents.get(ACCOUNT, "f" * 32, type="device") is None


async def test_two_accounts_may_use_one_document_id(store):
    for account_id in ("a" * 32, "b" * 32):
        document = given_document(account_id=account_id, of=account_id)
        await store.documents.put(document, [], expected_revision=None)
    found = await store.documents.get("b" * 32, given_document().id, type="device")
    assert found.data["of"] == "b" * 32


async def test_the_revision_counts_and_follows_the_content(store):
    first = await store.documents.put(given_document(), [], expected_revision=None)
    second = await store.documents.put(
        replace(first, data={"name": "Other"}), [], expected_revision=first.revision
    )
    assert second.revision.startswith("2-")
    assert second.revision[2:] != first.revision[2:]


@pytest.mark.parametrize("expected", [None, "7-" + "0" * 32])
async def test_a_writer_with_an_old_revision_is_refused(store, expected):
    first = await store.documents.put(given_document(), [], expected_revision=None)
    with pytest.raises(RevisionConflict):
        await store.documents.put(replace(first, data={"name": "late"}), [], expected_revision=expected)
    assert (await store.documents.get(ACCOUNT, first.id, type="device")).data == first.data


async def test_changing_what_is_not_there_is_a_conflict(store):
    with pytest.raises(RevisionConflict):
        await store.documents.put(given_document(), [], expected_revision="1-" + "0" * 32)


async def test_documents_are_found_by_key_oldest_first(store):
    key = DocumentKey(kind="owner_id", value="u1", scope=ACCOUNT, unique=False)
    for number in (3, 1, 2):
        await store.documents.put(given_document(number), [key], expected_revision=None)
    found = await store.documents.find("owner_id", "u1", scope=ACCOUNT)
    assert [document.data["name"] for document in found] == ["Desk 1", "Desk 2", "Desk 3"]
    assert await store.documents.find("owner_id", "u1") == []


async def test_a_unique_key_belongs_to_one_document(store):
    first = await store.documents.put(given_document(1), [REALM], expected_revision=None)
    with pytest.raises(KeyTaken) as refused:
        await store.documents.put(given_document(2), [REALM], expected_revision=None)
    assert (refused.value.kind, refused.value.value) == ("realm", "acme.example.com")
    assert refused.value.document_id == first.id
    assert await store.documents.get(ACCOUNT, given_document(2).id, type="device") is None


async def test_a_document_keeps_its_own_key_and_drops_old_ones(store):
    first = await store.documents.put(given_document(1), [REALM], expected_revision=None)
    again = await store.documents.put(first, [REALM], expected_revision=first.revision)
    await store.documents.put(again, [], expected_revision=again.revision)
    assert await store.documents.find("realm", REALM.value) == []
    await store.documents.put(given_document(2), [REALM], expected_revision=None)


async def test_unique_keys_in_other_scopes_do_not_meet(store):
    for number, scope in enumerate(("one", "two"), 1):
        key = DocumentKey(kind="sip_username", value="dev1", scope=scope)
        await store.documents.put(given_document(number), [key], expected_revision=None)
    [found] = await store.documents.find("sip_username", "dev1", scope="two")
    assert found.data["name"] == "Desk 2"


async def test_a_soft_deleted_document_is_gone_and_frees_its_keys(store):
    first = await store.documents.put(given_document(1), [REALM], expected_revision=None)
    await store.documents.put(replace(first, deleted=True), [REALM], expected_revision=first.revision)
    assert await store.documents.get(ACCOUNT, first.id, type="device") is None
    assert await store.documents.find("realm", REALM.value) == []
    assert await store.documents.list(ACCOUNT, type="device") == []
    await store.documents.put(given_document(2), [REALM], expected_revision=None)


async def test_a_removed_document_leaves_nothing(store):
    first = await store.documents.put(given_document(1), [REALM], expected_revision=None)
    with pytest.raises(RevisionConflict):
        await store.documents.remove(ACCOUNT, first.id, expected_revision="9-x")
    await store.documents.remove(ACCOUNT, first.id, expected_revision=first.revision)
    assert await store.documents.get(ACCOUNT, first.id, type="device") is None
    await store.documents.put(given_document(1), [REALM], expected_revision=None)


async def test_a_list_pages_by_id(store):
    for number in range(1, 8):
        await store.documents.put(given_document(number), [], expected_revision=None)
    await store.documents.put(given_document(9, type="user"), [], expected_revision=None)
    pages, after = [], ""
    while page := await store.documents.list(ACCOUNT, type="device", after=after, limit=3):
        pages.append([int(document.id, 16) for document in page])
        after = page[-1].id
    assert pages == [[1, 2, 3], [4, 5, 6], [7]]
    assert len(await store.documents.list(ACCOUNT, type="device")) == 7


async def test_deleting_an_account_takes_its_documents_and_no_others(store):
    for number in (1, 2):
        key = DocumentKey(kind="sip_username", value=f"dev{number}", scope="acme")
        await store.documents.put(given_document(number), [key], expected_revision=None)
    other = await store.documents.put(given_document(3, account_id="b" * 32), [REALM], expected_revision=None)
    assert await store.documents.delete_account(ACCOUNT, deleted_at=2000.0) == 2
    assert await store.documents.list(ACCOUNT, type="device") == []
    assert await store.documents.find("sip_username", "dev1", scope="acme") == []
    assert await store.documents.find("realm", REALM.value) == [other]


async def test_what_was_read_before_a_change_is_not_what_is_read_after_it(store):
    keys = [DocumentKey(kind="username", value="jane", scope=ACCOUNT)]
    stored = await store.documents.put(given_document(), keys, expected_revision=None)
    assert len(await store.documents.find("username", "jane", scope=ACCOUNT)) == 1
    assert await store.documents.get(ACCOUNT, "f" * 32, type="device") is None
    changed = replace(stored, data={"name": "after"})
    await store.documents.put(changed, [], expected_revision=stored.revision)
    read = await store.documents.get(ACCOUNT, stored.id, type="device")
    assert read.data == {"name": "after"}
    assert await store.documents.find("username", "jane", scope=ACCOUNT) == []
    late = await store.documents.put(given_document(2, id="x"), [], expected_revision=None)
    assert await store.documents.get(ACCOUNT, late.id, type="device") is not None
