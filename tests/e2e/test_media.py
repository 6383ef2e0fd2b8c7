"""What the parties hear, and which way it goes: early media, music, and media past the relay."""

from collections.abc import Iterator

import pytest

from .conftest import FarEnd
from .harness import Account, RtpEndpoint, Sipp
from .harness.far_ends import ANSWERS, REFUSES_REINVITE, REINVITED
from .harness.scenario import (
    END_BY_CANCEL,
    SDP,
    Scenario,
    answer_invite,
    receive_invite,
    scenario,
)

pytestmark = pytest.mark.needs("sipp")

ANNOUNCES = scenario(
    "plays an announcement and never answers",
    receive_invite(),
    answer_invite(183, "Session Progress", body=SDP),
    *END_BY_CANCEL,
)


@pytest.fixture
def low() -> Iterator[RtpEndpoint]:
    """Sends 440 Hz."""
    with RtpEndpoint(440) as endpoint:
        yield endpoint


@pytest.fixture
def high() -> Iterator[RtpEndpoint]:
    """Sends 1000 Hz."""
    with RtpEndpoint(1000) as endpoint:
        yield endpoint


class Pair:
    """Extension 1001 with the low tone and extension 1002 with the high one."""

    def __init__(
        self, far_end: FarEnd, account: Account, low: RtpEndpoint, high: RtpEndpoint, *scenarios: Scenario
    ) -> None:
        self.account = account
        self.first: Sipp = far_end(scenarios[0], media=low)
        self.second: Sipp = far_end(scenarios[1], media=high)
        for number, far in (("1001", self.first), ("1002", self.second)):
            account.create_extension(number, account.create_static_phone(f"phone{number}", far.uri))

    def connect(self, **button: object) -> str:
        return self.account.connect(self.account.create_button("1001", **button), "1002")

    def end(self, call_id: str, outcome: str) -> None:
        self.account.hang_up(call_id)
        assert self.account.wait_for_outcome(call_id)["outcome"] == outcome
        self.first.assert_clean()
        self.second.assert_clean()


def test_early_media_is_heard_when_it_is_wanted(
    far_end: FarEnd, account: Account, low: RtpEndpoint, high: RtpEndpoint
) -> None:
    pair = Pair(far_end, account, low, high, ANSWERS, ANNOUNCES)
    call_id = pair.connect(media={"ignore_early_media": False})
    low.send_to(*pair.first.offered_audio())
    high.send_to(*pair.second.offered_audio())
    low.wait_until_hears(1000)
    assert "first_answered" in account.call(call_id)["times"]
    pair.end(call_id, "canceled")


def test_early_media_is_not_heard_when_it_is_ignored(
    far_end: FarEnd, account: Account, low: RtpEndpoint, high: RtpEndpoint
) -> None:
    pair = Pair(far_end, account, low, high, ANSWERS, ANNOUNCES)
    call_id = pair.connect(ringback="%(3000,0,620)")
    low.send_to(*pair.first.offered_audio())
    high.send_to(*pair.second.offered_audio())
    low.wait_until_hears(620)
    assert not low.hears(1000)
    pair.end(call_id, "canceled")


def test_media_passes_by_the_relay_when_asked(
    far_end: FarEnd, account: Account, low: RtpEndpoint, high: RtpEndpoint
) -> None:
    pair = Pair(far_end, account, low, high, REINVITED, ANSWERS)
    call_id = pair.connect(bypass_media=True)
    account.wait_for_time(call_id, "bridged")
    reinvite = pair.first.received("INVITE")[1]
    assert f"m=audio {high.port} " in reinvite
    assert pair.second.acknowledged_audio()[1] == low.port
    pair.end(call_id, "connected")


def test_phone_that_refuses_to_pass_by_the_relay_stays_on_it(
    far_end: FarEnd, account: Account, low: RtpEndpoint, high: RtpEndpoint
) -> None:
    pair = Pair(far_end, account, low, high, REFUSES_REINVITE, ANSWERS)
    call_id = pair.connect(bypass_media=True)
    account.wait_for_time(call_id, "bridged")
    low.send_to(*pair.first.offered_audio())
    high.send_to(*pair.second.acknowledged_audio())
    low.wait_until_hears(1000)
    high.wait_until_hears(440)
    assert len(pair.first.received("INVITE")) == 2
    pair.end(call_id, "connected")
