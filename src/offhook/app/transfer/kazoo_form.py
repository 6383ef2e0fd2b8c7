"""KAZOO's documents as they lie in its database, and ours: `pvt_type`, `pvt_account_id`, `_id`, `_rev` …

Private fields of KAZOO that mean something here are listed in `PRIVATE`; all others are KAZOO's own
bookkeeping and are left behind. Lines that offhook wrote carry `pvt_offhook`: their private fields come back
whole.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from offhook.app.errors import AppError
from offhook.directory.model import GLOBAL_ACCOUNT, Document, Json
from offhook.directory.schemas import DOCUMENTS
from offhook.kernel import GREGORIAN_OFFSET_S, gregorian_s

from .model import Attempt, Cdr, Installation, Record

TYPES: Final = {"clicktocall": "click2call"}
"""Our type → KAZOO's, where they differ."""
OUR_TYPES: Final = {kazoo: ours for ours, kazoo in TYPES.items()}

HISTORY: Final = "c2c_history"
CDR: Final = "cdr"
INSTALLATION: Final = "offhook_installation"
MARK: Final = "pvt_offhook"

PRIVATE: Final[dict[str, dict[str, str]]] = {
    "account": {
        "pvt_tree": "tree",
        "pvt_api_key": "api_key",
        "pvt_reseller": "reseller",
        "pvt_trial_expires": "trial_expires",
    },
    "user": {"pvt_md5_auth": "md5_auth", "pvt_sha1_auth": "sha1_auth"},
}
"""KAZOO's private fields that are taken → their names here."""

OWN: Final = frozenset(
    {"pvt_type", "pvt_account_id", "pvt_account_db", "pvt_created", "pvt_modified", "pvt_deleted", MARK}
)
"""Fields that every document has, told otherwise here."""

DOCUMENT_ID: Final = re.compile(r"[A-Za-z0-9+_.@:-]{1,256}\Z")
ACCOUNT_ID: Final = re.compile(r"[0-9a-f]{32}\Z")
REVISION: Final = re.compile(r"[1-9][0-9]{0,8}-[0-9a-f]{32}\Z")
CDR_ID: Final = re.compile(r"[0-9]{6}-.{1,512}\Z", re.DOTALL)

_SECONDS_MAX: Final = 10**12
"""Gregorian seconds beyond any calendar."""


class NotTaken(AppError):
    """A record that cannot be carried over; the reason is for people."""

    code = "not-taken"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class Deleted(NotTaken):
    """A document that was deleted in KAZOO; nobody misses it."""

    code = "deleted"

    def __init__(self) -> None:
        super().__init__("it is deleted")


# --- out ----------------------------------------------------------------------------------------------


def written(record: Record) -> Json:
    """Return a record in KAZOO's form."""
    match record:
        case Document():
            return _written_document(record)
        case Attempt():
            return _written_row(record.account_id, record.data, HISTORY, record.timestamp) | {
                "pvt_clicktocall_id": record.button_id
            }
        case Cdr():
            return _written_row(record.account_id, record.data, CDR, _integer(record.data.get("timestamp")))
        case Installation():
            return {
                "_id": INSTALLATION,
                "pvt_type": INSTALLATION,
                "pvt_secret": record.secret,
                "pvt_master_account_id": record.master_account_id,
                MARK: True,
            }


def _written_document(document: Document) -> Json:
    line: Json = {"_id": document.id, "_rev": document.revision, **document.data}
    line |= {f"pvt_{key}": value for key, value in document.private.items()}
    line |= {
        "pvt_type": TYPES.get(document.type, document.type),
        "pvt_created": gregorian_s(document.created_at),
        "pvt_modified": gregorian_s(document.modified_at),
        MARK: True,
    }
    if document.account_id != GLOBAL_ACCOUNT:
        line["pvt_account_id"] = document.account_id
    return line


def _written_row(account_id: str, data: Json, kazoo_type: str, timestamp: int) -> Json:
    public = {key: value for key, value in data.items() if key != "id"}
    return {
        "_id": data.get("id", ""),
        **public,
        "pvt_type": kazoo_type,
        "pvt_account_id": account_id,
        "pvt_created": timestamp,
        MARK: True,
    }


# --- in -----------------------------------------------------------------------------------------------


def read(line: Json) -> Record:
    """Return the record of a document in KAZOO's form, not yet validated. Raises NotTaken."""
    line = _unwrapped(line)
    kazoo_type = line.get("pvt_type")
    if not isinstance(kazoo_type, str):
        raise NotTaken("it has no pvt_type")
    if line.get("pvt_deleted") is True:
        raise Deleted
    reader = _READERS.get(kazoo_type)
    if reader is not None:
        return reader(line)
    type = OUR_TYPES.get(kazoo_type, kazoo_type)
    if type not in DOCUMENTS:
        raise NotTaken(f"offhook keeps no documents of type {kazoo_type[:64]!r}")
    return _read_document(line, type)


def is_account(line: Json) -> bool:
    """Tell whether a line is an account: those are taken first."""
    return _unwrapped(line).get("pvt_type") == "account"


def _unwrapped(line: Json) -> Json:
    """Return the document of a line as CouchDB's `_all_docs?include_docs=true` writes it, too."""
    inner = line.get("doc")
    return inner if "pvt_type" not in line and isinstance(inner, dict) else line


