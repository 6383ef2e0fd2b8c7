"""The media of a call that is over: no port is opened for it any more."""

import asyncio

import pytest

from offhook.calls.model import MediaMode
from offhook.engines.embedded.call_media import CallMedia, MediaIncompatible
from offhook.engines.embedded.relay import RelaySide
from tests.simulation.virtual_relay import SilentLibrary
from tests.unit.sip.peers import SDP


class SlowRelay:
    """Opens a port when `go_on` is set."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.open: set[str] = set()

    async def open_leg(self, session_id: str, side: RelaySide) -> None:
        await self.go_on.wait()
        self.open.add(session_id)

    def close(self, session_id: str) -> None:
        self.open.discard(session_id)


@pytest.mark.parametrize("closed_first", [True, False])
def test_a_phone_that_changes_its_session_as_the_call_ends_leaves_no_port_open(closed_first: bool) -> None:
    async def scenario() -> None:
        relay = SlowRelay()
        media = CallMedia(relay, SilentLibrary(), "5e55" * 6, MediaMode.PROCESS)  # type: ignore[arg-type]
        if closed_first:
            media.close()
        changing = asyncio.create_task(media.take_new_offer(RelaySide.FIRST, SDP))
        await asyncio.sleep(0)
        media.close()
        relay.go_on.set()
        with pytest.raises(MediaIncompatible):
            await changing
        assert relay.open == set()

    asyncio.run(scenario())
