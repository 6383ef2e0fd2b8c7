"""One call as a state machine: inputs are leg events, timers and requests; outputs are commands and facts.

Pure: it asks engines for things and starts timers by returning commands. After every input the caller
performs the commands in order and writes the facts to the journal in order. Times are Unix seconds.

    PLACED ─start─► RINGING_FIRST ─answer─► RINGING_SECOND ─answer─► JOINING ─► BRIDGED
                          │                       │                     │          │
                          └───────────────────────┴─────── ENDING ◄─────┴──────────┘
                                                              └─ every leg is over ─► ENDED
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from . import policy
from .commands import (
    DialLeg,
    EndLostLeg,
    EngineCommand,
    HangUpLeg,
    HoldLeg,
    JoinLegs,
    PassEarlyMedia,
    PlayToLeg,
    StartTimer,
    StopTimer,
    TimerCommand,
    UnholdLeg,
)
from .errors import IllegalTransition
from .events import (
    CallBridged,
    CallEnded,
    CallInput,
    EndRequested,
    Fact,
    HoldRequested,
    LegAnswered,
    LegDialed,
    LegEnded,
    LegHeld,
    LegOver,
    LegPickedUp,
    LegRang,
    LegRinging,
    LegsJoined,
    TimerFired,
    UnholdRequested,
)
from .model import (
    By,
    CallPlan,
    Ending,
    EndpointPlan,
    Leg,
    LegState,
    Outcome,
    Party,
    PartyPlan,
    RingStep,
    Times,
)

Output = EngineCommand | TimerCommand | Fact

NO_ANSWER: Final = "no_answer"
JOIN: Final = "join"
MAX_DURATION: Final = "max_duration"
ENDING_BOUND: Final = "ending"

JOIN_BOUND_S: Final = 35.0
"""A join by re-INVITE is over after timer B (32 s), answered or not."""
ENDING_BOUND_S: Final = 100.0
"""CANCEL waits up to 32 s, its 487 up to 32 s, a BYE after a crossing 200 up to 32 s: an engine that has
not reported a leg's end after that has lost it."""


class CallState(StrEnum):
    """Where a call stands."""

    PLACED = "placed"
    """Accepted and durable; `start` moves it on at once."""
    RINGING_FIRST = "ringing_first"
    """The first party is rung; answers, failures and the step's timer move it on."""
    RINGING_SECOND = "ringing_second"
    """The first party waits and hears ringback; the second is rung."""
    JOINING = "joining"
    """Both answered; the engine joins their media within JOIN_BOUND_S."""
    BRIDGED = "bridged"
    """They talk; a hang-up, a request or max_duration moves it on."""
    ENDING = "ending"
    """The outcome is settled; the engine ends what is left within ENDING_BOUND_S."""
    ENDED = "ended"
    """The final fact is out. Nothing happens any more."""


