"""Calendars."""

from offhook.kernel import gregorian_s, iso8601_ms
from offhook.system import SystemRandom


def test_kazoo_counts_from_year_zero() -> None:
    assert gregorian_s(0.9) == 62_167_219_200


def test_times_are_written_with_milliseconds() -> None:
    assert iso8601_ms(1_795_554_872.1254) == "2026-11-24T21:14:32.125Z"
    assert iso8601_ms(1_795_554_871.9999) == "2026-11-24T21:14:32.000Z"


def test_the_systems_randomness_gives_as_many_digits_as_asked_and_never_the_same() -> None:
    source = SystemRandom()
    drawn = [source.hex(32) for _ in range(1000)]
    assert {len(digits) for digits in drawn} == {32}
    assert len(set(drawn)) == 1000
    assert len(source.hex(10_000)) == 10_000
    assert all(0 <= source.uniform() < 1 for _ in range(100))
