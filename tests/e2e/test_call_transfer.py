"""Transfers with our own soft phones: by HTTP and by REFER, blind and attended; who talks is who is heard."""

import asyncio
import io
import wave
from array import array
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

import pytest

from offhook.audio.hearing import Ear
from offhook.phone import Answering, PhoneEvent, PhoneSettings, SoftPhone, TransferReported
from offhook.phone.phone_call import PhoneCall
from offhook.system import SystemClock, SystemRandom

from .harness import Account, Server
from .harness.waiting import wait_for
from .test_phone_joined import until

TONES = {1: 600.0, 2: 1000.0, 3: 1400.0, 4: 1800.0}
RINGBACK_HZ = 440.0


class Office:
    """Up to four phones at 1001 to 1004, each with a tone of its own, and what they were told."""

    def __init__(self, server: Server, account: Account, count: int, **settings: Any) -> None:
        self.account = account
        self.server = server
        self.told: dict[int, list[PhoneEvent]] = {number: [] for number in range(1, count + 1)}
        self.ids: dict[int, str] = {}
        self.phones = {number: self._phone(number, **settings.get(f"p{number}", {})) for number in self.told}

    def _phone(self, number: int, **more: Any) -> SoftPhone:
        self.ids[number] = self.account.create_phone(f"dev{number}", f"secret-{number}")
        self.account.create_extension(f"100{number}", self.ids[number])
        settings = PhoneSettings(
            username=f"dev{number}", password=f"secret-{number}", realm=self.account.realm,
            server=(self.server.host, self.server.sip_port), tone_hz=TONES[number],
            listen_for_hz=(*TONES.values(), RINGBACK_HZ), **more,
        )  # fmt: skip
        return SoftPhone(
            settings, clock=SystemClock(), random=SystemRandom(), on_event=self.told[number].append
        )

    async def connect(self, first: int, second: int) -> str:
        """Put two phones on a call; return its id once both hear each other."""
        before = len(self.phones[first].calls)
        call_id = str(
            (await self.ask("quickcall", self.ids[first], f"100{second}")).expect(202).data["call_id"]
        )
        await until(lambda: len(self.phones[first].calls) > before)
        await self.hear_each_other(first, second)
        return call_id

    async def ask(self, method: str, *values: Any, **more: Any) -> Any:
        return await asyncio.to_thread(getattr(self.account, method), *values, **more)

    async def hear_each_other(self, *pair: int) -> None:
        """Return once each of the two has heard the other's tone from now on."""
        first, second = pair
        before = (self.phones[first].heard(TONES[second]), self.phones[second].heard(TONES[first]))
        await until(lambda: self.phones[first].heard(TONES[second]) > before[0] + 0.3)
        await until(lambda: self.phones[second].heard(TONES[first]) > before[1] + 0.3)

    async def channel_of(self, number: int) -> str:
        channels = await self.ask("get", "channels")
        return str(next(item["uuid"] for item in channels if item["username"] == f"dev{number}"))

    async def act(self, number: int, **values: Any) -> None:
        path = self.account.path("channels", await self.channel_of(number))
        answer = await asyncio.to_thread(self.account.client.request, "POST", path, values)
        answer.expect(202)

    def live_call(self, number: int) -> PhoneCall:
        return next(call for call in self.phones[number].calls if not call.is_over)

    def is_idle(self, number: int) -> bool:
        return all(
            call.is_over and (call.dialog is None or call.is_clean) for call in self.phones[number].calls
        )

    def reports(self, number: int) -> list[int]:
        return [event.status for event in self.told[number] if isinstance(event, TransferReported)]

    async def assert_one_outcome(self, call_id: str, **fields: Any) -> dict[str, Any]:
        """Both promises: one outcome, and no leg left at any phone or in the list of channels."""
        call = await self.ask("wait_for_outcome", call_id)
        assert {name: call[name] for name in fields} == fields
        await until(lambda: all(self.is_idle(number) for number in self.phones))
        return dict(call)


def recording_of(server: Server, account: Account) -> bytes | None:
    """Return the file of the account's one recording, once it is there."""
    [media] = [item for item in account.get("media") if item["media_source"] == "recording"]
    connection = HTTPConnection(server.host, server.http_port, timeout=10)
    token = {"x-auth-token": account.client.token}
    connection.request("GET", account.path("media", media["id"], "raw"), headers=token)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return content if answer.status == 200 else None


def at_desks(
    server: Server, account: Account, count: int, scenario: Callable[[Office], Any], **settings: Any
) -> None:
    async def run() -> None:
        office = Office(server, account, count, **settings)
        for phone in office.phones.values():
            await phone.start()
        try:
            await until(lambda: all(phone.is_registered for phone in office.phones.values()))
            await scenario(office)
        finally:
            await asyncio.gather(*(phone.stop() for phone in office.phones.values()))

    asyncio.run(run())


@pytest.mark.parametrize("leaves", [1, 2])
def test_a_blind_transfer_by_http(server: Server, account: Account, leaves: int) -> None:
    async def scenario(office: Office) -> None:
        stays = 3 - leaves
        call_id = await office.connect(1, 2)
        await office.act(leaves, action="transfer", target="1003")
        await until(lambda: office.is_idle(leaves))
        await office.hear_each_other(stays, 3)
        assert office.phones[stays].heard(RINGBACK_HZ) > 0
        office.live_call(3).hang_up()
        by = "extension" if leaves == 1 else "contact"
        await office.assert_one_outcome(call_id, outcome="connected", by=by)
        legs = await office.ask("get", "cdrs", "legs", (await office.ask("get", "cdrs"))[0]["id"])
        assert len(legs) == 3

    at_desks(server, account, 3, scenario, p3={"answer_after_s": 1.0})


