"""Executes call plans: feeds the call machines, performs what they ask, keeps the journal.

One CallService per node. It owns every live call from `accepted` (durable before `place` returns) to the
final entry (stored with its history item and CDRs in one transaction, retried while the disk refuses).
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from itertools import islice
from typing import Any, Final

import structlog

from offhook.calls import Call
from offhook.calls.commands import (
    DialLeg,
    EndLinkedCall,
    EndLostLeg,
    EngineCommand,
    StartTimer,
    StopTimer,
    TakeLeg,
)
from offhook.calls.events import (
    CallEnded,
    CallInput,
    EndRequested,
    Fact,
    LegEnded,
    LegEvent,
    LegPickedUp,
    LegRedirected,
    LegReferred,
    LegsJoined,
    LinkLost,
    RecordingMade,
    RedirectStored,
    SurplusAnswered,
    SurplusEnded,
    SurplusNoted,
    TimerFired,
    TransferBegun,
    TransferStored,
    encode_fact,
)
from offhook.calls.model import By, CallPlan, EndpointPlan
from offhook.calls.states import Output
from offhook.delivery import OutboxRow
from offhook.kernel import Clock

from .account_calls import AccountCalls, AccountUsage
from .call_limits import CallLimits
from .call_recovery import CallRecovery, replayed
from .channel_events import ChannelEvents
from .durable_answers import DurableAnswers
from .errors import AlreadyFinal, Draining, StorageLost
from .joined_calls import JoinedCalls
from .live_call import LiveCall, view_of
from .outbox import NO_OUTBOX, CallOutbox
from .ports import (
    CallSoFar,
    CallView,
    Engine,
    IdempotencyClaim,
    Journal,
    JournalEntry,
    Json,
    Timers,
    TraceLine,
)
from .surplus_answers import SurplusAnswers
from .timeline import leg_ids, timeline_of

_log = structlog.get_logger("offhook.calls")

FINISH_RETRY_S: Final = 1.0
"""Pause before a final entry is tried again on a disk that refuses it."""

NEW_LEGS_STORE_BOUND_S: Final = 2.0
"""A disk that has not taken a transfer or a redirect by then refuses it: who talks would wait in silence."""

DECLINED: Final = 603

SHUTDOWN: Final = EndRequested(By.PLATFORM, "SYSTEM_SHUTDOWN")

Recorder = Callable[[CallView], tuple[Json | None, Sequence[Json]]]
"""Makes the history item and the CDRs of a call that is over (app/planning)."""

CallObserver = Callable[[CallView], None]
"""Told once when a call was accepted and once when its final entry is stored (metrics)."""

ReferralTaker = Callable[[CallView, LegReferred], None]
"""Told when a party asks to be replaced; must not block or raise, and answer by `answer_referral`."""

FactObserver = Callable[[Call, JournalEntry, Fact], None]
"""Told of every fact as it goes into the journal, in order, CallEnded last; must not block or raise.

