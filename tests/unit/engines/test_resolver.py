"""Where a name leads if its name service answers in part. Real answers: tests/e2e/test_name_service.py."""

import asyncio

import pytest

from offhook.engines.embedded.dns_client import DnsClient, DnsFailed, Naptr, Srv
from offhook.engines.embedded.resolver import Resolver, Target, Unresolvable
from offhook.sip.uri import SipUri


class TwoServers(DnsClient):
    """Knows two servers of a carrier, and the addresses of those that are not lost."""

    def __init__(self, *lost: str) -> None:
        super().__init__([("127.0.0.1", 9)])
        self.lost = lost

    async def naptr(self, name: str) -> list[Naptr]:
        return []

    async def srv(self, name: str) -> list[Srv]:
        both = [Srv(10, 0, 5060, "first.test."), Srv(20, 0, 5062, "second.test.")]
        return both if name == "_sip._udp.two.test" else []

    async def addresses(self, name: str) -> list[str]:
        if name.startswith(self.lost):
            raise DnsFailed(name)
        return ["192.0.2.8"]


def resolve(names: DnsClient) -> tuple[Target, ...]:
    return asyncio.run(Resolver(names).resolve(SipUri.parse("sip:two.test")))


def test_a_server_without_an_address_leaves_the_others() -> None:
    assert resolve(TwoServers("first")) == (Target("udp", "192.0.2.8", 5062),)


def test_a_carrier_none_of_whose_servers_is_found_may_be_found_later() -> None:
    with pytest.raises(Unresolvable) as caught:
        resolve(TwoServers("first", "second"))
    assert caught.value.may_pass
