"""One leg inside the embedded engine: what it has on the wire, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from offhook.calls import policy
from offhook.calls.commands import DialLeg
from offhook.sip.client_invite import ClientInvite
from offhook.sip.dialogs import Dialog
from offhook.sip.flows import Flow
from offhook.sip.sdp import SessionDescription

from .call_media import CallMedia
from .relay import RelaySide

if TYPE_CHECKING:
    from .callers import Caller
    from .referrals import Referral

UNKNOWN_DIALOG: Final = 481


class Stage(StrEnum):
    """Where a leg stands on the wire."""

    PREPARING = "preparing"
    """Its address is looked up or its media port opened; nothing was sent."""
    INVITING = "inviting"
    """The INVITE is out; the core moves it on."""
    CALLING = "calling"
    """A caller: its INVITE waits for our answer."""
    ANSWERING = "answering"
    """A caller: our 200 is out, and repeated until its ACK comes, within 64*T1."""
    ANSWERED = "answered"
    """The 200 is here; it is acknowledged once the journal has it."""
    ANSWERED_LATE = "answered_late"
    """The 200 brought an offer; its ACK waits for the join (RFC 3725 flow IV)."""
    ENDING = "ending"
    """CANCEL or BYE is out; the core moves it on, within 64*T1."""
    OVER = "over"
    """LegEnded was reported."""


class EngineLeg:
    """A leg that was dialled, or a caller's. `invite` and `dialog` are set as soon as the core has them."""

    __slots__ = (
        "ack_body",
        "caller",
        "command",
        "dialog",
        "end_cause",
        "end_code",
        "flows",
        "has_left",
        "has_several_servers",
        "holds",
        "infos",
        "invite",
        "is_confirmed",
        "is_holding",
        "media",
        "offer",
        "referral",
        "remote_offer",
        "retry_after_s",
        "side",
        "stage",
        "targets",
        "waits_for_ack",
        "when_confirmed",
    )

    def __init__(self, command: DialLeg, media: CallMedia, side: RelaySide) -> None:
        self.command = command
        self.media = media
        self.side = side
        self.stage = Stage.PREPARING
        self.caller: Caller | None = None
        """Set for a caller: it rang us."""
        self.invite: ClientInvite | None = None
        self.flows: list[Flow] = []
        """Where its INVITE goes, the first now, the others if that does not serve."""
        self.has_several_servers = False
        """There were several at first."""
        self.dialog: Dialog | None = None
        self.has_left = False
        """The phone hung up, and its BYE has not come."""
        self.is_confirmed = False
        """The journal holds the answer: from now on the far end may depend on us."""
        self.ack_body: bytes | None = None
        """What the ACK will carry that waits for that."""
        self.when_confirmed: Callable[[], None] | None = None
        """What else waits for that: a join by re-INVITE."""
        self.offer: SessionDescription | None = None
        """What our INVITE offers; None: it asks for one."""
        self.referral: Referral | None = None
        """The transfer it has asked for, until the last report of it."""
        self.is_holding = False
        """The phone has put the other party on hold, as was reported last."""
        self.holds = 0
        """How often it has held the other party and taken it back."""
        self.infos = 0
        """INFOs of the phone that wait for the other party's answer."""
        self.waits_for_ack: EngineLeg | None = None
        """In a bypass: who gets the answer that this phone's ACK will bring."""
        self.end_cause = ""
        """Set when we end it: the cause to report in place of the peer's."""
        self.end_code = 0
        self.retry_after_s = 0
        """What a refusal said of trying again."""
        self.targets: tuple[str, ...] = ()
        """Other addresses that a refusal named and that may be rung."""
        self.remote_offer = b""
        """SDP of a 200 to an INVITE without offer, until it is answered."""

    @property
    def leg_id(self) -> str:
        """The id the call machine knows it by; also its Call-ID."""
        return self.command.endpoint.leg_id

    def note_gone(self, status: int) -> None:
        """The phone does not know its call any more: it hung up (481), or is silent. The core sends a BYE."""
        if self.stage is not Stage.ANSWERED:
            return  # we hung up before it said so
        if status == UNKNOWN_DIALOG:
            self.has_left = True
        else:
            self.end_cause = policy.cause_of_sip(status)

    @property
    def makes_offer(self) -> bool:
        """Tell whether our INVITE carries SDP: always with a relay, but for the second party of a bypass."""
        return self.media.offers(self.side) or bool(self.command.replaces_leg_id)
