"""Listeners by topic, and mailboxes that never grow."""

import asyncio

from offhook.app.event_bus import EventBus, Mailbox


def test_listeners_hear_their_topic_until_they_stop() -> None:
    bus: EventBus[int] = EventBus()
    heard: list[int] = []
    stop = bus.listen("a", heard.append)
    bus.publish("a", 1)
    bus.publish("b", 2)
    stop()
    stop()
    bus.publish("a", 3)
    assert heard == [1]
    assert (bus.count, bus.listeners("a")) == (0, 0)


def test_a_listener_may_stop_while_it_is_told() -> None:
    bus: EventBus[int] = EventBus()
    heard: list[int] = []
    stop = bus.listen("a", lambda event: stop())
    bus.listen("a", heard.append)
    bus.publish("a", 1)
    assert heard == [1]
    assert bus.listeners("a") == 1


def test_a_mailbox_gives_items_in_order_and_ends_when_closed() -> None:
    async def scenario() -> list[int | None]:
        box: Mailbox[int] = Mailbox(3)
        for item in (1, 2):
            box.offer(item)
        box.close()
        box.offer(3)
        return [await box.next() for _ in range(3)]

    assert asyncio.run(scenario()) == [1, 2, None]


def test_an_overrun_mailbox_holds_nothing_and_says_so() -> None:
    async def scenario() -> None:
        box: Mailbox[str] = Mailbox(10)
        box.offer("a", 6)
        box.offer("b", 5)
        await asyncio.wait_for(box.overrun(), 1)
        box.offer("c", 1)
        assert box.is_overrun
        assert await box.next() is None

    asyncio.run(scenario())


def test_room_is_given_back_and_a_reader_is_woken() -> None:
    async def scenario() -> None:
        box: Mailbox[str] = Mailbox(1)
        reader = asyncio.ensure_future(box.next())
        await asyncio.sleep(0)
        box.offer("a")
        assert await reader == "a"
        box.offer("b")
        assert await box.next() == "b"
        assert not box.is_overrun

    asyncio.run(scenario())
