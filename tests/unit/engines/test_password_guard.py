"""Guessers are slowed down and shut out; phones with the right password are not, wherever the guesser is."""

from offhook.engines.embedded import password_guard
from offhook.engines.embedded.password_guard import (
    ADDRESS_FAILURES,
    BLOCK_MAX_S,
    BLOCK_S,
    KNOWN_ADDRESS_FAILURES,
    MEMORY_S,
    PAIR_FAILURES,
    STRANGER_REFILL_S,
    STRANGER_TRIES,
    PasswordGuard,
)

PHONE, THIEF = "192.0.2.7", "203.0.113.66"
USER = "1001@acme.test"


def fail(
    guard: PasswordGuard, times: int, *, address: str = THIEF, user: str = USER, at: float = 0.0
) -> None:
    for _ in range(times):
        guard.failed(address, user, at)


def test_each_wrong_password_is_answered_later_than_the_last() -> None:
    guard = PasswordGuard()
    assert [guard.failed(THIEF, USER, 0.0) for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_a_pair_is_shut_out_after_five_and_ever_longer() -> None:
    guard = PasswordGuard()
    fail(guard, PAIR_FAILURES - 1)
    assert guard.may_try(THIEF, USER, 0.0)
    fail(guard, 1)
    assert not guard.may_try(THIEF, USER, BLOCK_S - 1)
    assert guard.may_try(THIEF, USER, BLOCK_S)
    fail(guard, 1, at=BLOCK_S)
    assert not guard.may_try(THIEF, USER, 3 * BLOCK_S - 1)
    assert guard.may_try(THIEF, USER, 3 * BLOCK_S)


def test_another_user_of_that_address_may_still_try() -> None:
    guard = PasswordGuard()
    fail(guard, PAIR_FAILURES)
    assert guard.may_try(THIEF, "1002@acme.test", 0.0)


def test_nobody_keeps_out_a_phone_at_another_address() -> None:
    guard = PasswordGuard()
    guard.succeeded(PHONE, USER)
    for number in range(500):  # a botnet
        guard.failed(f"203.0.113.{number % 250}", USER, 0.0)
    assert guard.may_try(PHONE, USER, 0.0)
    assert guard.hears(PHONE, 0.0)


def test_strangers_share_few_tries_for_one_username() -> None:
    guard = PasswordGuard()
    for number in range(int(STRANGER_TRIES)):
        guard.failed(f"203.0.113.{number}", USER, 0.0)
    assert not guard.may_try("198.51.100.1", USER, 0.0)
    assert guard.may_try("198.51.100.1", "1002@acme.test", 0.0)
    assert guard.may_try("198.51.100.1", USER, STRANGER_REFILL_S)


def test_an_address_is_not_heard_after_many_users_were_tried() -> None:
    guard = PasswordGuard()
    for number in range(ADDRESS_FAILURES):
        assert guard.hears(THIEF, 0.0)
        guard.failed(THIEF, f"{number}@acme.test", 0.0)
    assert not guard.hears(THIEF, BLOCK_S - 1)
    assert guard.hears(THIEF, BLOCK_S)
    assert guard.blocked(0.0) == 1
    assert guard.blocked(BLOCK_S) == 0


def test_an_office_with_one_phone_set_up_wrongly_is_heard() -> None:
    guard = PasswordGuard()
    guard.succeeded(PHONE, USER)
    for number in range(KNOWN_ADDRESS_FAILURES - 1):
        guard.failed(PHONE, f"{number}@acme.test", 0.0)
    assert guard.hears(PHONE, 0.0)
    fail(guard, 1, address=PHONE, user="last@acme.test")
    assert not guard.hears(PHONE, 0.0)


def test_a_right_password_forgives_the_pair() -> None:
    guard = PasswordGuard()
    fail(guard, PAIR_FAILURES - 1)
    guard.succeeded(THIEF, USER)
    fail(guard, PAIR_FAILURES - 1)
    assert guard.may_try(THIEF, USER, 0.0)


def test_failures_are_forgotten_some_time_after_the_block() -> None:
    guard = PasswordGuard()
    fail(guard, 20)
    assert not guard.may_try(THIEF, USER, BLOCK_MAX_S - 1)
    later = BLOCK_MAX_S + MEMORY_S + 1
    assert guard.failed(THIEF, USER, later) == 1.0
    assert guard.may_try(THIEF, USER, later)


def test_every_table_is_bounded(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    for name in ("PAIRS_MAX", "ADDRESSES_MAX", "USERNAMES_MAX", "KNOWN_MAX"):
        monkeypatch.setattr(password_guard, name, 10)
    guard = PasswordGuard()
    for number in range(100):
        guard.failed(f"203.0.113.{number}", f"{number}@acme.test", float(number))
        guard.succeeded(f"198.51.100.{number}", f"{number}@acme.test")
    sizes = [len(guard._pairs._found), len(guard._addresses._found), len(guard._strangers), len(guard._known)]
    assert max(sizes) == 10
    assert len(guard._known_addresses) == 10
    assert not guard.knows("198.51.100.89")
    assert guard.knows("198.51.100.90")
