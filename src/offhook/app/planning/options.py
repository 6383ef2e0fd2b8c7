"""What a connect or quickcall request asks for, read from body, query string and envelope.

A value is looked up in the body's `data`, then the query string, then the envelope (KAZOO's req_value).
What cannot be understood is refused; nothing is ignored silently.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .errors import BadNumberFilter, BadOption, ContactMissing
from .numbers import has_controls
from .patterns import pattern_fault

DEFAULT_TIMEOUT_S: Final = 30
MIN_QUICKCALL_TIMEOUT_S: Final = 3
"""As documented: `integer(3..)`."""
MAX_TIMEOUT_S: Final = 600
"""A phone that rings for ten minutes has been forgotten."""
MAX_VARIABLES: Final = 64
"""custom_application_vars go into every event, CDR and webhook of the call: 64 KiB at most."""
MAX_VARIABLE_LENGTH: Final = 1_024
MAX_CALLER_ID_LENGTH: Final = 128
"""KAZOO's caller ids have 35 characters; display names of SIP users have more."""

_VARIABLE_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_TRUE: Final = (True, 1, "true", "1")
_FALSE: Final = (False, 0, "false", "0")

_NEVER_VARIABLES: Final = frozenset(
    (
        "accept", "access_token", "api_key", "auth_token", "authorization", "auto_answer", "call_token",
        "custom_application_vars", "dry_run", "format", "jsonp", "jwt", "password", "pretty_print", "token",
        "verb",
    )
)  # fmt: skip
"""Query parameters that steer the API or are secrets: they never become variables."""
_CONNECT_OPTIONS: Final = frozenset(("blocking",))
_QUICKCALL_OPTIONS: Final = frozenset(
    ("cid-name", "cid-number", "ignore-early-media", "media", "number_filter", "target_call_id", "timeout")
)

Values = Mapping[str, Any]


class ConnectRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to connect, understood."""

    contact: str
    blocking: bool = False
    auto_answer: bool | None = None
    """None: not said; then a single phone answers by itself, several ring."""
    custom_application_vars: dict[str, str] = {}
    visitor: bool = False
    """It came without credentials."""


class QuickcallRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A quickcall request, understood."""

    number: str
    """As in the path, decoded once."""
    auto_answer: bool | None = None
    caller_id_name: str = ""
    caller_id_number: str = ""
    custom_application_vars: dict[str, str] = {}
    ignore_early_media: bool | None = None
    bypass_media: bool | None = None
    number_filter: bool | str = True
    target_call_id: str = ""
    timeout_s: int = DEFAULT_TIMEOUT_S
    visitor: bool = False


def read_connect(
    data: Values, *, query: Values | None = None, envelope: Values | None = None, visitor: bool = False
) -> ConnectRequest:
    """Return what a connect request asks for. Raises ContactMissing, BadOption."""
    values = (data, query or {}, envelope or {})
    contact = _text(values, "contact", limit=1_024)
    if not contact.strip():
        raise ContactMissing
    return ConnectRequest(
        contact=contact,
        blocking=bool(_boolean(values, "blocking")),
        auto_answer=_boolean(values, "auto_answer"),
        custom_application_vars=_variables(data, query or {}, without=_CONNECT_OPTIONS),
        visitor=visitor,
    )


def read_quickcall(
    number: str,
    data: Values,
    *,
    query: Values | None = None,
    envelope: Values | None = None,
    visitor: bool = False,
) -> QuickcallRequest:
    """Return what a quickcall request asks for. Raises BadOption, BadNumberFilter."""
    values = (data, query or {}, envelope or {})
    return QuickcallRequest(
        number=number,
        auto_answer=_boolean(values, "auto_answer"),
        caller_id_name=_text(values, "cid-name", limit=MAX_CALLER_ID_LENGTH).strip(),
        caller_id_number=_text(values, "cid-number", limit=MAX_CALLER_ID_LENGTH).strip(),
        custom_application_vars=_variables(data, query or {}, without=_QUICKCALL_OPTIONS),
        ignore_early_media=_boolean(values, "ignore-early-media"),
        bypass_media=_media(values),
        number_filter=_number_filter(values),
        target_call_id=_text(values, "target_call_id", limit=256).strip(),
        timeout_s=_timeout(values),
        visitor=visitor,
    )


