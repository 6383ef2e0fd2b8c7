"""Both parties answered: they are joined, talk, hold and are parted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import ending, legs
from .commands import (
    HoldLeg,
    PlayOnce,
    StartRecording,
    StartTimer,
    StopPlaying,
    StopRecording,
    StopTimer,
    UnholdLeg,
)
from .events import (
    BreakRequested,
    CallBridged,
    CallRecorded,
    HoldRequested,
    LegEnded,
    LegHeld,
    LegHolds,
    LegsJoined,
    MediaPlayed,
    PlayRequested,
    RecordRequested,
    TimerFired,
    UnholdRequested,
)
from .model import By, Ending, Leg, LegState, Outcome
from .states import JOIN, MAX_DURATION, MAX_RECORDINGS, CallState

if TYPE_CHECKING:
    from .call import Call


def bridge(call: Call, event: LegsJoined, at: float) -> CallState:
    """Both hear each other now. Its time runs from the first time, whoever is replaced later."""
    call.out += [StopTimer(JOIN), CallBridged(event.first_leg_id, event.second_leg_id)]
    if not call.times.bridged:
        call.out.append(StartTimer(MAX_DURATION, call.plan.max_duration_s))
    note_joined(call, at)
    carry_holds_over(call)
    return CallState.BRIDGED


def note_joined(call: Call, at: float) -> None:
    """Remember that the two parties are joined."""
    first, second = call.first, call.second
    assert first is not None
    assert second is not None
    first.state = second.state = LegState.JOINED
    first.joined_to, second.joined_to = second.leg_id, first.leg_id
    call.times.bridged = call.times.bridged or at


def lose_joined_leg(call: Call, event: LegEnded, at: float) -> CallState:
    """A leg is over while both are answered: the loser of a race, or one of the two."""
    leg = call.legs[event.leg_id]
    legs.close_leg(call, leg, event, at)
    if leg not in (call.first, call.second) or call.is_leaving(leg):
        return call.state
    return ending.settle_hung_up(call, leg, at)


def hold(call: Call, event: HoldRequested, at: float) -> CallState:
    """Play to one party; whoever was held before is not any more: one hears music, the other waits."""
    leg = call.legs.get(event.leg_id)
    if leg is None or leg.state is not LegState.JOINED:
        return call.state
    for other in call.legs.values():
        if other.is_held and other is not leg:
            _note_held(call, other, is_held=False)
    if not leg.is_held:
        _note_held(call, leg, is_held=True)
    call.out.append(HoldLeg(leg.leg_id, event.media or _music_for(call, leg)))
    return call.state


def unhold(call: Call, event: UnholdRequested, at: float) -> CallState:
    """Let both hear each other again."""
    leg = call.legs.get(event.leg_id)
    if leg is not None and leg.is_held:
        _note_held(call, leg, is_held=False)
        call.out.append(UnholdLeg(leg.leg_id))
    return call.state


def note_holding(call: Call, event: LegHolds, at: float) -> CallState:
    """A phone holds or takes back: the other party hears music, or it again. Before the join it is kept."""
    leg = call.legs[event.leg_id]
    leg.is_holding = event.is_holding
    if call.state is CallState.BRIDGED:
        _carry_hold(call, leg)
    return call.state


def end_holds(call: Call) -> None:
    """Nobody is on hold any more; what they hear instead is for the caller to say."""
    for leg in call.legs.values():
        if leg.is_held:
            _note_held(call, leg, is_held=False)


def carry_holds_over(call: Call) -> None:
    """A new pair: who is held is held by the one it talks to now."""
    for leg in (call.first, call.second):
        if leg is not None and leg.is_held:
            _note_held(call, leg, is_held=False)
    for leg in (call.first, call.second):
        if leg is not None and leg.is_holding:
            _carry_hold(call, leg)


def _carry_hold(call: Call, holder: Leg) -> None:
    other = call.legs.get(holder.joined_to)
    if other is None or other.is_held == holder.is_holding:
        return
    _note_held(call, other, is_held=holder.is_holding)
    if holder.is_holding:
        call.out.append(HoldLeg(other.leg_id, _music_for(call, other)))
        return
    call.out.append(UnholdLeg(other.leg_id))
    if holder.is_held:  # each had put the other on hold
        call.out.append(HoldLeg(holder.leg_id, _music_for(call, holder)))


def _music_for(call: Call, held: Leg) -> str:
    """Return what a held party hears: the button's music, or that of the endpoint that holds it."""
    holder = call.legs.get(held.joined_to)
    own = holder.endpoint.hold_media if holder is not None else ""
    return call.plan.music_on_hold or own or call.plan.hold_media


def play(call: Call, event: PlayRequested, at: float) -> CallState:
    """Play something to those of the legs that talk."""
    for leg_id in event.leg_ids:
        leg = call.legs.get(leg_id)
        if leg is not None and leg.state is LegState.JOINED and not leg.is_held:
            leg.is_played_to = True
            call.out += [MediaPlayed(leg_id, event.media), PlayOnce(leg_id, event.media)]
    return call.state


def can_record(call: Call) -> bool:
    """Tell whether a recording can be begun now."""
    return call.state is CallState.BRIDGED and not call.recording and call.recordings < MAX_RECORDINGS


def record(call: Call, event: RecordRequested, at: float) -> CallState:
    """Begin or end a recording; whoever is replaced, it goes on."""
    if call.first is None or (event.is_on and not can_record(call)):
        return call.state
    if not event.is_on and call.recording != event.recording_id:
        return call.state
    call.recording = event.recording_id if event.is_on else ""
    call.recordings += event.is_on
    command = StartRecording if event.is_on else StopRecording
    staying = call.first if call.link is None else call.legs[call.link.staying_leg_id]
    call.out += [
        CallRecorded(event.recording_id, event.is_on),
        command(staying.leg_id, event.recording_id),
    ]
    return call.state


def stop_playing(call: Call, event: BreakRequested, at: float) -> CallState:
    """Let all to whom something is played hear the other again."""
    for leg in call.legs.values():
        if leg.is_played_to and leg.state is LegState.JOINED:
            leg.is_played_to = False
            call.out.append(StopPlaying(leg.leg_id))
    return call.state


def _note_held(call: Call, leg: Leg, *, is_held: bool) -> None:
    leg.is_held, leg.is_played_to = is_held, False
    call.out.append(LegHeld(leg.leg_id, is_held))


def stop_joined(call: Call, event: TimerFired, at: float) -> CallState:
    """A join that came to nothing, or a call that lasted too long."""
    if event.name == MAX_DURATION:
        return ending.settle(call, ending.connected(By.POLICY, "ALLOTTED_TIMEOUT"), at)
    if event.name == JOIN and call.state is CallState.JOINING:
        outcome = Outcome.CONNECTED if call.times.bridged else Outcome.FAILED
        lost = Ending(outcome=outcome, by=By.PLATFORM, hangup_cause="RECOVERY_ON_TIMER_EXPIRE")
        return ending.settle(call, lost, at)
    return call.state  # a ring timer that fired as it was stopped
