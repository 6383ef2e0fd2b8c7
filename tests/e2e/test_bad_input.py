"""Bad input at both doors: a clear error for the one who sent it, and the server goes on as before."""

import json
import random
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from .conftest import FarEnd
from .harness import Account, Answer, Server
from .harness.far_ends import ANSWERS, BUSY

TORTURE: list[Path] = sorted((Path(__file__).parents[1] / "data" / "rfc4475").glob("*.dat"))
MEBIBYTE = 1 << 20

REGISTER = (
    b"REGISTER sip:b SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n"
    b"Call-ID: 1@b\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


def garbage(seed: int) -> list[bytes]:
    """Return datagrams from noise to requests that are almost right."""
    noise = random.Random(seed)
    cut = [REGISTER[: noise.randrange(len(REGISTER))] for _ in range(50)]
    bent = [_bend(REGISTER, noise) for _ in range(200)]
    shapeless = [noise.randbytes(noise.randrange(1, 1500)) for _ in range(100)]
    special = [
        b"",
        b"\r\n\r\n",
        b"\0" * 1400,
        b"INVITE " * 200,
        REGISTER.replace(b"Content-Length: 0", b"Content-Length: 99999999999"),
        REGISTER.replace(b"Content-Length: 0", b"Content-Length: -1"),
        REGISTER.replace(b"Max-Forwards: 70", b"Max-Forwards: " + b"9" * 1000),
        REGISTER.replace(b"CSeq: 1", b"CSeq: 4294967296"),
        REGISTER.replace(b"Via: ", b"Via: " + b"," * 1000),
        REGISTER.replace(b"To: <sip:a@b>", b"To: " + b'"' * 999),
        REGISTER.replace(b"REGISTER sip", b"ACK sip").replace(b"1 REGISTER", b"1 ACK"),
        REGISTER.replace(b"\r\n\r\n", b"\r\n" + b"X: y\r\n" * 5000 + b"\r\n")[:60_000],
        b"SIP/2.0 200 OK\r\n\r\n",
        b"SIP/2.0 999999 \xff\r\nVia: \xff\r\n\r\n",
    ]
    return [*cut, *bent, *shapeless, *special, *(path.read_bytes() for path in TORTURE)]


def _bend(message: bytes, noise: random.Random) -> bytes:
    octets = bytearray(message)
    for _ in range(noise.randrange(1, 8)):
        octets[noise.randrange(len(octets))] = noise.randrange(256)
    return bytes(octets)


def assert_calls_still_work(account: Account, far_end: FarEnd) -> None:
    first, second = far_end(ANSWERS), far_end(BUSY)
    account.create_extension("1001", account.create_static_phone("phone1001", first.uri))
    account.create_extension("1002", account.create_static_phone("phone1002", second.uri))
    call = account.wait_for_outcome(account.connect(account.create_button("1001"), "1002"))
    assert call["outcome"] == "busy"
    first.assert_clean()
    second.assert_clean()


@pytest.mark.needs("sipp")
def test_garbage_datagrams_change_nothing(server: Server, account: Account, far_end: FarEnd) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in garbage(seed=1):
            sender.sendto(datagram, (server.host, server.sip_port))
    assert_calls_still_work(account, far_end)
    assert not server.errors()


@pytest.mark.needs("sipp")
def test_garbage_streams_change_nothing(server: Server, account: Account, far_end: FarEnd) -> None:
    for octets in garbage(seed=2):
        with socket.create_connection((server.host, server.sip_port), timeout=2) as connection:
            _send_as_far_as_it_goes(connection, octets)
    assert_calls_still_work(account, far_end)
    assert not server.errors()


def _send_as_far_as_it_goes(connection: socket.socket, octets: bytes) -> None:
    try:
        connection.sendall(octets)
    except (BrokenPipeError, ConnectionResetError):
        return  # it had enough


def put(account: Account, body: bytes) -> Answer:
    return account.client.request("PUT", account.path("clicktocall"), body=body)


def assert_refused(answer: Answer, field: str) -> None:
    assert answer.status == 400, answer.envelope
    assert answer.envelope["status"] == "error"
    assert field in answer.data, answer.data


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "json"),
        (b"\xff\xfe", "json"),
        (b"[" * 100_000, "json"),
        (b'{"data": ' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}", "json"),
        (b'{"name": "no data"}', "data"),
        (b'{"data": "text"}', "data"),
    ],
)
def test_broken_body_is_refused(account: Account, body: bytes, field: str) -> None:
    assert_refused(put(account, body), field)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"extension": {}}, "extension"),
        ({"extension": None}, "extension"),
        ({"name": []}, "name"),
        ({"name": ""}, "name"),
        ({"name": "n" * MEBIBYTE}, "name"),
        ({"timeout": "soon"}, "timeout"),
        ({"dial_first": "both"}, "dial_first"),
        ({"whitelist": ["(unclosed"]}, "whitelist.0"),
        ({"whitelist": ["^1", "(a" * 2000]}, "whitelist.1"),
        ({"custom_sip_headers": {"out": {"X-A": "1\r\nX-B: 2"}}}, "custom_sip_headers.out.X-A"),
    ],
)
def test_bad_field_is_named(account: Account, fields: Mapping[str, object], field: str) -> None:
    document = {"name": "Support", "extension": "1001", **fields}
    assert_refused(put(account, json.dumps({"data": document}).encode()), field)


def test_body_over_the_limit_is_refused(account: Account) -> None:
    answer = put(account, b'{"data": {"name": "' + b"n" * 9_000_000 + b'"}}')
    assert answer.status == 413


@pytest.mark.needs("sipp")
def test_line_breaks_in_names_never_reach_the_wire(account: Account, far_end: FarEnd) -> None:
    phone = far_end(BUSY)
    account.create_extension("1001", account.create_static_phone("phone1001", phone.uri))
    path = account.path("clicktocall")
    document = {"name": "Ann\r\nX-Injected: 1", "extension": "1001", "caller_id_number": "1\r\nX-Injected: 2"}
    answer = account.client.request("PUT", path, document)
    if answer.status == 201:
        account.wait_for_outcome(account.connect(answer.data["id"], "1002"))
        [invite] = phone.received("INVITE")
        assert "\nX-Injected" not in invite
    else:
        assert answer.status == 400


@pytest.mark.parametrize(
    "contact", ["", "sip:", "sip:x@", "a\r\nb", "\0", "1" * 3000, "sip:a@10.0.0.1\r\nX: y"]
)
def test_bad_contact_is_refused(account: Account, contact: str) -> None:
    button = account.create_button("1001")
    answer = account.client.request(
        "GET", account.path("clicktocall", button, "connect"), query={"contact": contact}
    )
    assert 400 <= answer.status < 500, answer.envelope
    assert answer.envelope["status"] == "error"


def test_evil_pattern_costs_no_time(account: Account) -> None:
    button = account.create_button("1001", whitelist=["(a+)+$", "^(1|11|111)*2$"])
    answer = account.client.request(
        "GET", account.path("clicktocall", button, "connect"), query={"contact": "1" * 60}
    )
    assert answer.status == 400
    assert answer.envelope["message"] == "Contact doesn't match whitelist"