def _value(values: tuple[Values, ...], name: str) -> Any:
    return next((source[name] for source in values if source.get(name) is not None), None)


def _text(values: tuple[Values, ...], name: str, *, limit: int) -> str:
    value = _value(values, name)
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # a JSON client that sends 1001 as a number means the extension
    if not isinstance(value, str):
        raise BadOption(name, keyword="type", reason="is not a string")
    if len(value) > limit:
        raise BadOption(name, keyword="maxLength", reason=f"is longer than {limit} characters")
    if has_controls(value):
        raise BadOption(name, keyword="pattern", reason="has control characters")
    return value


def as_boolean(value: object) -> bool | None:
    """Return what true, 1, "true", "1" and their opposites mean; None for anything else."""
    known = value.lower() if isinstance(value, str) else value
    if not isinstance(known, bool | int | str):
        return None
    return True if known in _TRUE else False if known in _FALSE else None


def _boolean(values: tuple[Values, ...], name: str) -> bool | None:
    value = _value(values, name)
    if value is None:
        return None
    boolean = as_boolean(value)
    if boolean is None:
        raise BadOption(name, keyword="type", reason="is not a boolean")
    return boolean


def _media(values: tuple[Values, ...]) -> bool | None:
    word = _text(values, "media", limit=16).lower()
    if word not in ("", "bypass", "process"):
        raise BadOption("media", keyword="enum", reason="is neither bypass nor process")
    return word == "bypass" if word else None


def _number_filter(values: tuple[Values, ...]) -> bool | str:
    value = _value(values, "number_filter")
    if value is None:
        return True
    boolean = as_boolean(value)
    if boolean is not None:
        return boolean
    if not isinstance(value, str):
        raise BadNumberFilter("is neither a boolean nor a regular expression")
    if fault := pattern_fault(value):
        raise BadNumberFilter(fault)
    return value


def _timeout(values: tuple[Values, ...]) -> int:
    value = _value(values, "timeout")
    if value is None:
        return DEFAULT_TIMEOUT_S
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadOption("timeout", keyword="type", reason="is not an integer")
    if value < MIN_QUICKCALL_TIMEOUT_S:
        raise BadOption("timeout", keyword="minimum", reason=f"is less than {MIN_QUICKCALL_TIMEOUT_S}")
    if value > MAX_TIMEOUT_S:
        raise BadOption("timeout", keyword="maximum", reason=f"is more than {MAX_TIMEOUT_S}")
    return value


def _variables(data: Values, query: Values, *, without: frozenset[str]) -> dict[str, str]:
    """Return the body's custom_application_vars with the query string over them, minus control parameters."""
    stated = data.get("custom_application_vars")
    if stated is None:
        stated = {}
    if not isinstance(stated, Mapping):
        raise BadOption("custom_application_vars", keyword="type", reason="is not an object")
    variables = {name: _variable(name, value) for name, value in stated.items()}
    for name, value in query.items():
        if name.lower() not in _NEVER_VARIABLES and name not in without:
            variables[name] = _variable(name, value)
    if len(variables) > MAX_VARIABLES:
        raise BadOption(
            "custom_application_vars", keyword="maxItems", reason=f"has more than {MAX_VARIABLES} keys"
        )
    return variables


def _variable(name: str, value: object) -> str:
    field = f"custom_application_vars.{name}"
    if not _VARIABLE_NAME.fullmatch(name):
        raise BadOption(
            "custom_application_vars",
            keyword="pattern",
            reason="has a name other than letters, digits, _ and -",
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        raise BadOption(field, keyword="type", reason="is not a string")
    if len(value) > MAX_VARIABLE_LENGTH:
        raise BadOption(field, keyword="maxLength", reason=f"is longer than {MAX_VARIABLE_LENGTH} characters")
    return value
