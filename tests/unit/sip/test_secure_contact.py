"""What a request says of us over TLS (RFC 3261 8.1.1.8, 26.2.2)."""

import re

import pytest

from offhook.sip.commands import InviteRequest
from offhook.sip.config import UserAgentConfig
from offhook.sip.flows import Flow, TlsPeer
from offhook.sip.user_agent import UserAgentCore

from .peers import SeededRandom

TRUNK = Flow("tls", ("192.0.2.1", 5061), ("198.51.100.7", 5061), tls=TlsPeer("trunk.example.com"))


def first_message(request_uri: str, flow: Flow) -> tuple[str, Flow]:
    config = UserAgentConfig(find_address=lambda flow: ("203.0.113.5", 5061), contact_user="us")
    core = UserAgentCore(config, SeededRandom(1))
    core.invite(
        InviteRequest(
            request_uri=request_uri, from_="<sip:us@example.com>", to="<sip:x@example.com>", flow=flow
        ),
        0.0,
    )
    [(data, used)] = core.messages_to_send()
    return data.decode(), used


@pytest.mark.parametrize(
    ("request_uri", "contact"),
    [
        ("sips:x@trunk.example.com", "<sips:us@203.0.113.5:5061>"),
        ("sip:x@trunk.example.com;transport=tls", "<sip:us@203.0.113.5:5061;transport=tls>"),
    ],
)
def test_contact_is_as_secure_as_the_request(request_uri: str, contact: str) -> None:
    text, used = first_message(request_uri, TRUNK)
    assert re.findall(r"^Contact: (.+?)\r$", text, re.MULTILINE) == [contact]
    assert "Via: SIP/2.0/TLS 203.0.113.5:5061;" in text
    assert used == TRUNK


def test_a_new_connection_asks_for_the_same_proof() -> None:
    standing = Flow(TRUNK.transport, TRUNK.local, TRUNK.remote, "tls-7", TRUNK.tls)
    assert standing.without_connection() == TRUNK
