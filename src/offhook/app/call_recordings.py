"""Recordings of live calls: each is a media document of its account, and has its file when it is made.

They are listed, downloaded and deleted as any media (kazoo-behaviour 7.8): `media_source` says `recording`.
"""

import asyncio
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import structlog

from offhook.calls.events import RecordingMade
from offhook.calls.model import CallPlan

from .documents import DocumentService, Place
from .errors import AppError
from .media import MediaService
from .ports import CallView

_log = structlog.get_logger("offhook.media")

CONTENT_TYPE: Final = "audio/wav"
UNDER_WAY_MAX: Final = 10_000
"""At one time on a node; what a lost call has left is forgotten, the oldest first."""


class RecordableCalls(Protocol):
    """What is needed of the call service."""

    def record(self, account_id: str, leg_id: str, recording_id: str) -> bool:
        """Begin to record a joined call; False if it is not joined, is recorded already, or cannot be."""
        ...

    def stop_recording(self, account_id: str, leg_id: str) -> bool:
        """End the recording of a call; False if there is none."""
        ...


class _UnderWay(NamedTuple):
    account_id: str
    call_id: str


class CallRecordings:
    """Begins and ends recordings, and takes what the engine has made."""

    def __init__(self, calls: RecordableCalls, documents: DocumentService, media: MediaService) -> None:
        self._calls = calls
        self._documents = documents
        self._media = media
        self._under_way: dict[str, _UnderWay] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, view: CallView, leg_id: str) -> str | None:
        """Begin to record a call; return the id of its media document, or None if it cannot be recorded."""
        plan = view.plan
        place = Place(type="media", account_id=plan.account_id)
        document = await self._documents.create(place, _described(plan))
        if len(self._under_way) >= UNDER_WAY_MAX:
            del self._under_way[next(iter(self._under_way))]
        self._under_way[document.id] = _UnderWay(plan.account_id, plan.call_id)
        if self._calls.record(plan.account_id, leg_id, document.id):
            return document.id
        del self._under_way[document.id]
        await self._documents.delete(place, document.id)
        return None

    def stop_recording(self, view: CallView, leg_id: str) -> bool:
        """End the recording of a call; False if there is none."""
        return self._calls.stop_recording(view.plan.account_id, leg_id)

    def take(self, event: RecordingMade) -> None:
        """The engine has made a recording, or could not."""
        task = asyncio.get_running_loop().create_task(self._keep(event), name="keep recording")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Wait a moment for what is being kept. Idempotent."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5.0)
        for task in tuple(self._tasks):
            task.cancel()

    async def _keep(self, event: RecordingMade) -> None:
        known = self._under_way.pop(event.recording_id, None)
        if known is None or not event.path:
            _log.error("recording lost", recording_id=event.recording_id, is_known=known is not None)
            return
        try:
            document = await self._documents.read(known.account_id, event.recording_id, type="media")
            await self._media.take_file(document, Path(event.path), CONTENT_TYPE)
        except AppError as error:
            _log.error("recording not kept", recording_id=event.recording_id, reason=str(error))


def _described(plan: CallPlan) -> dict[str, object]:
    return {
        "name": f"Recording of {plan.call_id}"[:128],
        "description": f"{plan.first.number} and {plan.second.number}"[:128],
        "media_source": "recording",
        "call_id": plan.call_id,
        "interaction_id": plan.interaction_id,
    }
