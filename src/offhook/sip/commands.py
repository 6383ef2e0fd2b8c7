"""What the caller of a user agent core asks for: requests it will send."""

from __future__ import annotations

import msgspec

from .flows import Flow

HeaderLines = tuple[tuple[str, str], ...]


class OutgoingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to send outside a dialog. The core adds Via, tags, CSeq, Contact, credentials."""

    method: str
    request_uri: str
    """Sent as it is; `sip:dev1@10.0.0.5:5062;transport=tcp`."""
    from_: str
    """A name-addr without tag: `"Jane" <sip:1001@acme.example.com>`."""
    to: str
    """A name-addr without tag."""
    flow: Flow
    """Where the first hop is: the caller has resolved names. Over UDP, long requests try TCP first."""
    call_id: str = ""
    """Empty: one is made up."""
    cseq: int = 1
    route_set: tuple[str, ...] = ()
    """URIs or name-addrs for Route headers, in order; a bare URI is put in <>."""
    headers: HeaderLines = ()
    """More header fields, in order. CR, LF or NUL raises LocalHeaderInjection."""
    body: bytes = b""
    content_type: str = "application/sdp"
    contact: str = ""
    """Whole Contact value; empty: `<sip:{contact_user}@advertised>` for requests that make a dialog."""
    contact_user: str = ""
    username: str = ""
    """Digest credentials; without them 401 and 407 are final."""
    password: str = ""
    realm: str = ""
    """If set, only challenges of this realm are answered."""


class InviteRequest(OutgoingRequest, frozen=True, kw_only=True):
    """An INVITE to send."""

    method: str = "INVITE"
    local_tag: str = ""
    """Our tag in From; empty: a random one."""
    branch: str = ""
    """How the branch of each INVITE begins, magic cookie and all; empty: random. It must be hard to guess.
    Who works out tag and branch again can cancel an INVITE of a process that died."""
    same_flow: bool = False
    """Send everything in the dialog over `flow` (a phone behind NAT), long requests too."""


class EndReason(msgspec.Struct, frozen=True):
    """A Reason header (RFC 3326) for CANCEL or BYE."""

    protocol: str
    """`SIP` or `Q.850`."""
    cause: int
    text: str = ""
    also: EndReason | None = None
    """The same in the words of another protocol."""

    def __str__(self) -> str:
        """Return the header value: `Q.850;cause=17;text="USER_BUSY", SIP;cause=486`."""
        value = f"{self.protocol};cause={self.cause}"
        if self.text:
            quoted = self.text.replace("\\", "\\\\").replace('"', '\\"')
            value = f'{value};text="{quoted}"'
        return value if self.also is None else f"{value}, {self.also}"
