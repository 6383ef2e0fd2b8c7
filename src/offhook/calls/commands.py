"""What the call machine asks of an engine and of its own timers.

The machine never says how: an engine that is asked to hang up a leg sends CANCEL, BYE or 487 as the
leg's dialog requires, and reports LegEnded once the far end is clean.
"""

import msgspec

from .model import EndpointPlan, MediaMode


class DialLeg(msgspec.Struct, frozen=True):
    """Ring an endpoint. The engine answers with LegRinging*, LegAnswered?, and always one LegEnded."""

    call_id: str
    endpoint: EndpointPlan
    media: MediaMode
    peer_leg_id: str = ""
    """Leg it will be joined to: its codecs bound the offer. Empty for the first party."""
    replaces_leg_id: str = ""
    """Leg whose place it takes when it answers: until then the media are left as they are."""


class HangUpLeg(msgspec.Struct, frozen=True):
    """End a leg in whatever state it is. Repeating it is harmless. LegEnded follows, always."""

    leg_id: str
    hangup_cause: str
    """KAZOO's word; the engine puts it into the Reason header (RFC 3326)."""
    sip_code: int = 0
    """With what a caller is refused that was not answered; 0: what the cause means (policy.refusal_of)."""


class TakeLeg(msgspec.Struct, frozen=True):
    """Hold a caller's leg, whose request the engine has handed up, until AnswerLeg or HangUpLeg.

    The engine answers with LegAnswered once after AnswerLeg, and always with one LegEnded.
    """

    call_id: str
    endpoint: EndpointPlan
    media: MediaMode


class AlertLeg(msgspec.Struct, frozen=True):
    """Let a caller know that the other party rings. Nothing is reported."""

    leg_id: str


class AnswerLeg(msgspec.Struct, frozen=True):
    """Answer a caller, once the answer of the other party is in the journal. LegAnswered or LegEnded follows.

    In that order a crash never leaves a caller answered of whom the journal does not say that it may be.
    """

    leg_id: str
    peer_leg_id: str
    """Leg it will be joined to."""


class ConfirmLeg(msgspec.Struct, frozen=True):
    """The answer of a leg is in the journal: acknowledge it. Comes once after each LegAnswered, in any state.

    Before that the engine lets nothing at the far end depend on this process: no ACK, no BYE.
    """

    leg_id: str


class HangUpSurplus(msgspec.Struct, frozen=True):
    """Hang up a surplus answer: the journal has it. SurplusEnded follows, always.

    After a crash it is the first that the engine hears of it: it takes the dialog up and ends it.
    """

    leg_id: str
    dialog: str
    """As the engine gave it."""


class EndLostLeg(msgspec.Struct, frozen=True):
    """End a leg of a process before this one: rung, answered, or never dialled. LegEnded follows, always.

    Its sip_code is 0 if the far end gave no sign that it ever knew the leg.
    """

    call_id: str
    endpoint: EndpointPlan
    hangup_cause: str
    dialog: str = ""
    """What LegAnswered said; empty if no answer is known."""
    may_be_answered: bool = False
    """Of a caller: AnswerLeg may have been carried out. False: it was not."""


class PlayToLeg(msgspec.Struct, frozen=True):
    """Play ringback, music or an announcement, over and over, to an answered leg until it is joined.

    A caller that is not answered hears it as early media.
    """

    leg_id: str
    media: str


class JoinLegs(msgspec.Struct, frozen=True):
    """Let two answered legs hear each other. LegsJoined or LegEnded follows."""

    first_leg_id: str
    second_leg_id: str


class HoldLeg(msgspec.Struct, frozen=True):
    """Part two joined legs: one hears music, over and over, the other nothing. Nothing is reported."""

    leg_id: str
    media: str
    """Empty: the engine's own music."""


class UnholdLeg(msgspec.Struct, frozen=True):
    """Let a held leg and the other one hear each other again. Nothing is reported."""

    leg_id: str


class AnswerReferral(msgspec.Struct, frozen=True):
    """Accept (202) or refuse what a phone asked for by LegReferred. Comes once after each, within seconds."""

    leg_id: str
    sip_code: int
    sip_reason: str = ""


class TellReferrer(msgspec.Struct, frozen=True):
    """Tell a phone that asked for a transfer how far it is (NOTIFY, RFC 3515). A final status ends that."""

    leg_id: str
    sip_code: int
    sip_reason: str = ""


class LinkLegs(msgspec.Struct, frozen=True):
    """Let legs of two calls hear each other, whose partners are being hung up. Nothing is reported."""

    leg_id: str
    other_leg_id: str


class EndLinkedCall(msgspec.Struct, frozen=True):
    """Our party is over: tell the call it was linked to (LinkLost). No engine sees this."""

    call_id: str
    hangup_cause: str


class PlayOnce(msgspec.Struct, frozen=True):
    """Play a media to a joined leg, once; meanwhile it does not hear the other. Nothing is reported."""

    leg_id: str
    media: str


class StopPlaying(msgspec.Struct, frozen=True):
    """Stop that: it hears the other again. Harmless if nothing is played."""

    leg_id: str


class StartRecording(msgspec.Struct, frozen=True):
    """Record both parties of a joined call. RecordingMade follows when its media are closed."""

    leg_id: str
    recording_id: str


class StopRecording(msgspec.Struct, frozen=True):
    """Let the recording end here."""

    leg_id: str
    recording_id: str


class PassEarlyMedia(msgspec.Struct, frozen=True):
    """Let the first leg hear the early media of the second, in place of ringback."""

    first_leg_id: str
    second_leg_id: str


class StartTimer(msgspec.Struct, frozen=True):
    """Give TimerFired(name) back to the machine after `delay_s`. A second start replaces the first."""

    name: str
    delay_s: float


class StopTimer(msgspec.Struct, frozen=True):
    """Forget a timer; harmless if it does not run."""

    name: str


LegCommand = (
    AlertLeg
    | AnswerLeg
    | ConfirmLeg
    | HangUpLeg
    | PlayToLeg
    | JoinLegs
    | PassEarlyMedia
    | HoldLeg
    | UnholdLeg
    | AnswerReferral
    | TellReferrer
    | LinkLegs
    | PlayOnce
    | StopPlaying
    | StartRecording
    | StopRecording
)
"""Those for a leg that an engine has already."""

EngineCommand = DialLeg | TakeLeg | EndLostLeg | HangUpSurplus | LegCommand
TimerCommand = StartTimer | StopTimer
CallCommand = EndLinkedCall
"""What one call asks of another."""


def leg_id_of(command: LegCommand) -> str:
    """Return the id of the leg that a command is for; of two, the first."""
    return command.first_leg_id if isinstance(command, JoinLegs | PassEarlyMedia) else command.leg_id
