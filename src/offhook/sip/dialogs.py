"""Dialogs (RFC 3261 section 12): what both sides remember, and the requests built from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from .credentials import DigestClient
from .errors import RemoteMalformed
from .flows import DEFAULT_PORT, Flow
from .grammar import NameAddr
from .message import Headers, Request, Response
from .uri import SipUri

if TYPE_CHECKING:
    from .client_reinvite import ClientReinvite
    from .client_request import ClientRequest
    from .commands import HeaderLines
    from .session_timer import SessionTimer
    from .success_repeater import SuccessRepeater
    from .transactions import ServerTransaction

MAX_FORWARDS: Final = "70"
ROUTABLE: Final = ("udp", "tcp")
"""Transports that need nothing but an address to reach somebody."""

DialogKey = tuple[str, str, str]


class DialogState(StrEnum):
    """Where a dialog stands; its side of the user agent moves it on."""

    EARLY = "early"
    """A provisional answer made it."""
    CONFIRMED = "confirmed"
    """A 2xx made or confirmed it."""
    ENDING = "ending"
    """Our BYE is under way, or waits for the ACK of our 2xx."""
    ENDED = "ended"


@dataclass(slots=True, kw_only=True, eq=False)
class Dialog:
    """One dialog. `context` is free for the caller; the rest is to be read only."""

    call_id: str
    local: str
    """Our name-addr with our tag, as it stands in From or To."""
    local_tag: str
    remote: str
    """The peer's name-addr with its tag."""
    remote_tag: str
    local_cseq: int
    """Number of our last request."""
    remote_cseq: int
    """-1 while the peer has sent no request."""
    remote_target: str
    """The peer's Contact: where requests go."""
    route_set: tuple[str, ...]
    """Route values, in the order they are written."""
    flow: Flow
    """Where messages of this dialog came from or went to last."""
    contact: str
    """Our Contact value."""
    is_caller: bool
    """We sent the INVITE that made it."""
    state: DialogState = DialogState.EARLY
    same_flow: bool = False
    lost_byes: int = 0
    """How often a BYE of ours could not be sent, because its connection was lost."""
    digest: DigestClient | None = None
    """Digest credentials, for servers that challenge a BYE too."""
    authorization: HeaderLines = ()
    """What the INVITE carried; its ACK carries it too (22.1)."""
    invite_cseq: int = 0
    """CSeq of the INVITE whose 2xx waits for our ACK; first of all, that of our last request."""
    needs_ack: bool = False
    """A 2xx came that our caller has not acknowledged yet."""
    ack: tuple[bytes, Flow] | None = None
    """The ACK of the last 2xx, kept while that may be repeated."""
    reinvite: ClientReinvite | None = None
    """Our re-INVITE under way."""
    server_invite: ServerTransaction | None = None
    """The peer's INVITE that waits for our answer."""
    unacknowledged: SuccessRepeater | None = None
    """Our 2xx that waits for its ACK."""
    update: ClientRequest | None = None
    """Our UPDATE with an offer that waits for its answer."""
    server_update: ServerTransaction | None = None
    """The peer's UPDATE or PRACK with an offer that waits for our answer."""
    rseq: int = 0
    """Number of the last reliable provisional answer in it (RFC 3262); 0: there was none."""
    early_session: bytes = b""
    """The peer's session as told reliably before its 2xx, which need not repeat it."""
    is_agreed: bool = False
    """The first offer has its answer: from then on either side may make another."""
    local_session: bytes = b""
    """Our session as last told, for a refresh by re-INVITE."""
    allowed: list[str] = field(default_factory=list)
    """The lines of the peer's Allow."""
    session_timer: SessionTimer | None = None
    is_reported: bool = False
    """The caller knows it, so DialogEnded will come."""
    on_surplus_over: Callable[[float], None] | None = None
    """Who waits for the end of a dialog that nobody wanted."""
    context: object = None
    _next_hop: Flow | None = None

    def __post_init__(self) -> None:
        self.invite_cseq = self.local_cseq

    @property
    def key(self) -> DialogKey:
        """What requests in the dialog are matched by: Call-ID, our tag, the peer's tag."""
        return (self.call_id, self.local_tag, self.remote_tag)

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more can be sent but the BYE that is under way."""
        return self.state in (DialogState.ENDING, DialogState.ENDED)

    @property
    def has_our_offer(self) -> bool:
        """Tell whether an offer of ours waits for its answer, or its 2xx for the ACK."""
        reinvite = self.reinvite
        return (
            (reinvite is not None and not reinvite.is_waiting)
            or self.update is not None
            or self.unacknowledged is not None
        )

    @property
    def has_their_offer(self) -> bool:
        """Tell whether an offer of the peer waits for our answer."""
        is_invited = self.server_invite is not None
        is_early = self.state is DialogState.EARLY and self.is_agreed
        update = self.server_update
        return (is_invited and not is_early) or (update is not None and not update.is_answered)

    def allows(self, method: str) -> bool:
        """Tell whether the peer says that it takes a method."""
        return any(method in [word.strip() for word in line.upper().split(",")] for line in self.allowed)

    def request(self, method: str, *, cseq: int = 0) -> Request:
        """Return a request in the dialog, without Via and body (12.2.1.1).

        The sequence number grows by one, unless cseq is given (ACK).
        """
        if not cseq:
            self.local_cseq += 1
            cseq = self.local_cseq
        uri, routes = self._path()
        fields = [("max-forwards", "Max-Forwards", MAX_FORWARDS)]
        fields += [("route", "Route", route) for route in routes]
        fields += [
            ("from", "From", self.local),
            ("to", "To", self.remote),
            ("call-id", "Call-ID", self.call_id),
            ("cseq", "CSeq", f"{cseq} {method}"),
        ]
        return Request(method, uri, Headers.of_parsed(fields))

    def _path(self) -> tuple[str, tuple[str, ...]]:
        """Return Request-URI and Route values; a strict router comes first in place of the target."""
        if not self.route_set:
            return self.remote_target, ()
        first = NameAddr.parse(self.route_set[0]).uri
        if is_loose(first):
            return self.remote_target, self.route_set
        return first, (*self.route_set[1:], f"<{self.remote_target}>")

    def next_hop(self) -> Flow:
        """Return where the next request goes: the first route or the target, if it is an address.

        A name would need a resolver, a private address seen from outside a NAT leads nowhere, and a
        connection is its own way back: those follow the flow.
        """
        if self._next_hop is None:
            if self.same_flow or self.flow.id:
                self._next_hop = self.flow
            else:
                hop = NameAddr.parse(self.route_set[0]).uri if self.route_set else self.remote_target
                self._next_hop = flow_to(hop, self.flow)
        return self._next_hop

    def leave_connection(self) -> None:
        """Turn from a connection that is lost to a new one, to the peer's Contact."""
        self.flow = self.flow.without_connection()
        self.same_flow = False
        self._next_hop = None

    def set_path(self, target: str, route_set: tuple[str, ...]) -> None:
        """Take target and route set from the 2xx (13.2.2.4); an empty target changes nothing."""
        self.remote_target = target or self.remote_target
        self.route_set = route_set
        self._next_hop = None

    def take_target(self, message: Request | Response, source: Flow) -> None:
        """Follow a new Contact of the peer (12.2.1.2, 12.2.2); none or a broken one changes nothing."""
        target = contact_of(message)
        if target:
            self.remote_target = target
        if source.id or source.transport == self.flow.transport:
            self.flow = source
        self._next_hop = None


def is_loose(uri: str) -> bool:
    """Tell whether a route URI has the lr parameter."""
    try:
        return "lr" in SipUri.parse(uri).params
    except RemoteMalformed:
        return True  # a tel: or odd URI: nobody routes strictly by it


def contact_of(message: Request | Response) -> str:
    """Return the URI of the first Contact, or an empty string."""
    try:
        contacts = message.contacts
        return contacts[0].uri if contacts else ""
    except RemoteMalformed:
        return ""


def flow_to(uri: str, known: Flow) -> Flow:
    """Return the flow to a URI whose host is an address, else the known one.

    What began encrypted stays where it is: an address does not tell whose certificate to ask for.
    """
    if known.transport not in ROUTABLE:
        return known
    try:
        target = SipUri.parse(uri)
        host = target.host.strip("[]")
        port = target.port or DEFAULT_PORT
        transport = target.transport or known.transport
        if transport not in ROUTABLE or target.scheme == "sips":
            return known
        if (host, port) == known.remote and transport == known.transport:
            return known
        address = ip_address(host)
    except (RemoteMalformed, ValueError):
        return known
    if host != known.remote[0] and address.is_private and not ip_address(known.remote[0]).is_private:
        return known
    return Flow(transport, known.local, (host, port))
