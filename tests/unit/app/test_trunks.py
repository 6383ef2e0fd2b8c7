"""Carriers by the networks they call from."""

import asyncio
from typing import Any

import pytest

from offhook.app.trunks import Trunks
from offhook.directory.model import Document
from tests.unit.planning.directory import Account


def given_trunk(account: Account, name: str, *addresses: str, **more: Any) -> Document:
    return account.given_carrier(name, inbound={"addresses": list(addresses)}, **more)


def loaded(account: Account) -> Trunks:
    trunks = Trunks(account)  # type: ignore[arg-type]
    asyncio.run(trunks.load())
    return trunks


def names_at(trunks: Trunks, host: str) -> list[str]:
    return [document.id for document in trunks.at(host)]


def test_nobody_is_a_carrier_unless_a_resource_says_so() -> None:
    account = Account()
    account.given_carrier("outgoing", gateways=[{"server": "192.0.2.1"}])
    assert not loaded(account).is_trunk("192.0.2.1")


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("192.0.2.7", ["host", "network"]),
        ("192.0.2.8", ["network"]),
        ("192.0.3.1", []),
        ("2001:db8::5", ["six"]),
        ("2001:db9::5", []),
        ("fe80::1%eth0", []),
        ("not an address", []),
    ],
)
def test_the_narrowest_network_comes_first(host: str, found: list[str]) -> None:
    account = Account()
    given_trunk(account, "network", "192.0.2.0/24")
    given_trunk(account, "host", "192.0.2.7")
    given_trunk(account, "six", "2001:db8::/32")
    assert names_at(loaded(account), host) == found


def test_a_resource_that_is_written_is_believed_from_then_on() -> None:
    account = Account()
    trunks = loaded(account)
    trunks.observe(given_trunk(account, "carrier", "192.0.2.0/28", "198.51.100.1"), None)
    assert trunks.is_trunk("192.0.2.3")
    trunks.observe(given_trunk(account, "carrier", "198.51.100.1"), None)
    assert not trunks.is_trunk("192.0.2.3")
    assert trunks.is_trunk("198.51.100.1")
    trunks.observe(given_trunk(account, "carrier", "198.51.100.1", enabled=False), None)
    assert not trunks.is_trunk("198.51.100.1")


def test_a_deleted_resource_or_account_is_believed_no_longer() -> None:
    account = Account()
    first, second = given_trunk(account, "one", "192.0.2.1"), given_trunk(account, "two", "192.0.2.1")
    trunks = loaded(account)
    first.deleted = True
    trunks.observe(first, first)
    assert names_at(trunks, "192.0.2.1") == [second.id]
    account.account.deleted = True
    trunks.observe(account.account, account.account)
    assert not trunks.is_trunk("192.0.2.1")
