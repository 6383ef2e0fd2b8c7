"""The outcome matrix: whatever the far ends do, one true outcome, and nothing left at either of them.

All calls run at once in one server; each test then looks at one of them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from .harness import Account, KazooClient, Server, Sipp
from .harness.far_ends import (
    ANSWERS,
    ANSWERS_AFTER_CANCEL,
    ASKS_THINGS,
    BROKEN_ANSWER,
    BROKEN_DESCRIPTION,
    BUSY,
    DECLINES,
    EARLY_MEDIA,
    FORKED,
    HANGS_UP_TWICE,
    MOVED,
    NEVER_ANSWERS_BYE,
    NO_COMMON_CODEC,
    NO_DESCRIPTION,
    OVERLOADED,
    RINGS_FOR_EVER,
    SILENT,
    TRYING_FOR_EVER,
    UNAVAILABLE,
    UNKNOWN,
    answers_after,
    answers_and_hangs_up,
    refuses,
)
from .harness.scenario import Scenario

pytestmark = pytest.mark.needs("sipp")

Json = dict[str, Any]

RING_S: Final = 2
"""How long a phone may ring here."""
OUTCOME_WITHIN_S: Final = 45.0
"""The silent far end keeps its transaction for 32 s (timer B)."""
RACE_MS: Final = 400


Ending = tuple[str, str, str, str, str, int]
ENDING: Final = ("outcome", "party", "side", "by", "hangup_cause", "sip_code")


def first(outcome: str, cause: str, sip_code: int = 0, *, by: str = "extension") -> Ending:
    """The first party, the extension, decides it."""
    return outcome, "first", "extension", by, cause, sip_code


def second(outcome: str, cause: str, sip_code: int = 0, *, by: str = "contact") -> Ending:
    """The second party, the contact, decides it."""
    return outcome, "second", "contact", by, cause, sip_code


@dataclass(frozen=True)
class Case:
    """What the two parties do, and the one way in which it should end."""

    name: str
    ending: Ending
    extension: Scenario = ANSWERS
    contact: Scenario | None = None
    """None: the contact has no far end."""
    contact_number: str = "1999"
    """Dialled if the contact has no far end."""
    button: Mapping[str, object] = field(default_factory=dict)
    spares_extension: bool = False
    """It is not even rung."""
    act: Callable[[Account, str], None] | None = None
    """What a third person does meanwhile, given the call id."""


def hang_up_while_ringing(account: Account, call_id: str) -> None:
    account.wait_for_time(call_id, "second_ringing")
    account.hang_up(call_id)


def hang_up_while_joined(account: Account, call_id: str) -> None:
    account.wait_for_time(call_id, "bridged")
    account.hang_up(call_id)


INCOMPATIBLE: Final = ("failed", "INCOMPATIBLE_DESTINATION", 200)

REFUSALS: Final = {
    400: ("failed", "NORMAL_TEMPORARY_FAILURE"),
    403: ("rejected", "CALL_REJECTED"),
    408: ("no_answer", "RECOVERY_ON_TIMER_EXPIRE"),
    410: ("unreachable", "NUMBER_CHANGED"),
    484: ("unreachable", "INVALID_NUMBER_FORMAT"),
    488: ("failed", "INCOMPATIBLE_DESTINATION"),
    500: ("failed", "NORMAL_TEMPORARY_FAILURE"),
    502: ("failed", "NETWORK_OUT_OF_ORDER"),
    504: ("failed", "RECOVERY_ON_TIMER_EXPIRE"),
    600: ("busy", "USER_BUSY"),
    604: ("unreachable", "NO_ROUTE_DESTINATION"),
    606: ("failed", "INCOMPATIBLE_DESTINATION"),
    699: ("failed", "NORMAL_UNSPECIFIED"),
}
"""Causes as KAZOO and FreeSWITCH name them; the outcomes are ours."""

CASES: Final = [
    # --- the contact, rung second, does not take the call
    Case("busy", second("busy", "USER_BUSY", 486), contact=BUSY),
    Case("declined", second("rejected", "CALL_REJECTED", 603), contact=DECLINES),
    Case("unavailable", second("no_answer", "NO_USER_RESPONSE", 480), contact=UNAVAILABLE),
    Case("rings for ever", second("no_answer", "NO_ANSWER", by="policy"), contact=RINGS_FOR_EVER),
    Case("silent", second("no_answer", "NO_USER_RESPONSE", by="policy"), contact=SILENT),
    Case("unknown there", second("unreachable", "UNALLOCATED_NUMBER", 404), contact=UNKNOWN),
    Case("overloaded", second("failed", "NORMAL_TEMPORARY_FAILURE", 503), contact=OVERLOADED),
    Case("moved", second("failed", "REDIRECTION_TO_NEW_DESTINATION", 302), contact=MOVED),
    Case("unknown here", second("unreachable", "NO_ROUTE_DESTINATION", by="platform")),
    Case(
        "not registered",
        second("unreachable", "USER_NOT_REGISTERED", by="platform"),
        contact_number="1998",
    ),
    *(
        Case(f"refused with {code}", second(outcome, cause, code), contact=refuses(code))
        for code, (outcome, cause) in REFUSALS.items()
    ),
    Case("only tries", second("no_answer", "NO_USER_RESPONSE", by="policy"), contact=TRYING_FOR_EVER),
    # --- the contact breaks the rules
    Case("no SDP in the 200", second(*INCOMPATIBLE, by="platform"), contact=NO_DESCRIPTION),
    Case("unreadable SDP", second(*INCOMPATIBLE, by="platform"), contact=BROKEN_DESCRIPTION),
    Case("other codec", second(*INCOMPATIBLE, by="platform"), contact=NO_COMMON_CODEC),
    Case("unreadable answer", second("no_answer", "NO_ANSWER", by="policy"), contact=BROKEN_ANSWER),
    Case(
        "answer after CANCEL",
        second("no_answer", "NO_ANSWER", by="policy"),
        contact=ANSWERS_AFTER_CANCEL,
    ),
    # --- the first party does not take the call
    Case("first busy", first("busy", "USER_BUSY", 486), extension=BUSY),
    Case("first declines", first("rejected", "CALL_REJECTED", 603), extension=DECLINES),
    Case(
        "first rings for ever",
        first("no_answer", "NO_ANSWER", by="policy"),
        extension=RINGS_FOR_EVER,
    ),
    Case("first without SDP", first(*INCOMPATIBLE, by="platform"), extension=NO_DESCRIPTION),
    Case(
        "contact first, busy",
        ("busy", "first", "contact", "contact", "USER_BUSY", 486),
        contact=BUSY,
        button={"dial_first": "contact"},
        spares_extension=True,
    ),
    # --- somebody ends it
    Case(
        "first gives up",
        first("canceled", "ORIGINATOR_CANCEL", 200),
        extension=answers_and_hangs_up(500),
        contact=RINGS_FOR_EVER,
    ),
    Case(
        "ended while ringing",
        ("canceled", "", "", "api", "ORIGINATOR_CANCEL", 0),
        contact=RINGS_FOR_EVER,
        act=hang_up_while_ringing,
    ),
    Case(
        "ended while joined",
        ("connected", "", "", "api", "NORMAL_CLEARING", 0),
        contact=ANSWERS,
        act=hang_up_while_joined,
    ),
    Case(
        "extension hangs up",
        first("connected", "NORMAL_CLEARING", 200),
        extension=answers_and_hangs_up(700),
        contact=ANSWERS,
    ),
    Case(
        "contact hangs up",
        second("connected", "NORMAL_CLEARING", 200),
        contact=answers_and_hangs_up(300),
    ),
    Case("hangs up twice", second("connected", "NORMAL_CLEARING", 200), contact=HANGS_UP_TWICE),
    Case("asks things", second("connected", "NORMAL_CLEARING", 200), contact=ASKS_THINGS),
    Case(
        "answers as two phones",
        ("connected", "", "", "api", "NORMAL_CLEARING", 0),
        contact=FORKED,
        act=hang_up_while_joined,
    ),
    Case(
        "is gone when hung up",
        first("connected", "NORMAL_CLEARING", 200),
        extension=answers_and_hangs_up(700),
        contact=NEVER_ANSWERS_BYE,
    ),
    *(
        Case(
            f"early media {'ignored' if ignored else 'passed on'}",
            first("connected", "NORMAL_CLEARING", 200),
            extension=answers_and_hangs_up(900),
            contact=EARLY_MEDIA,
            button={"media": {"ignore_early_media": ignored}},
        )
        for ignored in (True, False)
    ),
]


@dataclass(frozen=True)
class Race:
    """Two things at the same moment: either order may win, but all must tell the same tale."""

    name: str
    extension: Scenario
    contact: Scenario


RACES: Final = [
    *(
        Race(
            f"first hangs up {offset_ms} ms after the second answers",
            answers_and_hangs_up(RACE_MS + offset_ms),
            answers_after(RACE_MS),
        )
        for offset_ms in (-10, 0, 10)
    ),
    Race("contact hangs up at once", ANSWERS, answers_and_hangs_up()),
]


@dataclass
class Placed:
    """A call on its way, and the far ends that were rung for it."""

    account: Account
    button_id: str
    call_id: str
    extension: Sipp
    contact: Sipp | None

    def outcome(self) -> Json:
        return self.account.wait_for_outcome(self.call_id, timeout_s=OUTCOME_WITHIN_S)

    def assert_nothing_left(self, *, spares_extension: bool = False) -> None:
        """Both far ends agree that it went as their scenarios demand, to the end."""
        if spares_extension:
            assert not self.extension.received()
        else:
            self.extension.assert_clean()
        if self.contact:
            self.contact.assert_clean()


class Matrix:
    """Places calls between far ends of their own."""

    def __init__(
        self, account: Account, tmp_path_factory: pytest.TempPathFactory, cleanup: ExitStack
    ) -> None:
        self._account = account
        self._paths = tmp_path_factory
        self._cleanup = cleanup
        self._numbers = iter(range(2000, 3000))
        account.create_extension("1998", account.create_phone("absent", "not-there-now"))

    def place(
        self, extension: Scenario, contact: Scenario | None, *, contact_number: str = "1999", **button: Any
    ) -> Placed:
        """Start both far ends and press a button of their own."""
        first, first_number = self._far_end(extension)
        second, second_number = self._far_end(contact) if contact else (None, contact_number)
        button_id = self._account.create_button(first_number, timeout=RING_S, **button)
        call_id = self._account.connect(button_id, second_number)
        return Placed(self._account, button_id, call_id, first, second)

    def _far_end(self, scenario: Scenario) -> tuple[Sipp, str]:
        number = str(next(self._numbers))
        sipp = self._cleanup.enter_context(Sipp(scenario, self._paths.mktemp(f"sipp-{number}")))
        phone = self._account.create_static_phone(f"phone{number}", sipp.uri)
        self._account.create_extension(number, phone, timeout=RING_S)
        return sipp, number


@pytest.fixture(scope="module")
def placed(
    server: Server, master: KazooClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Placed]]:
    """Every call of the matrix, under way."""
    account = master.create_account("Matrix", "matrix.test")
    with ExitStack() as cleanup:
        matrix = Matrix(account, tmp_path_factory, cleanup)
        calls = {
            case.name: matrix.place(
                case.extension, case.contact, contact_number=case.contact_number, **case.button
            )
            for case in CASES
        }
        calls |= {race.name: matrix.place(race.extension, race.contact) for race in RACES}
        for case in CASES:
            if case.act:
                case.act(account, calls[case.name].call_id)
        yield calls


def by_name(item: Case | Race) -> str:
    return item.name


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_call_ends_as_it_should(placed: dict[str, Placed], case: Case) -> None:
    call = placed[case.name].outcome()
    assert tuple(call.get(key) for key in ENDING) == case.ending
    placed[case.name].assert_nothing_left(spares_extension=case.spares_extension)


@pytest.mark.parametrize("race", RACES, ids=by_name)
def test_race_has_one_winner(placed: dict[str, Placed], race: Race) -> None:
    call = placed[race.name].outcome()
    expected = {True: ("connected", "NORMAL_CLEARING"), False: ("canceled", "ORIGINATOR_CANCEL")}
    assert (call["outcome"], call["hangup_cause"]) == expected["bridged" in call["times"]]
    placed[race.name].assert_nothing_left()


@pytest.mark.parametrize("item", [*CASES, *RACES], ids=by_name)
def test_history_and_cdrs_tell_the_same(placed: dict[str, Placed], item: Case | Race) -> None:
    call = placed[item.name].outcome()
    told = ("outcome", "party", "side", "by", "hangup_cause", "sip_code", "times")
    expected = {key: call.get(key) for key in told}
    account, button_id, call_id = (
        getattr(placed[item.name], key) for key in ("account", "button_id", "call_id")
    )

    [entry] = account.history(button_id, call_id)
    assert {key: entry.get(key) for key in told} == expected
    assert entry["result"] == ("success" if call["outcome"] == "connected" else "error")

    records = account.cdrs(call["interaction_id"])
    assert len(records) == len(call["legs"])
    del expected["hangup_cause"]  # a CDR has that of its own leg
    for record in records:
        assert {key: record.get(key) for key in expected} == expected


def test_no_call_is_left(server: Server, placed: dict[str, Placed]) -> None:
    for call in placed.values():
        call.outcome()
    account = next(iter(placed.values())).account
    assert account.get("channels") == []