class Call:
    """The machine of one call. `start` once, then `receive` for every input."""

    __slots__ = (
        "_out",
        "_step",
        "early_media",
        "ending",
        "first",
        "legs",
        "plan",
        "second",
        "state",
        "times",
    )

    def __init__(self, plan: CallPlan, accepted_at: float) -> None:
        self.plan = plan
        self.state = CallState.PLACED
        self.legs: dict[str, Leg] = {}
        """Every leg that was dialled or waits to be, by leg id, in order."""
        self.times = Times(accepted=accepted_at)
        self.first: Leg | None = None
        """The answered leg of the first party."""
        self.second: Leg | None = None
        self.ending: Ending | None = None
        """Set when the outcome is settled; final when the state is ENDED."""
        self.early_media = False
        """The first party sent media before it answered (KAZOO's early success of a quickcall)."""
        self._step = 0
        self._out: list[Output] = []

    def start(self, at: float) -> list[Output]:
        """Begin to ring the first party; return what to do."""
        if self.state is not CallState.PLACED:
            raise IllegalTransition(self.state, "Start")
        self.state = self._ring_party(at)
        return self._drain()

    def receive(self, event: CallInput, at: float) -> list[Output]:
        """Take one input; return what to do. Raises IllegalTransition if the table does not list it."""
        entry = TABLE.get((self.state, type(event)))
        if entry is None:
            raise IllegalTransition(self.state, type(event).__name__)
        action, reachable = entry
        state = action(self, event, at)
        if state not in reachable:
            raise IllegalTransition(self.state, f"{type(event).__name__} leading to {state}")
        self.state = state
        return self._drain()

    def recover(self, dialogs: Mapping[str, str], at: float) -> list[Output]:
        """Settle a replayed call of a process that died, and end what that may have left at the far ends.

        dialogs are those of the answers in the journal, by leg id. A leg of the plan that the journal does
        not know may ring all the same: what was not yet durable is lost.
        """
        if self.state is CallState.ENDED:
            raise IllegalTransition(self.state, "Recover")
        self.ending = self._ending_after_crash()
        for party, plan in ((Party.FIRST, self.plan.first), (Party.SECOND, self.plan.second)):
            for endpoint in plan.endpoints:
                leg = self.legs.setdefault(
                    endpoint.leg_id, Leg(endpoint=endpoint, party=party, side=plan.side)
                )
                self._end_lost(leg, dialogs.get(leg.leg_id, ""))
        self._out.append(StartTimer(ENDING_BOUND, ENDING_BOUND_S))
        self.state = self._end_if_clean(at)
        return self._drain()

    def _end_lost(self, leg: Leg, dialog: str) -> None:
        if leg.state is LegState.ENDED:
            return
        leg.state, leg.hangup_cause = LegState.ENDING, policy.CRASH
        self._out.append(EndLostLeg(self.plan.call_id, leg.endpoint, policy.CRASH, dialog))

    def _ending_after_crash(self) -> Ending:
        """A joined call that a party has hung up was over before the crash; any other was ended by it."""
        for leg in (self.first, self.second):
            if self.times.bridged and leg and leg.state is LegState.ENDED and leg.ended_by_peer:
                return _hung_up(leg, joined=True)
        return Ending(outcome=Outcome.PLATFORM_ERROR, by=By.PLATFORM, hangup_cause=policy.CRASH)

    def live_legs(self) -> list[Leg]:
        """Return the legs that an engine still holds."""
        return [leg for leg in self.legs.values() if leg.state not in (LegState.PLANNED, LegState.ENDED)]

    # --- ringing ------------------------------------------------------------------------------------

    @property
    def _party(self) -> Party:
        return Party.SECOND if self.first else Party.FIRST

    @property
    def _party_plan(self) -> PartyPlan:
        return self.plan.second if self.first else self.plan.first

    def _ring_party(self, at: float) -> CallState:
        """Ring the step whose turn it is, or settle the call if there is none left."""
        party = self._party_plan
        if self._step >= len(party.steps):
            return self._settle_unreached(at)
        step = party.steps[self._step]
        self._out.append(StartTimer(NO_ANSWER, step.timeout_s))
        for endpoint in step.endpoints:
            self._plan_leg(endpoint, at)
        return CallState.RINGING_SECOND if self.first else CallState.RINGING_FIRST

    def _plan_leg(self, endpoint: EndpointPlan, at: float) -> None:
        leg = Leg(endpoint=endpoint, party=self._party, side=self._party_plan.side)
        self.legs[leg.leg_id] = leg
        if endpoint.delay_s > 0:
            self._out.append(StartTimer(f"delay:{leg.leg_id}", endpoint.delay_s))
        else:
            self._dial(leg, at)

    def _dial(self, leg: Leg, at: float) -> None:
        endpoint = leg.endpoint
        leg.state = LegState.DIALING
        leg.created_at = at
        self._out.append(LegDialed(leg.leg_id, leg.party, leg.side, endpoint.endpoint_id))
        self._out.append(
            DialLeg(self.plan.call_id, endpoint, self.plan.media, self.first.leg_id if self.first else "")
        )
        if endpoint.timeout_s > 0:
            self._out.append(StartTimer(f"leg:{leg.leg_id}", endpoint.timeout_s))
        if endpoint.progress_timeout_s > 0:
            self._out.append(StartTimer(f"progress:{leg.leg_id}", endpoint.progress_timeout_s))

    def _note_ringing(self, event: LegRinging, at: float) -> CallState:
        leg = self.legs[event.leg_id]
        if leg.state is LegState.DIALING:
            leg.state = LegState.RINGING
            leg.ringing_at = at
            self._out += [LegRang(leg.leg_id, event.sip_code), StopTimer(f"progress:{leg.leg_id}")]
            self._note_first_ring(at)
        if event.has_media and leg.state is LegState.RINGING and not self.plan.ignore_early_media:
            self._let_early_media_through(leg)
        return self.state

    def _note_first_ring(self, at: float) -> None:
        if self.first:
            self.times.second_ringing = self.times.second_ringing or at
        else:
            self.times.first_ringing = self.times.first_ringing or at

    def _let_early_media_through(self, leg: Leg) -> None:
        if self.first:
            self._out.append(PassEarlyMedia(self.first.leg_id, leg.leg_id))
        else:
            self.early_media = True

    def _take_answer(self, event: LegAnswered, at: float) -> CallState:
        leg = self.legs[event.leg_id]
        if leg.state not in (LegState.DIALING, LegState.RINGING):
            return self.state  # it lost the race and is being hung up
        leg.state = LegState.ANSWERED
        leg.answered_at = at
        self._out.append(LegPickedUp(leg.leg_id, event.media, event.dialog))
        self._drop_others(leg, "LOSE_RACE")
        if self.first is None:
            return self._go_on_to_second(leg, at)
        self.second = leg
        self._out += [JoinLegs(self.first.leg_id, leg.leg_id), StartTimer(JOIN, JOIN_BOUND_S)]
        return CallState.JOINING

    def _go_on_to_second(self, leg: Leg, at: float) -> CallState:
        self.first = leg
        self.times.first_answered = at
        self._step = 0
        if self.plan.second.steps:
            self._out.append(PlayToLeg(leg.leg_id, self.plan.ringback))
        return self._ring_party(at)

    def _drop_others(self, winner: Leg | None, cause: str) -> None:
        """Stop ringing the party: cancel what rings, forget what waits, stop the timers."""
        self._out.append(StopTimer(NO_ANSWER))
        for leg in self._rung():
            self._stop_leg_timers(leg)
            if leg is winner:
                continue
            if leg.state is LegState.PLANNED:
                del self.legs[leg.leg_id]
            else:
                self._hang_up(leg, cause)

    def _rung(self) -> list[Leg]:
        """Return the legs that are not answered, not over, and not asked to end."""
        waiting = (LegState.PLANNED, LegState.DIALING, LegState.RINGING)
        answered_now = [
            leg for leg in self.legs.values() if leg.state is LegState.ANSWERED and leg is not self.first
        ]
        return [leg for leg in self.legs.values() if leg.state in waiting] + answered_now

    def _stop_leg_timers(self, leg: Leg) -> None:
        endpoint = leg.endpoint
        if endpoint.delay_s > 0:
            self._out.append(StopTimer(f"delay:{leg.leg_id}"))
        if endpoint.timeout_s > 0:
            self._out.append(StopTimer(f"leg:{leg.leg_id}"))
        if endpoint.progress_timeout_s > 0:
            self._out.append(StopTimer(f"progress:{leg.leg_id}"))

    def _hang_up(self, leg: Leg, cause: str) -> None:
        """Ask the engine to end a leg; the cause stands unless the engine knows better."""
        if leg.state in (LegState.ENDING, LegState.ENDED):
            return
        leg.state = LegState.ENDING
        leg.hangup_cause = cause
        self._out.append(HangUpLeg(leg.leg_id, cause))

    # --- failures while ringing ---------------------------------------------------------------------

    def _lose_leg(self, event: LegEnded, at: float) -> CallState:
        """A leg is over while parties are rung: try what is left, or settle."""
        leg = self.legs[event.leg_id]
        was_ending = leg.state is LegState.ENDING
        self._close_leg(leg, event, at)
        if was_ending:
            return self.state
        self._stop_leg_timers(leg)
        if leg is self.first:
            return self._settle_hung_up(leg, at)
        return self._go_on_if_step_is_lost(at)

    def _close_leg(self, leg: Leg, event: LegEnded, at: float) -> None:
        if leg.state is not LegState.ENDING:
            leg.hangup_cause = event.hangup_cause
        leg.state = LegState.ENDED
        leg.ended_at = at
        leg.sip_code = event.sip_code
        leg.sip_reason = event.sip_reason
        leg.ended_by_peer = event.by_peer
        if not leg.created_at:  # a process before us may have dialled it
            if not event.sip_code:
                return  # but the far end knows nothing of it
            leg.created_at = at
            self._out.append(LegDialed(leg.leg_id, leg.party, leg.side, leg.endpoint.endpoint_id))
        self._out.append(
            LegOver(leg.leg_id, leg.hangup_cause, event.sip_code, event.sip_reason, event.by_peer)
        )

    def _go_on_if_step_is_lost(self, at: float) -> CallState:
        if self._rung():
            return self.state
        self._out.append(StopTimer(NO_ANSWER))
        self._step = self._step_after(self._party_plan.steps)
        return self._ring_party(at)

    def _step_after(self, steps: tuple[RingStep, ...]) -> int:
        """Return the next step; skip the rest of a hunt whose destination has spoken."""
        done, following = steps[self._step], self._step + 1
        tried = [self.legs[endpoint.leg_id] for endpoint in done.endpoints if endpoint.leg_id in self.legs]
        if done.hunt and any(policy.is_definitive(leg) for leg in tried):
            while following < len(steps) and steps[following].hunt == done.hunt:
                following += 1
        return following

    def _time_out(self, event: TimerFired, at: float) -> CallState:
        name, _, leg_id = event.name.partition(":")
        if event.name == NO_ANSWER:
            return self._give_up_step(at)
        leg = self.legs.get(leg_id)
        if leg is None:
            return self.state
        if name == "delay" and leg.state is LegState.PLANNED:
            self._dial(leg, at)
            return self.state
        if name in ("leg", "progress") and leg in self._rung():
            self._stop_leg_timers(leg)
            self._hang_up(leg, "PROGRESS_TIMEOUT" if name == "progress" else _unanswered(leg))
            return self._go_on_if_step_is_lost(at)
        return self.state

    def _give_up_step(self, at: float) -> CallState:
        for leg in self._rung():
            self._stop_leg_timers(leg)
            if leg.state is LegState.PLANNED:
                del self.legs[leg.leg_id]
            else:
                self._hang_up(leg, _unanswered(leg))
        return self._go_on_if_step_is_lost(at)

    # --- joined -------------------------------------------------------------------------------------

    def _bridge(self, event: LegsJoined, at: float) -> CallState:
        assert self.first is not None
        assert self.second is not None
        self.first.state = self.second.state = LegState.JOINED
        self.times.bridged = at
        self._out += [
            StopTimer(JOIN),
            CallBridged(event.first_leg_id, event.second_leg_id),
            StartTimer(MAX_DURATION, self.plan.max_duration_s),
        ]
        return CallState.BRIDGED

    def _lose_joined_leg(self, event: LegEnded, at: float) -> CallState:
        """A leg is over while both are answered: the loser of a race, or one of the two."""
        leg = self.legs[event.leg_id]
        self._close_leg(leg, event, at)
        if leg is not self.first and leg is not self.second:
            return self.state
        return self._settle_hung_up(leg, at)

    def _hold(self, event: HoldRequested, at: float) -> CallState:
        """Play to one party; whoever was held before is not any more: one hears music, the other waits."""
        leg = self.legs.get(event.leg_id)
        if leg is None or leg.state is not LegState.JOINED:
            return self.state
        for other in self.legs.values():
            if other.is_held and other is not leg:
                self._note_held(other, is_held=False)
        if not leg.is_held:
            self._note_held(leg, is_held=True)
        self._out.append(HoldLeg(leg.leg_id, event.media))
        return self.state

    def _unhold(self, event: UnholdRequested, at: float) -> CallState:
        leg = self.legs.get(event.leg_id)
        if leg is not None and leg.is_held:
            self._note_held(leg, is_held=False)
            self._out.append(UnholdLeg(leg.leg_id))
        return self.state

    def _note_held(self, leg: Leg, *, is_held: bool) -> None:
        leg.is_held = is_held
        self._out.append(LegHeld(leg.leg_id, is_held))

    def _stop_joined(self, event: TimerFired, at: float) -> CallState:
        if event.name == MAX_DURATION and self.state is CallState.BRIDGED:
            return self._settle(_connected(By.POLICY, "ALLOTTED_TIMEOUT"), at)
        if event.name == JOIN and self.state is CallState.JOINING:
            ending = Ending(outcome=Outcome.FAILED, by=By.PLATFORM, hangup_cause="RECOVERY_ON_TIMER_EXPIRE")
            return self._settle(ending, at)
        return self.state  # a ring timer that fired as it was stopped

    # --- settling the outcome -----------------------------------------------------------------------

    def _end_on_request(self, event: EndRequested, at: float) -> CallState:
        if self.state is CallState.BRIDGED:
            return self._settle(_connected(event.by, event.hangup_cause), at)
        outcome = Outcome.PLATFORM_ERROR if event.by is By.PLATFORM else Outcome.CANCELED
        return self._settle(Ending(outcome=outcome, by=event.by, hangup_cause=event.hangup_cause), at)

    def _settle_hung_up(self, leg: Leg, at: float) -> CallState:
        """An answered leg is over: the end of a joined call, or a party that did not wait."""
        return self._settle(_hung_up(leg, joined=self.state is CallState.BRIDGED), at)

    def _settle_unreached(self, at: float) -> CallState:
        """Nothing is left to ring: say why, by the most telling of the failed legs."""
        party, plan = self._party, self._party_plan
        leg = policy.most_telling(leg for leg in self.legs.values() if leg.party is party)
        if leg is None:
            ending = Ending(
                outcome=policy.outcome_of(plan.unreachable_cause, 0),
                party=party,
                side=plan.side,
                by=By.PLATFORM,
                hangup_cause=plan.unreachable_cause,
            )
        else:
            ending = Ending(
                outcome=policy.outcome_of(leg.hangup_cause, leg.sip_code),
                party=party,
                side=plan.side,
                by=policy.blame_for_failure(leg),
                hangup_cause=leg.hangup_cause,
                sip_code=leg.sip_code,
                sip_reason=leg.sip_reason,
            )
        return self._settle(ending, at)

    def _settle(self, ending: Ending, at: float) -> CallState:
        """Fix the outcome and end what is left; the final fact waits until every leg is over."""
        self.ending = ending
        self._out += [StopTimer(JOIN), StopTimer(MAX_DURATION)]
        self._drop_others(None, _cause_for_others(ending))
        for leg in self.live_legs():
            self._hang_up(
                leg, "NORMAL_CLEARING" if leg.state is LegState.JOINED else _cause_for_others(ending)
            )
        self._out.append(StartTimer(ENDING_BOUND, ENDING_BOUND_S))
        return self._end_if_clean(at)

    def _close_ending_leg(self, event: LegEnded, at: float) -> CallState:
        leg = self.legs[event.leg_id]
        if leg.state is LegState.ENDED:
            return self.state
        self._close_leg(leg, event, at)
        return self._end_if_clean(at)

    def _end_if_clean(self, at: float) -> CallState:
        if self.live_legs():
            return CallState.ENDING
        assert self.ending is not None
        self.times.ended = at
        self._out += [StopTimer(ENDING_BOUND), CallEnded(self.ending)]
        return CallState.ENDED

    def _give_up_ending(self, event: TimerFired, at: float) -> CallState:
        if event.name != ENDING_BOUND:
            return self.state
        for leg in self.live_legs():
            self._close_leg(leg, LegEnded(leg.leg_id, leg.hangup_cause, 0, "the engine lost the leg"), at)
        return self._end_if_clean(at)

    def _ignore(self, event: CallInput, at: float) -> CallState:
        return self.state

    def _drain(self) -> list[Output]:
        out, self._out = self._out, []
        return out


