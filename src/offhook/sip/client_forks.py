"""The dialogs that one INVITE of ours makes: early ones, the one that answers, and surplus ones.

RFC 3261 12.1.2, 13.2.2.4, and the reliable provisional answers of RFC 3262 with their PRACKs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .client_request import ClientRequest
from .config import MAX_FORK_DIALOGS
from .core_state import with_content
from .dialogs import Dialog, DialogState, contact_of
from .events import EndCause
from .grammar import parse_digits
from .message import Request, Response

if TYPE_CHECKING:
    from .client_invite import ClientInvite
    from .client_side import ClientSide

MAX_RSEQ: Final = 2**32 - 1


class Forks:
    """Dialogs by To tag."""

    __slots__ = ("_dialogs", "_invite", "_side", "surplus")

    def __init__(self, side: ClientSide, invite: ClientInvite) -> None:
        self._side = side
        self._invite = invite
        self._dialogs: dict[str, Dialog] = {}
        self.surplus = 0
        """Answers that nobody waited for and whose BYE is under way."""

    def get(self, tag: str) -> Dialog | None:
        """Return the dialog of a To tag."""
        return self._dialogs.get(tag)

    def make(self, response: Response, tag: str) -> Dialog | None:
        """Make an early dialog for a To tag we have not seen; None beyond the bound.

        Target and route set wait for a 2xx, or for a provisional answer that needs a PRACK.
        """
        core, invite = self._side.core, self._invite
        if len(self._dialogs) >= MAX_FORK_DIALOGS:
            core.statistics["forks_refused"] += 1
            return None
        dialog = Dialog(
            call_id=invite.call_id,
            local=invite.sent.headers.get("From") or "",
            local_tag=invite.local_tag,
            remote=response.headers.get("To") or "",
            remote_tag=tag,
            local_cseq=invite.cseq,
            remote_cseq=-1,
            remote_target=invite.request.request_uri,
            route_set=(),
            flow=invite.transaction.flow,
            contact=invite.sent.headers.get("Contact") or "",
            is_caller=True,
        )
        dialog.same_flow = invite.request.same_flow
        dialog.digest = invite.digest
        dialog.local_session = invite.request.body
        dialog.context = invite.context
        self._dialogs[tag] = dialog
        core.add_dialog(dialog)
        return dialog

    def take_provisional(self, response: Response, now: float) -> bool:
        """Note the early dialog, and acknowledge a reliable answer; False for one that is to be ignored."""
        tag = response.to_tag
        if not tag:
            return True
        dialog = self._dialogs.get(tag) or self.make(response, tag)
        if dialog is None or "rseq" not in response.headers.by_key():
            return True
        number = reliable_number(response)
        if number is None:
            return True
        if dialog.rseq and number != dialog.rseq + 1:  # repeated, or one before it is missing (RFC 3262 4)
            self._side.core.statistics["provisionals_ignored"] += 1
            return False
        dialog.rseq = number
        self._follow_path(dialog, response)
        dialog.allowed = response.headers.lines("Allow") or dialog.allowed
        if has_session(response):
            dialog.early_session, dialog.is_agreed = response.body, True
        self._send_prack(dialog, f"{number} {self._invite.cseq} INVITE", now)
        return True

    def _send_prack(self, dialog: Dialog, acknowledges: str, now: float) -> None:
        """Acknowledge it; should the PRACK be lost for good, the far end gives the INVITE up."""

        def build() -> Request:
            return with_content(dialog.request("PRACK"), (("RAck", acknowledges),), b"", "")

        ClientRequest(
            self._side.core, build, _ignore_end, flow=dialog.next_hop(), digest=dialog.digest
        ).start(now)

    def confirm(self, dialog: Dialog, response: Response) -> None:
        """Make an early dialog a confirmed one; target and route set come from the 2xx."""
        dialog.state = DialogState.CONFIRMED
        self._follow_path(dialog, response)
        dialog.invite_cseq = self._invite.cseq
        dialog.authorization = self._invite.authorization
        dialog.allowed = response.headers.lines("Allow") or dialog.allowed
        dialog.needs_ack = dialog.is_agreed = True

    def _follow_path(self, dialog: Dialog, response: Response) -> None:
        routes = response.record_route
        dialog.set_path(contact_of(response), tuple([str(route) for route in reversed(routes)]))

    def drop_early(self) -> None:
        """Forget the dialogs that came to nothing."""
        core = self._side.core
        for tag, dialog in list(self._dialogs.items()):
            if dialog.state is DialogState.EARLY:
                del self._dialogs[tag]
                core.drop_dialog(dialog)

    def forget(self) -> None:
        """No 2xx can be repeated any more: drop the ACKs too."""
        self.drop_early()
        for dialog in self._dialogs.values():
            if dialog.invite_cseq == self._invite.cseq:
                dialog.ack = None
        self._dialogs = {}


def reliable_number(response: Response) -> int | None:
    """Return the RSeq of a provisional answer that wants a PRACK, else None."""
    if not response.has_option("require", "100rel"):
        return None
    return parse_digits(response.headers.get("rseq") or "", MAX_RSEQ) or None


def has_session(response: Response) -> bool:
    """Tell whether a response carries a session description."""
    return bool(response.body) and response.content_type == "application/sdp"


def _ignore_end(
    request: ClientRequest, status: int, response: Response | None, cause: EndCause | None, now: float
) -> None:
    """The INVITE has an end of its own."""
