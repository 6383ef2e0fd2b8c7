import copy

from hypothesis import given
from hypothesis import strategies as st

from offhook.directory import complete_account, complete_device, merge


class CountingRandom:
    """Hex digits anybody can guess."""

    def __init__(self) -> None:
        self._next = 0

    def hex(self, length: int) -> str:
        self._next += 1
        return str(self._next).zfill(length)

    def uniform(self) -> float:
        return 0.5


values = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
documents = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


def test_objects_merge_lists_are_replaced_and_null_removes():
    stored = {"a": {"x": 1, "y": {"z": 2}}, "list": [1, 2], "gone": 1, "stays": 0}
    patch = {"a": {"y": {"z": None, "n": 3}}, "list": [3], "gone": None, "new": {"deep": None, "kept": 1}}
    assert merge(stored, patch) == {
        "a": {"x": 1, "y": {"n": 3}},
        "list": [3],
        "stays": 0,
        "new": {"kept": 1},
    }


@given(documents, documents)
def test_a_patch_wins_is_idempotent_and_changes_neither_argument(stored, patch):
    before = copy.deepcopy((stored, patch))
    merged = merge(stored, patch)
    assert (stored, patch) == before
    assert merge(merged, patch) == merged
    assert merge(stored, {}) == stored
    assert merge({}, patch) == patch


@given(documents, documents)
def test_a_patch_of_nulls_removes_its_keys(stored, patch):
    assert merge(stored, dict.fromkeys(patch)) == {k: v for k, v in stored.items() if k not in patch}


def test_deep_patches_do_not_overflow_the_stack():
    patch: dict = {}
    for _ in range(50_000):
        patch = {"a": patch}
    assert "a" in merge({"a": {"a": {}}}, patch)


def test_an_account_without_a_realm_gets_one():
    account = complete_account({"name": "Acme"}, random=CountingRandom(), realm_suffix="sip.example.com")
    assert account == {
        "name": "Acme",
        "realm": "000001.sip.example.com",
        "language": "en-us",
        "timezone": "America/Los_Angeles",
    }


def test_an_account_keeps_what_it_says_and_takes_the_rest_from_its_parent():
    parent = {"language": "de-de", "timezone": "Europe/Berlin"}
    data = {"name": "Acme", "realm": "acme.example.com", "timezone": "Europe/Paris"}
    account = complete_account(data, random=CountingRandom(), realm_suffix="x", parent=parent)
    assert account == data | {"language": "de-de"}


def test_a_device_without_credentials_gets_some():
    device = complete_device({"name": "Desk", "sip": {"method": "password"}}, random=CountingRandom())
    assert device["sip"] == {"method": "password", "username": "user_0000000001", "password": "000000000002"}


def test_a_device_keeps_its_credentials_and_loses_the_accounts_realm():
    sip = {"username": "dev1", "password": "s3cret", "realm": "ACME.example.com"}
    device = complete_device({"sip": sip}, random=CountingRandom(), realm="acme.example.com")
    assert device["sip"] == {"username": "dev1", "password": "s3cret"}
    other = complete_device({"sip": sip}, random=CountingRandom(), realm="other.example.com")
    assert other["sip"] == sip


def test_a_device_known_by_its_address_needs_no_credentials():
    data = {"sip": {"method": "ip", "ip": "192.0.2.7"}}
    assert complete_device(data, random=CountingRandom()) == data


def test_a_malformed_sip_part_is_left_to_validation():
    assert complete_device({"sip": "x"}, random=CountingRandom()) == {"sip": "x"}
