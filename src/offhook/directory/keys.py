"""By which keys a document is found, and what KAZOO says when a key is taken."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from .faults import Faults, add_fault
from .hotdesks import users_of
from .model import Document, DocumentKey

REALM: Final = "realm"
ACCOUNT_NAME: Final = "account_name"
API_KEY: Final = "api_key"
PARENT: Final = "parent"
ANCESTOR: Final = "ancestor"
USERNAME: Final = "username"
CREDENTIALS: Final = "credentials"
RESET_DIGEST: Final = "reset_digest"
HOTDESK_ID: Final = "hotdesk_id"
SIP_USERNAME: Final = "sip_username"
DEVICE_IP: Final = "device_ip"
MAC_ADDRESS: Final = "mac_address"
OWNER_ID: Final = "owner_id"
CALLFLOW_NUMBER: Final = "callflow_number"
CALLFLOW_PATTERNS: Final = "callflow_patterns"
RESOURCE: Final = "resource"
GATEWAY: Final = "gateway"
INBOUND_TRUNK: Final = "inbound_trunk"
INBOUND_USERNAME: Final = "inbound_username"
ACCOUNT_NUMBER: Final = "account_number"
PHONE_NUMBER: Final = "phone_number"
WEBHOOK: Final = "webhook"
FILE_NAME: Final = "file_name"


def document_keys(document: Document, *, realm: str = "") -> list[DocumentKey]:
    """Return the keys of a valid document. realm is the account's, needed for devices.

    | kind | of | value | scope | unique |
    |---|---|---|---|---|
    | realm, account_name, api_key | account | lower case; its letters and digits; private | | yes |
    | parent, ancestor | account | id of the account above; of each account above | | |
    | username | user | lower case | account | yes |
    | credentials | user | what `private["credentials"]` holds per method | account | |
    | reset_digest | user who asked for a new password | digest of the link's id | | yes |
    | hotdesk_id | user | | account | yes |
    | sip_username | device | lower case | realm | yes |
    | device_ip | device with method `ip` | | | yes |
    | mac_address | device | hex digits | account | yes |
    | owner_id | device | id of its user; of each user hot-desked into it | account | |
    | callflow_number | callflow | as stored, hence normalised | account | yes |
    | callflow_patterns | callflow that has patterns | empty: they are found together | account | |
    | resource | resource | empty: they are found together | account | |
    | gateway | resource with gateways | empty: all of the installation are found together | | |
    | inbound_trunk | resource that lists addresses it calls from | empty: all are found together | | |
    | inbound_username | resource that calls in with digest | lower case | | yes |
    | account_number | callflow, phone_number | its numbers that begin with `+` | | |
    | phone_number | phone_number | the number | | yes |
    | file_name | user, media | type and id: its file is named by it, whatever the account | | yes |
    | webhook | webhook | empty: all of the installation are found together | | |
    """
    make = _KEYS.get(document.type)
    return [] if make is None else list(dict.fromkeys(make(document, realm)))


def normal_account_name(name: str) -> str:
    """Return an account's name as it is compared: lower case, only letters and digits."""
    return "".join(character for character in name.lower() if character.isalnum())


def taken_fault(kind: str, value: str, holder: Document | None = None) -> Faults:
    """Return KAZOO's fault for a unique key that another document holds."""
    field, message = _TAKEN.get(kind, (kind, "{value} is in use"))
    document_id = holder.id if holder is not None else ""
    name = _text(holder.data.get("name")) if holder is not None else ""
    faults: Faults = {}
    text = message.format(value=value, id=document_id, name=name).rstrip()
    add_fault(faults, tuple(field.split(".")), "unique", text, cause=value)
    return faults


_TAKEN: Final = {
    REALM: ("realm", "Account realm already in use"),
    ACCOUNT_NAME: ("name", "Account name already in use"),
    USERNAME: ("username", "Username must be unique within account"),
    HOTDESK_ID: ("hotdesk.id", "Hotdesk id already in use"),
    SIP_USERNAME: ("sip.username", "SIP credentials already in use"),
    DEVICE_IP: ("sip.ip", "SIP IP already in use"),
    INBOUND_USERNAME: ("inbound.username", "Username already in use"),
    MAC_ADDRESS: ("mac_address", "MAC address already in use"),
    FILE_NAME: ("id", "Id already in use"),
    CALLFLOW_NUMBER: ("numbers", "Number {value} exists in callflow {id} {name}"),
}

