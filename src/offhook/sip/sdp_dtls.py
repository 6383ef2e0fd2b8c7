"""What a session description says of DTLS-SRTP and ICE (RFC 5763, RFC 8839): media of browsers (RFC 8827)."""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

import msgspec

from .errors import RemoteMalformed

DTLS_PROFILES: Final = frozenset(("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"))
OFFERED_PROFILE: Final = "UDP/TLS/RTP/SAVPF"
"""What browsers offer themselves."""
MAX_CANDIDATES: Final = 8
"""Host and reflexive addresses of a machine with a few networks; later ones are left out."""
OUR_PRIORITY: Final = 2_130_706_431
"""Of the one host candidate we have (RFC 8445 5.1.2.1)."""

Lines = tuple[tuple[str, str], ...]

_fingerprint = re.compile(r"sha-256 ((?:[0-9a-f]{2}:){31}[0-9a-f]{2})", re.IGNORECASE).fullmatch
_is_ufrag = re.compile(r"[A-Za-z0-9+/]{4,32}").fullmatch
_is_password = re.compile(r"[A-Za-z0-9+/]{22,128}").fullmatch
"""Shorter than the RFC allows (256), and longer than any browser's: 4 to 8, and 24 to 32."""
_candidate = re.compile(
    r"[A-Za-z0-9+/]{1,32} 1 udp ([0-9]{1,10}) ([0-9A-Fa-f.:]{2,45}) ([1-9][0-9]{0,4}) "
    r"typ (host|srflx|prflx|relay)(?: .*)?",
    re.IGNORECASE,
).fullmatch


class Candidate(msgspec.Struct, frozen=True):
    """One address that packets of the peer may come from."""

    priority: int
    host: str
    port: int
    kind: str
    """`host`, `srflx`, `prflx` or `relay`."""


class DtlsPeer(msgspec.Struct, frozen=True):
    """A peer's side of DTLS and ICE."""

    fingerprint: str
    """SHA-256 of its certificate: upper-case hex, colons between."""
    is_active: bool
    """It opens the DTLS connection, or leaves that to us to choose: then it shall."""
    ufrag: str
    password: str
    candidates: tuple[Candidate, ...] = ()


class DtlsPort(msgspec.Struct, frozen=True):
    """A port of ours that speaks DTLS-SRTP and ICE-lite."""

    fingerprint: str
    ufrag: str
    password: str


def read_dtls(attributes: dict[str, list[str]]) -> DtlsPeer:
    """Return the peer's side from its attributes, by name. Raises RemoteMalformed (488) if it is incomplete.

    A candidate that is no IPv4 or IPv6 address over UDP is left out, and so is one for RTCP (we multiplex).
    """
    fingerprints = [found for value in attributes.get("fingerprint", ()) if (found := _fingerprint(value))]
    ufrag, password = _first(attributes, "ice-ufrag"), _first(attributes, "ice-pwd")
    if not fingerprints or not _is_ufrag(ufrag) or not _is_password(password):
        raise RemoteMalformed("sdp", "DTLS-SRTP without a SHA-256 fingerprint, or without ICE", status=488)
    candidates = [one for value in attributes.get("candidate", ()) if (one := _read_candidate(value))]
    return DtlsPeer(
        fingerprint=fingerprints[0][1].upper(),
        is_active=_first(attributes, "setup") != "passive",
        ufrag=ufrag,
        password=password,
        candidates=tuple(candidates[:MAX_CANDIDATES]),
    )


def dtls_lines(port: DtlsPort, host: str, number: int, *, setup: str, mid: str) -> Lines:
    """Return the attributes of an audio section at our port. setup is `actpass` in offers, else `passive`."""
    values = (
        f"mid:{mid}",
        "rtcp-mux",
        f"ice-ufrag:{port.ufrag}",
        f"ice-pwd:{port.password}",
        f"candidate:1 1 udp {OUR_PRIORITY} {host} {number} typ host",
        "end-of-candidates",
        f"fingerprint:sha-256 {port.fingerprint}",
        f"setup:{setup}",
    )
    return tuple([("a", value) for value in values])


def _first(attributes: dict[str, list[str]], name: str) -> str:
    values: Sequence[str] = attributes.get(name, ())
    return values[0].strip() if values else ""


def _read_candidate(value: str) -> Candidate | None:
    found = _candidate(value)
    if found is None:
        return None
    priority, host, port, kind = found.groups()
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if int(port) > 65_535 or int(priority) > 2**31 - 1:
        return None
    return Candidate(int(priority), str(address), int(port), kind.lower())
