"""Carriers that call in, by the networks they call from (decision 0014)."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

import structlog

from offhook.directory.keys import INBOUND_TRUNK
from offhook.directory.model import Document

from .ports import Documents

_log = structlog.get_logger("offhook.trunks")

TRUNKS_MAX: Final = 20_000
"""Networks kept in memory, about 200 bytes each; further ones are not believed, and the log says so."""

Network = tuple[int, int, int]
"""Version, prefix length, address without its host part."""


class Trunks:
    """The networks of all resources with `inbound.addresses`.

    `load` once; then tell `observe` of every document that is written.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._networks: dict[Network, dict[str, Document]] = {}
        self._prefixes: tuple[tuple[int, int], ...] = ()
        """Version and prefix length of all networks, the narrowest first."""
        self._of_resource: dict[str, tuple[Network, ...]] = {}

    async def load(self) -> None:
        """Read all resources that call in."""
        for document in await self._documents.find(INBOUND_TRUNK, ""):
            self._add(document)

    def observe(self, document: Document, before: Document | None) -> None:
        """Take note of a document that was written."""
        if document.type == "resource":
            self._remove(document.id)
            if not document.deleted:
                self._add(document)
        elif document.type == "account" and document.deleted:
            for resource in self._all():
                if resource.account_id == document.id:
                    self._remove(resource.id)

    def is_trunk(self, host: str) -> bool:
        """Tell whether any carrier calls from an address. Costs a microsecond or two."""
        return bool(self._prefixes) and bool(self.at(host))

    def at(self, host: str) -> list[Document]:
        """Return the resources that call from an address, the narrowest network first."""
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return []
        found: dict[str, Document] = {}
        for version, length in self._prefixes:
            if version == address.version:
                found |= self._networks.get((version, length, _masked(address, length)), {})
        return list(found.values())

    def _add(self, document: Document) -> None:
        if document.data.get("enabled", True) is not True:
            return
        networks = tuple(_networks_of(document))
        if len(self._networks) + len(networks) > TRUNKS_MAX:
            _log.error("too many networks that carriers call from", resource_id=document.id, most=TRUNKS_MAX)
            return
        for network in networks:
            self._networks.setdefault(network, {})[document.id] = document
        if networks:
            self._of_resource[document.id] = networks
            self._note_prefixes()

    def _remove(self, resource_id: str) -> None:
        networks = self._of_resource.pop(resource_id, ())
        for network in networks:
            holders = self._networks[network]
            holders.pop(resource_id, None)
            if not holders:
                del self._networks[network]
        if networks:
            self._note_prefixes()

    def _all(self) -> list[Document]:
        return [document for holders in self._networks.values() for document in holders.values()]

    def _note_prefixes(self) -> None:
        prefixes = {(version, length) for version, length, _ in self._networks}
        self._prefixes = tuple(sorted(prefixes, key=lambda prefix: -prefix[1]))


def _networks_of(document: Document) -> list[Network]:
    """Return the networks of a document; what was stored unchecked and is none is left out."""
    networks: list[Network] = []
    for text in (document.data.get("inbound") or {}).get("addresses") or ():
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            _log.warning("not a network", resource_id=document.id, text=str(text)[:64])
            continue
        networks.append((network.version, network.prefixlen, int(network.network_address)))
    return networks


def _masked(address: IPv4Address | IPv6Address, length: int) -> int:
    shift = address.max_prefixlen - length
    return int(address) >> shift << shift
