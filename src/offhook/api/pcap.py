"""The SIP messages of a call as a capture file that Wireshark, tshark and sngrep read.

The messages are those of the wire; the IP and UDP headers around them are made up from the addresses, also
for messages that went over TCP. So there are no retransmitted segments and no handshakes to see.
"""

import ipaddress
import re
import struct
from collections.abc import Iterable
from typing import Final

from offhook.app.ports import TraceLine

CONTENT_TYPE: Final = "application/vnd.tcpdump.pcap"

_FILE_HEADER: Final = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 101)
"""Little endian, version 2.4, times in microseconds, LINKTYPE_RAW: packets begin with their IP header."""

_PAYLOAD_MAX: Final = 65_535 - 8 - 40
"""What a UDP datagram over IPv4 or IPv6 holds; a longer message (TCP only) is cut there."""

_UDP: Final = 17
_NO_ADDRESS: Final = ipaddress.IPv4Address(0)
_DIGEST: Final = re.compile(
    rb'(?im)^((?:proxy-)?authorization[ \t]*:[^\r\n]*?\bresponse[ \t]*=[ \t]*")([^"\r\n]*)'
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def pcap_of(lines: Iterable[TraceLine]) -> bytes:
    """Return the file; lines in order of time, those that are no SIP messages are left out."""
    return _FILE_HEADER + b"".join(_record(line) for line in lines if line.data)


def _record(line: TraceLine) -> bytes:
    packet = _packet(line)
    microseconds = round(line.at * 1_000_000)
    return struct.pack("<IIII", *divmod(microseconds, 1_000_000), len(packet), len(packet)) + packet


def _packet(line: TraceLine) -> bytes:
    source, target = (line.local, line.remote) if line.outgoing else (line.remote, line.local)
    payload = without_digests(line.data)[:_PAYLOAD_MAX]
    from_, to = _same_family(_address(source[0]), _address(target[0]))
    udp = struct.pack(">HHHH", source[1], target[1], len(payload) + 8, 0) + payload
    if isinstance(from_, ipaddress.IPv6Address):
        pseudo = from_.packed + to.packed + struct.pack(">II", len(udp), _UDP)
        udp = udp[:6] + struct.pack(">H", _checksum(pseudo + udp) or 0xFFFF) + udp[8:]
        return struct.pack(">IHBB", 6 << 28, len(udp), _UDP, 64) + from_.packed + to.packed + udp
    head = struct.pack(">BBHHHBBH", 0x45, 0, len(udp) + 20, 0, 0, 64, _UDP, 0) + from_.packed + to.packed
    return head[:10] + struct.pack(">H", _checksum(head)) + head[12:] + udp


def without_digests(message: bytes) -> bytes:
    """Return the message with zeros for the digest answers: from those a weak password can be guessed."""
    return _DIGEST.sub(lambda found: found[1] + b"0" * len(found[2]), message)


def _address(host: str) -> Address:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return _NO_ADDRESS  # a name: it was never on the wire


def _same_family(first: Address, second: Address) -> tuple[Address, Address]:
    if first.version == second.version:
        return first, second
    return _as_ipv6(first), _as_ipv6(second)


def _as_ipv6(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address):
        return address
    return ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)


def _checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
