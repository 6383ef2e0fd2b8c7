"""Schemas compiled for walking: what to fill in, what to check, where it goes deeper."""

from typing import Any

from .schemas.fields import Schema


class Shape:
    """What a schema says about a value, beside what the JSON Schema validator looks at."""

    __slots__ = ("check", "defaults", "fields", "is_integer", "is_line", "is_loose", "items", "others")

    def __init__(self) -> None:
        self.defaults: tuple[tuple[str, Any], ...] = ()
        self.fields: dict[str, Shape] = {}
        self.others: Shape | None = None
        """Of fields that are not listed; None: they are the client's own."""
        self.items: Shape | None = None
        self.check = ""
        self.is_line = False
        """A text without line breaks."""
        self.is_integer = False
        self.is_loose = False
        """A boolean with the spellings of query strings."""


def compile_shape(schema: Schema) -> Shape:
    """Return the shape of a document's schema; `$ref` may be recursive."""
    return _compile(schema, schema, {})


def _compile(schema: Schema, root: Schema, seen: dict[int, Shape]) -> Shape:
    schema = _resolve(schema, root)
    if id(schema) in seen:
        return seen[id(schema)]
    shape = seen[id(schema)] = Shape()
    fields: dict[str, Schema] = schema.get("properties", {})
    shape.fields = {name: _compile(field, root, seen) for name, field in fields.items()}
    shape.defaults = tuple((name, field["default"]) for name, field in fields.items() if "default" in field)
    for others in (schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()):
        if isinstance(others, dict):
            shape.others = _compile(others, root, seen)
    if "items" in schema:
        shape.items = _compile(schema["items"], root, seen)
    shape.check = schema.get("x-check", "")
    shape.is_line = "string" in schema.get("type", ()) and not schema.get("x-multiline", False)
    shape.is_integer = schema.get("type") == "integer"
    shape.is_loose = schema.get("x-loose", False)
    return shape


def _resolve(schema: Schema, root: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found
