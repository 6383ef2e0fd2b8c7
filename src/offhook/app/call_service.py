"""Executes call plans: feeds the call machines, performs what they ask, keeps the journal.

One CallService per node. It owns every live call from `accepted` (durable before `place` returns) to the
final entry (stored with its history item and CDRs in one transaction, retried while the disk refuses).
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec
import structlog

from offhook.calls import Call, CallState
from offhook.calls.call import Output
from offhook.calls.commands import (
    ConfirmLeg,
    DialLeg,
    EndLostLeg,
    EngineCommand,
    StartTimer,
    StopTimer,
)
from offhook.calls.events import (
    CallEnded,
    CallInput,
    EndRequested,
    Fact,
    HoldRequested,
    LegEvent,
    LegPickedUp,
    LegsJoined,
    TimerFired,
    UnholdRequested,
    decode_fact,
    encode_fact,
)
from offhook.calls.model import By, CallPlan
from offhook.calls.replay import replay
from offhook.delivery import OutboxRow
from offhook.kernel import Clock, Timer

from .account_calls import AccountCalls, AccountUsage
from .call_limits import CallLimits
from .channel_events import ChannelEvents
from .errors import AlreadyFinal, Draining, StorageLost
from .outbox import NO_OUTBOX, CallOutbox
from .ports import (
    CallSoFar,
    CallView,
    Engine,
    IdempotencyClaim,
    Journal,
    JournalEntry,
    Json,
    StoredCall,
    Timers,
    TraceLine,
)
from .timeline import leg_ids, timeline_of

_log = structlog.get_logger("offhook.calls")

FINISH_RETRY_S: Final = 1.0
"""Pause before a final entry is tried again on a disk that refuses it."""

CONFIRM_BOUND_S: Final = 2.0
"""A phone that picked up waits so long for a slow disk, then it is acknowledged all the same: its call is
worth more than the case that this process dies as well. (The phone itself would wait for 32 s.)"""

RECOVERED_AT_ONCE: Final = 50
"""Calls of a dead process taken up in one turn: some 20 ms of work, a few hundred messages."""

SHUTDOWN: Final = EndRequested(By.PLATFORM, "SYSTEM_SHUTDOWN")

RECOVERY_PAUSE_S: Final = 0.05
"""Pause between them, for the messages to leave and new calls to pass: 1,000 calls per second."""

Recorder = Callable[[CallView], tuple[Json | None, Sequence[Json]]]
"""Makes the history item and the CDRs of a call that is over (app/planning)."""

CallObserver = Callable[[CallView], None]
"""Told once when a call was accepted and once when its final entry is stored (metrics)."""

FactObserver = Callable[[Call, JournalEntry, Fact], None]
"""Told of every fact as it goes into the journal, in order, CallEnded last; must not block or raise.

The call is as the whole input left it: several facts of one input see the same state.
"""


class LiveCall:
    """One call in execution. Made by CallService.place."""

    __slots__ = ("_answered", "_ended", "call", "entries", "epoch_offset_s", "sequence", "timers")

    def __init__(self, call: Call, epoch_offset_s: float) -> None:
        self.call = call
        self.epoch_offset_s = epoch_offset_s
        """Unix time less monotonic time when it was accepted: its times keep their distances and their
        order although somebody sets the clock."""
        self.entries: list[JournalEntry] = []
        """As given to the journal, which may not have written the last of them yet."""
        self.sequence = 0
        """Of the last journal entry; `accepted` is 0."""
        self.timers: dict[str, Timer] = {}
        self._answered: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None

    @property
    def call_id(self) -> str:
        """The plan's call id."""
        return self.call.plan.call_id

    def view(self) -> CallView:
        """Return the call as it stands; its outcome is told when it is stored, for a crash may change it."""
        view = view_of(self.call)
        if self.call.state is CallState.ENDED and not self._is_stored():
            view.state = _STATE_WORDS[CallState.ENDING]
            view.times = msgspec.structs.replace(view.times, ended=0.0)
        return view

    def told(self) -> CallView:
        """Return the call as others may know it: a crash could still change an end that is not stored."""
        view = self.view()
        if self.call.state is CallState.ENDED and not self._is_stored():
            view.state = _STATE_WORDS[CallState.ENDING]
            view.times = msgspec.structs.replace(view.times, ended=0.0)
        return view

    async def first_answered_or_ended(self) -> CallView:
        """Return once the first party answered (or sent early media that counts), or the call is over."""
        if not self._first_is_reached() and not self._is_stored():
            if self._answered is None:
                self._answered = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._answered)
        return self.view()

    async def ended(self) -> CallView:
        """Return once the final entry is stored."""
        if not self._is_stored():
            await asyncio.shield(self._stored())
        return self.view()

    def note_progress(self) -> None:
        """Wake who waits for the first party."""
        if self._answered is not None and not self._answered.done() and self._first_is_reached():
            self._answered.set_result(None)

    def note_stored(self) -> None:
        """Wake everybody: the final entry is durable."""
        for waiter in (self._stored(), self._answered):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def _first_is_reached(self) -> bool:
        return self.call.first is not None or self.call.early_media

    def _is_stored(self) -> bool:
        return self._ended is not None and self._ended.done()

    def _stored(self) -> asyncio.Future[None]:
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
        return self._ended


