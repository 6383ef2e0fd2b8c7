"""Numbers: cleaned, normalised, formatted, classified."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.app.planning.classifiers import classify
from offhook.app.planning.errors import BadNumberFilter
from offhook.app.planning.numbers import (
    NUMBER_FORMATS,
    apply_dial_plan,
    filter_number,
    is_reconcilable,
    normalise,
    tidy_contact,
    uri_user,
)
from offhook.app.planning.patterns import first_capture, matches_fully, pattern_fault

DIALLED = st.text(st.sampled_from("0123456789+*# -.(),/"), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("dialled", "normalised"),
    [
        ("1001", "1001"),
        ("*97", "*97"),
        ("+49301234567", "+49301234567"),
        ("4158867900", "+14158867900"),
        ("14158867900", "+14158867900"),
        ("011493012345", "+493012345"),
        ("00493012345", "+493012345"),
        ("49301234567", "+49301234567"),
        ("0151234567", "0151234567"),
        ("911", "911"),
    ],
)
def test_numbers_are_normalised_as_kazoo_does(dialled: str, normalised: str) -> None:
    assert normalise(dialled) == normalised


@given(DIALLED)
@settings(max_examples=150)
def test_normalising_twice_changes_nothing(number: str) -> None:
    assert normalise(normalise(number)) == normalise(number)


@given(DIALLED)
@settings(max_examples=150)
def test_a_plus_survives(number: str) -> None:
    assert normalise(f"+{number}") == f"+{number}"


@given(st.text(max_size=40))
@settings(max_examples=150)
def test_any_text_becomes_a_uri_user_of_allowed_characters(text: str) -> None:
    assert all(33 <= ord(character) < 127 and character not in '@:"<>' for character in uri_user(text))


def test_an_extension_keeps_its_separators_but_a_public_number_loses_them() -> None:
    assert tidy_contact("10-01") == "10-01"
    assert tidy_contact("+1 (415) 886-7900") == "+14158867900"


@pytest.mark.parametrize(
    ("number_filter", "filtered"),
    [
        (True, "+14158867900"),
        (False, "+1 (415) 886.7900"),
        (r"\((\d{3})\)", "415"),
        (r"^no-match$", "+1 (415) 886.7900"),
        (r"\d{4}", "7900"),
    ],
)
def test_number_filter_strips_keeps_or_captures(number_filter: bool | str, filtered: str) -> None:
    assert filter_number("+1 (415) 886.7900", number_filter) == filtered


def test_number_filter_keeps_stars_and_slashes() -> None:
    assert filter_number("*97/1#", True) == "*97/1#"


@pytest.mark.parametrize("bad", ["(", "a" * 257, "(.{1,1000}){1,1000}"])
def test_a_bad_number_filter_is_refused(bad: str) -> None:
    with pytest.raises(BadNumberFilter):
        filter_number("1001", bad)


def test_dial_plan_puts_prefix_and_suffix_around_the_capture() -> None:
    plan = {r"^(\d{7})$": {"prefix": "415", "suffix": ""}, r"^8(\d+)$": {"suffix": "9"}, "system": ["north"]}
    assert apply_dial_plan("8867900", plan) == "4158867900"
    assert apply_dial_plan("81", plan) == "19"
    assert apply_dial_plan("1001", plan) == "1001"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("4158867900", True),
        ("+49301234567", True),
        ("01149", True),
        ("00", True),
        ("1001", False),
        ("411", False),
    ],
)
def test_reconcilable_numbers_look_like_public_ones(number: str, expected: bool) -> None:
    assert is_reconcilable(number) is expected


@pytest.mark.parametrize(
    ("form", "user"),
    [
        ("e164", "+14158867900"),
        ("npan", "4158867900"),
        ("1npan", "14158867900"),
        ("strip_plus", "14158867900"),
    ],
)
def test_number_formats_of_invite_format(form: str, user: str) -> None:
    assert NUMBER_FORMATS[form]("+14158867900") == user
    assert NUMBER_FORMATS[form]("1001") == "1001"


@pytest.mark.parametrize(
    ("number", "classifier"),
    [
        ("+18005550100", "tollfree_us"),
        ("+19005550100", "toll_us"),
        ("911", "emergency"),
        ("+18765550100", "caribbean"),
        ("+14158867900", "did_us"),
        ("+49301234567", "international"),
        ("1001", "unknown"),
    ],
)
def test_classifiers(number: str, classifier: str) -> None:
    assert classify(number) == classifier


def test_patterns_are_searched_for_rules_and_matched_fully_for_whitelists() -> None:
    assert first_capture(r"9(\d+)", "x9123") == "123"
    assert first_capture(r"(a)|(b)", "b") == "b"
    assert first_capture("(", "(") is None
    assert not matches_fully("1001", "21001999")
    assert pattern_fault("^1$") == ""