The call is as the whole input left it: several facts of one input see the same state.
"""


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
        observe_refused: Callable[[EndpointPlan, LegEnded], None] = lambda endpoint, event: None,
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
        self._observe_refused = observe_refused
        self._channel_events = channel_events or ChannelEvents()
        self._outbox = outbox
        self._calls: dict[str, LiveCall] = {}
        self._by_account = AccountCalls()
        self._by_leg: dict[str, LiveCall] = {}
        self._finishing: set[asyncio.Task[None]] = set()
        self.joined = JoinedCalls(engine, self._by_leg, self._by_account, self._feed)
        """What may be done to those that are joined."""
        self._answers = DurableAnswers(engine, journal)
        self._surplus = SurplusAnswers(engine, self._answers, self._write_now)
        self._recovery = CallRecovery(journal, clock, self._channel_events, self._take_up)
        self._accepting = 0
        """Calls that wait for the disk before they begin."""
        self._draining = self._stopping = False
        self.take_referral: ReferralTaker = lambda view, event: self.joined.answer_referral(
            event.leg_id, DECLINED
        )
        """Set once, by whoever plans transfers."""
        self.take_recording: Callable[[RecordingMade], None] = lambda event: None
        """Set once, by whoever keeps recordings."""
        self._idle = asyncio.Event()

    # --- life of the service ------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the engine, then begin to end what a crash left open; new calls are taken meanwhile."""
        left = await self._journal.open_calls()
        await self._engine.start(self.report)
        if left:
            _log.warning("calls left open by a crash", calls=len(left))
            self._recovery.start(left)

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
        self._recovery.stop()
        await self._engine.stop()
        self._answers.stop()
        self._surplus.end_all()
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
        self._limits.admit(
            len(self._calls) + self._accepting, self._clock.monotonic(), waiting=self._accepting
        )
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
        self._engine.open_call(plan)
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
            return live.view() if live.call.plan.account_id == account_id else None
        stored = await self._journal.call(account_id, call_id)
        return None if stored is None else view_of(await replayed(self._journal, stored))

    async def hang_up(self, account_id: str, call_id: str, by: By) -> bool:
        """Begin to end a live call in whatever state it is; return False if there is none of that id."""
        live = self._calls.get(call_id)
        if live is None or live.call.plan.account_id != account_id:
            return False
        self._feed(live, EndRequested(by))
        return True

    def live(self, account_id: str) -> list[CallView]:
        """Return the live calls of an account, oldest first."""
        found = (self._calls.get(call_id) for call_id in self._by_account.of(account_id))
        return [live.view() for live in found if live is not None]

    def live_anywhere(self, limit: int) -> list[CallView]:
        """Return live calls of all accounts, oldest first, at most `limit`."""
        return [live.view() for live in islice(self._calls.values(), limit)]

    def usage(self, account_id: str) -> AccountUsage:
        """Return what an account's calls take of its limits, those that are being stored too."""
        return self._by_account.usage(account_id)

    def dialled_out(self, account_id: str, device_id: str = "") -> int:
        """Return how many live calls phones of the account have dialled to outside; one phone's, if named."""
        return self._by_account.dialled_out(account_id, device_id)

    def interaction_of(self, account_id: str, call_id: str) -> str | None:
        """Return the interaction id of a live call, by its own id or that of one of its legs."""
        live = self._calls.get(call_id) or self._by_leg.get(call_id)
        if live is None or live.call.plan.account_id != account_id:
            return None
        return live.call.plan.interaction_id

    def so_far(self, account_id: str, call_id: str) -> CallSoFar | None:
        """Return a live call with its entries until this instant, or None; see CallSoFar."""
        live = self._calls.get(call_id)
        if live is None or live.call.plan.account_id != account_id:
            return None
        return CallSoFar(live.call.plan, live.call.times.accepted, tuple(live.entries), live.stored)

    def count(self) -> int:
        """Return how many calls are live on this node."""
        return len(self._calls)

    async def timeline(self, account_id: str, call_id: str) -> list[Json] | None:
        """Return what happened in order: journal entries, and the signalling if it is still remembered."""
        stored = await self._journal.call(account_id, call_id)
        if stored is None:
            return None
        entries = await self._journal.entries(call_id)
        traces = [(leg_id, await self._engine.trace(leg_id)) for leg_id in leg_ids(stored.plan, entries)]
        return timeline_of(stored, entries, traces)

    async def signalling(self, account_id: str, call_id: str) -> list[TraceLine] | None:
        """Return the messages of all legs that are still remembered, in order."""
        stored = await self._journal.call(account_id, call_id)
        if stored is None:
            return None
        ids = leg_ids(stored.plan, await self._journal.entries(call_id))
        lines = [line for leg_id in ids for line in await self._engine.trace(leg_id)]
        return sorted(lines, key=lambda line: line.at)

    # --- the engine's side --------------------------------------------------------------------------

    def report(self, event: LegEvent) -> None:
        """Take an engine's event. Events of legs that nobody knows any more are logged and dropped."""
        if isinstance(event, SurplusAnswered):
            self._surplus.take(event, self._by_leg.get(event.leg_id))
            return
        if isinstance(event, SurplusEnded):
            self._surplus.end(event)
            return
        if isinstance(event, RecordingMade):
            self.take_recording(event)
            return
        leg_id = event.first_leg_id if isinstance(event, LegsJoined) else event.leg_id
        live = self._by_leg.get(leg_id)
        if live is None:
            _log.warning("event of an unknown leg", leg_id=leg_id, reported=type(event).__name__)
            return
        if isinstance(event, LegReferred):
            self.take_referral(live.view(), event)
            return
        if isinstance(event, LegEnded) and event.retry_after_s:
            self._observe_refused(live.call.legs[leg_id].endpoint, event)
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
                if isinstance(output, DialLeg | TakeLeg | EndLostLeg):
                    self._by_leg[output.endpoint.leg_id] = live
                self._engine.perform(output)
            elif isinstance(output, CallEnded):
                self._begin_to_finish(live, output)
            elif isinstance(output, EndLinkedCall):
                linked = self._calls.get(output.call_id)
                if linked is not None:
                    self._feed(linked, LinkLost(output.hangup_cause))
            else:
                self._write(live, output, at)

    def _write(self, live: LiveCall, fact: Fact, at: float) -> None:
        """Append a fact to the journal, and tell it."""
        live.sequence += 1
        entry = JournalEntry(sequence=live.sequence, at=at, fact=encode_fact(fact))
        live.entries.append(entry)
        events = self._channel_events.take(live.call, at, fact)
        rows = self._outbox.rows(events)
        self._journal.append(live.call_id, entry.sequence, at, entry.fact, outbox=rows)
        if isinstance(fact, LegPickedUp):
            self._answers.confirm(live, fact.leg_id)
        elif isinstance(fact, LegRedirected):
            redirected = fact.endpoint.leg_id
            self._own(self._store_redirect(live, redirected), f"store redirect of {live.call_id}")
        elif isinstance(fact, TransferBegun):
            self._own(self._store_transfer(live), f"store transfer of {live.call_id}")
        self._observe_fact(live.call, entry, fact)
        self._channel_events.publish(events)
        self._outbox.stored(rows)

    def _write_now(self, live: LiveCall, fact: Fact) -> None:
        self._write(live, fact, self._now(live))

    async def _store_transfer(self, live: LiveCall) -> None:
        """Let the target ring when the journal holds it: whoever may ring is ended after a crash."""
        is_durable = await self._is_stored(live)
        if self._calls.get(live.call_id) is live:
            self._feed(live, TransferStored(is_durable))

    async def _store_redirect(self, live: LiveCall, leg_id: str) -> None:
        """Let the next address of a leg ring when the journal holds it."""
        is_durable = await self._is_stored(live)
        if self._calls.get(live.call_id) is live:
            self._feed(live, RedirectStored(leg_id, is_durable))

    async def _is_stored(self, live: LiveCall) -> bool:
        try:
            async with asyncio.timeout(NEW_LEGS_STORE_BOUND_S):
                await self._journal.durable()
        except (StorageLost, TimeoutError) as error:
            _log.warning("new legs are given up unstored", call_id=live.call_id, reason=repr(error))
            return False
        return True

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
        self._engine.close_call(live.call_id)
        self._own(self._finish(live, fact), f"finish {live.call_id}")

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    def _note_idle(self) -> None:
        if not self._calls and not self._accepting:
            self._idle.set()

    async def _finish(self, live: LiveCall, fact: CallEnded) -> None:
        await self._surplus.all_over(live)
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

    def _take_up(
        self, live: LiveCall, dialogs: dict[str, str], surplus: Sequence[SurplusNoted], at: float
    ) -> None:
        """Execute the end of a call that the process before left open."""
        self._calls[live.call_id] = live
        self._by_account.add(live.call.plan)
        self._engine.open_call(live.call.plan)
        outputs = live.call.recover(dialogs, at)
        self._carry_out(live, outputs, at)
        known = {output.dialog for output in outputs if isinstance(output, EndLostLeg)}
        self._surplus.take_up([noted for noted in surplus if noted.dialog not in known], live)
