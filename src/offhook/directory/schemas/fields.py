"""The words in which the schemas are written: JSON Schema 2020-12, with three keywords of our own.

`x-check` names checks of `directory.checks`; `x-multiline` allows line breaks in a text; `x-loose` makes a
boolean of the spellings that query strings have. Other validators ignore them.
"""

from typing import Any, Final

Schema = dict[str, Any]

TEXT_MAX: Final = 2_048
"""Longest text unless a field says otherwise: KAZOO's bound for media ids; SIP lines must stay short."""

LIST_MAX: Final = 1_000
"""Longest list unless a field says otherwise."""

MAP_MAX: Final = 64
"""Entries of a map that goes into every INVITE or event of a call."""

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_UNSET: Final[Any] = object()


def text(
    description: str,
    *,
    shortest: int = 0,
    longest: int = TEXT_MAX,
    pattern: str = "",
    format: str = "",
    check: str = "",
    multiline: bool = False,
    default: Any = _UNSET,
) -> Schema:
    """Return the schema of a string."""
    schema: Schema = {"type": "string", "description": description, "maxLength": longest}
    if shortest:
        schema["minLength"] = shortest
    if pattern:
        schema["pattern"] = pattern
    if format:
        schema["format"] = format
    if multiline:
        schema["x-multiline"] = True
    return _checked(schema, check, default)


def choice(description: str, *values: str, default: Any = _UNSET) -> Schema:
    """Return the schema of a string out of a list."""
    return _checked({"type": "string", "description": description, "enum": list(values)}, "", default)


def integer(
    description: str, *, least: int | None = None, most: int | None = None, default: Any = _UNSET
) -> Schema:
    """Return the schema of a whole number."""
    return _number("integer", description, least, most, default)


def number(
    description: str, *, least: int | None = None, most: int | None = None, default: Any = _UNSET
) -> Schema:
    """Return the schema of any number."""
    return _number("number", description, least, most, default)


def boolean(description: str, *, loose: bool = False, default: Any = _UNSET) -> Schema:
    """Return the schema of true or false; loose ones take "1", "0", 1 and 0 too."""
    schema: Schema = {"type": "boolean", "description": description}
    if loose:
        schema["x-loose"] = True
    return _checked(schema, "", default)


def array(
    description: str,
    items: Schema,
    *,
    fewest: int = 0,
    most: int = LIST_MAX,
    unique: bool = False,
    default: Any = _UNSET,
) -> Schema:
    """Return the schema of a list."""
    schema: Schema = {"type": "array", "description": description, "items": items, "maxItems": most}
    if fewest:
        schema["minItems"] = fewest
    if unique:
        schema["uniqueItems"] = True
    return _checked(schema, "", default)


def mapping(
    description: str,
    fields: dict[str, Schema] | None = None,
    *,
    required: tuple[str, ...] = (),
    others: Schema | bool = True,
    names: str = "",
    most: int | None = None,
    check: str = "",
    default: Any = _UNSET,
) -> Schema:
    """Return the schema of an object.

    Fields that are not listed are free, or as `others` says; with `names`, a pattern, only those whose
    name it matches are allowed at all.
    """
    schema: Schema = {"type": "object", "description": description}
    if fields:
        schema["properties"] = fields
    if required:
        schema["required"] = list(required)
    if names:
        schema["patternProperties"] = {names: others}
        schema["additionalProperties"] = False
    elif others is not True:
        schema["additionalProperties"] = others
    if most is not None:
        schema["maxProperties"] = most
    return _checked(schema, check, default)


def document(title: str, fields: dict[str, Schema], **more: Any) -> Schema:
    """Return the schema of a whole document, or of the options of a request."""
    required = tuple(more.pop("required", ()))
    definitions = more.pop("definitions", None)
    schema = {"$schema": DIALECT, "title": title} | mapping(title, fields, required=required, **more)
    if definitions:
        schema["$defs"] = definitions
    return schema


def _number(type: str, description: str, least: int | None, most: int | None, default: Any) -> Schema:
    schema: Schema = {"type": type, "description": description}
    if least is not None:
        schema["minimum"] = least
    if most is not None:
        schema["maximum"] = most
    return _checked(schema, "", default)


def _checked(schema: Schema, check: str, default: Any) -> Schema:
    if check:
        schema["x-check"] = check
    if default is not _UNSET:
        schema["default"] = default
    return schema