def _read_document(line: Json, type: str) -> Document:
    document_id = _matched(line, "_id", ACCOUNT_ID if type == "account" else DOCUMENT_ID)
    account_id = document_id if type == "account" else _account_id(line)
    if account_id is None:
        if type != "resource":
            raise NotTaken("it has no pvt_account_id")
        account_id = GLOBAL_ACCOUNT
    created_at = _unix_s(line.get("pvt_created"))
    revision = line.get("_rev")
    return Document(
        id=document_id,
        account_id=account_id,
        type=type,
        data=_public(line, type),
        private=_private(line, type),
        revision=revision if isinstance(revision, str) and REVISION.match(revision) else "",
        created_at=created_at,
        modified_at=_unix_s(line.get("pvt_modified")) or created_at,
    )


def _public(line: Json, type: str) -> Json:
    data = {key: value for key, value in line.items() if not key.startswith(("_", "pvt_")) and key != "id"}
    if type == "account" and line.get("pvt_enabled") is False:
        data["enabled"] = False
    return data


def _private(line: Json, type: str) -> Json:
    if line.get(MARK) is True:
        keys = (key for key in line if key.startswith("pvt_") and key not in OWN)
        return {key.removeprefix("pvt_"): line[key] for key in keys}
    return {ours: line[theirs] for theirs, ours in PRIVATE.get(type, {}).items() if theirs in line}


def left_behind(line: Json) -> set[str]:
    """Return the private fields of a KAZOO document that are not taken."""
    line = _unwrapped(line)
    if line.get(MARK) is True:
        return set()
    type = OUR_TYPES.get(str(line.get("pvt_type")), str(line.get("pvt_type")))
    known = PRIVATE.get(type, {}).keys() | OWN | {"pvt_vsn", "pvt_enabled", "pvt_clicktocall_id"}
    return {key for key in line if key.startswith("pvt_") and key not in known}


def _read_attempt(line: Json) -> Attempt:
    button_id = line.get("pvt_clicktocall_id", line.get("clicktocall_id"))
    if not isinstance(button_id, str) or not DOCUMENT_ID.match(button_id):
        raise NotTaken("it does not say which button it belongs to (pvt_clicktocall_id)")
    data = _row(line, _matched(line, "_id", DOCUMENT_ID))
    data["timestamp"] = _seconds(line.get("timestamp", line.get("pvt_created")))
    return Attempt(
        account_id=_needed_account(line), button_id=button_id, timestamp=data["timestamp"], data=data
    )


def _read_cdr(line: Json) -> Cdr:
    data = _row(line, _matched(line, "_id", CDR_ID))
    data["timestamp"] = _seconds(line.get("timestamp", line.get("pvt_created")))
    if not isinstance(data.get("interaction_id", ""), str):
        raise NotTaken("its interaction_id is no text")
    if not isinstance(data.get("custom_channel_vars", {}), dict):
        raise NotTaken("its custom_channel_vars are no object")
    return Cdr(account_id=_needed_account(line), data=data)


def _read_installation(line: Json) -> Installation:
    secret, master = line.get("pvt_secret"), line.get("pvt_master_account_id")
    if not isinstance(secret, str) or not isinstance(master, str) or not ACCOUNT_ID.match(master):
        raise NotTaken("its secret or master account is missing")
    return Installation(secret=secret, master_account_id=master)


_READERS: Final[dict[str, Callable[[Json], Record]]] = {
    HISTORY: _read_attempt,
    CDR: _read_cdr,
    INSTALLATION: _read_installation,
}


def _row(line: Json, row_id: str) -> Json:
    public = {key: value for key, value in line.items() if not key.startswith(("_", "pvt_"))}
    return {**public, "id": row_id}


def _matched(line: Json, key: str, pattern: re.Pattern[str]) -> str:
    found = line.get(key)
    if not isinstance(found, str) or not pattern.match(found):
        raise NotTaken(f"its {key} cannot be used: {str(found)[:80]!r}")
    return found


def _account_id(line: Json) -> str | None:
    """Return the account: as told, or from the name of its database (`account/ab/cd/…`)."""
    found = line.get("pvt_account_id")
    if not isinstance(found, str):
        name = line.get("pvt_account_db")
        if not isinstance(name, str):
            return None
        found = name.replace("%2F", "").replace("/", "").removeprefix("account")[:32]
    return found if ACCOUNT_ID.match(found) else None


def _needed_account(line: Json) -> str:
    account_id = _account_id(line)
    if account_id is None:
        raise NotTaken("it has no pvt_account_id")
    return account_id


def _integer(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _seconds(value: Any) -> int:
    if isinstance(value, str) and value.isdecimal() and value.isascii():
        value = int(value[:20])
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _SECONDS_MAX:
        raise NotTaken("its timestamp is no number of Gregorian seconds")
    return value


def _unix_s(value: Any) -> float:
    """Return Unix seconds; 0 for a time that is missing or makes no sense."""
    if isinstance(value, int) and GREGORIAN_OFFSET_S <= value < _SECONDS_MAX:
        return float(value - GREGORIAN_OFFSET_S)
    return 0.0