def _unanswered(leg: Leg) -> str:
    """Return Q.850's word for a ring that ran out: 19 if the phone rang, 18 if it never said a word."""
    return "NO_ANSWER" if leg.state is LegState.RINGING else "NO_USER_RESPONSE"


def _hung_up(leg: Leg, *, joined: bool) -> Ending:
    """Return how a call ends when this answered leg is over."""
    gave_up = leg.ended_by_peer and not joined
    lost = Outcome.PLATFORM_ERROR if leg.hangup_cause == policy.CRASH else Outcome.FAILED
    return Ending(
        outcome=Outcome.CONNECTED if joined else Outcome.CANCELED if leg.ended_by_peer else lost,
        party=leg.party,
        side=leg.side,
        by=policy.side_as_by(leg.side) if leg.ended_by_peer else By.PLATFORM,
        hangup_cause="ORIGINATOR_CANCEL" if gave_up else leg.hangup_cause,
        sip_code=leg.sip_code,
        sip_reason=leg.sip_reason,
    )


def _connected(by: By, hangup_cause: str) -> Ending:
    cause = "NORMAL_CLEARING" if hangup_cause == "ORIGINATOR_CANCEL" else hangup_cause
    return Ending(outcome=Outcome.CONNECTED, by=by, hangup_cause=cause)


