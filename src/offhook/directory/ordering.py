"""In which lists a document stands, and where in them: keys that are read in order, page by page."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from .hotdesks import users_of
from .model import Document, DocumentKey, Json

LABEL_MAX: Final = 128
"""Characters a list is ordered by: names have no more, and every one costs an index entry."""

CHILDREN: Final = "list:children"
DESCENDANTS: Final = "list:descendants"
OWNED_DEVICES: Final = "list:owned_devices"


def list_kind(type: str) -> str:
    """Return the kind of key that lists an account's documents of a type; the scope is the account's id."""
    return f"list:{type}"


def owner_scope(account_id: str, user_id: str) -> str:
    """Return the scope of `OWNED_DEVICES`: ids of users in other accounts may be written into a device."""
    return f"{account_id}/{user_id}"


def list_keys(document: Document) -> list[DocumentKey]:
    """Return a document's places in lists.

    | kind | of | scope |
    |---|---|---|
    | list:{type} | every document but accounts | account |
    | list:children, list:descendants | account | the account above; each account above |
    | list:owned_devices | device | account and user: its owner, and users hot-desked into it |
    """
    label = list_label(document)
    return [
        DocumentKey(kind=kind, value=label, scope=scope, unique=False) for kind, scope in _lists(document)
    ]


def list_label(document: Document) -> str:
    """Return what a document is ordered by in lists: its name in lower case, or what serves as one."""
    return _LABELS.get(document.type, _name)(document.data).lower()[:LABEL_MAX]


def _lists(document: Document) -> Iterator[tuple[str, str]]:
    if document.type == "account":
        tree = document.private.get("tree") or ()
        if tree:
            yield CHILDREN, tree[-1]
        for ancestor in dict.fromkeys(tree):
            yield DESCENDANTS, ancestor
        return
    yield list_kind(document.type), document.account_id
    if document.type == "device":
        for user_id in users_of(document):
            yield OWNED_DEVICES, owner_scope(document.account_id, user_id)


def _name(data: Json) -> str:
    return _text(data.get("name"))


def _person(data: Json) -> str:
    return f"{_text(data.get('last_name'))} {_text(data.get('first_name'))}".strip()


def _callflow(data: Json) -> str:
    targets = [*(data.get("numbers") or ()), *(data.get("patterns") or ())]
    return _text(targets[0]) if targets else _name(data)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _nothing(data: Json) -> str:
    return ""  # its id is its name


_LABELS: Final[dict[str, Callable[[Json], str]]] = {
    "user": _person,
    "callflow": _callflow,
    "phone_number": _nothing,
}
