"""What requests ask for: precedence, booleans, variables, refusals."""

from typing import Any

import pytest

from offhook.app.planning import BadNumberFilter, BadOption, ContactMissing, read_connect, read_quickcall


def test_the_body_goes_before_the_query_string_and_that_before_the_envelope() -> None:
    query, envelope = {"contact": "2"}, {"contact": "3"}
    assert read_connect({"contact": "1"}, query=query, envelope=envelope).contact == "1"
    assert read_connect({}, query=query, envelope=envelope).contact == "2"
    assert read_connect({}, envelope=envelope).contact == "3"


@pytest.mark.parametrize("contact", [None, "", "   "])
def test_a_missing_contact_is_refused(contact: str | None) -> None:
    with pytest.raises(ContactMissing):
        read_connect({"contact": contact} if contact is not None else {})


def test_a_contact_sent_as_a_json_number_is_an_extension() -> None:
    assert read_connect({"contact": 1002}).contact == "1002"


@pytest.mark.parametrize("blocking", [True, "true", 1, "1", "TRUE"])
def test_blocking_may_be_a_boolean_or_its_text(blocking: Any) -> None:
    assert read_connect({"contact": "1", "blocking": blocking}).blocking is True
    assert read_connect({"contact": "1"}, query={"blocking": str(blocking)}).blocking is True


@pytest.mark.parametrize("value", ["yes please", [], {}, 2])
def test_a_boolean_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(BadOption) as refusal:
        read_connect({"contact": "1", "auto_answer": value})
    assert refusal.value.field == "auto_answer"


def test_auto_answer_is_read_from_query_and_body() -> None:
    assert read_connect({"contact": "1"}, query={"auto_answer": "false"}).auto_answer is False
    assert read_quickcall("1", {"auto_answer": False}).auto_answer is False
    assert read_quickcall("1", {}).auto_answer is None


def test_query_parameters_become_variables_over_those_of_the_body() -> None:
    request = read_connect(
        {"contact": "1", "custom_application_vars": {"order": "1", "foo": "body"}}, query={"foo": "query"}
    )
    assert request.custom_application_vars == {"order": "1", "foo": "query"}


def test_control_parameters_and_tokens_never_become_variables() -> None:
    secret = {"auth_token": "t", "Authorization": "x", "api_key": "k", "dry_run": "true", "blocking": "true"}
    request = read_connect({}, query={"contact": "1002", "campaign": "may"} | secret)
    assert request.custom_application_vars == {"contact": "1002", "campaign": "may"}


def test_quickcall_options_never_become_variables() -> None:
    query = {"cid-name": "A", "cid-number": "1", "timeout": "5", "media": "bypass", "foo": "bar"}
    assert read_quickcall("1", {}, query=query).custom_application_vars == {"foo": "bar"}


def test_numbers_and_booleans_become_variable_text() -> None:
    request = read_connect({"contact": "1", "custom_application_vars": {"order": 42, "vip": True}})
    assert request.custom_application_vars == {"order": "42", "vip": "true"}


@pytest.mark.parametrize(
    ("variables", "keyword"),
    [
        ([], "type"),
        ({"a.b": "1"}, "pattern"),
        ({"a": {}}, "type"),
        ({"a": "x" * 1025}, "maxLength"),
        ({f"v{n}": "1" for n in range(65)}, "maxItems"),
    ],
)
def test_bad_variables_are_refused(variables: Any, keyword: str) -> None:
    with pytest.raises(BadOption) as refusal:
        read_connect({"contact": "1", "custom_application_vars": variables})
    assert refusal.value.keyword == keyword
    assert refusal.value.field.startswith("custom_application_vars")


@pytest.mark.parametrize(("timeout", "seconds"), [(3, 3), ("45", 45), (600, 600), (None, 30)])
def test_timeout_is_a_number_of_seconds(timeout: Any, seconds: int) -> None:
    assert read_quickcall("1", {"timeout": timeout}).timeout_s == seconds


@pytest.mark.parametrize(
    ("timeout", "keyword"),
    [(2, "minimum"), (601, "maximum"), ("soon", "type"), (True, "type"), ("9" * 20, "type")],
)
def test_a_timeout_out_of_bounds_is_refused(timeout: Any, keyword: str) -> None:
    with pytest.raises(BadOption) as refusal:
        read_quickcall("1", {"timeout": timeout})
    assert refusal.value.keyword == keyword


def test_media_is_bypass_or_process() -> None:
    assert read_quickcall("1", {"media": "bypass"}).bypass_media is True
    assert read_quickcall("1", {"media": "process"}).bypass_media is False
    assert read_quickcall("1", {}).bypass_media is None
    with pytest.raises(BadOption):
        read_quickcall("1", {"media": "carrier pigeon"})


@pytest.mark.parametrize("bad", ["(", 5, "x" * 300])
def test_a_number_filter_that_is_no_pattern_is_refused(bad: Any) -> None:
    with pytest.raises(BadNumberFilter):
        read_quickcall("1", {"number_filter": bad})


@pytest.mark.parametrize("field", ["cid-name", "cid-number", "target_call_id"])
def test_line_breaks_in_what_becomes_a_header_are_refused(field: str) -> None:
    with pytest.raises(BadOption) as refusal:
        read_quickcall("1", {field: "Jane\r\nVia: evil"})
    assert refusal.value.field == field


def test_a_percent_sign_in_a_caller_name_is_kept() -> None:
    assert read_quickcall("1", {"cid-name": "100%25 + more"}).caller_id_name == "100%25 + more"
