"""One call as a state machine: inputs are leg events, timers and requests; outputs are commands and facts.

Pure: it asks engines for things and starts timers by returning commands. After every input the caller
performs the commands in order and writes the facts to the journal in order. Times are Unix seconds.

    PLACED ─start─► RINGING_FIRST ─answer─► RINGING_SECOND ─answer─► JOINING ─► BRIDGED
                          │                       │                     │ ▲        │ │
                          │                       │                     │ └─answer─┼ TRANSFERRING
                          └───────────────────────┴─────── ENDING ◄─────┴──────────┴─┘
                                                              └─ every leg is over ─► ENDED

A call that came in begins at RINGING_SECOND: its first party is the caller, who waits and is answered in
JOINING, once the second party has answered.

Here are what a call remembers and the table of what each state expects. The actions are next door, by
what the call is doing: ringing.py, redirecting.py, inbound.py, joined.py, transferring.py, linking.py,
ending.py, recovering.py (after a crash), and legs.py for what happens to one leg in any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from . import ending, inbound, joined, linking, recovering, ringing, transferring
from .errors import IllegalTransition
from .events import (
    BreakRequested,
    CallInput,
    EndRequested,
    HoldRequested,
    LegAnswered,
    LegEnded,
    LegHolds,
    LegRinging,
    LegsJoined,
    LinkLost,
    LinkRequested,
    PlayRequested,
    RecordRequested,
    RedirectStored,
    TimerFired,
    TransferRequested,
    TransferStored,
    UnholdRequested,
)
from .model import CallPlan, Ending, Leg, LegState, Link, Party, PartyPlan, Times, Transfer
from .states import CallState, Output


class Call:
    """The machine of one call. `start` once, then `receive` for every input."""

    __slots__ = (
        "early_media",
        "ending",
        "first",
        "legs",
        "link",
        "out",
        "plan",
        "recording",
        "recordings",
        "second",
        "state",
        "step",
        "times",
        "transfer",
        "transfers",
    )

    def __init__(self, plan: CallPlan, accepted_at: float) -> None:
        self.plan = plan
        self.state = CallState.PLACED
        self.legs: dict[str, Leg] = {}
        """Every leg that was dialled or waits to be, by leg id, in order."""
        self.times = Times(accepted=accepted_at)
        self.first: Leg | None = None
        """The answered leg of the first party; of a call that came in, the caller's from the start."""
        self.second: Leg | None = None
        self.ending: Ending | None = None
        """Set when the outcome is settled; final when the state is ENDED."""
        self.early_media = False
        """The first party sent media before it answered (KAZOO's early success of a quickcall)."""
        self.transfer: Transfer | None = None
        """The one under way."""
        self.transfers: list[Transfer] = []
        """All of them, in order."""
        self.recording = ""
        """Id of the recording under way."""
        self.recordings = 0
        """How many were begun."""
        self.link: Link | None = None
        """Set when who stays talks to a leg of another call."""
        self.step = 0
        """Index of the ring step whose turn it is, of the party that is rung."""
        self.out: list[Output] = []
        """What the input in hand has brought so far: actions add to it, `receive` gives it out."""

    def start(self, at: float) -> list[Output]:
        """Begin to ring the first party, or the second if the first has rung us; return what to do."""
        if self.state is not CallState.PLACED:
            raise IllegalTransition(self.state, "Start")
        caller = self.plan.caller
        if caller is not None:
            inbound.take_caller(self, caller, at)
        self.state = ringing.ring_party(self, at)
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

        dialogs are those of the answers in the journal, by leg id.
        """
        if self.state is CallState.ENDED:
            raise IllegalTransition(self.state, "Recover")
        self.state = recovering.recover(self, dialogs, at)
        return self._drain()

    def live_legs(self) -> list[Leg]:
        """Return the legs that an engine still holds."""
        return [leg for leg in self.legs.values() if leg.state not in (LegState.PLANNED, LegState.ENDED)]

    @property
    def party(self) -> Party:
        """Who is rung, or would be next."""
        if self.transfer is not None:
            return self.legs[self.transfer.leaving_leg_id].party
        return Party.SECOND if self.first else Party.FIRST

    @property
    def party_plan(self) -> PartyPlan:
        """How that party is reached."""
        if self.transfer is not None:
            return self.transfer.target
        return self.plan.second if self.first else self.plan.first

    @property
    def waiting(self) -> Leg | None:
        """Who waits for that party, if anybody does yet."""
        return self.legs[self.transfer.staying_leg_id] if self.transfer is not None else self.first

    def number_of(self, leg_id: str) -> str:
        """Return the number of the transfer that a leg belongs to, empty if it is one of the plan's own."""
        if self.transfer is not None:
            return self.transfer.target.number
        for transfer in self.transfers:
            if any(endpoint.leg_id == leg_id for endpoint in transfer.target.endpoints):
                return transfer.target.number
        return ""

    def is_leaving(self, leg: Leg) -> bool:
        """Tell whether the call goes on without this leg: it is, or was, replaced."""
        change = self.transfer or self.link
        return change is not None and change.leaving_leg_id == leg.leg_id

    def _drain(self) -> list[Output]:
        out, self.out = self.out, []
        return out


