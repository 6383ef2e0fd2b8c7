"""Where requests in a dialog go: the first route or the peer's Contact, if that leads anywhere."""

import pytest

from offhook.sip.dialogs import flow_to, is_loose
from offhook.sip.flows import Flow, datagram_address, datagram_flow_id

KNOWN = Flow("udp", ("192.0.2.1", 5060), ("8.8.4.4", 5062))


@pytest.mark.parametrize(
    ("uri", "transport", "remote"),
    [
        ("sip:bob@8.8.4.4:5062", "udp", ("8.8.4.4", 5062)),
        ("sip:bob@8.8.4.4", "udp", ("8.8.4.4", 5060)),
        ("sip:bob@1.1.1.1:5070;transport=UDP", "udp", ("1.1.1.1", 5070)),
        ("sip:bob@1.1.1.1;transport=tcp", "tcp", ("1.1.1.1", 5060)),
        ("sip:[2001:4860:4860::8888]:5070", "udp", ("2001:4860:4860::8888", 5070)),
        # What follows the flow: names, private addresses seen from outside, what we cannot speak, nonsense.
        ("sip:bob@pc33.example.com", "udp", KNOWN.remote),
        ("sip:bob@df7jal23ls0d.invalid;transport=ws", "udp", KNOWN.remote),
        ("sip:bob@10.0.0.5:5060", "udp", KNOWN.remote),
        ("sip:bob@127.0.0.1", "udp", KNOWN.remote),
        ("sip:bob@1.1.1.1;transport=tls", "udp", KNOWN.remote),
        ("sips:bob@1.1.1.1", "udp", KNOWN.remote),
        ("tel:+15551234567", "udp", KNOWN.remote),
        ("", "udp", KNOWN.remote),
    ],
)
def test_next_hop(uri: str, transport: str, remote: tuple[str, int]) -> None:
    flow = flow_to(uri, KNOWN)
    assert (flow.transport, flow.remote, flow.local) == (transport, remote, KNOWN.local)


def test_a_private_address_is_followed_among_private_ones() -> None:
    inside = Flow("udp", ("10.0.0.1", 5060), ("10.0.0.2", 5060))
    assert flow_to("sip:bob@192.168.1.5:5061", inside).remote == ("192.168.1.5", 5061)


def test_the_same_place_is_the_same_flow() -> None:
    assert flow_to("sip:bob@8.8.4.4:5062", KNOWN) is KNOWN


@pytest.mark.parametrize(
    ("uri", "loose"),
    [
        ("sip:p1.example.com;lr", True),
        ("sip:p1.example.com;LR=on", True),
        ("sip:p1.example.com", False),
        ("tel:+1", True),
    ],
)
def test_a_route_is_loose_by_its_lr_parameter(uri: str, *, loose: bool) -> None:
    assert is_loose(uri) is loose


@pytest.mark.parametrize("remote", [("203.0.113.7", 40001), ("2001:db8::7", 5060)])
def test_a_datagram_flow_has_a_name_that_says_where(remote: tuple[str, int]) -> None:
    assert datagram_address(datagram_flow_id(remote)) == remote
    assert datagram_address("tcp-7") is None
