"""What the client and the server side of one user agent core share."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from offhook.kernel import Random, TimerWheel

from .config import MIN_SESSION_S, UserAgentConfig
from .dialogs import MAX_FORWARDS, Dialog, DialogKey, DialogState
from .events import DialogEnded, DialogEndReason, SipEvent
from .flows import Flow
from .message import Headers, Request
from .session_headers import session_lines
from .transaction_layer import TransactionLayer, bracketed

if TYPE_CHECKING:
    from .commands import HeaderLines, OutgoingRequest

TAG_HEX: Final = 16
"""64 random bits; RFC 3261 19.3 asks for 32."""
CALL_ID_HEX: Final = 32


class CoreState:
    """Configuration, transactions, dialogs and events of one core."""

    __slots__ = (
        "allow",
        "config",
        "dialogs",
        "events",
        "layer",
        "random",
        "session_lines",
        "statistics",
        "supported",
        "supported_late",
        "wheel",
    )

    def __init__(self, config: UserAgentConfig, random: Random) -> None:
        self.config = config
        self.random = random
        self.wheel = TimerWheel()
        self.layer = TransactionLayer(config, random, self.wheel)
        self.statistics: Counter[str] = self.layer.statistics
        self.dialogs: dict[DialogKey, Dialog] = {}
        self.events: deque[SipEvent] = deque()
        self.allow = ", ".join(config.allow)
        """Value of the Allow header."""
        expires_s = config.session_expires_s
        self.session_lines: HeaderLines = session_lines(expires_s, MIN_SESSION_S) if expires_s else ()
        """What an INVITE says of the session timer."""
        self.supported = "100rel, timer" if expires_s else "100rel"
        """Value of the Supported header of an INVITE with an offer."""
        self.supported_late = "timer" if expires_s else ""
        """The same without an offer: a reliable provisional answer would bring one, before the join."""

    def new_tag(self) -> str:
        """Return a tag nobody has used."""
        return self.random.hex(TAG_HEX)

    def contact(self, flow: Flow, user: str = "", *, secure: bool = False) -> str:
        """Return our Contact value as peers on this flow reach us; secure: a SIPS URI (8.1.1.8)."""
        host, port = self.config.own_address(flow)
        user = user or self.config.contact_user
        transport = "" if flow.transport == "udp" or secure else f";transport={flow.transport}"
        scheme = "sips" if secure else "sip"
        return f"<{scheme}:{f'{user}@' if user else ''}{bracketed(host)}:{port}{transport}>"

    def build(
        self, wanted: OutgoingRequest, *, call_id: str, tag: str, cseq: int, extra: HeaderLines = ()
    ) -> Request:
        """Return a request outside a dialog, without its Via."""
        fields = [("max-forwards", "Max-Forwards", MAX_FORWARDS)]
        fields += [("route", "Route", uri if "<" in uri else f"<{uri}>") for uri in wanted.route_set]
        fields += [
            ("from", "From", f"{wanted.from_};tag={tag}"),
            ("to", "To", wanted.to),
            ("call-id", "Call-ID", call_id),
            ("cseq", "CSeq", f"{cseq} {wanted.method}"),
            ("user-agent", "User-Agent", self.config.user_agent),
        ]
        if wanted.contact or wanted.method == "INVITE":
            contact = wanted.contact or self.contact(
                wanted.flow, wanted.contact_user, secure=wanted.request_uri.startswith("sips:")
            )
            fields.append(("contact", "Contact", contact))
        if wanted.method == "INVITE":
            fields.append(("allow", "Allow", self.allow))
            supported = self.supported if wanted.body else self.supported_late
            if supported:
                fields.append(("supported", "Supported", supported))
        return with_content(
            Request(wanted.method, wanted.request_uri, Headers.of_parsed(fields)),
            (*wanted.headers, *extra),
            wanted.body,
            wanted.content_type,
        )

    def add_dialog(self, dialog: Dialog) -> None:
        """Let requests find it."""
        self.dialogs[dialog.key] = dialog

    def drop_dialog(self, dialog: Dialog) -> None:
        """Forget a dialog that nobody was told of."""
        dialog.state = DialogState.ENDED
        self.dialogs.pop(dialog.key, None)
        if dialog.session_timer is not None:
            dialog.session_timer.stop()

    def end_dialog(
        self,
        dialog: Dialog,
        now: float,
        *,
        by_peer: bool,
        reason: DialogEndReason,
        request: Request | None = None,
    ) -> None:
        """Forget a dialog, and tell the caller if it knows of it. Only the first time counts."""
        if dialog.state is DialogState.ENDED:
            return
        self.drop_dialog(dialog)
        dialog.ack = None
        if dialog.reinvite is not None:
            dialog.reinvite.give_up(481, "", now)
        if dialog.unacknowledged is not None:
            dialog.unacknowledged.stop()
        if dialog.is_reported:
            self.events.append(DialogEnded(dialog, by_peer, request, reason))
        if dialog.on_surplus_over is not None:
            dialog.on_surplus_over(now)


def with_content(request: Request, extra: HeaderLines, body: bytes, content_type: str) -> Request:
    """Add header lines and a body."""
    headers = request.headers
    for name, value in extra:
        headers.add(name, value)
    if body:
        headers.add("Content-Type", content_type)
        request.body = body
    return request
