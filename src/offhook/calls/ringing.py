"""Ringing a party: its steps, the race of its devices, early media, and what comes of failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import ending, inbound, legs, policy, redirecting, transferring
from .commands import DialLeg, PassEarlyMedia, PlayToLeg, StartTimer, StopTimer
from .events import (
    LegAnswered,
    LegDialed,
    LegEnded,
    LegPickedUp,
    LegRang,
    LegRinging,
    RedirectStored,
    TimerFired,
    TransferStored,
)
from .model import By, EndpointPlan, Leg, LegState, RingStep
from .states import JOIN, JOIN_BOUND_S, MAX_DURATION, NO_ANSWER, CallState

if TYPE_CHECKING:
    from .call import Call


def ring_party(call: Call, at: float) -> CallState:
    """Ring the step whose turn it is, or settle the call if there is none left."""
    party = call.party_plan
    if call.step >= len(party.steps):
        return transferring.give_up(call, at) if call.transfer else ending.settle_unreached(call, at)
    step = party.steps[call.step]
    call.out.append(StartTimer(NO_ANSWER, step.timeout_s))
    for endpoint in step.endpoints:
        _plan_leg(call, endpoint, at)
    if call.transfer is not None:
        return CallState.TRANSFERRING
    return CallState.RINGING_SECOND if call.first else CallState.RINGING_FIRST


def ring_target(call: Call, event: TransferStored, at: float) -> CallState:
    """The journal has the transfer: ring its target. If the disk refused it, there is none."""
    return ring_party(call, at) if event.is_durable else transferring.give_up(call, at)


def _plan_leg(call: Call, endpoint: EndpointPlan, at: float) -> None:
    number = call.party_plan.number if call.transfer is not None else ""
    leg = Leg(endpoint=endpoint, party=call.party, side=call.party_plan.side, number=number)
    call.legs[leg.leg_id] = leg
    if endpoint.delay_s > 0:
        call.out.append(StartTimer(f"delay:{leg.leg_id}", endpoint.delay_s))
    else:
        _dial(call, leg, at)


def _dial(call: Call, leg: Leg, at: float) -> None:
    endpoint = leg.endpoint
    leg.state = LegState.DIALING
    leg.created_at = at
    call.out.append(LegDialed(leg.leg_id, leg.party, leg.side, endpoint.endpoint_id))
    call.out.append(
        DialLeg(
            call.plan.call_id,
            endpoint,
            call.plan.media,
            call.waiting.leg_id if call.waiting else "",
            call.transfer.leaving_leg_id if call.transfer else "",
        )
    )
    if endpoint.timeout_s > 0:
        call.out.append(StartTimer(f"leg:{leg.leg_id}", endpoint.timeout_s))
    if endpoint.progress_timeout_s > 0:
        call.out.append(StartTimer(f"progress:{leg.leg_id}", endpoint.progress_timeout_s))


def note_ringing(call: Call, event: LegRinging, at: float) -> CallState:
    """A phone rings, or sends early media."""
    leg = call.legs[event.leg_id]
    if leg.state is LegState.DIALING:
        leg.state = LegState.RINGING
        leg.ringing_at = at
        call.out += [LegRang(leg.leg_id, event.sip_code), StopTimer(f"progress:{leg.leg_id}")]
        _note_first_ring(call, at)
        transferring.tell_referrer(call, event.sip_code)
    if call.transfer is not None:
        return call.state  # it hears ringback until the target answers
    if event.has_media and leg.state is LegState.RINGING and not call.plan.ignore_early_media:
        _let_early_media_through(call, leg)
    return call.state


def _note_first_ring(call: Call, at: float) -> None:
    if call.transfer is not None:
        return
    if call.first:
        if not call.times.second_ringing:
            call.times.second_ringing = at
            inbound.alert_caller(call)
    else:
        call.times.first_ringing = call.times.first_ringing or at


def _let_early_media_through(call: Call, leg: Leg) -> None:
    if call.first:
        call.out.append(PassEarlyMedia(call.first.leg_id, leg.leg_id))
    else:
        call.early_media = True


def take_answer(call: Call, event: LegAnswered, at: float) -> CallState:
    """A phone was picked up: it is the party, unless it lost the race."""
    leg = call.legs[event.leg_id]
    if leg.state not in (LegState.DIALING, LegState.RINGING):
        return call.state  # it lost the race and is being hung up
    leg.state = LegState.ANSWERED
    leg.answered_at = at
    call.out.append(LegPickedUp(leg.leg_id, event.media, event.dialog))
    legs.drop_others(call, leg, "LOSE_RACE")
    if call.transfer is not None:
        return transferring.take_over(call, leg)
    if call.first is None:
        return _go_on_to_second(call, leg, at)
    call.second = leg
    inbound.bring_together(call, call.first, leg)
    call.out.append(StartTimer(JOIN, JOIN_BOUND_S))
    return CallState.JOINING


def _go_on_to_second(call: Call, leg: Leg, at: float) -> CallState:
    call.first = leg
    call.times.first_answered = at
    call.step = 0
    if call.plan.second.steps:
        call.out.append(PlayToLeg(leg.leg_id, call.plan.ringback))
    return ring_party(call, at)


def lose_leg(call: Call, event: LegEnded, at: float) -> CallState:
    """A leg is over while parties are rung: try what is left, or settle."""
    leg = call.legs[event.leg_id]
    was_ending = leg.state is LegState.ENDING
    legs.close_leg(call, leg, event, at)
    if was_ending:
        return call.state
    legs.stop_leg_timers(call, leg)
    if leg is call.waiting:
        return ending.settle_hung_up(call, leg, at)
    if call.is_leaving(leg):
        return transferring.note_left(call)
    if redirecting.follow(call, leg, event):
        return call.state
    return _go_on_if_step_is_lost(call, at)


def ring_redirected(call: Call, event: RedirectStored, at: float) -> CallState:
    """The journal has the next address of a leg: ring it, unless the step is over."""
    leg = call.legs.get(event.leg_id)
    if leg is None or leg.state is not LegState.PLANNED:
        return call.state
    if event.is_durable:
        _dial(call, leg, at)
        return call.state
    del call.legs[leg.leg_id]
    return _go_on_if_step_is_lost(call, at)


def _go_on_if_step_is_lost(call: Call, at: float) -> CallState:
    if legs.rung(call):
        return call.state
    call.out.append(StopTimer(NO_ANSWER))
    call.step = _step_after(call, call.party_plan.steps)
    return ring_party(call, at)


def _step_after(call: Call, steps: tuple[RingStep, ...]) -> int:
    """Return the next step; skip the rest of a hunt whose destination has spoken."""
    done, following = steps[call.step], call.step + 1
    tried = [call.legs[endpoint.leg_id] for endpoint in done.endpoints if endpoint.leg_id in call.legs]
    tried += [leg for leg in call.legs.values() if leg.endpoint.redirect.tried and leg.party is call.party]
    if done.hunt and any(policy.is_definitive(leg) for leg in tried):
        while following < len(steps) and steps[following].hunt == done.hunt:
            following += 1
    return following


def time_out(call: Call, event: TimerFired, at: float) -> CallState:
    """A timer of the step or of one of its legs ran out."""
    name, _, leg_id = event.name.partition(":")
    if event.name == NO_ANSWER:
        return _give_up_step(call, at)
    if event.name == MAX_DURATION:
        return ending.settle(call, ending.connected(By.POLICY, "ALLOTTED_TIMEOUT"), at)
    leg = call.legs.get(leg_id)
    if leg is None:
        return call.state
    if name == "delay" and leg.state is LegState.PLANNED:
        _dial(call, leg, at)
        return call.state
    if name in ("leg", "progress") and leg in legs.rung(call):
        legs.stop_leg_timers(call, leg)
        legs.hang_up(call, leg, "PROGRESS_TIMEOUT" if name == "progress" else _unanswered(leg))
        return _go_on_if_step_is_lost(call, at)
    return call.state


def _give_up_step(call: Call, at: float) -> CallState:
    for leg in legs.rung(call):
        legs.stop_leg_timers(call, leg)
        if leg.state is LegState.PLANNED:
            del call.legs[leg.leg_id]
        else:
            legs.hang_up(call, leg, _unanswered(leg))
    return _go_on_if_step_is_lost(call, at)


def _unanswered(leg: Leg) -> str:
    """Return Q.850's word for a ring that ran out: 19 if the phone rang, 18 if it never said a word."""
    return "NO_ANSWER" if leg.state is LegState.RINGING else "NO_USER_RESPONSE"
