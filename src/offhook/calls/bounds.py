"""How long a call may stay in each of its states, by its plan: nothing stays "in progress" past these.

The machine itself keeps them (states.py): each state has a timer that moves it on, whatever an engine or
a peer does. docs/topics/outcomes.md states them for people.
"""

from .model import CallPlan, PartyPlan
from .states import ENDING_BOUND_S, JOIN_BOUND_S, CallState


def ringing_s(party: PartyPlan) -> float:
    """Return how long a party is rung at most: its steps one after the other."""
    return sum(step.timeout_s for step in party.steps)


def state_bounds_s(plan: CallPlan) -> dict[CallState, float]:
    """Return the longest stay in each state; ENDED is for ever, PLACED is left at once."""
    return {
        CallState.PLACED: 0.0,
        CallState.RINGING_FIRST: ringing_s(plan.first),
        CallState.RINGING_SECOND: ringing_s(plan.second),
        CallState.JOINING: JOIN_BOUND_S,
        CallState.BRIDGED: plan.max_duration_s,
        CallState.TRANSFERRING: plan.max_duration_s,
        CallState.ENDING: ENDING_BOUND_S,
    }


def longest_s(plan: CallPlan) -> float:
    """Return the longest time from `accepted` to the outcome: every state once, each to its bound.

    A transfer takes of the time that a joined call has: the timer runs on.
    """
    bounds = state_bounds_s(plan)
    del bounds[CallState.TRANSFERRING]
    return sum(bounds.values())
