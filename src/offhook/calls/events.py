"""What happens to a call: what an engine reports, and the facts that go into the journal."""

import msgspec

from .model import By, Ending, EndpointPlan, Link, Transfer

# --- inputs of the call machine -------------------------------------------------------------------


class LegRinging(msgspec.Struct, frozen=True):
    """A provisional answer above 100 arrived."""

    leg_id: str
    sip_code: int = 180
    has_media: bool = False
    """It carried an SDP answer (183): there may be early media."""


class LegAnswered(msgspec.Struct, frozen=True):
    """The far end answered, or took our answer, and media is agreed. Never reported after HangUpLeg."""

    leg_id: str
    media: str = ""
    """Words for people: `PCMU 127.0.0.1:6000`."""
    dialog: str = ""
    """What the engine will need to end the leg after a crash; nobody else reads it."""


class LegsJoined(msgspec.Struct, frozen=True):
    """Both legs can hear each other."""

    first_leg_id: str
    second_leg_id: str


class LegEnded(msgspec.Struct, frozen=True):
    """The leg is over at both ends: no dialog, transaction or media session of it remains here."""

    leg_id: str
    hangup_cause: str
    """KAZOO's word (kazoo-behaviour 13.1)."""
    sip_code: int = 0
    """The final SIP status, 200 for BYE, 0 if there was none."""
    sip_reason: str = ""
    by_peer: bool = False
    """The far end refused or hung up; False: we asked for it, or nobody answered."""
    retry_after_s: int = 0
    """A refusal said that trying again before is in vain; 0: it did not."""
    targets: tuple[str, ...] = ()
    """A refusal named other addresses that may be rung, the best first."""


class LegHolds(msgspec.Struct, frozen=True):
    """A phone has put the other party on hold, or taken it back; only changes are reported."""

    leg_id: str
    is_holding: bool


class LegReferred(msgspec.Struct, frozen=True):
    """A party asks to be replaced by somebody else (REFER). AnswerReferral says whether that is done.

    It is no input of the machine: whoever plans the transfer asks for it by TransferRequested.
    """

    leg_id: str
    target: str
    """A URI, without headers."""
    replaced_leg_id: str = ""
    """Of an attended transfer: the leg of ours that the target talks to."""
    replaces: str = ""
    """Of an attended transfer to a call elsewhere: value of the Replaces that the target must get."""
    referred_by: str = ""
    """URI of who asks, as it says."""


class RecordingMade(msgspec.Struct, frozen=True):
    """A recording is ready, or lost. Nothing for the call machine; its call may be over."""

    recording_id: str
    path: str
    """Of a WAV file, which the receiver takes away; empty: it could not be made."""


class SurplusAnswered(msgspec.Struct, frozen=True):
    """Somebody answered whom the call does not want: a second phone behind a proxy, or too late.

    Nothing for the call machine. The engine hangs up when it is told so (HangUpSurplus).
    """

    leg_id: str
    dialog: str
    """What the engine will need to hang up after a crash; nobody else reads it."""


class SurplusEnded(msgspec.Struct, frozen=True):
    """A surplus answer is hung up: nothing of it remains. Nothing for the call machine."""

    leg_id: str
    dialog: str


class TimerFired(msgspec.Struct, frozen=True):
    """A timer started by StartTimer ran out."""

    name: str


class EndRequested(msgspec.Struct, frozen=True):
    """Somebody wants the call to end: DELETE, the caller of a blocking request gone, shutdown."""

    by: By
    hangup_cause: str = "ORIGINATOR_CANCEL"


class HoldRequested(msgspec.Struct, frozen=True):
    """Somebody puts a party of a joined call on hold."""

    leg_id: str
    media: str = ""
    """What it hears; empty: the engine's own music."""


class UnholdRequested(msgspec.Struct, frozen=True):
    """Somebody takes it back."""

    leg_id: str


class PlayRequested(msgspec.Struct, frozen=True):
    """Somebody wants something played, once, to one or both parties of a joined call."""

    leg_ids: tuple[str, ...]
    media: str


class BreakRequested(msgspec.Struct, frozen=True):
    """Somebody wants that to stop."""


class RecordRequested(msgspec.Struct, frozen=True):
    """Somebody wants a joined call recorded, or recorded no more. See `joined.can_record`."""

    recording_id: str
    is_on: bool


class TransferRequested(msgspec.Struct, frozen=True):
    """Somebody wants a party of a joined call replaced. Ask `transferring.can_transfer` before."""

    transfer: Transfer


class TransferStored(msgspec.Struct, frozen=True):
    """The journal has the transfer, and so its legs: they may be rung. Comes once after TransferBegun."""

    is_durable: bool = True
    """False: the disk refuses; nothing was rung, and nothing may be."""


