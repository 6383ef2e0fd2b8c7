"""One function between what clients send and what is stored (kazoo-behaviour 2.4 and 12.6)."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs

from .checks import CHECKS, MESSAGES, has_control_characters
from .faults import Faults, Path, add_fault, echo
from .model import Json
from .numbers import normalise
from .schemas import SCHEMAS
from .shapes import Shape, compile_shape

__all__ = ["NESTING_MAX", "Faults", "IsPlayable", "is_private_key", "validate"]

NESTING_MAX: Final = 200
"""Levels of objects and lists: a callflow of 60 steps in a row has 180; Python's stack has 1,000."""

IsPlayable = Callable[[str], bool]
"""Tells whether a country code, tone string or media id can be played."""

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,15}")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?")
_EXACT_MAX: Final = 2**53
"""Whole numbers below it are exact as floating point."""

_BOOLEANS: Final = {"true": True, "false": False}
_LOOSE: Final = {"1": True, "0": False}
_DEFAULT_CONTAINERS: Final = (dict, list)


def validate(name: str, data: Json, *, is_playable: IsPlayable | None = None) -> tuple[Json, Faults]:
    """Return the document as it is to be stored, and every fault in KAZOO's form (empty: it is good).

    name is a document type, or the name of another schema (`connect`, `quickcall`, `user_auth`,
    `api_auth`, `callflows.user`). data is left alone. Private keys and `id` are dropped, nulls too: null
    means absent, as in a PATCH. Texts that are numbers or booleans become those where the schema wants
    them; defaults are filled in; unknown keys stay.
    """
    faults: Faults = {}
    cleaned: Json = {}
    try:
        for key, value in data.items():
            if value is not None and not is_private_key(key):
                cleaned[_text(key)] = _copy(value, NESTING_MAX)
    except _Unstorable as error:
        add_fault(faults, ("data",), "error", str(error))
        return {}, faults
    _normalise(name, cleaned)
    _Run(faults, is_playable).document(_rules(name), cleaned, (), fill=True)
    return cleaned, faults


def is_private_key(key: str) -> bool:
    """Tell whether a top-level key is not the client's to write: `id`, `_…`, `pvt_…`."""
    return key == "id" or key.startswith(("_", "pvt_"))


class _Unstorable(Exception):
    """A signal between two functions: why the data is no JSON that can be stored."""


def _copy(value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (dict, list)) and not levels:
        raise _Unstorable(f"more than {NESTING_MAX} levels deep")
    if isinstance(value, dict):
        return {_text(key): _copy(item, levels - 1) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_copy(item, levels - 1) for item in value]
    return value


def _text(text: str) -> str:
    """Refuse lone surrogates: query strings can bring them, JSON cannot hold them."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _Unstorable("text is not valid Unicode") from None
    return text


def _normalise(name: str, data: Json) -> None:
    """Bring into one form what is looked up: user names and realms in lower case, numbers in E.164."""
    if name == "callflow" and isinstance(data.get("numbers"), list):
        data["numbers"] = [normalise(n) if isinstance(n, str) else n for n in data["numbers"]]
    lowered = {"account": "realm", "user": "username"}.get(name, "")
    if isinstance(data.get(lowered), str):
        data[lowered] = data[lowered].lower()


class _Rules:
    """A schema, compiled once."""

    __slots__ = ("shape", "validator")

    def __init__(self, name: str) -> None:
        schema = SCHEMAS[name]
        self.shape = compile_shape(schema)
        self.validator = jsonschema_rs.Draft202012Validator(
            schema, validate_formats=True, pattern_options=jsonschema_rs.RegexOptions()
        )


@lru_cache(maxsize=len(SCHEMAS))
def _rules(name: str) -> _Rules:
    return _Rules(name)


class _Run:
    """The validation of one document."""

    def __init__(self, faults: Faults, is_playable: IsPlayable | None) -> None:
        self._faults = faults
        self._is_playable = is_playable

    def document(self, rules: _Rules, value: Json, path: Path, *, fill: bool) -> None:
        """Fill, repair and check one document, or the data of one module inside it, in place."""
        self._walk(rules.shape, value, path, fill)
        if rules.validator.is_valid(value):
            return
        errors = list(rules.validator.iter_errors(value))
        repaired = [_repair(value, error) for error in errors]
        if any(repaired):
            errors = list(rules.validator.iter_errors(value))
        for error in errors:
            _report(self._faults, error, path)

    def _walk(self, shape: Shape, value: Any, path: Path, fill: bool) -> Any:
        """Return what is to stand in place of the value."""
        if isinstance(value, dict):
            if fill:
                for key, default in shape.defaults:
                    if key not in value:
                        value[key] = default.copy() if isinstance(default, _DEFAULT_CONTAINERS) else default
            for key, item in value.items():
                below = shape.fields.get(key) or shape.others
                if below is not None:
                    value[key] = self._walk(below, item, (*path, key), fill)
        elif isinstance(value, list):
            if shape.items is not None:
                value = [self._walk(shape.items, item, (*path, i), fill) for i, item in enumerate(value)]
        elif isinstance(value, str):
            if shape.is_line and has_control_characters(value):
                add_fault(self._faults, path, "error", MESSAGES["control"], value=echo(value))
            elif shape.is_loose:
                value = _LOOSE.get(value, value)
        elif shape.is_integer and isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_MAX:
            value = int(value)
        elif shape.is_loose and type(value) is int and value in (0, 1):
            value = bool(value)
        if shape.check:
            self._check(shape.check, value, path)
        return value

    def _check(self, name: str, value: Any, path: Path) -> None:
        if name == "module_data":
            self._module(value, path)
        elif name == "playable":
            self._playable(value, path)
        else:
            for fault in CHECKS[name](value):
                where = (*path, *fault.path)
                add_fault(self._faults, where, fault.code, fault.message, value=echo(fault.value))

    def _module(self, action: Any, path: Path) -> None:
        """Check the data of a callflow step by its module's schema. Defaults stay the module's affair."""
        if not isinstance(action, dict) or not isinstance(action.get("data"), dict):
            return
        name = f"callflows.{action.get('module')}"
        if name in SCHEMAS:
            self.document(_rules(name), action["data"], (*path, "data"), fill=False)

    def _playable(self, value: Any, path: Path) -> None:
        if self._is_playable is None or not isinstance(value, str) or not value:
            return
        if not self._is_playable(value):
            add_fault(self._faults, path, "error", MESSAGES["playable"], value=echo(value))


# --- repairing types --------------------------------------------------------------------------------


def _repair(document: Json, error: jsonschema_rs.ValidationError) -> bool:
    """Convert a text into the number or boolean that the schema wants, if nothing is lost."""
    kind: Any = error.kind
    if kind.name != "type" or not isinstance(error.instance, str) or not error.instance_path:
        return False
    *way, last = error.instance_path
    parent: Any = document
    try:
        for part in way:
            parent = parent[_own_key(parent, part)]
        last = _own_key(parent, last)
        if parent[last] != error.instance:
            return False  # the validator leaves empty keys out of its paths
    except (LookupError, TypeError):
        return False
    found = [value for type in kind.types if (value := _converted(error.instance, type)) is not None]
    parent[last] = found[0] if found else error.instance
    return bool(found)


def _own_key(parent: Any, part: str | int) -> Any:
    """Return a part of the validator's path as a key: it makes numbers of keys that look like one."""
    return str(part) if isinstance(parent, dict) else part


