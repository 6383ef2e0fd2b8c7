"""Two SIPp far ends on one call: joined by connect and by quickcall, each hearing the other's tone."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .conftest import FarEnd
from .harness import Account, RtpEndpoint, Sipp
from .harness.far_ends import ANSWERS, RINGS_FOR_EVER

pytestmark = pytest.mark.needs("sipp")


@contextmanager
def two_phones(far_end: FarEnd, account: Account, transport: str = "udp") -> Iterator["Phones"]:
    with RtpEndpoint(440) as low, RtpEndpoint(1000) as high:
        yield Phones(far_end, account, low, high, transport)


class Phones:
    """Extension 1001 sends 440 Hz and extension 1002 sends 1000 Hz."""

    def __init__(
        self, far_end: FarEnd, account: Account, low: RtpEndpoint, high: RtpEndpoint, transport: str
    ) -> None:
        self.account = account
        self.low, self.high = low, high
        self.first = far_end(ANSWERS, media=low, transport=transport)
        self.second = far_end(ANSWERS, media=high, transport=transport)
        self.first_id = self._extension("1001", self.first)
        self.second_id = self._extension("1002", self.second)

    def _extension(self, number: str, sipp: Sipp) -> str:
        device_id = self.account.create_static_phone(f"phone{number}", sipp.uri)
        self.account.create_extension(number, device_id)
        return device_id

    def assert_both_hear_the_other(self) -> None:
        self.low.send_to(*self.first.offered_audio())
        self.high.send_to(*self.second.offered_audio())
        self.low.wait_until_hears(1000)
        self.high.wait_until_hears(440)

    def end(self, call_id: str) -> None:
        self.account.hang_up(call_id)
        assert self.account.wait_for_outcome(call_id)["outcome"] == "connected"
        self.first.assert_clean()
        self.second.assert_clean()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_connect_joins_two_phones(far_end: FarEnd, account: Account, transport: str) -> None:
    with two_phones(far_end, account, transport) as phones:
        call_id = account.connect(account.create_button("1001"), "1002")
        phones.assert_both_hear_the_other()
        phones.end(call_id)


def test_quickcall_joins_two_phones(far_end: FarEnd, account: Account) -> None:
    with two_phones(far_end, account) as phones:
        answer = account.quickcall(phones.first_id, "1002").expect(202)
        phones.assert_both_hear_the_other()
        phones.end(answer.data["call_id"])


def test_blocking_quickcall_answers_when_the_device_has(far_end: FarEnd, account: Account) -> None:
    with two_phones(far_end, account) as phones:
        answer = account.quickcall(phones.first_id, "1002", method="POST").expect(200, 202)
        assert answer.data["application_response"] == "SUCCESS"
        phones.assert_both_hear_the_other()
        phones.end(answer.data["call_id"])


def test_first_party_hears_ringback_while_the_second_rings(far_end: FarEnd, account: Account) -> None:
    with RtpEndpoint(440) as ear:
        first = far_end(ANSWERS, media=ear)
        second = far_end(RINGS_FOR_EVER)
        account.create_extension("1001", account.create_static_phone("phone1001", first.uri))
        account.create_extension("1002", account.create_static_phone("phone1002", second.uri))
        call_id = account.connect(account.create_button("1001", ringback="%(2000,0,620)"), "1002")
        ear.send_to(*first.offered_audio())
        ear.wait_until_hears(620)
        account.hang_up(call_id)
        assert account.wait_for_outcome(call_id)["outcome"] == "canceled"
        first.assert_clean()
        second.assert_clean()
