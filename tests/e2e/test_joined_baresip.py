"""Two baresip phones, registered with digest, on one call: a tone sent is the tone heard."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from .harness import Account, Baresip, Server
from .harness.waiting import wait_for

pytestmark = pytest.mark.needs("baresip")


@dataclass
class Desk:
    """Two registered phones: 1001 plays 440 Hz, 1002 plays 1000 Hz."""

    account: Account
    low: Baresip
    high: Baresip
    low_id: str

    def assert_both_hear_the_other(self) -> None:
        self.low.wait_until_heard(1000, timeout_s=8)
        self.high.wait_until_heard(440, timeout_s=8)

    def assert_nothing_left(self, call_id: str) -> None:
        assert self.account.wait_for_outcome(call_id)["outcome"] == "connected"
        wait_for(
            lambda: not self.low.has_call() and not self.high.has_call(), timeout_s=3, what="idle phones"
        )


@pytest.fixture(params=["udp", "tcp", "tls"])
def desk(request: pytest.FixtureRequest, server: Server, account: Account, tmp_path: Path) -> Iterator[Desk]:
    def phone(number: str, tone_hz: float) -> tuple[Baresip, str]:
        folder = tmp_path / number
        folder.mkdir()
        username, password = f"phone{number}", f"secret-{number}"
        device_id = account.create_phone(username, password)
        account.create_extension(number, device_id)
        baresip = Baresip(
            folder,
            username=username,
            password=password,
            realm=account.realm,
            registrar_port=server.sip_tls_port if request.param == "tls" else server.sip_port,
            tone_hz=tone_hz,
            transport=request.param,
        )
        return phones.enter_context(baresip), device_id

    with ExitStack() as phones:
        low, low_id = phone("1001", 440)
        high, _ = phone("1002", 1000)
        account.wait_registered("phone1001", "phone1002")
        yield Desk(account, low, high, low_id)


def test_connect_joins_registered_phones(desk: Desk) -> None:
    call_id = desk.account.connect(desk.account.create_button("1001"), "1002")
    desk.assert_both_hear_the_other()
    desk.account.hang_up(call_id)
    desk.assert_nothing_left(call_id)


def test_quickcall_joins_registered_phones(desk: Desk) -> None:
    call_id = str(desk.account.quickcall(desk.low_id, "1002").expect(202).data["call_id"])
    desk.assert_both_hear_the_other()
    desk.high.hang_up()
    desk.assert_nothing_left(call_id)


def test_stopped_phone_is_no_longer_registered(desk: Desk) -> None:
    desk.low.stop()
    wait_for(lambda: desk.account.registered() == ["phone1002"], timeout_s=5, what="phone1001 to be gone")
    call_id = desk.account.connect(desk.account.create_button("1001"), "1002")
    call = desk.account.wait_for_outcome(call_id)
    assert (call["outcome"], call["hangup_cause"]) == ("unreachable", "USER_NOT_REGISTERED")


def test_wrong_password_does_not_register(server: Server, account: Account, tmp_path: Path) -> None:
    account.create_phone("phone1001", "right-password")
    with Baresip(
        tmp_path,
        username="phone1001",
        password="wrong-password",
        realm=account.realm,
        registrar_port=server.sip_port,
        tone_hz=440,
    ) as phone:
        wait_for(lambda: "401" in phone.log() or "403" in phone.log(), timeout_s=5, what="the refusal")
        assert account.registered() == []
