"""Waiting for a call on behalf of a client that may go away."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from offhook.app.errors import StorageLost
from offhook.app.ports import Calls, CallView, LiveCall
from offhook.calls.bounds import ringing_s
from offhook.calls.model import By, CallPlan
from offhook.calls.states import ENDING_BOUND_S

from .request import ClientGone, Request

T = TypeVar("T")

MARGIN_S: Final = 15.0
"""Beyond the ring time, in which the machine itself gives up; past it the call is ended."""

ENDED_BOUND_S: Final = ENDING_BOUND_S + 10.0
"""A call that is being ended is over within the machine's own bound; the rest is for the disk. Then the
client is told 503: there is an outcome, but no disk to keep it."""


def ring_bound_s(plan: CallPlan) -> float:
    """Return within which time the first party has answered or failed."""
    return ringing_s(plan.first) + MARGIN_S


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
    try:
        async with asyncio.timeout(ENDED_BOUND_S):
            return await live.ended()
    except TimeoutError:
        raise StorageLost("the end of the call is not stored yet") from None