def _ignore(call: Call, event: CallInput, at: float) -> CallState:
    return call.state


Action = Callable[[Call, CallInput, float], CallState]


def _to(action: Callable[..., CallState], *states: CallState) -> tuple[Action, frozenset[CallState]]:
    return action, frozenset(states)


_R1, _R2, _J, _B = CallState.RINGING_FIRST, CallState.RINGING_SECOND, CallState.JOINING, CallState.BRIDGED
_T, _X, _END = CallState.TRANSFERRING, CallState.ENDING, CallState.ENDED

TABLE: Final[dict[tuple[CallState, type], tuple[Action, frozenset[CallState]]]] = {
    (CallState.PLACED, EndRequested): _to(ending.end_on_request, _END),
    (_R1, LegRinging): _to(ringing.note_ringing, _R1),
    (_R1, LegAnswered): _to(ringing.take_answer, _R1, _R2, _X),  # R1: a loser's late answer
    (_R1, LegHolds): _to(joined.note_holding, _R1),
    (_R1, RedirectStored): _to(ringing.ring_redirected, _R1, _X, _END),
    (_R1, LegEnded): _to(ringing.lose_leg, _R1, _X, _END),
    (_R1, TimerFired): _to(ringing.time_out, _R1, _X, _END),
    (_R1, EndRequested): _to(ending.end_on_request, _X, _END),
    (_R2, LegRinging): _to(ringing.note_ringing, _R2),
    (_R2, LegAnswered): _to(ringing.take_answer, _R2, _J),
    (_R2, LegHolds): _to(joined.note_holding, _R2),
    (_R2, RedirectStored): _to(ringing.ring_redirected, _R2, _X, _END),
    (_R2, LegEnded): _to(ringing.lose_leg, _R2, _X, _END),
    (_R2, TimerFired): _to(ringing.time_out, _R2, _X, _END),
    (_R2, EndRequested): _to(ending.end_on_request, _X),
    (_J, LegsJoined): _to(joined.bridge, _B),
    (_J, LegRinging): _to(_ignore, _J),  # of a leg that lost the race
    (_J, LegAnswered): _to(inbound.note_answered, _J),
    (_J, LegHolds): _to(joined.note_holding, _J),
    (_J, RedirectStored): _to(_ignore, _J),
    (_J, LegEnded): _to(joined.lose_joined_leg, _J, _X, _END),
    (_J, TimerFired): _to(joined.stop_joined, _J, _X),
    (_J, EndRequested): _to(ending.end_on_request, _X),
    (_B, LegRinging): _to(_ignore, _B),
    (_B, LegAnswered): _to(_ignore, _B),
    (_B, LegHolds): _to(joined.note_holding, _B),
    (_B, RedirectStored): _to(_ignore, _B),
    (_B, LegEnded): _to(joined.lose_joined_leg, _B, _X, _END),
    (_B, TimerFired): _to(joined.stop_joined, _B, _X),
    (_B, EndRequested): _to(ending.end_on_request, _X),
    (_B, HoldRequested): _to(joined.hold, _B),
    (_B, UnholdRequested): _to(joined.unhold, _B),
    (_B, PlayRequested): _to(joined.play, _B),
    (_B, RecordRequested): _to(joined.record, _B),
    (_B, BreakRequested): _to(joined.stop_playing, _B),
    (_B, TransferRequested): _to(transferring.transfer, _B, _T),
    (_B, LinkRequested): _to(linking.link, _B),
    (_B, LinkLost): _to(linking.lose_link, _B, _X),
    (_T, TransferStored): _to(ringing.ring_target, _T, _B, _X, _END),
    (_T, LegRinging): _to(ringing.note_ringing, _T),
    (_T, LegAnswered): _to(ringing.take_answer, _T, _J),
    (_T, LegHolds): _to(joined.note_holding, _T),
    (_T, RedirectStored): _to(ringing.ring_redirected, _T, _B, _X, _END),
    (_T, LegEnded): _to(ringing.lose_leg, _T, _B, _X, _END),
    (_T, TimerFired): _to(ringing.time_out, _T, _B, _X, _END),
    (_T, EndRequested): _to(ending.end_on_request, _X),
    (_X, TransferStored): _to(_ignore, _X),
    (_X, LinkLost): _to(_ignore, _X),
    (_X, LegRinging): _to(_ignore, _X),
    (_X, LegAnswered): _to(_ignore, _X),
    (_X, LegsJoined): _to(_ignore, _X),
    (_X, LegHolds): _to(_ignore, _X),
    (_X, RedirectStored): _to(_ignore, _X),
    (_X, LegEnded): _to(ending.close_ending_leg, _X, _END),
    (_X, TimerFired): _to(ending.give_up_ending, _X, _END),
    (_X, EndRequested): _to(_ignore, _X),
    (_END, TransferStored): _to(_ignore, _END),
    (_END, LinkLost): _to(_ignore, _END),
    (_END, LegHolds): _to(_ignore, _END),
    (_END, RedirectStored): _to(_ignore, _END),
    (_END, LegEnded): _to(_ignore, _END),
    (_END, TimerFired): _to(_ignore, _END),
    (_END, EndRequested): _to(_ignore, _END),
}
"""What each state expects. A late or repeated report of an engine is listed with `_ignore`."""