Keys = Iterator[DocumentKey]


def _account_keys(document: Document, _realm: str) -> Keys:
    if realm := _text(document.data.get("realm")):
        yield DocumentKey(kind=REALM, value=realm.lower())
    if name := normal_account_name(_text(document.data.get("name"))):
        yield DocumentKey(kind=ACCOUNT_NAME, value=name)
    if api_key := _text(document.private.get("api_key")):
        yield DocumentKey(kind=API_KEY, value=api_key)
    tree = document.private.get("tree") or ()
    for ancestor in tree:
        yield DocumentKey(kind=ANCESTOR, value=ancestor, unique=False)
    if tree:
        yield DocumentKey(kind=PARENT, value=tree[-1], unique=False)


def _user_keys(document: Document, _realm: str) -> Keys:
    scope = document.account_id
    if username := _text(document.data.get("username")):
        yield DocumentKey(kind=USERNAME, value=username.lower(), scope=scope)
    for stored in (document.private.get("credentials") or {}).values():
        yield DocumentKey(kind=CREDENTIALS, value=stored, scope=scope, unique=False)
    if reset := document.private.get("reset"):
        yield DocumentKey(kind=RESET_DIGEST, value=reset["digest"])
    if hotdesk_id := _text((document.data.get("hotdesk") or {}).get("id")):
        yield DocumentKey(kind=HOTDESK_ID, value=hotdesk_id, scope=scope)
    yield from _file_keys(document, _realm)


def _file_keys(document: Document, _realm: str) -> Keys:
    """Return what keeps two accounts from one file: clients and imports may bring ids of their choice."""
    yield DocumentKey(kind=FILE_NAME, value=f"{document.type}/{document.id}")


def _device_keys(document: Document, realm: str) -> Keys:
    sip = document.data.get("sip") or {}
    if username := _text(sip.get("username")):
        domain = _text(sip.get("realm")) or realm
        yield DocumentKey(kind=SIP_USERNAME, value=username.lower(), scope=domain.lower())
    if sip.get("method") == "ip" and _text(sip.get("ip")):
        yield DocumentKey(kind=DEVICE_IP, value=sip["ip"])
    if mac_address := "".join(c for c in _text(document.data.get("mac_address")).lower() if c.isalnum()):
        yield DocumentKey(kind=MAC_ADDRESS, value=mac_address, scope=document.account_id)
    for user_id in users_of(document):
        yield DocumentKey(kind=OWNER_ID, value=user_id, scope=document.account_id, unique=False)


def _callflow_keys(document: Document, _realm: str) -> Keys:
    for number in document.data.get("numbers") or ():
        yield DocumentKey(kind=CALLFLOW_NUMBER, value=number, scope=document.account_id)
        if number.startswith("+"):
            yield DocumentKey(kind=ACCOUNT_NUMBER, value=number, unique=False)
    if document.data.get("patterns"):
        yield DocumentKey(kind=CALLFLOW_PATTERNS, value="", scope=document.account_id, unique=False)


def _resource_keys(document: Document, _realm: str) -> Keys:
    yield DocumentKey(kind=RESOURCE, value="", scope=document.account_id, unique=False)
    if document.data.get("gateways"):
        yield DocumentKey(kind=GATEWAY, value="", unique=False)
    inbound = document.data.get("inbound") or {}
    if inbound.get("addresses"):
        yield DocumentKey(kind=INBOUND_TRUNK, value="", unique=False)
    if username := _text(inbound.get("username")):
        yield DocumentKey(kind=INBOUND_USERNAME, value=username.lower())


def _webhook_keys(_document: Document, _realm: str) -> Keys:
    yield DocumentKey(kind=WEBHOOK, value="", unique=False)


def _number_keys(document: Document, _realm: str) -> Keys:
    yield DocumentKey(kind=PHONE_NUMBER, value=document.id)
    yield DocumentKey(kind=ACCOUNT_NUMBER, value=document.id, unique=False)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


_KEYS: Final[dict[str, Callable[[Document, str], Keys]]] = {
    "account": _account_keys,
    "user": _user_keys,
    "device": _device_keys,
    "callflow": _callflow_keys,
    "resource": _resource_keys,
    "media": _file_keys,
    "phone_number": _number_keys,
    "webhook": _webhook_keys,
}
