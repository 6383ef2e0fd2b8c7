"""The clients of a world: they place calls, wait, give up, ask again, and vanish."""

import asyncio
import random
from typing import TYPE_CHECKING

import msgspec

from offhook.app.errors import CallRefused, KeyClaimed, StorageLost
from offhook.app.ports import IdempotencyClaim
from offhook.calls.model import By, CallPlan

from .api_desk import ApiDesk
from .judge import CallRecord
from .scenario import Cast, Casting
from .virtual_time import WorldBroken

if TYPE_CHECKING:
    from .world import World


class Clients:
    """Makes the requests of a world's scenario, and notes in its records what it asked and heard."""

    def __init__(self, world: "World", dice: random.Random, casting: Casting, desk: ApiDesk) -> None:
        self._world = world
        self._dice = dice
        self._casting = casting
        self._desk = desk

    def plan_requests(self) -> float:
        """Put all requests into the agenda; return when the last one comes."""
        when = 1.0
        for number in range(self._world.scenario.calls):
            when += self._dice.expovariate(1.0) * self._world.scenario.pace_s
            self._world.agenda.at(when, self._request, number)
        return when

    def _request(self, number: int) -> None:
        """A client asks for a call: with a plan of the planners, or one of our own."""
        if self._dice.random() < self._world.scenario.callers:
            self._world.make_caller(self._casting.caller_script()).call()
            return
        if self._dice.random() < self._world.scenario.api_plans:
            self._world.run_in_node(self._plan_at_desk(), f"plan {number}")
            return
        cast = Cast(self._world.make_far_end)
        self._submit(self._casting.plan(f"c2c-{self._world.seed:x}-{number}", cast), cast)

    async def _plan_at_desk(self) -> None:
        cast = Cast(self._world.make_far_end)
        self._submit(await self._desk.plan(cast, self._world.clock.epoch()), cast)

    def _submit(self, plan: CallPlan, cast: Cast) -> None:
        dice, scenario = self._dice, self._world.scenario
        record = self._world.records[plan.call_id] = CallRecord(
            plan=plan,
            cast=cast,
            has_relay=scenario.relay,
            longest_way_s=scenario.conditions.delay,
        )
        patience = dice.uniform(0, 20) if dice.random() < scenario.leaves else None
        claim = None
        if dice.random() < scenario.retries:
            claim = self._ask_again(plan, record)
        self._place(plan, record, patience, claim)
        if dice.random() < scenario.deletes:
            pause = dice.choice((0.0, dice.uniform(0, 0.2), dice.uniform(0, 3), dice.uniform(0, 30)))
            self._world.agenda.after(pause, self._delete, plan, record)

    def _ask_again(self, plan: CallPlan, record: CallRecord) -> IdempotencyClaim:
        """Let the same request come twice; return the claim of both."""
        claim = _claim(plan, self._world.clock.epoch())
        twin = msgspec.structs.replace(plan, call_id=f"{plan.call_id}-again")
        other = self._world.records[twin.call_id] = CallRecord(
            plan=twin,
            cast=record.cast,
            has_relay=record.has_relay,
            longest_way_s=record.longest_way_s,
        )
        record.asked_twice = other.asked_twice = True
        pause = self._dice.choice((0.0, 0.001, 5.0))
        self._world.agenda.after(pause, self._place, twin, other, None, claim)
        return claim

    def _place(
        self, plan: CallPlan, record: CallRecord, patience: float | None, claim: IdempotencyClaim | None
    ) -> None:
        """Let a client place a call; it may be gone before it hears the answer."""
        node, work = self._world.node, self._client(plan, record, patience, claim)
        if node is None:
            work.close()
            return
        task = node.loop.create_task(work, name=f"client {plan.call_id}")
        if self._dice.random() < self._world.scenario.vanishes:
            record.asked_to_end = True
            self._world.agenda.after(self._dice.random() * 0.004, task.cancel)

    async def _client(
        self, plan: CallPlan, record: CallRecord, patience: float | None, claim: IdempotencyClaim | None
    ) -> None:
        """Place the call as the HTTP edge does; perhaps wait for the first party, and go away."""
        node = self._world.node
        assert node is not None
        try:
            live = await node.calls.place(plan, claim=claim)
        except KeyClaimed:
            if not record.asked_twice:
                raise
            record.refused = True
            self._world.statistics["claimed"] += 1
            return
        except (CallRefused, StorageLost):
            record.refused = True
            self._world.statistics["refused"] += 1
            return
        record.accepted = True
        self._world.statistics["accepted"] += 1
        if patience is None:
            return
        try:
            async with asyncio.timeout(patience):
                await live.first_answered_or_ended()
        except TimeoutError:
            record.asked_to_end = True
            await node.calls.hang_up(plan.account_id, plan.call_id, By.VISITOR)
        await live.ended()
        stored = self._world.disk.calls[plan.call_id]
        if not stored.is_final:
            raise WorldBroken("ended() returned before the final entry was durable", plan.call_id)

    def _delete(self, plan: CallPlan, record: CallRecord) -> None:
        if self._world.node is not None:
            record.asked_to_end = True
            self._world.run_in_node(
                self._world.node.calls.hang_up(plan.account_id, plan.call_id, By.API), "delete"
            )


def _claim(plan: CallPlan, now: float) -> IdempotencyClaim:
    return IdempotencyClaim(
        id=f"claim {plan.call_id}",
        fingerprint="the same request",
        call_id=plan.call_id,
        is_answered=True,
        answer=b"{}",
        expires_at=now + 86_400.0,
    )
