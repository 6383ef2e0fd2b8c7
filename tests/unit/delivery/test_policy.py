"""When a delivery is tried again, and what an answer means."""

import pytest

from offhook.delivery import (
    Delivery,
    FailureCount,
    Hook,
    Reception,
    Verdict,
    next_attempt_at,
    retry_after_s,
    verdict_of,
    wants_document,
    wants_leg,
    webhook_private,
)

NOW = 1_767_225_600.0


def given_hook(**fields: object) -> Hook:
    return Hook(
        **{"id": "h1", "account_id": "a1", "event": "all", "uri": "http://receiver.example.com/"} | fields
    )


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED), (201, Verdict.DELIVERED), (204, Verdict.DELIVERED), (301, Verdict.REFUSED),
        (400, Verdict.REFUSED), (404, Verdict.REFUSED), (408, Verdict.AGAIN), (410, Verdict.GONE),
        (425, Verdict.AGAIN), (429, Verdict.AGAIN), (500, Verdict.AGAIN), (503, Verdict.AGAIN),
    ],
)  # fmt: skip
def test_what_an_answer_means(status: int, verdict: Verdict) -> None:
    assert verdict_of(Delivery(reception=Reception(status=status))) is verdict


def test_no_answer_is_tried_again() -> None:
    assert verdict_of(Delivery(client_error="timeout")) is Verdict.AGAIN


def waits(retries: int) -> list[float | None]:
    at = [next_attempt_at(attempt, NOW, retries=retries, jitter=0.0) for attempt in range(1, retries + 11)]
    return [None if moment is None else moment - NOW for moment in at]


def test_fast_tries_then_the_schedule_of_standard_webhooks_then_the_end() -> None:
    slow = [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400, None]
    assert waits(0) == slow
    assert waits(2) == [2, 2, *slow]


def test_jitter_lengthens_a_wait_by_a_fifth_at_most() -> None:
    assert next_attempt_at(2, NOW, retries=0, jitter=0.5) == NOW + 330
    assert next_attempt_at(2, NOW, retries=0, jitter=0.999) < NOW + 360


def test_a_receiver_is_left_alone_as_long_as_it_asks() -> None:
    assert next_attempt_at(1, NOW, retries=2, jitter=0.0, retry_after_s=120) == NOW + 120
    assert next_attempt_at(4, NOW, retries=2, jitter=0.0, retry_after_s=120) == NOW + 300


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0), (" 7 ", 7.0), ("999999999999", 86400.0), ("", 0.0), ("soon", 0.0), ("-5", 0.0),
        ("٣", 0.0), ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0), ("Thu, 01 Jan 2020 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 2099 00:00:00 GMT", 86400.0), ("Thu, 99 Jan 2099 00:00:00 GMT", 0.0),
    ],
)  # fmt: skip
def test_retry_after_in_seconds_or_as_a_date(value: str, seconds: float) -> None:
    assert retry_after_s(value, NOW) == seconds


def test_six_failures_in_a_minute_are_too_many() -> None:
    count = FailureCount()
    assert [count.note(NOW + second) for second in range(0, 60, 12)] == [False] * 5
    assert count.note(NOW + 60)


def test_six_failures_in_more_than_a_minute_are_not() -> None:
    count = FailureCount()
    assert not any(count.note(NOW + 13 * number) for number in range(50))


def test_internal_legs_may_be_left_out_but_never_the_outcome() -> None:
    hook = given_hook(event="channel_destroy", include_internal_legs=False)
    assert wants_leg(hook, "channel_destroy", is_internal_leg=False, final=False)
    assert not wants_leg(hook, "channel_destroy", is_internal_leg=True, final=False)
    assert wants_leg(hook, "channel_destroy", is_internal_leg=True, final=True)
    assert not wants_leg(hook, "channel_create", is_internal_leg=False, final=False)


def test_a_disabled_hook_wants_nothing() -> None:
    hook = given_hook(is_recording=False)
    assert not wants_leg(hook, "channel_create", is_internal_leg=False, final=False)
    assert not wants_document(hook, "user", "doc_created")


@pytest.mark.parametrize(
    ("modifiers", "wanted"),
    [
        ({"type": "user", "action": "doc_created"}, True), ({"type": "all", "action": "all"}, True),
        ({"type": "device", "action": "all"}, False), ({"type": "user", "action": "doc_deleted"}, False),
    ],
)  # fmt: skip
def test_object_hooks_choose_by_type_and_action(modifiers: dict[str, str], wanted: bool) -> None:
    hook = given_hook(event="object", custom_data=modifiers)
    assert wants_document(hook, "user", "doc_created") is wanted


def secret(private: dict, data: dict) -> dict:
    return webhook_private(private, data, make_secret=lambda: "whsec_new")


def test_a_secret_is_made_once_and_when_asked_for() -> None:
    assert secret({}, {}) == {"signing_secret": "whsec_new"}
    assert secret({"signing_secret": "whsec_old"}, {"rotate_secret": False}) == {
        "signing_secret": "whsec_old"
    }
    data = {"rotate_secret": True}
    assert secret({"signing_secret": "whsec_old"}, data) == {"signing_secret": "whsec_new"}
    assert data == {}


def test_an_enabled_hook_has_no_reason_to_be_disabled() -> None:
    stopped = {"signing_secret": "s", "disabled_message": "too many failed attempts"}
    assert secret(stopped, {"enabled": False}) == stopped
    assert secret(stopped, {"enabled": True}) == {"signing_secret": "s"}
