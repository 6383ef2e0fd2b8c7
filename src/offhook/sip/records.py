"""What to keep of a leg so that, after a crash, the next process can end it at the far end.

Credentials are not kept: a server that challenges the BYE refuses it, and the leg ends by its own timers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from .commands import InviteRequest
from .config import CSEQ_MARGIN
from .dialogs import Dialog, DialogState
from .flows import Flow, TlsPeer

if TYPE_CHECKING:
    from .client_invite import ClientInvite


class DialogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A confirmed dialog, to be ended by resume_dialog() and bye()."""

    call_id: str
    local: str
    """Our name-addr with tag."""
    local_tag: str
    remote: str
    remote_tag: str
    local_cseq: int
    remote_cseq: int
    remote_target: str
    route_set: tuple[str, ...]
    contact: str
    is_caller: bool
    transport: str
    local_address: tuple[str, int]
    remote_address: tuple[str, int]
    same_flow: bool = False
    tls: TlsPeer | None = None

    @classmethod
    def of(cls, dialog: Dialog) -> DialogRecord:
        """Return the record of a dialog; make it when it is answered."""
        return cls(
            call_id=dialog.call_id,
            local=dialog.local,
            local_tag=dialog.local_tag,
            remote=dialog.remote,
            remote_tag=dialog.remote_tag,
            local_cseq=dialog.local_cseq,
            remote_cseq=dialog.remote_cseq,
            remote_target=dialog.remote_target,
            route_set=dialog.route_set,
            contact=dialog.contact,
            is_caller=dialog.is_caller,
            transport=dialog.flow.transport,
            local_address=dialog.flow.local,
            remote_address=dialog.flow.remote,
            same_flow=dialog.same_flow,
            tls=dialog.flow.tls,
        )

    def dialog(self) -> Dialog:
        """Return the dialog as it was, as far as requests need it."""
        dialog = Dialog(
            call_id=self.call_id,
            local=self.local,
            local_tag=self.local_tag,
            remote=self.remote,
            remote_tag=self.remote_tag,
            local_cseq=self.local_cseq + CSEQ_MARGIN,
            remote_cseq=self.remote_cseq,
            remote_target=self.remote_target,
            route_set=self.route_set,
            flow=Flow(self.transport, self.local_address, self.remote_address, tls=self.tls),
            contact=self.contact,
            is_caller=self.is_caller,
        )
        dialog.same_flow = self.same_flow
        dialog.state = DialogState.CONFIRMED
        dialog.invite_cseq = self.local_cseq
        dialog.is_reported = True
        return dialog


class InviteRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An INVITE that is out, to be ended by resume_invite() and cancel()."""

    request_uri: str
    from_: str
    to: str
    call_id: str
    local_tag: str
    cseq: int
    branch: str
    route_set: tuple[str, ...]
    contact: str
    transport: str
    local_address: tuple[str, int]
    remote_address: tuple[str, int]
    same_flow: bool = False
    tls: TlsPeer | None = None

    @classmethod
    def of(cls, invite: ClientInvite) -> InviteRecord:
        """Return the record of an INVITE that was just sent."""
        request, flow = invite.request, invite.transaction.flow
        return cls(
            request_uri=request.request_uri,
            from_=request.from_,
            to=request.to,
            call_id=invite.call_id,
            local_tag=invite.local_tag,
            cseq=invite.cseq,
            branch=invite.transaction.branch,
            route_set=request.route_set,
            contact=request.contact,
            transport=flow.transport,
            local_address=flow.local,
            remote_address=flow.remote,
            same_flow=request.same_flow,
            tls=flow.tls,
        )

    def request(self) -> InviteRequest:
        """Return what was asked for, without body and extra headers: enough to cancel it."""
        return InviteRequest(
            request_uri=self.request_uri,
            from_=self.from_,
            to=self.to,
            flow=Flow(self.transport, self.local_address, self.remote_address, tls=self.tls),
            call_id=self.call_id,
            cseq=self.cseq,
            route_set=self.route_set,
            contact=self.contact,
            same_flow=self.same_flow,
        )
