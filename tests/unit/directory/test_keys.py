import pytest

from offhook.directory import Document, DocumentKey, document_keys, taken_fault

ACCOUNT = "a" * 32


def given_document(type: str, data: dict, private: dict | None = None) -> Document:
    return Document(
        id="d" * 32,
        account_id=ACCOUNT,
        type=type,
        data=data,
        private=private or {},
        created_at=1.0,
        modified_at=1.0,
    )


def key(kind: str, value: str, scope: str = "", *, unique: bool = True) -> DocumentKey:
    return DocumentKey(kind=kind, value=value, scope=scope, unique=unique)


def test_an_account_is_found_by_realm_name_key_and_tree():
    private = {"api_key": "f" * 64, "tree": ["root", "reseller"]}
    account = given_document("account", {"name": "Acme & Söhne 2", "realm": "ACME.example.com"}, private)
    assert document_keys(account) == [
        key("realm", "acme.example.com"),
        key("account_name", "acmesöhne2"),
        key("api_key", "f" * 64),
        key("ancestor", "root", unique=False),
        key("ancestor", "reseller", unique=False),
        key("parent", "reseller", unique=False),
    ]


def test_a_user_is_found_by_name_and_credentials():
    private = {"credentials": {"md5": "m", "sha": "s"}}
    user = given_document("user", {"username": "Jane", "hotdesk": {"id": "77"}}, private)
    assert document_keys(user) == [
        key("username", "jane", ACCOUNT),
        key("credentials", "m", ACCOUNT, unique=False),
        key("credentials", "s", ACCOUNT, unique=False),
        key("hotdesk_id", "77", ACCOUNT),
        key("file_name", "user/" + "d" * 32),
    ]


def test_a_device_is_found_by_its_sip_name_in_its_realm():
    data = {"sip": {"username": "Dev1"}, "owner_id": "u1", "mac_address": "00:11:AA"}
    assert document_keys(given_document("device", data), realm="Acme.example.com") == [
        key("sip_username", "dev1", "acme.example.com"),
        key("mac_address", "0011aa", ACCOUNT),
        key("owner_id", "u1", ACCOUNT, unique=False),
    ]
    data["sip"]["realm"] = "other.example.com"
    assert document_keys(given_document("device", data), realm="x")[0].scope == "other.example.com"


def test_a_device_is_found_by_the_users_hot_desked_into_it():
    data = {"owner_id": "u1", "hotdesk": {"users": {"u2": {}, "u1": {}}}}
    assert document_keys(given_document("device", data)) == [
        key("owner_id", "u1", ACCOUNT, unique=False),
        key("owner_id", "u2", ACCOUNT, unique=False),
    ]


def test_an_address_is_a_key_only_for_the_method_ip():
    with_ip = {"sip": {"method": "ip", "ip": "192.0.2.7"}}
    assert document_keys(given_document("device", with_ip)) == [key("device_ip", "192.0.2.7")]
    assert document_keys(given_document("device", {"sip": {"ip": "192.0.2.7"}})) == []


def test_a_callflow_is_found_by_numbers_and_patterns():
    callflow = given_document("callflow", {"numbers": ["1001", "+14158867900"], "patterns": ["^9"]})
    assert document_keys(callflow) == [
        key("callflow_number", "1001", ACCOUNT),
        key("callflow_number", "+14158867900", ACCOUNT),
        key("account_number", "+14158867900", unique=False),
        key("callflow_patterns", "", ACCOUNT, unique=False),
    ]


def test_resources_of_an_account_are_found_together():
    assert document_keys(given_document("resource", {})) == [key("resource", "", ACCOUNT, unique=False)]


@pytest.mark.parametrize("type", ["clicktocall", "something_else"])
def test_other_documents_are_found_by_id_only(type):
    assert document_keys(given_document(type, {"name": "x"})) == []


@pytest.mark.parametrize("type", ["account", "device", "callflow"])
def test_bare_documents_have_no_keys(type):
    assert document_keys(given_document(type, {})) == []


@pytest.mark.parametrize(
    ("kind", "path", "message"),
    [
        ("realm", "realm", "Account realm already in use"),
        ("account_name", "name", "Account name already in use"),
        ("username", "username", "Username must be unique within account"),
        ("sip_username", "sip.username", "SIP credentials already in use"),
        ("mac_address", "mac_address", "MAC address already in use"),
    ],
)
def test_a_taken_key_is_told_in_kazoos_words(kind, path, message):
    assert taken_fault(kind, "x") == {path: {"unique": {"message": message, "cause": "x"}}}


def test_a_taken_number_names_the_callflow_that_has_it():
    holder = given_document("callflow", {"name": "Reception"})
    message = f"Number 1001 exists in callflow {holder.id} Reception"
    assert taken_fault("callflow_number", "1001", holder) == {
        "numbers": {"unique": {"message": message, "cause": "1001"}}
    }


def test_a_carrier_that_calls_in_is_found_by_networks_and_by_username():
    inbound = {"addresses": ["192.0.2.0/28"], "username": "TrunkIn", "password": "trunk-secret"}
    assert document_keys(given_document("resource", {"inbound": inbound})) == [
        key("resource", "", ACCOUNT, unique=False),
        key("inbound_trunk", "", unique=False),
        key("inbound_username", "trunkin"),
    ]


def test_a_carrier_that_only_takes_calls_has_no_such_keys():
    assert document_keys(given_document("resource", {})) == [key("resource", "", ACCOUNT, unique=False)]


def test_a_carrier_that_is_called_is_found_with_all_others():
    keys = document_keys(given_document("resource", {"gateways": [{"server": "gw.example.net"}]}))
    assert keys == [key("resource", "", ACCOUNT, unique=False), key("gateway", "", unique=False)]
