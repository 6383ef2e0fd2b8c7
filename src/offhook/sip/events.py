"""What a user agent core tells its caller, through next_event()."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from .client_invite import ClientInvite
    from .client_reinvite import ClientReinvite
    from .client_request import ClientRequest
    from .dialogs import Dialog
    from .message import Request, Response
    from .transactions import ServerTransaction


class EndCause(StrEnum):
    """Why an INVITE of ours, or another request, came to nothing."""

    REJECTED = "rejected"
    """A final answer of 300 or more."""
    TIMEOUT = "timeout"
    """Nothing came, or nothing final in time."""
    TRANSPORT = "transport"
    """The message could not be sent."""
    CANCELED = "canceled"
    """We cancelled it; the far end is clean, or has been silent for 64*T1."""


class DialogEndReason(StrEnum):
    """What ended a dialog."""

    BYE = "bye"
    """A BYE was sent and answered, or received."""
    TIMEOUT = "timeout"
    """Our BYE was never answered."""
    GONE = "481"
    """The peer no longer knew the dialog (481, or 408)."""
    NO_ACK = "no-ack"
    """Our 2xx was never acknowledged; a BYE was sent."""
    TRANSPORT = "transport"
    """Our BYE could not be sent."""
    EXPIRED = "expired"
    """Nobody refreshed the session in time (RFC 4028); a BYE was sent."""


class InviteProgress(msgspec.Struct, frozen=True):
    """A provisional answer above 100. Never reported after cancel()."""

    invite: ClientInvite
    response: Response
    has_sdp: bool


class InviteAnswered(msgspec.Struct, frozen=True):
    """The first 2xx. The caller sends the ACK: send_ack(dialog, body)."""

    invite: ClientInvite
    dialog: Dialog
    response: Response


class InviteEnded(msgspec.Struct, frozen=True):
    """The INVITE came to nothing. Exactly once, and never together with InviteAnswered."""

    invite: ClientInvite
    status: int
    """The final status; 408 after silence, 503 when sending failed, 487 when cancelled."""
    reason: str
    response: Response | None
    cause: EndCause


class SurplusAnswered(msgspec.Struct, frozen=True):
    """A 2xx that nobody waits for: of another fork, or it crossed our CANCEL. Only with `holds_surplus`.

    The caller says bye(dialog) once a crash cannot lose it; DialogEnded follows.
    """

    invite: ClientInvite
    dialog: Dialog


class DialogEnded(msgspec.Struct, frozen=True):
    """A reported dialog is over at both ends. Exactly once per dialog."""

    dialog: Dialog
    by_peer: bool
    request: Request | None
    """The peer's BYE."""
    reason: DialogEndReason


class ReinviteAnswered(msgspec.Struct, frozen=True):
    """A 2xx to reinvite(). The caller sends the ACK: send_ack(dialog, body)."""

    invite: ClientReinvite
    dialog: Dialog
    response: Response


class ReinviteFailed(msgspec.Struct, frozen=True):
    """A re-INVITE was refused; the session is as before (RFC 3261 14.1)."""

    invite: ClientReinvite
    dialog: Dialog
    status: int
    reason: str


class SessionRefreshed(msgspec.Struct, frozen=True):
    """A re-INVITE that only refreshes was answered and acknowledged; the answer may bring a new address."""

    dialog: Dialog
    response: Response


class UpdateAnswered(msgspec.Struct, frozen=True):
    """The final answer to update(), or what came in its place. Exactly once; a 2xx brings the SDP answer."""

    request: ClientRequest
    dialog: Dialog
    status: int
    """408 after silence, 503 when sending failed."""
    response: Response | None


class RequestReceived(msgspec.Struct, frozen=True):
    """A request waits for respond(). INVITEs have had their 100; an UPDATE or PRACK brings an offer."""

    transaction: ServerTransaction
    request: Request
    dialog: Dialog | None


class AckReceived(msgspec.Struct, frozen=True):
    """The ACK of our 2xx to an INVITE; or a PRACK that answers the offer in our provisional answer."""

    dialog: Dialog
    request: Request
    body: bytes


class Cancelled(msgspec.Struct, frozen=True):
    """A received INVITE is over without our answer: CANCEL, BYE, or nobody answered in time (480)."""

    transaction: ServerTransaction
    request: Request | None
    """The CANCEL or BYE, for its Reason header."""


class ResponseReceived(msgspec.Struct, frozen=True):
    """The final answer to request(), or what came in its place. Exactly once."""

    request: ClientRequest
    status: int
    """408 after silence, 503 when sending failed."""
    response: Response | None


SipEvent = (
    InviteProgress
    | InviteAnswered
    | InviteEnded
    | SurplusAnswered
    | DialogEnded
    | ReinviteAnswered
    | ReinviteFailed
    | SessionRefreshed
    | UpdateAnswered
    | RequestReceived
    | AckReceived
    | Cancelled
    | ResponseReceived
)