def _cause_for_others(ending: Ending) -> str:
    """Return what the remaining legs are told: the cause of the end."""
    return ending.hangup_cause


Action = Callable[[Call, "CallInput", float], CallState]


def _to(action: Callable[..., CallState], *states: CallState) -> tuple[Action, frozenset[CallState]]:
    return action, frozenset(states)


_R1, _R2, _J, _B = CallState.RINGING_FIRST, CallState.RINGING_SECOND, CallState.JOINING, CallState.BRIDGED
_X, _END = CallState.ENDING, CallState.ENDED

TABLE: Final[dict[tuple[CallState, type], tuple[Action, frozenset[CallState]]]] = {
    (CallState.PLACED, EndRequested): _to(Call._end_on_request, _END),
    (_R1, LegRinging): _to(Call._note_ringing, _R1),
    (_R1, LegAnswered): _to(Call._take_answer, _R1, _R2, _X),  # R1: a loser's late answer
    (_R1, LegEnded): _to(Call._lose_leg, _R1, _X, _END),
    (_R1, TimerFired): _to(Call._time_out, _R1, _X, _END),
    (_R1, EndRequested): _to(Call._end_on_request, _X, _END),
    (_R2, LegRinging): _to(Call._note_ringing, _R2),
    (_R2, LegAnswered): _to(Call._take_answer, _R2, _J),
    (_R2, LegEnded): _to(Call._lose_leg, _R2, _X, _END),
    (_R2, TimerFired): _to(Call._time_out, _R2, _X, _END),
    (_R2, EndRequested): _to(Call._end_on_request, _X),
    (_J, LegsJoined): _to(Call._bridge, _B),
    (_J, LegRinging): _to(Call._ignore, _J),  # of a leg that lost the race
    (_J, LegAnswered): _to(Call._ignore, _J),
    (_J, LegEnded): _to(Call._lose_joined_leg, _J, _X, _END),
    (_J, TimerFired): _to(Call._stop_joined, _J, _X),
    (_J, EndRequested): _to(Call._end_on_request, _X),
    (_B, LegRinging): _to(Call._ignore, _B),
    (_B, LegAnswered): _to(Call._ignore, _B),
    (_B, LegEnded): _to(Call._lose_joined_leg, _B, _X, _END),
    (_B, TimerFired): _to(Call._stop_joined, _B, _X),
    (_B, EndRequested): _to(Call._end_on_request, _X),
    (_B, HoldRequested): _to(Call._hold, _B),
    (_B, UnholdRequested): _to(Call._unhold, _B),
    (_X, LegRinging): _to(Call._ignore, _X),
    (_X, LegAnswered): _to(Call._ignore, _X),
    (_X, LegsJoined): _to(Call._ignore, _X),
    (_X, LegEnded): _to(Call._close_ending_leg, _X, _END),
    (_X, TimerFired): _to(Call._give_up_ending, _X, _END),
    (_X, EndRequested): _to(Call._ignore, _X),
    (_END, LegEnded): _to(Call._ignore, _END),
    (_END, TimerFired): _to(Call._ignore, _END),
    (_END, EndRequested): _to(Call._ignore, _END),
}
"""What each state expects. A late or repeated report of an engine is listed with `_ignore`."""
