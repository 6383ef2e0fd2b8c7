"""Import and export over the real store: what is kept, what is refused and why; it can be repeated."""

import asyncio
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from offhook.app.passwords import Passwords
from offhook.app.transfer import Importer, Line, Report, lines
from offhook.stores.sqlite.exclusive import StoreInUse, own_database
from offhook.stores.sqlite.transfer import SqliteSource, SqliteTarget
from offhook.system import SystemClock, SystemRandom

Json = dict[str, Any]

ROOT, ACME = "1" * 32, "2" * 32
JANE, DESK, BUTTON = "3" * 32, "4" * 32, "5" * 32
REVISION = "3-0123456789abcdef0123456789abcdef"


def kazoo(type: str, id: Any, **fields: Any) -> Json:
    """Return a document as it lies in KAZOO's database."""
    common = {"pvt_type": type, "pvt_account_id": ACME, "pvt_created": 63876500000, "pvt_vsn": "1"}
    return {"_id": id, "_rev": REVISION} | common | fields


def account(id: str = ACME, **fields: Any) -> Json:
    named: Json = {"name": f"Acme {id[:3]}", "realm": f"a{id[:3]}.example.com"}
    private = {"pvt_account_id": id, "pvt_tree": [ROOT], "pvt_api_key": id * 2}
    return kazoo("account", id, **(named | private | fields))


def device(id: Any = DESK, **fields: Any) -> Json:
    sip = {"username": f"dev{str(id)[:4]}", "password": "s3cret-pass"}
    return kazoo("device", id, **({"name": "Desk", "sip": sip} | fields))


def imported(path: Path, documents: Sequence[Json | bytes], *, overwrite: bool = False) -> Report:
    texts = [d if isinstance(d, bytes) else json.dumps(d).encode() for d in documents]
    with SqliteTarget(path) as target:
        importer = Importer(
            target, clock=SystemClock(), random=SystemRandom(), realm_suffix="sip.test", overwrite=overwrite
        )
        return asyncio.run(importer.run(lambda: iter(Line(n, text) for n, text in enumerate(texts, start=1))))


def exported(path: Path) -> list[Json]:
    with SqliteSource(path) as source:
        return [json.loads(line) for line in lines(source)]


def one(documents: Sequence[Json], id: str) -> Json:
    [found] = [document for document in documents if document["_id"] == id]
    return found


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "offhook.sqlite"


def test_ids_revisions_times_and_api_keys_are_kept(database: Path) -> None:
    report = imported(database, [device(), account(), kazoo("click2call", BUTTON, name="B", extension="1")])
    assert report.is_complete
    assert report.taken == {"account": 1, "device": 1, "clicktocall": 1}
    found = exported(database)
    acme = one(found, ACME)
    assert (acme["pvt_api_key"], acme["pvt_tree"], acme["_rev"]) == (ACME * 2, [ROOT], REVISION)
    assert one(found, DESK)["pvt_created"] == 63876500000
    assert one(found, DESK)["sip"]["password"] == "s3cret-pass"
    assert one(found, BUTTON)["pvt_type"] == "click2call"


def test_the_order_of_lines_does_not_matter_and_a_second_time_changes_nothing(database: Path) -> None:
    documents = [device(), account()]
    imported(database, documents)
    before = exported(database)
    again = imported(database, documents)
    assert (again.taken, again.unchanged) == ({}, {"account": 1, "device": 1})
    assert exported(database) == before


def test_documents_without_revision_are_taken_once(database: Path) -> None:
    document = {key: value for key, value in device().items() if key != "_rev"}
    imported(database, [account(), document])
    assert imported(database, [account(), document]).unchanged["device"] == 1


def test_a_document_that_was_changed_here_since_is_left_alone(database: Path) -> None:
    newer = "4-0123456789abcdef0123456789abcdef"
    imported(database, [account(), device(name="New", _rev=newer, pvt_modified=63876600000)])
    assert imported(database, [device()]).newer == {"device": 1}
    assert one(exported(database), DESK)["name"] == "New"
    imported(database, [device()], overwrite=True)
    assert one(exported(database), DESK)["name"] == "Desk"


