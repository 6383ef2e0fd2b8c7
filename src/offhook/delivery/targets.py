"""Which addresses a webhook may reach: public ones, and those that the operator has allowed.

A customer's URI must not make this server talk to itself, to its neighbours or to a cloud's metadata service.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

_NOT_PUBLIC: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers (RFC 6598)
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local: metadata services live here
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",  # unspecified, loopback, IPv4-compatible
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/9",  # link-local and the old site-local
        "ff00::/8",
    )
)
"""IANA's special-purpose registries (RFC 6890), multicast, and what is reserved."""

_NAT64: Final = IPv6Network("64:ff9b::/96")
_6TO4: Final = IPv6Network("2002::/16")


def parse_networks(words: Iterable[str]) -> tuple[Network, ...]:
    """Return networks written as `127.0.0.2/32` or as one address. Raises ValueError naming the wrong one."""
    return tuple(ip_network(word) for word in words)


def is_reachable(address: str, allowed: Iterable[Network] = ()) -> bool:
    """Tell whether a webhook may be sent to an IP address. Text that is no address is not."""
    try:
        target = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    embedded = _embedded(target)
    if _is_in(target, allowed) or (embedded is not None and _is_in(embedded, allowed)):
        return True
    if embedded is not None:
        return not _is_in(embedded, _NOT_PUBLIC)
    return not _is_in(target, _NOT_PUBLIC)


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 one leads to: mapped, by NAT64, by 6to4."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour if address in _6TO4 else None


def _is_in(address: IPv4Address | IPv6Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)
