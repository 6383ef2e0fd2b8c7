"""Session timers with real far ends (RFC 4028): agreed with SIPp and our soft phone, refreshed by both.

A refresh of ours comes after 45 s at the earliest: the tests that wait for it run with LONG_TESTS=1 in the
environment (two minutes). The same is held in no time by tests/unit/sip/test_session_timer.py.
"""

import asyncio
import os
from collections.abc import Iterator

import pytest

from offhook.phone import PhoneSettings, SoftPhone
from offhook.system import SystemClock, SystemRandom

from .conftest import FarEnd
from .harness import Account, KazooClient, Server
from .harness.far_ends import ANSWERS
from .harness.scenario import (
    END_BY_BYE,
    RING,
    SDP,
    Scenario,
    answer_invite,
    answer_last,
    pause,
    receive,
    receive_invite,
    receive_response,
    refuse,
    request,
    scenario,
)
from .harness.waiting import wait_for
from .test_phone_joined import until
from .test_sessions import connect, end_well, extension

pytestmark = pytest.mark.needs("sipp")

is_long = pytest.mark.skipif(
    not os.environ.get("LONG_TESTS"),
    reason="waits minutes for real refreshes; LONG_TESTS=1 runs it (virtual time: test_session_timer.py)",
)
EXPIRES_S = 90
ASKS = f"Session-Expires: {EXPIRES_S};refresher=uac"


@pytest.fixture(scope="module")
def hasty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("hasty"), OFFHOOK_SIP_SESSION_EXPIRES_S=str(EXPIRES_S)) as server:
        yield server


@pytest.fixture
def hasty(hasty_server: Server, request: pytest.FixtureRequest) -> Account:
    client = KazooClient(hasty_server.host, hasty_server.http_port)
    client.login(hasty_server.api_key)
    name = f"t{abs(hash(request.node.name)):x}"
    return client.create_account(name, f"{name}.test")


def agrees(*then: str, refresher: str = "uas", allow: str = "INVITE, ACK, BYE, UPDATE") -> Scenario:
    """Answer with a session of 90 s, which this side refreshes (uas) or the server (uac)."""
    headers = (f"Session-Expires: {EXPIRES_S};refresher={refresher}", f"Allow: {allow}", "Require: timer")
    return scenario(
        "agrees to refresh",
        receive_invite(),
        RING,
        answer_invite(200, "OK", body=SDP, headers=headers),
        receive("ACK"),
        *then,
        *END_BY_BYE,
    )


def test_a_longer_session_is_asked_for_when_the_far_end_wants_one(far_end: FarEnd, account: Account) -> None:
    picky = scenario(
        "wants longer sessions",
        receive_invite(),
        *refuse(422, "Session Interval Too Small", headers=("Min-SE: 7200",)),
        receive_invite(),
        RING,
        answer_invite(200, "OK", body=SDP, headers=("Session-Expires: 7200;refresher=uac", "Require: timer")),
        receive("ACK"),
        *END_BY_BYE,
    )
    first, second = far_end(ANSWERS), far_end(picky)
    call_id = connect(account, first, second)
    asked, again = second.received("INVITE")
    assert "Session-Expires: 1800" in asked
    assert "Session-Expires: 7200" in again
    assert "Min-SE: 7200" in again
    end_well(account, call_id, first, second)


def test_a_far_end_refreshes_by_update_and_by_invite(far_end: FarEnd, hasty: Account) -> None:
    refreshing = agrees(
        pause(300),
        request("UPDATE", cseq=2, headers=("Supported: timer", ASKS)),
        receive_response(200),
        pause(300),
        request("INVITE", cseq=3, body=SDP, headers=("Supported: timer", ASKS)),
        receive_response(100, optional=True),
        receive_response(200),
        request("ACK", cseq=3),
        request("UPDATE", cseq=4, headers=("Supported: timer", "Session-Expires: 60")),
        receive_response(422),
    )
    first, second = far_end(ANSWERS), far_end(refreshing)
    call_id = connect(hasty, first, second)
    wait_for(lambda: second.received("SIP/2.0 422"), timeout_s=10, what="the last answer")
    for answer in second.received("SIP/2.0 200"):
        assert ASKS in answer
        assert "Require: timer" in answer
    assert "Min-SE: 90" in second.received("SIP/2.0 422")[0]
    assert len(first.received("INVITE")) == 1  # a refresh concerns one side alone
    end_well(hasty, call_id, first, second)


@is_long
@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
def test_we_refresh_and_end_a_call_whose_far_end_does_not(
    far_end: FarEnd, hasty: Account, method: str
) -> None:
    """One party is refreshed once and then knows nothing of its call any more."""
    is_update = method == "UPDATE"
    answer = answer_last(headers=(ASKS, "Require: timer"), body="" if is_update else SDP)
    refreshed = agrees(
        receive(method),
        answer,
        *(() if is_update else (receive("ACK"),)),
        receive(method),
        answer_last(481, "Call/Transaction Does Not Exist"),
        *(() if is_update else (receive("ACK"),)),
        refresher="uac",
        allow="INVITE, ACK, BYE, UPDATE" if is_update else "INVITE, ACK, BYE",
    )
    first, second = far_end(ANSWERS), far_end(refreshed)
    call_id = connect(hasty, first, second)
    call = hasty.wait_for_outcome(call_id, timeout_s=150)
    assert (call["outcome"], call["by"]) == ("connected", "contact")
    second.assert_clean()
    first.assert_clean()


@is_long
def test_a_far_end_that_should_refresh_and_does_not_is_hung_up(far_end: FarEnd, hasty: Account) -> None:
    first, second = far_end(ANSWERS), far_end(agrees())
    call_id = connect(hasty, first, second)
    call = hasty.wait_for_outcome(call_id, timeout_s=150)
    assert (call["outcome"], call["hangup_cause"]) == ("connected", "RECOVERY_ON_TIMER_EXPIRE")
    assert "Session expired" in second.received("BYE")[0]
    second.assert_clean()
    first.assert_clean()


@pytest.mark.parametrize("stays_s", [0.5, pytest.param(60.0, marks=is_long)])
def test_a_soft_phone_agrees_and_is_refreshed(
    far_end: FarEnd, hasty: Account, hasty_server: Server, stays_s: float
) -> None:
    async def scenario() -> None:
        hasty.create_extension("1009", hasty.create_phone("soft", "secret-9"))
        settings = PhoneSettings(
            username="soft", password="secret-9", realm=hasty.realm,
            server=(hasty_server.host, hasty_server.sip_port),
        )  # fmt: skip
        messages: list[bytes] = []
        phone = SoftPhone(
            settings, clock=SystemClock(), random=SystemRandom(), on_event=lambda event: None,
            trace=lambda way, data, flow, now: messages.append(data),
        )  # fmt: skip
        await phone.start()
        try:
            await until(lambda: phone.is_registered)
            first = far_end(ANSWERS)
            extension(hasty, "1001", first)
            button = hasty.create_button("1001")
            call_id = await asyncio.to_thread(hasty.connect, button, "1009")
            await asyncio.to_thread(hasty.wait_for_time, call_id, "bridged")
            await asyncio.sleep(stays_s)
            answers = [
                data for data in messages if data.startswith(b"SIP/2.0 200") and b"CSeq: 1 INVITE" in data
            ]
            assert f"Session-Expires: {EXPIRES_S};refresher=uac".encode() in answers[0]
            if stays_s > EXPIRES_S / 2:
                assert any(data.startswith(b"UPDATE ") for data in messages)
            await asyncio.to_thread(end_well, hasty, call_id, first)
        finally:
            await phone.stop()

    asyncio.run(scenario())