class CallService:
    """The node's calls. `start()` once; `place` and the rest until `stop()`."""

    def __init__(
        self,
        *,
        engine: Engine,
        journal: Journal,
        timers: Timers,
        clock: Clock,
        limits: CallLimits,
        record: Recorder,
        observe_accepted: CallObserver = lambda view: None,
        observe_ended: CallObserver = lambda view: None,
        observe_fact: FactObserver = lambda call, entry, fact: None,
        channel_events: ChannelEvents | None = None,
        outbox: CallOutbox = NO_OUTBOX,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._timers = timers
        self._clock = clock
        self._limits = limits
        self._record = record
        self._observe_accepted = observe_accepted
        self._observe_ended = observe_ended
        self._observe_fact = observe_fact
        self._channel_events = channel_events or ChannelEvents()
        self._outbox = outbox
        self._calls: dict[str, LiveCall] = {}
        self._by_account = AccountCalls()
        self._by_leg: dict[str, LiveCall] = {}
        self._finishing: set[asyncio.Task[None]] = set()
        self._unconfirmed: list[str] = []
        """Legs whose answer is not known to be durable yet."""
        self._confirming: asyncio.Task[None] | None = None
        self._recovering: asyncio.Task[None] | None = None
        self._accepting = 0
        """Calls that wait for the disk before they begin."""
        self._draining = self._stopping = False
        self._idle = asyncio.Event()

    # --- life of the service ------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the engine, then begin to end what a crash left open; new calls are taken meanwhile."""
        left = await self._journal.open_calls()
        await self._engine.start(self.report)
        if left:
            _log.warning("calls left open by a crash", calls=len(left))
            self._recovering = asyncio.create_task(self._recover(left), name="recover calls")

    async def drain(self, bound_s: float) -> bool:
        """Refuse new calls and wait for the live ones; return False if some were left at the bound."""
        self._draining = True
        if self._calls or self._accepting:
            self._idle.clear()
            try:
                async with asyncio.timeout(bound_s):
                    await self._idle.wait()
            except TimeoutError:
                return False
        return True

    async def end_all(self) -> None:
        """Refuse new calls, end the live ones and wait for their final entries. Listeners are still told."""
        self._draining = self._stopping = True
        for live in list(self._calls.values()):
            self._feed(live, SHUTDOWN)
        await self.drain(5.0)

    async def stop(self) -> None:
        """End every live call, wait for the final entries, close the engine."""
        await self.end_all()
        if self._recovering is not None:
            self._recovering.cancel()
        await self._engine.stop()
        if self._confirming is not None:
            self._confirming.cancel()
        if self._finishing:
            await asyncio.wait(self._finishing, timeout=5.0)
        for task in self._finishing:  # the disk refuses: the next start writes these ends
            task.cancel()

    @property
    def is_draining(self) -> bool:
        """Tell whether new calls are refused because the node goes down."""
        return self._draining

    # --- calls --------------------------------------------------------------------------------------

    async def place(self, plan: CallPlan, *, claim: IdempotencyClaim | None = None) -> LiveCall:
        """Store the call as accepted, then begin to ring.

        Raises Overloaded, Draining, StorageLost, CallIdTaken, KeyClaimed; then no phone rings and nothing
        is stored.
        """
        if self._draining:
            raise Draining
        self._limits.admit(len(self._calls) + self._accepting, self._clock.monotonic())
        accepted_at = self._clock.epoch()
        self._accepting += 1
        self._by_account.add(plan)
        try:
            await self._journal.accept(plan, accepted_at, claim=claim)
            return self._begin(plan, accepted_at, SHUTDOWN if self._stopping else None)
        except asyncio.CancelledError:
            self._own(self._end_forsaken(plan, accepted_at), f"forsaken {plan.call_id}")
            raise
        finally:
            self._accepting -= 1
            if plan.call_id not in self._calls:
                self._by_account.remove(plan)
            self._note_idle()

    def _begin(self, plan: CallPlan, accepted_at: float, end: EndRequested | None) -> LiveCall:
        """Execute a call that is durable; end is why it is over before anything rings."""
        now = max(self._clock.epoch(), accepted_at)
        live = LiveCall(Call(plan, accepted_at), now - self._clock.monotonic())
        self._calls[plan.call_id] = live
        self._by_account.add(plan)
        _log.info("call accepted", call_id=plan.call_id, account_id=plan.account_id, kind=plan.kind)
        self._observe_accepted(live.view())
        if end is not None:
            self._feed(live, end)
        else:
            at = self._now(live)
            self._carry_out(live, live.call.start(at), at)
        return live

    async def _end_forsaken(self, plan: CallPlan, accepted_at: float) -> None:
        """The client left while its call was being stored: if it was stored all the same, it ends."""
        with contextlib.suppress(StorageLost):
            await self._journal.durable()
        if await self._journal.call(plan.account_id, plan.call_id) is not None:
            self._begin(plan, accepted_at, EndRequested(By.VISITOR if plan.visitor else By.API))

    async def get(self, account_id: str, call_id: str) -> CallView | None:
        """Return a live or finished call of the account, or None."""
        live = self._calls.get(call_id)
        if live is not None:
            return live.told() if live.call.plan.account_id == account_id else None
        stored = await self._journal.call(account_id, call_id)
        return None if stored is None else view_of(await self._replayed(stored))

    async def hang_up(self, account_id: str, call_id: str, by: By) -> bool:
        """Begin to end a live call in whatever state it is; return False if there is none of that id."""
        live = self._calls.get(call_id)
        if live is None or live.call.plan.account_id != account_id:
            return False
        self._feed(live, EndRequested(by))
        return True

    def hold(self, account_id: str, leg_id: str, media: str = "") -> bool:
        """Put a party of a joined call on hold; False if it is not joined, or its media cannot be cut."""
        live = self._joined(account_id, leg_id)
        if live is None or not self._engine.can_hold(leg_id):
            return False
        self._feed(live, HoldRequested(leg_id, media))
        return True

    def unhold(self, account_id: str, leg_id: str) -> bool:
        """Take a party back; return False if it is not on hold."""
        live = self._joined(account_id, leg_id)
        if live is None or not live.call.legs[leg_id].is_held:
            return False
        self._feed(live, UnholdRequested(leg_id))
        return True

    def _joined(self, account_id: str, leg_id: str) -> LiveCall | None:
        live = self._by_leg.get(leg_id)
        if live is None or live.call.plan.account_id != account_id:
            return None
        return live if live.call.state is CallState.BRIDGED else None

    def live(self, account_id: str) -> list[CallView]:
        """Return the live calls of an account, oldest first."""
        found = (self._calls.get(call_id) for call_id in self._by_account.of(account_id))
        return [live.view() for live in found if live is not None]

    def usage(self, account_id: str) -> AccountUsage:
        """Return what an account's calls take of its limits, those that are being stored too."""
        return self._by_account.usage(account_id)

    def interaction_of(self, account_id: str, call_id: str) -> str | None:
        """Return the interaction id of a live call, by its own id or that of one of its legs."""
        live = self._calls.get(call_id) or self._by_leg.get(call_id)
        if live is None or live.call.plan.account_id != account_id:
            return None
        return live.call.plan.interaction_id

    def so_far(self, account_id: str, call_id: str) -> CallSoFar | None:
        """Return a live call with every entry until this instant, or None."""
        live = self._calls.get(call_id)
        if live is None or live.call.plan.account_id != account_id:
            return None
        return CallSoFar(live.call.plan, live.call.times.accepted, tuple(live.entries))

    def count(self) -> int:
        """Return how many calls are live on this node."""
        return len(self._calls)

    async def timeline(self, account_id: str, call_id: str) -> list[Json] | None:
        """Return what happened in order: journal entries, and the signalling if it is still remembered."""
        stored = await self._journal.call(account_id, call_id)
        if stored is None:
            return None
        traces = [(leg_id, self._engine.trace(leg_id)) for leg_id in leg_ids(stored.plan)]
        return timeline_of(stored, await self._journal.entries(call_id), traces)

    async def signalling(self, account_id: str, call_id: str) -> list[TraceLine] | None:
        """Return the messages of all legs that are still remembered, in order."""
        stored = await self._journal.call(account_id, call_id)
        if stored is None:
            return None
        lines = [line for leg_id in leg_ids(stored.plan) for line in self._engine.trace(leg_id)]
        return sorted(lines, key=lambda line: line.at)

    # --- the engine's side --------------------------------------------------------------------------

    def report(self, event: LegEvent) -> None:
        """Take an engine's event. Events of legs that nobody knows any more are logged and dropped."""
        leg_id = event.first_leg_id if isinstance(event, LegsJoined) else event.leg_id
        live = self._by_leg.get(leg_id)
        if live is None:
            _log.warning("event of an unknown leg", leg_id=leg_id, reported=type(event).__name__)
            return
        self._feed(live, event)

    def _feed(self, live: LiveCall, event: CallInput) -> None:
        at = self._now(live)
        self._carry_out(live, live.call.receive(event, at), at)
        live.note_progress()

    def _now(self, live: LiveCall) -> float:
        """Return the Unix time of the call, which never jumps."""
        return live.epoch_offset_s + self._clock.monotonic()

    def _carry_out(self, live: LiveCall, outputs: list[Output], at: float) -> None:
        """Do what the machine asked, in order. The last output of a call is its final fact."""
        for output in outputs:
            if isinstance(output, StartTimer):
                self._start_timer(live, output)
            elif isinstance(output, StopTimer):
                timer = live.timers.pop(output.name, None)
                if timer is not None:
                    timer.cancel()
            elif isinstance(output, EngineCommand):
                if isinstance(output, DialLeg | EndLostLeg):
                    self._by_leg[output.endpoint.leg_id] = live
                self._engine.perform(output)
            elif isinstance(output, CallEnded):
                self._begin_to_finish(live, output)
            else:
                live.sequence += 1
                entry = JournalEntry(sequence=live.sequence, at=at, fact=encode_fact(output))
                live.entries.append(entry)
                events = self._channel_events.take(live.call, at, output)
                rows = self._outbox.rows(events)
                self._journal.append(live.call_id, entry.sequence, at, entry.fact, outbox=rows)
                if isinstance(output, LegPickedUp):
                    self._confirm_when_durable(output.leg_id)
                self._observe_fact(live.call, entry, output)
                self._channel_events.publish(events)
                self._outbox.stored(rows)

    def _confirm_when_durable(self, leg_id: str) -> None:
        self._unconfirmed.append(leg_id)
        if self._confirming is None:
            self._confirming = asyncio.get_running_loop().create_task(self._confirm(), name="confirm answers")

    async def _confirm(self) -> None:
        """Let the engine acknowledge answers that a crash cannot lose any more, many by one flush."""
        while self._unconfirmed:
            legs, self._unconfirmed = self._unconfirmed, []
            try:
                async with asyncio.timeout(CONFIRM_BOUND_S):
                    await self._journal.durable()
            except (StorageLost, TimeoutError) as error:
                _log.warning("answers are acknowledged unstored", legs=len(legs), reason=repr(error))
            for leg_id in legs:
                self._engine.perform(ConfirmLeg(leg_id))
        self._confirming = None

    def _start_timer(self, live: LiveCall, command: StartTimer) -> None:
        running = live.timers.get(command.name)
        if running is not None:
            running.cancel()
        name = command.name

        def fire() -> None:
            live.timers.pop(name, None)
            self._feed(live, TimerFired(name))

        live.timers[name] = self._timers.start(command.delay_s, fire)

    # --- the end ------------------------------------------------------------------------------------

    def _begin_to_finish(self, live: LiveCall, fact: CallEnded) -> None:
        for timer in live.timers.values():
            timer.cancel()
        live.timers.clear()
        for leg_id in live.call.legs:
            self._by_leg.pop(leg_id, None)
        self._own(self._finish(live, fact), f"finish {live.call_id}")

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    def _note_idle(self) -> None:
        if not self._calls and not self._accepting:
            self._idle.set()

    async def _finish(self, live: LiveCall, fact: CallEnded) -> None:
        view = view_of(live.call)
        live.sequence += 1
        entry = JournalEntry(sequence=live.sequence, at=view.times.ended, fact=encode_fact(fact))
        events = self._channel_events.take(live.call, entry.at, fact)
        rows = self._outbox.rows(events)
        await self._store_end(view, entry, rows)
        self._observe_fact(live.call, entry, fact)
        self._channel_events.publish(events)
        self._outbox.stored(rows)
        del self._calls[live.call_id]
        self._by_account.remove(live.call.plan)
        self._note_idle()
        live.note_stored()
        ending = fact.ending
        _log.info(
            "call ended",
            call_id=live.call_id,
            outcome=ending.outcome.value,
            by=ending.by.value,
            hangup_cause=ending.hangup_cause,
        )
        self._observe_ended(view)

    async def _store_end(self, view: CallView, entry: JournalEntry, rows: Sequence[OutboxRow] = ()) -> None:
        """Store the final entry; while the disk refuses, wait and try again: the outcome must not be lost."""
        history, cdrs = self._record(view)
        call_id = view.plan.call_id
        is_waiting = False
        while True:
            try:
                await self._journal.finish(
                    call_id, entry.sequence, entry.at, entry.fact, history, cdrs, outbox=rows
                )
                return
            except AlreadyFinal:
                _log.error("a second final entry was refused", call_id=call_id)
                return
            except StorageLost as error:
                if not is_waiting:  # the store says once that it is lost, and this once for each call
                    _log.warning("the end of a call waits for storage", call_id=call_id, reason=str(error))
                is_waiting = True
                await asyncio.sleep(FINISH_RETRY_S)

    # --- after a crash ------------------------------------------------------------------------------

    async def _replayed(self, stored: StoredCall) -> Call:
        entries = await self._journal.entries(stored.plan.call_id)
        return replay(
            stored.plan, stored.accepted_at, ((entry.at, decode_fact(entry.fact)) for entry in entries)
        )

    async def _recover(self, left: Sequence[StoredCall]) -> None:
        for number, stored in enumerate(left, 1):
            await self._take_up(stored)
            if number % RECOVERED_AT_ONCE == 0:
                await asyncio.sleep(RECOVERY_PAUSE_S)

    async def _take_up(self, stored: StoredCall) -> None:
        """Make an open call of the process before a live one that is ending: it gets its one outcome."""
        plan = stored.plan
        entries = await self._journal.entries(plan.call_id)
        facts = [(entry.at, decode_fact(entry.fact)) for entry in entries]
        last_at = entries[-1].at if entries else stored.accepted_at
        now = max(self._clock.epoch(), last_at)  # the clock may have been set back meanwhile
        live = LiveCall(replay(plan, stored.accepted_at, facts), now - self._clock.monotonic())
        live.entries = list(entries)
        live.sequence = entries[-1].sequence if entries else 0
        self._calls[plan.call_id] = live
        self._by_account.add(plan)
        dialogs = {fact.leg_id: fact.dialog for _, fact in facts if isinstance(fact, LegPickedUp)}
        self._channel_events.resume(plan.call_id, facts)
        self._carry_out(live, live.call.recover(dialogs, now), now)
        _log.warning("call taken up after a crash", call_id=plan.call_id)


_STATE_WORDS: Final = {
    CallState.PLACED: "accepted",
    CallState.RINGING_FIRST: "ringing_first",
    CallState.RINGING_SECOND: "ringing_second",
    CallState.JOINING: "joining",
    CallState.BRIDGED: "bridged",
    CallState.ENDING: "ending",
    CallState.ENDED: "ended",
}


def view_of(call: Call) -> CallView:
    """Return a call as it stands, for those outside."""
    first_failed = call.first is None and call.ending is not None
    return CallView(
        plan=call.plan,
        state=_STATE_WORDS[call.state],
        legs=[leg for leg in call.legs.values() if leg.created_at],
        times=call.times,
        ending=call.ending,
        first_hangup_cause=call.ending.hangup_cause if first_failed and call.ending else "",
    )