def test_a_blind_transfer_that_is_refused_ends_the_call(server: Server, account: Account) -> None:
    async def scenario(office: Office) -> None:
        call_id = await office.connect(1, 2)
        await office.act(2, action="transfer", target="1003")
        await office.assert_one_outcome(call_id, outcome="connected", hangup_cause="USER_BUSY", sip_code=486)

    at_desks(server, account, 3, scenario, p3={"answering": Answering.BUSY})


def test_an_intercepted_call(server: Server, account: Account) -> None:
    async def scenario(office: Office) -> None:
        call_id = await office.connect(1, 2)
        await office.act(1, action="intercept", target_type="device", target_id=office.ids[3])
        await office.hear_each_other(1, 3)
        await until(lambda: office.is_idle(2))
        await office.ask("hang_up", call_id)
        await office.assert_one_outcome(call_id, outcome="connected", by="api")

    at_desks(server, account, 3, scenario, p3={"answer_after_s": 0.5})


def test_something_played_once_is_heard_between(server: Server, account: Account) -> None:
    async def scenario(office: Office) -> None:
        call_id = await office.connect(1, 2)
        await office.act(1, action="play", id="us", leg="self")
        await until(lambda: office.phones[1].heard(RINGBACK_HZ) > 0.3)
        await office.hear_each_other(1, 2)
        await office.ask("hang_up", call_id)
        await office.assert_one_outcome(call_id, outcome="connected")

    at_desks(server, account, 2, scenario)


@pytest.mark.parametrize("refers", [1, 2])
def test_a_blind_transfer_by_refer(server: Server, account: Account, refers: int) -> None:
    async def scenario(office: Office) -> None:
        stays = 3 - refers
        call_id = await office.connect(1, 2)
        office.live_call(refers).refer(f"sip:1003@{account.realm}")
        await office.hear_each_other(stays, 3)
        await until(lambda: office.is_idle(refers))
        assert office.reports(refers) == [202, 100, 180, 200]
        office.live_call(stays).hang_up()
        await office.assert_one_outcome(call_id, outcome="connected")

    at_desks(server, account, 3, scenario, p3={"answer_after_s": 1.0})


def test_a_referrer_is_taken_back_if_the_target_is_busy(server: Server, account: Account) -> None:
    async def scenario(office: Office) -> None:
        call_id = await office.connect(1, 2)
        office.live_call(1).refer(f"sip:1003@{account.realm}")
        await until(lambda: 486 in office.reports(1))
        await office.hear_each_other(1, 2)
        office.live_call(1).hang_up()
        await office.assert_one_outcome(
            call_id, outcome="connected", by="extension", hangup_cause="NORMAL_CLEARING"
        )

    at_desks(server, account, 3, scenario, p3={"answering": Answering.BUSY})


@pytest.mark.parametrize(
    ("target", "status"),
    [("sip:4711@REALM", 404), ("sip:1003@evil.example.com", 403), ("sip:+15551234567@REALM", 404)],
)
def test_a_refused_referral_leaves_the_call_alone(
    server: Server, account: Account, target: str, status: int
) -> None:
    async def scenario(office: Office) -> None:
        call_id = await office.connect(1, 2)
        office.live_call(1).refer(target.replace("REALM", account.realm))
        await until(lambda: office.reports(1) != [])
        assert office.reports(1) == [status]
        await office.hear_each_other(1, 2)
        await office.ask("hang_up", call_id)
        await office.assert_one_outcome(call_id, outcome="connected", by="api")

    at_desks(server, account, 2, scenario)


def test_an_attended_transfer_joins_the_far_ends_of_two_calls(server: Server, account: Account) -> None:
    async def scenario(office: Office) -> None:
        there = await office.connect(1, 2)
        asked = await office.connect(1, 3)
        [first, second] = [call for call in office.phones[1].calls if not call.is_over]
        first.refer(f"sip:1003@{account.realm}", to_call=second)
        await until(lambda: office.is_idle(1))
        assert office.reports(1)[0] == 202
        await office.hear_each_other(2, 3)
        office.live_call(3).hang_up()
        await office.assert_one_outcome(there, outcome="connected")
        await office.assert_one_outcome(asked, outcome="connected", by="contact")

    at_desks(server, account, 3, scenario)


def test_a_recorded_call_is_a_media_file_with_both_voices(server: Server, account: Account) -> None:
    async def scenario(office: Office) -> None:
        call_id = await office.connect(1, 2)
        await office.act(1, action="record")
        for _ in range(4):
            await office.hear_each_other(1, 2)
        await office.act(2, action="record", record_action="stop")
        await office.ask("hang_up", call_id)
        await office.assert_one_outcome(call_id, outcome="connected")
        content = await asyncio.to_thread(
            wait_for, lambda: recording_of(server, account), timeout_s=60, what="the recording"
        )
        with wave.open(io.BytesIO(content)) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8_000)
            seconds = file.getnframes() / 8_000
            samples = array("h", file.readframes(file.getnframes()))
        assert 0.5 < seconds < 60
        ear = Ear(tuple(TONES.values()))
        ear.listen(samples)
        assert min(ear.heard(TONES[1]), ear.heard(TONES[2])) > 0.4
        assert ear.heard(TONES[3]) == 0

    at_desks(server, account, 2, scenario)
