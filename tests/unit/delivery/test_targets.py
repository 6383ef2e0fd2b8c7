"""Which addresses a webhook may reach."""

import pytest

from offhook.delivery import is_reachable, parse_networks

PUBLIC = ("93.184.216.34", "8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:80e::200e",
          "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "172.32.0.1", "100.128.0.1")  # fmt: skip
FORBIDDEN = (
    "127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1",
    "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1",
    "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:7f00:1", "::127.0.0.1",
    "64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001::1",
    "fec0::1", "", "localhost", "127.1", "0x7f000001", "2130706433", "1.2.3.4.5",
)  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reachable(address: str) -> None:
    assert is_reachable(address)


@pytest.mark.parametrize("address", FORBIDDEN)
def test_others_are_not(address: str) -> None:
    assert not is_reachable(address)


def test_the_operator_may_allow_a_network() -> None:
    allowed = parse_networks(["127.0.0.2/32", "fd00::/8", "10.1.2.3"])
    for address in ("127.0.0.2", "::ffff:127.0.0.2", "fd12::1", "10.1.2.3"):
        assert is_reachable(address, allowed)
    for address in ("127.0.0.1", "127.0.0.3", "fc00::1", "10.1.2.4", "::1"):
        assert not is_reachable(address, allowed)


@pytest.mark.parametrize("word", ["127.0.0.2/24", "localhost", "10.0.0.0/33"])
def test_a_network_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=word.partition("/")[0]):
        parse_networks([word])