def _converted(text: str, type: str) -> int | float | bool | None:
    if type == "integer":
        return int(text) if _INTEGER.fullmatch(text) else None
    if type == "number" and _NUMBER.fullmatch(text):
        value = float(text)
        return int(value) if value.is_integer() and abs(value) < _EXACT_MAX else value
    if type == "boolean":
        return _BOOLEANS.get(text)
    return None


# --- reporting --------------------------------------------------------------------------------------


def _report(faults: Faults, error: jsonschema_rs.ValidationError, prefix: Path) -> None:
    """Add an error of the validator in KAZOO's words."""
    kind: Any = error.kind
    path = (*prefix, *error.instance_path)
    if kind.name == "required":
        message = "Field is required but missing"
        add_fault(faults, (*path, kind.property), "required", message, value=kind.property)
    elif kind.name == "additionalProperties":
        message = "Strict checking of data is enabled; only include schema-defined properties"
        instance: Any = error.instance
        for key in kind.unexpected:
            add_fault(faults, (*path, key), "additionalProperties", message, value=echo(instance[key]))
    else:
        code, message, details = _described(kind, echo(error.instance))
        add_fault(faults, path, code, message, **details, value=echo(error.instance))


def _described(kind: Any, value: Any) -> tuple[str, str, Json]:
    """Return KAZOO's code, message and details for a keyword."""
    match kind.name:
        case "type":
            types = ", ".join(kind.types)
            return "type", f"Value did not match type(s): {types}", {"target": types}
        case "enum":
            return "enum", "Value not found in enumerated list of values", {"target": kind.options}
        case "pattern":
            return "pattern", f"Failed to match pattern '{kind.pattern}'", {"target": kind.pattern}
        case "format":
            return "wrong_format", "Field is not in the correct format", {"format": kind.format}
        case "uniqueItems":
            return "uniqueItems", "List of items is not unique", {}
        case "minLength" | "maxLength":
            message = _LIMITS[kind.name].format(kind.limit)
            return kind.name, message, {"target": kind.limit, "cause": value}
        case "minimum" | "maximum" | "minItems" | "maxItems" | "minProperties" | "maxProperties":
            return kind.name, _LIMITS[kind.name].format(kind.limit), {"target": kind.limit}
    return str(kind.name), "failed to validate", {}


_LIMITS: Final = {
    "minLength": "String must be at least {} characters",
    "maxLength": "String must not be more than {} characters",
    "minimum": "Value must be at least {}",
    "maximum": "Value must be at most {}",
    "minItems": "The list must have at least {} items",
    "maxItems": "The list is more than {} items",
    "minProperties": "The object must have at least {} keys",
    "maxProperties": "The object must have at most {} keys",
}
