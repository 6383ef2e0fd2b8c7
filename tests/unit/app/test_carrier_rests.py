"""A carrier that asks to be left alone is left alone: its server after 503, one number after 480 and 486."""

import pytest

from offhook.app.carrier_rests import MAX_REST_S, MAX_RESTS, CarrierRests
from offhook.calls.events import LegEnded
from offhook.calls.model import EndpointKind, EndpointPlan


class Clock:
    now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def epoch(self) -> float:
        return self.now


def endpoint(
    number: str = "1", server: str = "gw.test", kind: EndpointKind = EndpointKind.GATEWAY
) -> EndpointPlan:
    return EndpointPlan(
        leg_id="a",
        kind=kind,
        endpoint_id="carrier",
        request_uri=f"sip:{number}@{server}",
        to_uri="sip:x",
        from_uri="sip:y",
    )


def ended(status: int, retry_after_s: int) -> LegEnded:
    return LegEnded("a", f"CAUSE_{status}", status, by_peer=True, retry_after_s=retry_after_s)


def given(status: int, retry_after_s: int = 60, **changes: EndpointKind) -> tuple[CarrierRests, Clock]:
    clock = Clock()
    rests = CarrierRests(clock)
    rests.note(endpoint(**changes), ended(status, retry_after_s))
    return rests, clock


def test_a_server_rests_for_all_numbers_until_its_time_is_up() -> None:
    rests, clock = given(503)
    for number in "12":
        assert rests.cause_of("carrier", f"sip:{number}@gw.test") == "CAUSE_503"
    assert rests.cause_of("carrier", "sip:1@gw2.test") == rests.cause_of("other", "sip:1@gw.test") == ""
    clock.now += 59
    assert rests.cause_of("carrier", "sip:1@gw.test")
    clock.now += 2
    assert rests.cause_of("carrier", "sip:1@gw.test") == ""


@pytest.mark.parametrize("status", [480, 486])
def test_a_busy_number_rests_alone(status: int) -> None:
    rests, _ = given(status)
    assert rests.cause_of("carrier", "sip:1@gw.test") == f"CAUSE_{status}"
    assert rests.cause_of("carrier", "sip:2@gw.test") == ""


@pytest.mark.parametrize(
    ("status", "retry_after_s", "kind"),
    [(404, 60, EndpointKind.GATEWAY), (503, 0, EndpointKind.GATEWAY), (503, 60, EndpointKind.DEVICE)],
)
def test_who_does_not_rest(status: int, retry_after_s: int, kind: EndpointKind) -> None:
    rests, _ = given(status, retry_after_s, kind=kind)
    assert rests.cause_of("carrier", "sip:1@gw.test") == ""


def test_nobody_rests_for_ever() -> None:
    rests, clock = given(503, 86_400)
    clock.now += MAX_REST_S + 1
    assert rests.cause_of("carrier", "sip:1@gw.test") == ""


def test_the_oldest_is_forgotten() -> None:
    rests, _ = given(486)
    for number in range(MAX_RESTS):
        rests.note(endpoint(str(10_000 + number)), ended(486, 60))
    assert rests.cause_of("carrier", "sip:1@gw.test") == ""
    assert rests.cause_of("carrier", "sip:10000@gw.test")