class LinkRequested(msgspec.Struct, frozen=True):
    """A party puts the other through to a leg of another call, which hears of it too. See `can_transfer`."""

    link: Link
    is_referrer: bool
    """This call's leg has asked for it: it is told, and the media are linked from here."""


class LinkLost(msgspec.Struct, frozen=True):
    """The other call of a link is over."""

    hangup_cause: str


class RedirectStored(msgspec.Struct, frozen=True):
    """The journal has the next address of a leg: it may be rung. Comes once after LegRedirected."""

    leg_id: str
    is_durable: bool = True
    """False: the disk refuses; nothing may be rung."""


LegEvent = (
    LegRinging
    | LegAnswered
    | LegsJoined
    | LegHolds
    | LegEnded
    | LegReferred
    | SurplusAnswered
    | SurplusEnded
    | RecordingMade
)
"""What an engine reports."""

CallInput = (
    LegRinging
    | LegAnswered
    | LegsJoined
    | LegHolds
    | LegEnded
    | TimerFired
    | EndRequested
    | HoldRequested
    | UnholdRequested
    | PlayRequested
    | RecordRequested
    | BreakRequested
    | TransferRequested
    | TransferStored
    | RedirectStored
    | LinkRequested
    | LinkLost
)

# --- facts, in the order they happen: the journal's entries ----------------------------------------


class LegDialed(msgspec.Struct, frozen=True, tag="leg_dialed"):
    """An endpoint is being rung."""

    leg_id: str
    party: str
    side: str
    endpoint_id: str


class LegRedirected(msgspec.Struct, frozen=True, tag="leg_redirected"):
    """A refused leg named another address, which is rung next; LegDialed follows."""

    leg_id: str
    """Who was refused."""
    endpoint: EndpointPlan


class LegRang(msgspec.Struct, frozen=True, tag="leg_ringing"):
    """It rings (only the first provisional answer is a fact)."""

    leg_id: str
    sip_code: int


class LegPickedUp(msgspec.Struct, frozen=True, tag="leg_answered"):
    """It was answered."""

    leg_id: str
    media: str
    dialog: str = ""
    """As the engine gave it; not for people."""


class CallBridged(msgspec.Struct, frozen=True, tag="bridged"):
    """Both parties are joined."""

    first_leg_id: str
    second_leg_id: str


class LegHeld(msgspec.Struct, frozen=True, tag="leg_held"):
    """A joined leg was put on hold, or taken back."""

    leg_id: str
    is_held: bool


class MediaPlayed(msgspec.Struct, frozen=True, tag="media_played"):
    """Something is played to a joined leg, once."""

    leg_id: str
    media: str


class CallRecorded(msgspec.Struct, frozen=True, tag="call_recorded"):
    """What both parties say is recorded, or not any more."""

    recording_id: str
    is_on: bool


class TransferBegun(msgspec.Struct, frozen=True, tag="transfer_begun"):
    """A party is being replaced."""

    transfer: Transfer


class TransferFailed(msgspec.Struct, frozen=True, tag="transfer_failed"):
    """Nobody came in its place."""

    hangup_cause: str
    sip_code: int
    sip_reason: str
    ending: Ending | None = None
    """How the call ends now; None: the party that was to leave is still there, and they talk on."""


class CallLinked(msgspec.Struct, frozen=True, tag="linked"):
    """Who stays talks to a leg of another call now."""

    link: Link


class SurplusNoted(msgspec.Struct, frozen=True, tag="surplus_answered"):
    """Somebody answered whom the call does not want, and is hung up. It changes nothing in the call."""

    leg_id: str
    dialog: str
    """As the engine gave it; not for people."""


class LegOver(msgspec.Struct, frozen=True, tag="leg_ended"):
    """A leg is over."""

    leg_id: str
    hangup_cause: str
    sip_code: int
    sip_reason: str
    by_peer: bool


class CallEnded(msgspec.Struct, frozen=True, tag="ended"):
    """The final fact: one per call, after every leg is over."""

    ending: Ending


Fact = (
    LegRedirected
    | LegDialed
    | LegRang
    | LegPickedUp
    | CallBridged
    | LegHeld
    | MediaPlayed
    | CallRecorded
    | TransferBegun
    | TransferFailed
    | CallLinked
    | SurplusNoted
    | LegOver
    | CallEnded
)

_decoder: msgspec.json.Decoder[Fact] = msgspec.json.Decoder(Fact)


def encode_fact(fact: Fact) -> bytes:
    """Return the JSON a journal keeps: `{"type":"leg_ringing","leg_id":"…","sip_code":180}`."""
    return msgspec.json.encode(fact)


def decode_fact(data: bytes) -> Fact:
    """Return the fact from a journal entry. Raises msgspec.DecodeError if it is none of ours."""
    return _decoder.decode(data)
