"""Waiting for a call on behalf of a client that may go away."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from offhook.app.ports import Calls, CallView, LiveCall
from offhook.calls.model import By, CallPlan

from .request import ClientGone, Request

T = TypeVar("T")

MARGIN_S: Final = 15.0
"""Beyond the ring time: refusals, CANCEL and the final entry have their own bounds below this."""


def ring_bound_s(plan: CallPlan) -> float:
    """Return within which time the first party has answered or failed."""
    return sum(step.timeout_s for step in plan.first.steps) + MARGIN_S


async def wait_with_client(request: Request, waiting: Coroutine[Any, Any, T], *, bound_s: float) -> T | None:
    """Return what `waiting` gives, or None after bound_s. Raises ClientGone if the client leaves before."""
    work = asyncio.ensure_future(waiting)
    gone = asyncio.ensure_future(until_gone(request.receive))
    try:
        await asyncio.wait({work, gone}, timeout=bound_s, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        if gone.done():
            raise ClientGone
        return None
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def until_gone(receive: Any) -> None:
    """Return when the client has closed the connection; receive is ASGI's."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return


async def first_party(calls: Calls, request: Request, plan: CallPlan, live: LiveCall) -> CallView:
    """Return the call once its first party answered, or its stored end. A client who leaves ends it."""
    by = By.VISITOR if request.is_visitor else By.API
    try:
        view = await wait_with_client(request, live.first_answered_or_ended(), bound_s=ring_bound_s(plan))
    except ClientGone:
        await calls.hang_up(plan.account_id, plan.call_id, by)
        raise
    if view is None:
        await calls.hang_up(plan.account_id, plan.call_id, By.PLATFORM)
    elif view.ending is None:
        return view
    return await live.ended()
