"""Who is to be called: a number, an extension of the account, or a SIP URI."""

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from offhook.sip.errors import RemoteMalformed
from offhook.sip.uri import SipUri

from .errors import ContactNotAllowed, NumberInvalid, SipUriNotAllowed
from .numbers import MAX_NUMBER_LENGTH, has_controls, normalise, tidy_contact
from .patterns import matches_fully, matches_somewhere

MAX_URI_LENGTH: Final = 512
"""A Request-URI longer than this does not fit a datagram beside the other headers."""

_TRANSPORTS: Final = frozenset(("", "udp", "tcp"))


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """A destination as it will be dialled."""

    number: str
    """Normalised number or extension, or the SIP URI."""
    raw: str
    """As given."""
    uri: SipUri | None = None
    """Set if it is a SIP URI outside the account."""


def parse_number(text: str, *, field: str) -> str:
    """Return the text of a number without outer space. Raises NumberInvalid if it cannot be dialled."""
    number = text.strip()
    if not number:
        raise NumberInvalid(text, field=field, reason="is empty")
    if len(number) > MAX_NUMBER_LENGTH:
        raise NumberInvalid(text, field=field, reason=f"is longer than {MAX_NUMBER_LENGTH} characters")
    if has_controls(number):
        raise NumberInvalid(text, field=field, reason="has characters that cannot be dialled")
    return number


def parse_contact(
    text: str, *, realm: str, allowed_hosts: Collection[str], field: str = "contact"
) -> Contact:
    """Return whom a contact means; a URI of the account's own realm is the extension in it.

    Raises NumberInvalid, SipUriNotAllowed.
    """
    text = text.strip()
    lowered = text[:5].lower()
    if lowered.startswith("tel:"):
        return _number_contact(text[4:].partition(";")[0], raw=text, field=field)
    if lowered.startswith(("sip:", "sips:")):
        return _uri_contact(text, raw=text, realm=realm, allowed_hosts=allowed_hosts, field=field)
    if "@" in text:
        return _uri_contact(f"sip:{text}", raw=text, realm=realm, allowed_hosts=allowed_hosts, field=field)
    return _number_contact(text, raw=text, field=field)


def _number_contact(text: str, *, raw: str, field: str) -> Contact:
    return Contact(number=normalise(tidy_contact(parse_number(text, field=field))), raw=raw)


def _uri_contact(text: str, *, raw: str, realm: str, allowed_hosts: Collection[str], field: str) -> Contact:
    uri = _parse_uri(text, field)
    if uri.host.lower() == realm.lower():
        return _number_contact(uri.user, raw=raw, field=field)
    if not is_host_allowed(uri, allowed_hosts):
        raise SipUriNotAllowed(uri.host_port)
    return Contact(number=str(uri), raw=raw, uri=uri)


def _parse_uri(text: str, field: str) -> SipUri:
    if len(text) > MAX_URI_LENGTH:
        raise NumberInvalid(text, field=field, reason=f"is longer than {MAX_URI_LENGTH} characters")
    try:
        uri = SipUri.parse(text)
    except RemoteMalformed as error:
        raise NumberInvalid(text, field=field, reason="is not a valid SIP URI") from error
    if uri.scheme != "sip" or uri.transport not in _TRANSPORTS:
        raise NumberInvalid(text, field=field, reason="asks for a transport that is not spoken here")
    if not uri.user:
        raise NumberInvalid(text, field=field, reason="names no user")
    # Headers in a URI become headers of the INVITE; maddr sends it to another host than the one allowed.
    if uri.headers or uri.params.get("maddr") is not None or uri.password is not None:
        raise NumberInvalid(text, field=field, reason="may not carry headers, a password or maddr")
    return uri


def is_host_allowed(uri: SipUri, allowed: Iterable[str]) -> bool:
    """Tell whether a list of `host`, `host:port` and `*.domain` names the host of a URI."""
    host, host_port = uri.host.lower(), uri.host_port.lower()
    for entry in map(str.lower, allowed):
        if entry in (host, host_port) or (entry.startswith("*.") and host.endswith(entry[1:])):
            return True
    return False


def check_whitelist(contact: Contact, whitelist: Iterable[str], *, anywhere: bool = False) -> None:
    """Raise ContactNotAllowed unless an entry matches the normalised or raw contact, or none is set.

    It must match the whole, or with `anywhere`, KAZOO's way, any part.
    """
    entries = list(whitelist)
    if not entries:
        return
    matches = matches_somewhere if anywhere else matches_fully
    if not any(matches(entry, contact.number) or matches(entry, contact.raw) for entry in entries):
        raise ContactNotAllowed(contact.number)
