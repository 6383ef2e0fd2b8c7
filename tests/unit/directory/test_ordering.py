import pytest

from offhook.directory import DocumentKey, list_keys
from offhook.directory.ordering import LABEL_MAX, list_label

from .test_keys import ACCOUNT, given_document


def place(kind: str, value: str, scope: str) -> DocumentKey:
    return DocumentKey(kind=kind, value=value, scope=scope, unique=False)


@pytest.mark.parametrize(
    ("type", "data", "label"),
    [
        ("device", {"name": "Desk ÄÖ"}, "desk äö"),
        ("device", {}, ""),
        ("user", {"first_name": "Jane", "last_name": "Doe"}, "doe jane"),
        ("user", {"first_name": "Jane"}, "jane"),
        ("callflow", {"numbers": ["1001", "2"], "name": "Reception"}, "1001"),
        ("callflow", {"patterns": ["^9"]}, "^9"),
        ("callflow", {"name": "Featureless"}, "featureless"),
        ("webhook", {"name": "x" * 500}, "x" * LABEL_MAX),
    ],
)
def test_a_document_is_ordered_by_what_serves_as_its_name(type, data, label):
    assert list_label(given_document(type, data)) == label


def test_a_document_is_listed_with_its_type_in_its_account():
    assert list_keys(given_document("clicktocall", {"name": "Help"})) == [
        place("list:clicktocall", "help", ACCOUNT)
    ]


def test_an_account_is_listed_below_every_account_above_it():
    account = given_document("account", {"name": "Acme"}, {"tree": ["root", "reseller"]})
    assert list_keys(account) == [
        place("list:children", "acme", "reseller"),
        place("list:descendants", "acme", "root"),
        place("list:descendants", "acme", "reseller"),
    ]


def test_a_device_is_listed_with_its_owner_and_those_hot_desked_into_it():
    device = given_document(
        "device", {"name": "D", "owner_id": "u1", "hotdesk": {"users": {"u2": {}, "u1": {}}}}
    )
    assert list_keys(device) == [
        place("list:device", "d", ACCOUNT),
        place("list:owned_devices", "d", f"{ACCOUNT}/u1"),
        place("list:owned_devices", "d", f"{ACCOUNT}/u2"),
    ]
