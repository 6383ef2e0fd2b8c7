"""A binding: one contact of an address of record, and how it is reached (RFC 3261 10.3, 3327, 5626)."""

from ipaddress import ip_address
from typing import Final

import msgspec

from .errors import RemoteMalformed
from .flows import Flow, datagram_flow_id
from .grammar import NameAddr, parse_digits, quote
from .message import Request
from .uri import SipUri

MAX_PATH: Final = 10
"""Proxies between a phone and us; longer Paths are loops."""
MAX_REG_ID: Final = 2**31 - 1


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """One contact of an address of record, as a store can keep it. Times are Unix seconds."""

    aor: str
    contact: str
    """URI as the phone wrote it."""
    expires_at: float
    registered_at: float
    """When it was first bound; a refresh does not change it."""
    received_host: str
    """Where the REGISTER came from."""
    received_port: int
    transport: str
    """Of the REGISTER: `udp`, `tcp`…"""
    flow_id: str = ""
    """Set if it must be reached where it came from: over its connection, or through its NAT."""
    call_id: str = ""
    cseq: int = 0
    path: tuple[str, ...] = ()
    """Values of Path, to become Route headers in this order."""
    instance: str = ""
    """`+sip.instance`, without quotes."""
    reg_id: int = 0
    q: float = 1.0
    user_agent: str = ""


def instance_of(contact: NameAddr) -> tuple[str, int]:
    """Return +sip.instance and reg-id: what stays when a phone changes its address (RFC 5626)."""
    reg_id = parse_digits(contact.params.get("reg-id") or "0", MAX_REG_ID)
    return contact.params.get("+sip.instance") or "", reg_id or 0


def binding_of(
    request: Request, contact: NameAddr, *, aor: str, source: Flow, started_at: float, expires_at: float
) -> Binding:
    """Return what a REGISTER makes of one of its contacts. Raises RemoteMalformed."""
    paths = request.headers.get_all("Path")
    if len(paths) > MAX_PATH:
        raise RemoteMalformed("path", "too long")
    instance, reg_id = instance_of(contact)
    return Binding(
        aor=aor,
        contact=contact.uri,
        expires_at=expires_at,
        registered_at=started_at,
        received_host=source.remote[0],
        received_port=source.remote[1],
        transport=source.transport,
        flow_id="" if paths else _flow_id(SipUri.parse(contact.uri), source),
        call_id=request.call_id,
        cseq=request.cseq.number,
        path=tuple([str(NameAddr.parse(path, "Path")) for path in paths]),
        instance=instance,
        reg_id=reg_id,
        q=_preference(contact),
        user_agent=request.headers.get("User-Agent") or "",
    )


def _flow_id(contact: SipUri, source: Flow) -> str:
    """Return the flow a phone must be reached by, or "" if its Contact says truly where it is.

    A connection is always used. Over UDP a Contact with another address than the packet came from
    lies behind a NAT, or is a name that means nothing here.
    """
    if source.id:
        return source.id
    host, remote = contact.host.strip("[]"), source.remote[0]
    if host == remote or _is_same_address(host, remote):
        return ""
    return datagram_flow_id(source.remote)


def _is_same_address(host: str, remote: str) -> bool:
    try:
        return ip_address(host) == ip_address(remote)
    except ValueError:
        return False


def _preference(contact: NameAddr) -> float:
    """Return q from 0 to 1; 1 if absent or nonsense."""
    text = contact.params.get("q") or "1"
    whole, _, thousandths = text.partition(".")
    is_number = whole in ("0", "1", "") and (thousandths or "0").isdigit() and thousandths.isascii()
    return min(1.0, float(f"{whole or '0'}.{(thousandths or '0')[:3]}")) if is_number else 1.0


def contact_value(binding: Binding, now: float) -> str:
    """Return the Contact value of an answer: with the seconds that are left."""
    instance = f";+sip.instance={quote(binding.instance)}" if binding.instance else ""
    reg_id = f";reg-id={binding.reg_id}" if binding.reg_id else ""
    q = f";q={binding.q:g}" if binding.q != 1.0 else ""
    return f"<{binding.contact}>;expires={round(binding.expires_at - now)}{q}{instance}{reg_id}"