def test_passwords_of_kazoo_become_argon2id_of_its_digests(database: Path) -> None:
    md5 = hashlib.md5(b"jane:pw").hexdigest()
    user = kazoo(
        "user", JANE, first_name="Jane", last_name="Doe", username="jane", pvt_md5_auth=md5, pvt_sha1_auth=""
    )
    assert imported(database, [account(), user]).is_complete
    found = exported(database)
    secret = one(found, "offhook_installation")["pvt_secret"]
    stored = asyncio.run(Passwords(secret).stored_form(ACME, "md5", md5))
    assert one(found, JANE)["pvt_credentials"] == {"md5": stored}
    assert md5 not in json.dumps(found)


def test_history_and_cdrs(database: Path) -> None:
    item = kazoo(
        "c2c_history", "202403-a", pvt_clicktocall_id=BUTTON, timestamp=63876500000, result="success"
    )
    leg = kazoo("cdr", "202403-leg@h", timestamp="63876500000", interaction_id="63876500000-1a2b3c4d")
    report = imported(database, [account(), item, leg])
    assert report.taken == {"account": 1, "history": 1, "cdr": 1}
    assert imported(database, [item, leg]).unchanged == {"history": 1, "cdr": 1}
    found = exported(database)
    assert one(found, "202403-a")["pvt_clicktocall_id"] == BUTTON
    assert one(found, "202403-leg@h")["timestamp"] == 63876500000


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "no JSON"),
        (b"[1]", "no JSON object"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        ({"_id": "x"}, "it has no pvt_type"),
        (kazoo("vmbox", "x"), "offhook keeps no documents of type 'vmbox'"),
        (device(name=""), "name: String must be at least 1 characters"),
        (device(pvt_account_id="9" * 32), f"its account {'9' * 32} is unknown"),
        (device(pvt_account_id=None), "it has no pvt_account_id"),
        (device(5), "its _id cannot be used: '5'"),
        (device("6" * 32, sip={"username": "dev4444"}), f"sip_username 'dev4444' belongs to {DESK}"),
        (account("7" * 32, realm="a222.example.com"), f"realm 'a222.example.com' belongs to {ACME}"),
        (account("x"), "its _id cannot be used: 'x'"),
        (account("7" * 32, pvt_tree="x"), "its pvt_tree is no list of ids"),
        (account("7" * 32, pvt_tree=[ROOT] * 21), "it stands more than 20 levels deep"),
        (kazoo("c2c_history", "h", timestamp=1), "it does not say which button"),
        (kazoo("cdr", "x", timestamp=1), "its _id cannot be used"),
        (kazoo("cdr", "202403-x", timestamp="soon"), "its timestamp is no number"),
        (kazoo("cdr", "202403-x", timestamp=1, custom_channel_vars=[]), "its custom_channel_vars are no"),
    ],
)
def test_what_is_not_taken_is_told_with_line_and_reason(database: Path, line: Any, reason: str) -> None:
    report = imported(database, [account(), device(), line])
    assert [(refused.line, refused.reason.startswith(reason)) for refused in report.refused] == [(3, True)]
    assert report.taken == {"account": 1, "device": 1}


def test_deleted_documents_and_private_fields_that_mean_nothing_here_are_counted(database: Path) -> None:
    report = imported(database, [account(pvt_notes="x"), device(pvt_deleted=True)])
    assert (report.deleted, report.fields_left, report.is_complete) == (1, {"pvt_notes": 1}, True)


def test_couchdbs_rows_and_database_names_are_understood(database: Path) -> None:
    document = device(pvt_account_db=f"account%2F{ACME[:2]}%2F{ACME[2:4]}%2F{ACME[4:]}")
    del document["pvt_account_id"]
    rows = [{"id": d["_id"], "key": d["_id"], "value": {}, "doc": d} for d in (document, account())]
    assert imported(database, rows).taken == {"account": 1, "device": 1}


