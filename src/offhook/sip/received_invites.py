"""What to keep of a received INVITE so that it can be answered later: by this process, or by the next."""

from __future__ import annotations

from typing import Final

import msgspec

from .dialogs import contact_of
from .flows import Flow, flow_anew
from .headers import Headers
from .message import Request
from .records import DialogRecord
from .transactions import ServerTransaction

_KEPT: Final = ("Via", "From", "To", "Call-ID", "CSeq", "Contact", "Record-Route")
"""What an answer repeats (RFC 3261 8.2.6.2), and what a dialog is made of (12.1.1). No credentials."""


class ReceivedInvite(msgspec.Struct, frozen=True, kw_only=True):
    """A received INVITE without its body. It names its transaction: UserAgentCore.received_invite."""

    uri: str
    headers: tuple[tuple[str, str], ...]
    """In the order of the request; the top Via tells where it came from."""
    contact: str
    """Our Contact in a dialog that it makes."""
    transport: str
    local_address: tuple[str, int]
    remote_address: tuple[str, int]
    flow_id: str = ""
    """The connection it came over; gone, if the process is another."""

    @classmethod
    def of(cls, transaction: ServerTransaction, contact: str) -> ReceivedInvite:
        """Return the record of an INVITE that waits for its answer."""
        request, source = transaction.request, transaction.source
        kept = [(name, value) for name in _KEPT for value in request.headers.lines(name)]
        return cls(
            uri=request.uri,
            headers=tuple(kept),
            contact=contact,
            transport=source.transport,
            local_address=source.local,
            remote_address=source.remote,
            flow_id=source.id,
        )

    def request(self) -> Request:
        """Return the request as far as it was kept."""
        headers = Headers()
        for name, value in self.headers:
            headers.add(name, value)
        return Request("INVITE", self.uri, headers)

    def source_anew(self) -> Flow:
        """Return where to answer if the connection is gone: a new one, to the sender's Via (18.2.2)."""
        source = Flow(self.transport, self.local_address, self.remote_address)
        if not source.is_reliable:
            return source
        return flow_anew(source, self.request().via.port)

    def dialog(self, to_tag: str) -> DialogRecord:
        """Return the dialog that our 2xx with this tag has made."""
        request = self.request()
        return DialogRecord(
            call_id=request.call_id,
            local=f"{request.headers.get('To')};tag={to_tag}",
            local_tag=to_tag,
            remote=request.headers.get("From") or "",
            remote_tag=request.from_tag,
            local_cseq=0,
            remote_cseq=request.cseq.number,
            remote_target=contact_of(request) or request.from_.uri,
            route_set=tuple([str(route) for route in request.record_route]),
            contact=self.contact,
            is_caller=False,
            transport=self.transport,
            local_address=self.local_address,
            remote_address=self.remote_address,
        )
