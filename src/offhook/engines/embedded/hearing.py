"""What a leg hears other than its partner: ringback, music, announcements; and what is recorded of it."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from offhook.calls.commands import (
    HoldLeg,
    PassEarlyMedia,
    PlayOnce,
    PlayToLeg,
    StartRecording,
    StopPlaying,
    StopRecording,
    UnholdLeg,
)
from offhook.kernel import Clock

from .callers import Callers
from .legs import EngineLeg, Stage
from .trace import SipTrace


class Runner(Protocol):
    """What it needs of the engine."""

    def run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run what has to wait."""
        ...


class Hearing:
    """Carries these commands out on the media of a leg, and remarks them in its trace."""

    def __init__(self, engine: Runner, callers: Callers, trace: SipTrace, clock: Clock) -> None:
        self._engine = engine
        self._callers = callers
        self._trace = trace
        self._clock = clock

    def play(self, leg: EngineLeg, command: PlayToLeg) -> None:
        """Play over and over, until the leg is joined."""
        self._remark(leg, f"plays {command.media or 'ringback'}")
        self._once_it_hears(leg, partial(self._play, leg, command.media))

    def play_once(self, leg: EngineLeg, command: PlayOnce) -> None:
        """Play to a joined leg, which then hears its partner again."""
        self._remark(leg, f"hears {command.media} once")
        self._engine.run(leg.media.play_once(leg.side, command.media), f"play {leg.leg_id}")

    def stop_playing(self, leg: EngineLeg, command: StopPlaying) -> None:
        """End that before its time."""
        self._remark(leg, "hears the other party again")
        leg.media.stop_playing(leg.side)

    def hold(self, leg: EngineLeg, command: HoldLeg) -> None:
        """Part it from its partner, and play music."""
        self._remark(leg, f"is on hold: {command.media or 'music'}")
        self._engine.run(leg.media.hold(leg.side, command.media), f"hold {leg.leg_id}")

    def unhold(self, leg: EngineLeg, command: UnholdLeg) -> None:
        """Let both hear each other again."""
        self._remark(leg, "is taken back")
        leg.media.unhold()

    def pass_early_media(self, leg: EngineLeg, command: PassEarlyMedia) -> None:
        """Let it hear what the other party sends before its answer."""
        self._remark(leg, "hears the other party's early media")
        self._once_it_hears(leg, leg.media.pass_early_media)

    def start_recording(self, leg: EngineLeg, command: StartRecording) -> None:
        """Capture what both say."""
        self._remark(leg, "is recorded")
        leg.media.start_recording(command.recording_id)

    def stop_recording(self, leg: EngineLeg, command: StopRecording) -> None:
        """End that."""
        self._remark(leg, "is recorded no more")
        leg.media.stop_recording(command.recording_id)

    def _once_it_hears(self, leg: EngineLeg, action: Callable[[], None]) -> None:
        """Do it, but give a caller that is not answered a session first."""
        if leg.stage is Stage.CALLING:
            self._callers.open_early(leg, action)
        else:
            action()

    def _play(self, leg: EngineLeg, media: str) -> None:
        self._engine.run(leg.media.play(leg.side, media), f"play {leg.leg_id}")

    def _remark(self, leg: EngineLeg, words: str) -> None:
        self._trace.remark(leg.leg_id, words, self._clock.epoch())