def test_carriers_of_the_installation_have_no_account(database: Path) -> None:
    carrier = kazoo("resource", "8" * 32, name="Carrier", gateways=[{"server": "sip.example.net"}])
    del carrier["pvt_account_id"]
    assert imported(database, [carrier]).is_complete
    assert "pvt_account_id" not in one(exported(database), "8" * 32)


def test_the_root_account_of_kazoo_becomes_the_master(database: Path) -> None:
    imported(database, [account(ROOT, pvt_tree=[], pvt_superduper_admin=True)])
    assert one(exported(database), "offhook_installation")["pvt_master_account_id"] == ROOT


def test_a_copy_of_an_installation_is_equal(database: Path, tmp_path: Path) -> None:
    user = kazoo("user", JANE, first_name="J", last_name="D", username="jane", pvt_md5_auth="0" * 32)
    hook = kazoo("webhook", "6" * 32, name="H", uri="https://example.com/h", hook="all", enabled=False)
    imported(
        database,
        [
            account(ROOT, pvt_tree=[], pvt_superduper_admin=True), account(), user, device(), hook,
            kazoo("cdr", "202403-x", timestamp=63876500000, interaction_id="63876500000-1a2b3c4d"),
        ],
    )  # fmt: skip
    original = exported(database)
    copy = tmp_path / "copy.sqlite"
    report = imported(copy, original)
    assert (report.is_complete, report.fields_left) == (True, {})
    assert exported(copy) == original


def test_stored_passwords_of_another_installation_are_not_taken(database: Path, tmp_path: Path) -> None:
    user = kazoo("user", JANE, first_name="J", last_name="D", username="jane", pvt_md5_auth="0" * 32)
    imported(database, [account(ROOT, pvt_tree=[], pvt_superduper_admin=True), account(), user])
    other = tmp_path / "other.sqlite"
    with SqliteTarget(other) as target:
        target.set_installation(secret="of its own")
    report = imported(other, exported(database))
    assert [refused.id for refused in report.refused] == ["installation", JANE]
    assert report.taken["user"] == 1
    assert "pvt_credentials" not in one(exported(other), JANE)


def test_memory_does_not_grow_with_the_file(database: Path) -> None:
    batches: list[int] = []

    class Counting(SqliteTarget):
        def take_cdrs(self, cdrs: Any) -> Any:
            batches.append(len(cdrs))
            return super().take_cdrs(cdrs)

    @contextmanager
    def counted() -> Iterator[Counting]:
        with Counting(database) as target:
            yield target

    def many() -> Iterator[Line]:
        yield Line(1, json.dumps(account()).encode())
        for n in range(2, 3_002):
            yield Line(n, json.dumps(kazoo("cdr", f"202403-{n}", timestamp=63876500000 + n)).encode())

    with counted() as target:
        importer = Importer(target, clock=SystemClock(), random=SystemRandom(), realm_suffix="sip.test")
        report = asyncio.run(importer.run(many))
    assert report.taken["cdr"] == 3_000
    assert max(batches) <= 500


def test_a_database_has_one_owner(database: Path) -> None:
    with own_database(database), pytest.raises(StoreInUse), own_database(database):
        pass
    with own_database(database):
        pass


def test_a_database_that_is_not_there_is_not_exported(database: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SqliteSource(database)


def test_an_import_that_was_cut_off_is_run_again(database: Path) -> None:
    rows = [kazoo("cdr", f"202403-{n}", timestamp=63876500000 + n) for n in range(1_200)]
    documents = [account(), device(), *rows]

    readings = 0

    def cut_off() -> Iterator[Line]:
        nonlocal readings
        readings += 1
        for number, document in enumerate(documents, start=1):
            if number == 800 and readings == 2:
                raise InterruptedError
            yield Line(number, json.dumps(document).encode())

    with SqliteTarget(database) as target:
        importer = Importer(target, clock=SystemClock(), random=SystemRandom(), realm_suffix="sip.test")
        with pytest.raises(InterruptedError):
            asyncio.run(importer.run(cut_off))
    report = imported(database, documents)
    assert report.is_complete
    assert (report.taken["cdr"], report.unchanged["cdr"]) == (700, 500)
    assert len([line for line in exported(database) if line["pvt_type"] == "cdr"]) == 1_200
