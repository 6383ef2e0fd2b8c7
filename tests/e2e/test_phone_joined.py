"""Two soft phones registered at a real server, put on one call: each hears ringback, then the other."""

import asyncio

import pytest

from offhook.phone import (
    Answered,
    CallEnded,
    Heard,
    PhoneEvent,
    PhoneSettings,
    Ringing,
    SoftPhone,
)
from offhook.system import SystemClock, SystemRandom

from .harness import Account, Server

UK_RINGBACK_HZ = 450.0
FIRST_HZ, SECOND_HZ = 600.0, 1000.0


class Desk:
    """Two phones and what happened at them."""

    def __init__(self, server: Server, account: Account, transport: str) -> None:
        self.first_events: list[PhoneEvent] = []
        self.second_events: list[PhoneEvent] = []
        self.first_id = account.create_phone("dev1", "secret-1")
        second_id = account.create_phone("dev2", "secret-2")
        account.create_extension("1001", self.first_id)
        account.create_extension("1002", second_id)
        address = (server.host, server.sip_port)

        def phone(number: int, tone_hz: float, events: list[PhoneEvent], **more: float) -> SoftPhone:
            settings = PhoneSettings(
                username=f"dev{number}",
                password=f"secret-{number}",
                realm=account.realm,
                server=address,
                transport=transport,
                tone_hz=tone_hz,
                listen_for_hz=(FIRST_HZ, SECOND_HZ, UK_RINGBACK_HZ),
                **more,
            )
            return SoftPhone(settings, clock=SystemClock(), random=SystemRandom(), on_event=events.append)

        self.first = phone(1, FIRST_HZ, self.first_events)
        self.second = phone(2, SECOND_HZ, self.second_events, answer_after_s=0.8, hang_up_after_s=1.0)


async def until(condition, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_two_soft_phones_are_put_on_one_call(server: Server, account: Account, transport: str) -> None:
    async def scenario() -> None:
        desk = Desk(server, account, transport)
        await desk.first.start()
        await desk.second.start()
        try:
            await until(lambda: desk.first.is_registered and desk.second.is_registered)
            button = account.create_button("1001", ringback="uk")
            call_id = await asyncio.to_thread(account.connect, button, "1002")
            await until(lambda: any(isinstance(event, CallEnded) for event in desk.first_events))
            call = await asyncio.to_thread(account.wait_for_outcome, call_id)
            assert call["outcome"] == "connected"
        finally:
            await desk.first.stop()
            await desk.second.stop()
        assert [type(event) for event in desk.second_events][1:3] == [Ringing, Answered]
        heard_first = [event.frequency_hz for event in desk.first_events if isinstance(event, Heard)]
        heard_second = [event.frequency_hz for event in desk.second_events if isinstance(event, Heard)]
        assert heard_first == [UK_RINGBACK_HZ, SECOND_HZ]
        assert heard_second == [FIRST_HZ]
        assert desk.first.heard(UK_RINGBACK_HZ) < 1.2
        assert desk.first.heard(SECOND_HZ) > 0.6
        assert desk.second.heard(FIRST_HZ) > 0.6

    asyncio.run(scenario())
