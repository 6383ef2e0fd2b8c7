"""Capture files: read back here by hand, and by tshark where it is installed."""

import ipaddress
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from offhook.api.pcap import pcap_of, without_digests
from offhook.app.ports import TraceLine

INVITE = (
    b"INVITE sip:dev1@192.0.2.7:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5080;branch=z9hG4bKa\r\n"
    b"From: <sip:1002@acme.example.com>;tag=1\r\nTo: <sip:dev1@acme.example.com>\r\nCall-ID: c2c-1\r\n"
    b"CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)
RINGING = (
    b"SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP 192.0.2.1:5080;branch=z9hG4bKa\r\n"
    b"From: <sip:1002@acme.example.com>;tag=1\r\nTo: <sip:dev1@acme.example.com>;tag=2\r\nCall-ID: c2c-1\r\n"
    b"CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
)


def given_line(data: bytes, *, outgoing: bool = True, at: float = 1_767_225_600.25,
               local: str = "192.0.2.1", remote: str = "192.0.2.7") -> TraceLine:  # fmt: skip
    return TraceLine(at, outgoing, "INVITE", "udp", data=data, local=(local, 5080), remote=(remote, 5062))


def packets(file: bytes) -> list[tuple[float, bytes]]:
    magic, major, minor, _, _, _, link = struct.unpack("<IHHiIII", file[:24])
    assert (magic, major, minor, link) == (0xA1B2C3D4, 2, 4, 101)
    found, place = [], 24
    while place < len(file):
        seconds, micros, kept, length = struct.unpack("<IIII", file[place : place + 16])
        assert kept == length
        found.append((seconds + micros / 1e6, file[place + 16 : place + 16 + kept]))
        place += 16 + kept
    return found


def ones_sum(data: bytes) -> int:
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    return (total & 0xFFFF) + (total >> 16)


def test_a_message_goes_from_us_or_to_us_with_its_time() -> None:
    (sent_at, sent), (_, got) = packets(
        pcap_of([given_line(INVITE), given_line(RINGING, outgoing=False, at=1_767_225_600.5)])
    )
    assert sent_at == 1_767_225_600.25
    assert (
        sent[12:20] == ipaddress.IPv4Address("192.0.2.1").packed + ipaddress.IPv4Address("192.0.2.7").packed
    )
    assert struct.unpack(">HHH", sent[20:26]) == (5080, 5062, len(INVITE) + 8)
    assert sent[28:] == INVITE
    assert got[12:16] == ipaddress.IPv4Address("192.0.2.7").packed
    assert struct.unpack(">HH", got[20:24]) == (5062, 5080)
    assert struct.unpack(">H", sent[2:4])[0] == len(sent)
    assert ones_sum(sent[:20]) == 0xFFFF  # RFC 791: the header's checksum makes it all ones


@pytest.mark.parametrize("local", ["2001:db8::1", "192.0.2.1"])
def test_addresses_of_two_kinds_become_ipv6(local: str) -> None:
    [(_, packet)] = packets(pcap_of([given_line(INVITE, local=local, remote="2001:db8::7")]))
    assert packet[0] >> 4 == 6
    assert packet[24:40] == ipaddress.IPv6Address("2001:db8::7").packed
    udp = packet[40:]
    even = udp + b"\0" * (len(udp) % 2)
    assert ones_sum(packet[8:40] + struct.pack(">II", len(udp), 17) + even) in (0xFFFF, 0x1FFFE)


def test_media_and_messages_that_were_not_seen_are_left_out() -> None:
    lines = [TraceLine(1.0, True, "plays us", "", kind="media"), TraceLine(1.0, True, "INVITE", "udp:x")]
    assert packets(pcap_of(lines)) == []


def test_a_message_longer_than_a_datagram_is_cut() -> None:
    [(_, packet)] = packets(pcap_of([given_line(INVITE + b"a" * 70_000)]))
    assert struct.unpack(">H", packet[2:4])[0] == len(packet) <= 65_535


@pytest.mark.parametrize("name", ["Authorization", "proxy-authorization"])
def test_digest_answers_are_blanked(name: str) -> None:
    head = f'INVITE sip:x SIP/2.0\r\n{name}: Digest username="u", '.encode()
    message = head + b'response="0123456789abcdef", uri="sip:x"\r\nX: response="keep"\r\n\r\n'
    blanked = without_digests(message)
    assert b"0123456789abcdef" not in blanked
    assert b'response="0000000000000000", uri="sip:x"\r\nX: response="keep"' in blanked
    assert len(blanked) == len(message)


@pytest.mark.needs("tshark")
@pytest.mark.slow
def test_tshark_reads_it(tmp_path: Path) -> None:
    tshark = shutil.which("tshark")
    assert tshark is not None
    file = tmp_path / "call.pcap"
    file.write_bytes(pcap_of([given_line(INVITE), given_line(RINGING, outgoing=False)]))
    fields = ["ip.src", "udp.dstport", "sip.Call-ID", "sip.Request-Line", "sip.Status-Line"]
    done = subprocess.run(
        [tshark, "-r", file, "-o", "ip.check_checksum:TRUE", "-d", "udp.port==5062,sip", "-T", "fields"]
        + [word for field in fields for word in ("-e", field)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert [line.split("\t") for line in done.stdout.splitlines()] == [
        ["192.0.2.1", "5062", "c2c-1", "INVITE sip:dev1@192.0.2.7:5062 SIP/2.0", ""],
        ["192.0.2.7", "5080", "c2c-1", "", "SIP/2.0 180 Ringing"],
    ]
